//! Before the downloader, when there are alternate content sources: finds out which of them have the
//! bytes that are about to be downloaded.
//!
//! The artifact keeps its own URLs and its remote, so what is remembered of it (stage 6) does not
//! depend on sources that come and go. [`AlternatesFirst`](super::AlternatesFirst) asks the sources.

use async_trait::async_trait;
use pulp_models::{Expected, alternate_content_source::offers, db::Db};

use super::BATCH;
use crate::{
    content::Content,
    declarative::DeclarativeArtifact,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Marks artifacts that enabled sources have; see the module.
pub(crate) struct AlternateContentSources {
    db: Db,
}

impl AlternateContentSources {
    /// Asks `db`.
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for AlternateContentSources {
    fn name(&self) -> &'static str {
        "AlternateContentSources"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(mut batch) = batches.next().await {
            let mut wanted: Vec<&mut DeclarativeArtifact> = batch
                .iter_mut()
                .flat_map(|unit| &mut unit.artifacts)
                .filter(|artifact| artifact.needs_download() && is_provable(artifact))
                .collect();
            if !wanted.is_empty() {
                let expected: Vec<Expected> =
                    wanted.iter().map(|artifact| artifact.expected.clone()).collect();
                let found = self
                    .db
                    .read(move |connection| {
                        offers::find(connection, &expected.iter().collect::<Vec<_>>())
                    })
                    .await?;
                for (artifact, alternates) in wanted.iter_mut().zip(found) {
                    artifact.alternates = alternates;
                }
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

/// Whether a digest tells that bytes from elsewhere are the right ones.
fn is_provable(artifact: &DeclarativeArtifact) -> bool {
    artifact.expected.digests.is_trusted()
}
