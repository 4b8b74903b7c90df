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
            let keys: Vec<Key> =
                batch.iter().filter_map(|unit| unit.content.natural_key()).collect();
            if !keys.is_empty() {
                let known = self.db.read(move |connection| find(connection, &keys)).await?;
                for unit in &mut batch {
                    recognize(unit, &known);
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

fn recognize<C: Content>(unit: &mut DeclarativeContent<C>, known: &Known) {
    let Some((id, artifacts)) = unit.content.natural_key().and_then(|key| known.get(&key)) else {
        return;
    };
    unit.set_id(*id);
    for artifact in &mut unit.artifacts {
        if let Some(saved) = stored(artifact, artifacts) {
            artifact.set_saved(saved);
        }
    }
}

/// The bytes that the database has at this artifact's path, if they are what is expected now.
fn stored(artifact: &DeclarativeArtifact, known: &[ContentArtifact]) -> Option<Saved> {
    let found = known.iter().find(|known| known.relative_path == artifact.relative_path)?;
    let (sha256, size) = (found.artifact?, found.size?);
    let expected = artifact.expected.digests.sha256();
    (artifact.saved().is_none() && expected.is_none_or(|expected| expected == sha256))
        .then(|| Saved { sha256, size, digests: Digests::from(sha256) })
}
