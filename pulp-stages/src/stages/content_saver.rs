//! Stage 5: writes units that are new, and which bytes belong to each path of a unit.
//!
//! Units that exist already are left as they are, but for artifacts that they now have and did not
//! have before; where there are none of those, nothing is written. Two units of one batch with one
//! natural key become one row.

use async_trait::async_trait;
use pulp_models::{
    ContentId, Key, RelativePath, Sha256,
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    db::{Connection, Db, DbError},
};

use super::BATCH;
use crate::{
    content::Content,
    declarative::{DeclarativeArtifact, DeclarativeContent},
    inbox::Inbox,
    outbox::Outbox,
    stage::{Blame as _, Stage, StageError},
};

/// Saves content; see the module.
pub struct ContentSaver {
    db: Db,
}

impl ContentSaver {
    /// Writes to `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl<C: Content> Stage<C> for ContentSaver {
    fn name(&self) -> &'static str {
        "ContentSaver"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(BATCH);
        while let Some(mut batch) = batches.next().await {
            let mut rows = Vec::with_capacity(batch.len());
            let mut new = Vec::new();
            let mut changed = Vec::new();
            for unit in &mut batch {
                unit.content.complete(&unit.artifacts);
                if is_as_recorded(unit) {
                    continue;
                }
                let (row, content) = Row::of(unit)?;
                rows.push(row);
                new.extend(content);
                changed.push(unit);
            }
            if !rows.is_empty() {
                let db = self.db.clone();
                let writing =
                    async move { db.write(move |connection| write(connection, &rows, &new)).await };
                let ids = batches.scope().shield(writing).await??;
                for (unit, id) in changed.into_iter().zip(ids) {
                    unit.set_id(id);
                }
            }
            output.put_all(batch).await?;
        }
        Ok(())
    }
}

/// Whether the database has all of the unit.
fn is_as_recorded<C: Content>(unit: &DeclarativeContent<C>) -> bool {
    unit.id().is_some() && unit.artifacts.iter().all(DeclarativeArtifact::is_recorded)
}

/// One unit as it is written.
struct Row {
    key: Key,
    known: Option<ContentId>,
    artifacts: Vec<(RelativePath, Option<Sha256>)>,
}

impl Row {
    /// The unit's row, and its content if that has to be written.
    fn of<C: Content>(
        unit: &DeclarativeContent<C>,
    ) -> Result<(Self, Option<NewContent>), StageError> {
        let content = &unit.content;
        let key = content
            .natural_key()
            .ok_or_else(|| StageError::message("Content has no natural key after its download"))
            .at_unit(unit)?;
        let artifacts = unit.artifacts.iter().map(|artifact| {
            (artifact.relative_path.clone(), artifact.saved().map(|saved| saved.sha256))
        });
        let row = Self { key, known: unit.id(), artifacts: artifacts.collect() };
        if row.known.is_some() {
            return Ok((row, None));
        }
        let new = NewContent {
            type_name: content.type_name().into(),
            natural_key: key,
            repo_key: content.repo_key(),
            metadata: serde_json::to_string(content).at_unit(unit)?,
            raw: content.raw(),
        };
        Ok((row, Some(new)))
    }
}

/// Writes the rows; the ids are in their order.
fn write(
    connection: &mut Connection,
    rows: &[Row],
    new: &[NewContent],
) -> Result<Vec<ContentId>, DbError> {
    let written = content::insert(connection, new)?;
    let id_of = |row: &Row| row.known.unwrap_or_else(|| written[&row.key].0);
    let artifacts: Vec<NewContentArtifact> = rows
        .iter()
        .flat_map(|row| {
            let content = id_of(row);
            row.artifacts.iter().map(move |(relative_path, artifact)| NewContentArtifact {
                content,
                relative_path: relative_path.clone(),
                artifact: *artifact,
            })
        })
        .collect();
    content_artifact::upsert(connection, &artifacts)?;
    Ok(rows.iter().map(id_of).collect())
}
