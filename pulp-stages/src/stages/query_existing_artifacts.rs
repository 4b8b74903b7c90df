//! Stage 2: finds out which bytes the store has already, whoever brought them.
//!
//! Deferred artifacts are looked up too: on-demand content links to bytes that are there.

use std::collections::HashMap;

use async_trait::async_trait;
use pulp_models::{
    Algorithm, Digests, Sha256, artifact,
    db::{Connection, Db, DbError},
    store::Saved,
};

use super::BATCH;
use crate::{
    content::Content,
    declarative::DeclarativeArtifact,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// Marks artifacts that are stored; see the module.
pub struct QueryExistingArtifacts {
    db: Db,
}

impl QueryExistingArtifacts {
    /// Asks `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for QueryExistingArtifacts {
    fn name(&self) -> &'static str {
        "QueryExistingArtifacts"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(mut batch) = batches.next().await {
            let wanted = Wanted::of(batch.iter().flat_map(|unit| &unit.artifacts));
            if !wanted.is_empty() {
                let found = self.db.read(move |connection| wanted.find(connection)).await?;
                for artifact in batch.iter_mut().flat_map(|unit| &mut unit.artifacts) {
                    if let Some(saved) = found.saved(artifact) {
                        artifact.set_saved(saved);
                    }
                }
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

/// Digests to look for: SHA-256 is the artifacts' key, others go through an index of their own.
#[derive(Default)]
struct Wanted {
    sha256: Vec<Sha256>,
    others: Vec<(Algorithm, Vec<u8>)>,
}

impl Wanted {
    fn of<'a>(artifacts: impl Iterator<Item = &'a DeclarativeArtifact>) -> Self {
        let mut wanted = Self::default();
        for artifact in artifacts.filter(|artifact| is_open(artifact)) {
            match key(&artifact.expected.digests) {
                Some((Algorithm::Sha256, digest)) => {
                    wanted.sha256.extend(Sha256::from_slice(digest));
                }
                Some((algorithm, digest)) => wanted.others.push((algorithm, digest.into())),
                None => {}
            }
        }
        wanted
    }

    fn is_empty(&self) -> bool {
        self.sha256.is_empty() && self.others.is_empty()
    }

    fn find(self, connection: &mut Connection) -> Result<Found, DbError> {
        Ok(Found {
            sizes: artifact::find_artifacts(connection, &self.sha256)?,
            others: artifact::find_by_digest(connection, &self.others)?,
        })
    }
}

struct Found {
    sizes: HashMap<Sha256, u64>,
    others: artifact::FoundByDigest,
}

impl Found {
    fn saved(&self, artifact: &DeclarativeArtifact) -> Option<Saved> {
        if !is_open(artifact) {
            return None;
        }
        let (algorithm, digest) = key(&artifact.expected.digests)?;
        let (sha256, size) = if algorithm == Algorithm::Sha256 {
            let sha256 = Sha256::from_slice(digest).ok()?;
            (sha256, *self.sizes.get(&sha256)?)
        } else {
            *self.others.get(&(algorithm, digest.into()))?
        };
        let size_fits = artifact.expected.size.is_none_or(|expected| expected == size);
        size_fits.then(|| Saved { sha256, size, digests: Digests::from(sha256) })
    }
}

fn is_open(artifact: &DeclarativeArtifact) -> bool {
    artifact.saved().is_none() && artifact.downloaded().is_none()
}

/// The digest to look for: SHA-256, or else the strongest; never one that could be forged.
fn key(digests: &Digests) -> Option<(Algorithm, &[u8])> {
    match digests.get(Algorithm::Sha256) {
        Some(digest) => Some((Algorithm::Sha256, digest)),
        None => digests.strongest().filter(|(algorithm, _)| algorithm.is_trusted()),
    }
}
