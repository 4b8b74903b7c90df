//! Stage 1: finds out which units are known already.
//!
//! A hit gets its id and the artifacts it has; what it lacks (on-demand content that is now wanted
//! at once) stays to be downloaded. Units whose natural key is only known after their download
//! pass untouched and are matched by `ContentSaver`.

use std::collections::HashMap;

use async_trait::async_trait;
use pulp_models::{
    ContentId, Digests, Key, content,
    content_artifact::{self, ContentArtifact},
    db::{Connection, Db, DbError},
    store::Saved,
};

use super::BATCH;
use crate::{
    content::Content,
    declarative::{DeclarativeArtifact, DeclarativeContent},
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Marks units that exist; see the module.
pub struct QueryExistingContents {
    db: Db,
}

/// Units that exist, with the artifacts they have.
type Known = HashMap<Key, (ContentId, Vec<ContentArtifact>)>;

impl QueryExistingContents {
    /// Asks `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for QueryExistingContents {
    fn name(&self) -> &'static str {
        "QueryExistingContents"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(mut batch) = batches.next().await {
            let keys: Vec<Option<Key>> =
                batch.iter().map(|unit| unit.content.natural_key()).collect();
            let asked: Vec<Key> = keys.iter().copied().flatten().collect();
            if !asked.is_empty() {
                let known = self.db.read(move |connection| find(connection, &asked)).await?;
                for (unit, key) in batch.iter_mut().zip(keys) {
                    if let Some((id, artifacts)) = key.and_then(|key| known.get(&key)) {
                        recognize(unit, *id, artifacts);
                    }
                }
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

fn find(connection: &mut Connection, keys: &[Key]) -> Result<Known, DbError> {
    let ids = content::find(connection, keys)?;
    let mut artifacts =
        content_artifact::load(connection, &ids.values().copied().collect::<Vec<_>>())?;
    let known = ids.into_iter().map(|(key, id)| {
        let artifacts = artifacts.remove(&id).unwrap_or_default();
        (key, (id, artifacts))
    });
    Ok(known.collect())
}

fn recognize<C: Content>(
    unit: &mut DeclarativeContent<C>,
    id: ContentId,
    known: &[ContentArtifact],
) {
    unit.set_id(id);
    for artifact in &mut unit.artifacts {
        let same = |known: &&ContentArtifact| known.relative_path == artifact.relative_path;
        let Some(found) = known.iter().find(same) else { continue };
        artifact.set_recorded(found.artifact);
        if let Some(saved) = stored(artifact, found) {
            artifact.set_saved(saved);
        }
    }
}

/// The bytes that the database has at this artifact's path, if they are what is expected now.
fn stored(artifact: &DeclarativeArtifact, found: &ContentArtifact) -> Option<Saved> {
    let (sha256, size) = (found.artifact?, found.size?);
    let expected = artifact.expected.digests.sha256();
    (artifact.saved().is_none() && expected.is_none_or(|expected| expected == sha256))
        .then(|| Saved { sha256, size, digests: Digests::from(sha256) })
}
