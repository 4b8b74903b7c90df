//! The repository version that a sync is making, before anybody can see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pulp_models::{
    Connection, ContentId, RepositoryId, VersionNumber, repository,
    version::{self, Completion, Mode, VersionSummary},
};

use super::{SyncError, state::SyncState};
use crate::{installation::Installation, task::TaskHandle};

/// An incomplete version: what the line associates, and what becomes of it. Cheap to clone.
#[derive(Clone)]
pub struct VersionDraft {
    installation: Installation,
    repository: RepositoryId,
    number: VersionNumber,
    exact: Arc<AtomicBool>,
    conflicting_paths: Arc<AtomicBool>,
}

impl VersionDraft {
    /// Begins a version. Only whoever holds the repository's lock may: an incomplete version that
    /// a dead sync left is swept here.
    pub(crate) async fn begin(
        installation: &Installation,
        repository: RepositoryId,
    ) -> Result<Self, SyncError> {
        let number =
            installation.db.write(move |connection| version::begin(connection, repository)).await?;
        Ok(Self {
            installation: installation.clone(),
            repository,
            number,
            exact: Arc::default(),
            conflicting_paths: Arc::default(),
        })
    }

    /// Puts units into the version; twice is once.
    pub async fn associate(&self, contents: Vec<ContentId>) -> Result<(), SyncError> {
        let (repository, number) = (self.repository, self.number);
        let db = &self.installation.db;
        Ok(db
            .write(move |connection| {
                version::stage_content(connection, repository, number, &contents)
            })
            .await?)
    }

    /// Makes the version exactly what was associated: all else of the previous one is removed.
    pub fn remove_others(&self) {
        self.exact.store(true, Ordering::Relaxed);
    }

    /// Lets two units have the same path; for types whose paths nobody asks for.
    pub fn allow_conflicting_paths(&self) {
        self.conflicting_paths.store(true, Ordering::Relaxed);
    }

    /// Makes it visible, in one transaction on the connection that holds the lock, and notes how
    /// upstream stood; `None` if it would not differ from the version before.
    pub(super) async fn complete(
        &self,
        task: &TaskHandle,
        state: SyncState,
    ) -> Result<Option<VersionSummary>, SyncError> {
        let (repository, number, how) = (self.repository, self.number, self.how());
        let retain = task.repository.retain_versions;
        let completed = task
            .lock
            .write(move |connection| {
                let completed = version::complete_version(connection, repository, number, &how)?;
                let latest = match &completed {
                    Some(version) => version.number,
                    None => version::latest(connection, repository)?,
                };
                let state = state.clone().at_version(latest).to_value();
                repository::set_last_sync(connection, repository, Some(&state))?;
                if let (Some(_), Some(retain)) = (&completed, retain) {
                    version::retain_versions(connection, repository, retain)?;
                }
                Ok(completed)
            })
            .await?;
        Ok(completed)
    }

    /// What [`complete`](Self::complete) would say; forgets what was associated.
    pub(super) async fn preview(
        &self,
        task: &TaskHandle,
    ) -> Result<Option<VersionSummary>, SyncError> {
        let (repository, number, how) = (self.repository, self.number, self.how());
        let preview = move |connection: &mut Connection| {
            version::preview_version(connection, repository, number, &how)
        };
        Ok(task.lock.write(preview).await?)
    }

    fn how(&self) -> Completion {
        let exact = self.exact.load(Ordering::Relaxed);
        let mode = if exact { Mode::Mirror } else { Mode::Additive };
        let conflicting_paths = self.conflicting_paths.load(Ordering::Relaxed);
        Completion { conflicting_paths, ..Completion::new(mode) }
    }
}
