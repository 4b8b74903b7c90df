//! Stage 9, with `mirror`: what upstream no longer declares leaves the repository.
//!
//! Only once the input has ended well is it known what upstream declares; the removal itself is
//! part of the transaction that completes the version.

use async_trait::async_trait;

use crate::{
    content::Content,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
    sync::VersionDraft,
};

/// Removes what was not associated; see the module.
pub struct ContentUnassociation {
    draft: VersionDraft,
}

impl ContentUnassociation {
    /// Removes from `draft`.
    pub fn new(draft: VersionDraft) -> Self {
        Self { draft }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for ContentUnassociation {
    fn name(&self) -> &'static str {
        "ContentUnassociation"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(1);
        while let Some(batch) = batches.next().await {
            output.put_all(batch).await?;
        }
        self.draft.remove_others();
        Ok(())
    }
}
