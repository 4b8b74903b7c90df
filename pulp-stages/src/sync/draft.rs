//! The repository version that a sync is making, before anybody can see it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use pulp_models::{
    Connection, ContentId, DbError, Key, RepositoryId, VersionNumber,
    content::{self, NewContent},
    repository,
    version::{self, Completion, Mode, VersionSummary},
};

use super::{SyncError, state::SyncState};
use crate::{content::Content, installation::Installation, task::TaskHandle};

/// What makes a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeBy {
    /// A sync: the content is upstream's.
    Sync,
    /// Somebody adds content: an upload, a copy from another repository.
    Addition,
    /// An older version becomes the newest again.
    Restoration,
}

/// An incomplete version: what the line associates, and what becomes of it. Cheap to clone.
#[derive(Clone)]
pub struct VersionDraft {
    installation: Installation,
    repository: RepositoryId,
    number: VersionNumber,
    made_by: MadeBy,
    /// The version to start from, when it is not the latest.
    base: Option<VersionNumber>,
    exact: Arc<AtomicBool>,
    conflicting_paths: Arc<AtomicBool>,
    vacated: Arc<Mutex<Vec<Key>>>,
}

impl VersionDraft {
    /// Begins a version. Only whoever holds the repository's lock may: an incomplete version that
    /// a dead sync left is swept here.
    pub(crate) async fn begin(
        installation: &Installation,
        repository: RepositoryId,
        made_by: MadeBy,
    ) -> Result<Self, SyncError> {
        let number =
            installation.db.write(move |connection| version::begin(connection, repository)).await?;
        Ok(Self {
            installation: installation.clone(),
            repository,
            number,
            made_by,
            base: None,
            exact: Arc::default(),
            conflicting_paths: Arc::default(),
            vacated: Arc::default(),
        })
    }

    /// Starts from an older version instead of the latest.
    pub(crate) fn starting_at(mut self, base: VersionNumber) -> Self {
        self.base = Some(base);
        self
    }

    /// What makes the version.
    pub const fn made_by(&self) -> MadeBy {
        self.made_by
    }

    /// Writes a unit without files, and puts it into the version.
    pub async fn associate_new<C: Content>(&self, unit: &C) -> Result<(), SyncError> {
        let metadata = serde_json::to_string(unit)
            .map_err(|error| SyncError::plugin(format!("Failed to write content: {error}")))?;
        let natural_key =
            unit.natural_key().ok_or_else(|| SyncError::plugin("A unit has no natural key"))?;
        let new = NewContent {
            type_name: unit.type_name().into(),
            natural_key,
            repo_key: unit.repo_key(),
            metadata,
            raw: unit.raw(),
        };
        let db = &self.installation.db;
        let written = db
            .write(move |connection| content::insert(connection, std::slice::from_ref(&new)))
            .await?;
        self.associate(written.into_values().map(|(id, _)| id).collect()).await
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

    /// Takes out the unit of the previous version that has this repository key
    /// ([`Content::repo_key`](crate::content::Content::repo_key)), unless it was associated again:
    /// for what speaks of the version as a whole and is wrong once anything else changed.
    pub fn vacate(&self, place: Key) {
        self.vacated.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }

    /// Where it is being made.
    pub(super) const fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Makes it visible, in one transaction on the connection that holds the lock, and notes how
    /// upstream stood, if that is known; `None` if it would not differ from the version before.
    pub(super) async fn complete(
        &self,
        task: &TaskHandle,
        state: Option<SyncState>,
    ) -> Result<Option<VersionSummary>, SyncError> {
        let (draft, repository, number) = (self.clone(), self.repository, self.number);
        let retain = task.repository.retain_versions;
        let completed = task
            .lock
            .write(move |connection| {
                let how = draft.how(connection)?;
                let completed = version::complete_version(connection, repository, number, &how)?;
                if let Some(state) = &state {
                    let latest = match &completed {
                        Some(version) => version.number,
                        None => version::latest(connection, repository)?,
                    };
                    let state = state.clone().at_version(latest).to_value();
                    repository::set_last_sync(connection, repository, Some(&state))?;
                }
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
        let draft = self.clone();
        let preview = move |connection: &mut Connection| {
            let how = draft.how(connection)?;
            version::preview_version(connection, draft.repository, draft.number, &how)
        };
        Ok(task.lock.write(preview).await?)
    }

    fn how(&self, connection: &mut Connection) -> Result<Completion, DbError> {
        let exact = self.exact.load(Ordering::Relaxed);
        let mode = if exact { Mode::Mirror } else { Mode::Additive };
        let conflicting_paths = self.conflicting_paths.load(Ordering::Relaxed);
        let before = match self.base {
            Some(base) => base,
            None => version::latest(connection, self.repository)?,
        };
        let vacated = self.vacated.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut remove = Vec::new();
        for place in vacated {
            let unit = version::at_repo_key(connection, self.repository, before, &place)?;
            remove.extend(unit.map(|unit| unit.id));
        }
        Ok(Completion { mode, base: self.base, remove, conflicting_paths })
    }
}
