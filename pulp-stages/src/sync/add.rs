//! Adding content that is at hand: local files, a package that somebody uploads, a pushed image.
//!
//! The way of a sync without a remote: lock the repository, run the line behind a first stage whose
//! units bring their bytes along
//! ([`DeclarativeArtifact::from_verified`](crate::declarative::DeclarativeArtifact::from_verified)),
//! check the draft, complete it in one transaction. What is in the repository stays, except where a
//! new unit takes its place. Publishing the version is the next verb's:
//! [`autopublish`](crate::publish::autopublish).

use std::sync::Arc;

use pulp_models::{
    repository::Repository,
    version::{Version, VersionSummary},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    MadeBy, SyncError, VersionDraft,
    line::{self, Ending},
};
use crate::{
    content::Content,
    installation::Installation,
    plugin::Plugin,
    progress::Reporter,
    stage::Stage,
    task::{self, TaskHandle, TaskKind},
};

/// What to add, and to which repository.
pub struct AddRequest<C: Content> {
    /// What the task is called, e.g. `upload`.
    pub task: &'static str,
    /// The repository that is to get a new version.
    pub repository: Repository,
    /// Emits the units.
    pub first_stage: Box<dyn Stage<C>>,
    /// Ends it early; nothing half-made becomes visible.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// What an addition did. Serialises as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Added {
    /// The repository's name.
    pub repository: String,
    /// The number of the version that was made; `None` if everything was there already.
    pub version: Option<i64>,
    /// The number of the repository's latest version afterwards.
    pub latest_version: i64,
    /// Units that the new version has and the one before had not.
    pub added: u64,
    /// Units that others took the place of.
    pub removed: u64,
    /// Units in the latest version.
    pub present: u64,
}

impl Added {
    /// What became of a task that found the version `before` and made `version`, or none.
    pub(super) fn of(task: &TaskHandle, before: &Version, version: Option<VersionSummary>) -> Self {
        Self {
            repository: task.repository.name.clone(),
            version: version.map(|version| version.number.0),
            latest_version: version.map_or(before.number, |version| version.number).0,
            added: version.map_or(0, |version| version.added),
            removed: version.map_or(0, |version| version.removed),
            present: version.map_or_else(|| before.counts.total(), |version| version.present),
        }
    }
}

/// Adds content to a repository; see the module.
pub async fn add_content<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: AddRequest<P::Content>,
) -> Result<Added, SyncError> {
    let AddRequest { task, repository, first_stage, cancel, reporter } = request;
    let kind = TaskKind::of::<P>(task);
    let operation = |task| run(plugin, installation, first_stage, task);
    task::run(installation, kind, &repository, &cancel, &*reporter, operation).await
}

async fn run<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    first_stage: Box<dyn Stage<P::Content>>,
    task: TaskHandle,
) -> Result<Added, SyncError> {
    let before = installation.version(&task.repository, None).await?;
    let draft = VersionDraft::begin(installation, task.repository.id, MadeBy::Addition).await?;
    let line = line::of_addition(installation, &task.progress, &draft).push_front(first_stage);
    let (version, _) = line::run(plugin, line, &draft, &task, Ending::Complete).await?;
    Ok(Added::of(&task, &before, version))
}
