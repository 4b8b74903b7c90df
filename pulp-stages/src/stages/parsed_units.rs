//! A first stage for upstreams that one document describes: it runs the document's parser.

use async_trait::async_trait;

use crate::{
    content::Content,
    declarative::DeclarativeContent,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Puts what a parser yields; see [`Outbox::put_parsed`].
pub(crate) struct ParsedUnits<I> {
    name: &'static str,
    units: I,
}

impl<I> ParsedUnits<I> {
    /// A stage called `name` that puts `units`.
    pub(crate) const fn new(name: &'static str, units: I) -> Self {
        Self { name, units }
    }
}

#[async_trait]
impl<C, E, I> Stage<C> for ParsedUnits<I>
where
    C: Content,
    E: Into<StageError> + Send + 'static,
    I: Iterator<Item = Result<DeclarativeContent<C>, E>> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(self: Box<Self>, _: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        output.put_parsed(self.units).await
    }
}
