//! Stage 8: puts every unit into the version that is being made.

use async_trait::async_trait;

use super::BATCH;
use crate::{
    content::Content,
    declarative::DeclarativeContent,
    inbox::Inbox,
    outbox::Outbox,
    progress::Counter,
    stage::{Stage, StageError},
    sync::VersionDraft,
};

/// Associates content; see the module.
pub struct ContentAssociation {
    draft: VersionDraft,
    counter: Counter,
}

impl ContentAssociation {
    /// Associates with `draft` and counts what it associates.
    pub fn new(draft: VersionDraft, counter: Counter) -> Self {
        Self { draft, counter }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for ContentAssociation {
    fn name(&self) -> &'static str {
        "ContentAssociation"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(batch) = batches.next().await {
            let ids = batch.iter().filter_map(DeclarativeContent::id).collect();
            let draft = self.draft.clone();
            let associating = async move { draft.associate(ids).await };
            batches.scope().shield(associating).await??;
            self.counter.add(batch.len() as u64);
            output.put_all(batch).await?;
        }
        Ok(())
    }
}
