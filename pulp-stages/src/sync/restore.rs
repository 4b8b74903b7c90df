//! Making an older version the newest again: a new version with its content.
//!
//! Versions are immutable and numbers are never reused, so a roll back goes forward: what the
//! repository held in between stays in the versions in between.

use std::sync::Arc;

use pulp_models::{VersionNumber, repository::Repository};
use tokio_util::sync::CancellationToken;

use super::{Added, MadeBy, SyncError, VersionDraft};
use crate::{
    installation::Installation,
    plugin::Plugin,
    progress::Reporter,
    task::{self, TaskHandle, TaskKind},
};

/// Which version is to be the newest again.
#[derive(Clone)]
pub struct RestoreRequest {
    /// The repository that is to get a new version.
    pub repository: Repository,
    /// The version whose content it gets.
    pub version: VersionNumber,
    /// Ends it early; nothing becomes visible.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// Restores a version; see the module.
pub(crate) async fn restore<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: RestoreRequest,
) -> Result<Added, SyncError> {
    let RestoreRequest { repository, version, cancel, reporter } = request;
    let kind = TaskKind::of::<P>("restore");
    let operation = |task| run(plugin, installation, version, task);
    task::run(installation, kind, &repository, &cancel, &*reporter, operation).await
}

async fn run<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    version: VersionNumber,
    task: TaskHandle,
) -> Result<Added, SyncError> {
    let before = installation.version(&task.repository, None).await?;
    installation.version(&task.repository, Some(version)).await?;
    let draft = VersionDraft::begin(installation, task.repository.id, MadeBy::Restoration).await?;
    let draft = draft.starting_at(version);
    plugin.finalize_version(&draft).await?;
    if task.cancel.is_cancelled() {
        return Err(SyncError::Cancelled);
    }
    let made = draft.complete(&task, None).await?;
    Ok(Added::of(&task, &before, made))
}
