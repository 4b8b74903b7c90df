//! Stage 4: writes downloaded bytes into the store, a batch at a time.
//!
//! The store makes a batch durable before this stage writes the rows that name it. Afterwards the
//! units give their budget permits back. Where upstream is slow, a batch does not wait to be full:
//! what came in the last seconds is all that a killed sync has to fetch again.

use std::time::Duration;

use async_trait::async_trait;
use pulp_models::{
    artifact::{self, NewArtifact},
    db::Db,
    store::{ArtifactStore, Saved, Verified},
};

use super::BATCH;
use crate::{
    content::Content,
    inbox::Inbox,
    outbox::Outbox,
    stage::{Stage, StageError},
};

/// How long downloaded artifacts may wait for company.
const PATIENCE: Duration = Duration::from_secs(5);

/// Saves downloaded artifacts; see the module.
pub struct ArtifactSaver {
    db: Db,
    store: ArtifactStore,
}

impl ArtifactSaver {
    /// Saves bytes into `store` and their rows into `db`.
    pub fn new(db: Db, store: ArtifactStore) -> Self {
        Self { db, store }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for ArtifactSaver {
    fn name(&self) -> &'static str {
        "ArtifactSaver"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(mut batch) = batches.next_within(PATIENCE).await {
            let mut places = Vec::new();
            let mut bodies = Vec::new();
            for (at, unit) in batch.iter_mut().enumerate() {
                for (inside, artifact) in unit.artifacts.iter_mut().enumerate() {
                    if let Some(body) = artifact.take_downloaded() {
                        places.push((at, inside));
                        bodies.push(body);
                    }
                }
            }
            if !bodies.is_empty() {
                let saving = save(self.db.clone(), self.store.clone(), bodies);
                let saved = batches.scope().shield(saving).await??;
                for ((at, inside), saved) in places.into_iter().zip(saved) {
                    batch[at].artifacts[inside].set_saved(saved);
                }
            }
            for unit in &mut batch {
                unit.release();
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

/// Makes `bodies` durable, then known.
async fn save(
    db: Db,
    store: ArtifactStore,
    bodies: Vec<Verified>,
) -> Result<Vec<Saved>, StageError> {
    let saved = store.save(bodies).await?;
    let rows: Vec<NewArtifact> = saved.iter().cloned().map(Into::into).collect();
    db.write(move |connection| artifact::insert_artifacts(connection, &rows)).await?;
    Ok(saved)
}
