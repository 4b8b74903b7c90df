//! Stage 7: tells whoever awaits a unit that it is saved, with its artifacts readable.

use async_trait::async_trait;

use crate::{
    content::Content,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Resolves content futures; see the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResolveContentFutures;

#[async_trait]
impl<C: Content> Stage<C> for ResolveContentFutures {
    fn name(&self) -> &'static str {
        "ResolveContentFutures"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(1);
        while let Some(mut batch) = batches.next().await {
            for unit in &mut batch {
                unit.resolve();
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}
