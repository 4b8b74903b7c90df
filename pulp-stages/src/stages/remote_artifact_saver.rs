//! Stage 6: writes where each artifact can be fetched from.
//!
//! Immediate content is noted too: repair and reclaim depend on it.

use async_trait::async_trait;
use pulp_models::{
    db::Db,
    remote_artifact::{self, NewRemoteArtifact},
};

use super::BATCH;
use crate::{
    content::Content,
    declarative::DeclarativeContent,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Saves the sources of artifacts; see the module.
pub struct RemoteArtifactSaver {
    db: Db,
}

impl RemoteArtifactSaver {
    /// Writes to `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for RemoteArtifactSaver {
    fn name(&self) -> &'static str {
        "RemoteArtifactSaver"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(batch) = batches.next().await {
            let rows: Vec<NewRemoteArtifact> = batch.iter().flat_map(sources).collect();
            if !rows.is_empty() {
                let db = self.db.clone();
                let writing = async move {
                    db.write(move |connection| remote_artifact::upsert(connection, &rows)).await
                };
                batches.scope().shield(writing).await??;
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

/// One row per URL; the position is the order in which they are tried.
fn sources<C: Content>(
    unit: &DeclarativeContent<C>,
) -> impl Iterator<Item = NewRemoteArtifact> + '_ {
    let content = unit.id().expect("ContentSaver gives every unit its id");
    unit.artifacts.iter().flat_map(move |artifact| {
        let remote = artifact.remote;
        artifact.urls.iter().zip(0_u16..).filter_map(move |(url, position)| {
            Some(NewRemoteArtifact {
                content,
                relative_path: artifact.relative_path.clone(),
                remote: remote?,
                position,
                url: url.clone(),
                expected: artifact.expected.clone(),
            })
        })
    })
}
