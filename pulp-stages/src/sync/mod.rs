//! Synchronising a repository: from a remote to a new repository version, or to the finding that
//! nothing changed.
//!
//! The way: lock the repository, ask the plugin for its first stage, compare upstream's
//! fingerprint with the last sync's, run the line, check the draft, complete it in one
//! transaction. Whatever fails before that transaction leaves no trace but verified bytes and
//! content rows, which the next sync finds.

mod context;
mod origin;
mod line;
mod alternates;
mod draft;
mod state;
mod summary;
mod error;
mod add;
mod refresh;
mod restore;

use std::{sync::Arc, time::Instant};

use pulp_models::{Timestamp, remote::Remote, repository::Repository};
use tokio_util::sync::CancellationToken;

pub use add::{AddRequest, Added, add_content};
pub use context::{DOCUMENT_LIMIT, SyncContext, Warnings};
pub use draft::{MadeBy, VersionDraft};
pub use error::SyncError;
pub use origin::Origin;
pub(crate) use refresh::refresh;
pub use refresh::{RefreshRequest, Refreshed, hidden_repository};
pub use restore::RestoreRequest;
pub(crate) use restore::restore;
pub use summary::SyncSummary;

use crate::{
    installation::Installation,
    plugin::Plugin,
    progress::Reporter,
    task::{self, TaskKind},
};
use line::Ending;
use state::SyncState;

/// What to synchronise, and how.
#[derive(Clone)]
pub struct SyncRequest {
    /// The repository that is to get a new version.
    pub repository: Repository,
    /// Where its content comes from.
    pub remote: Remote,
    /// Whether units that upstream no longer has leave the repository.
    pub mirror: bool,
    /// Whether an unchanged upstream ends the sync at once. Default true.
    pub optimize: bool,
    /// Whether to find out what would change and keep nothing of it.
    pub dry_run: bool,
    /// Ends the sync early; nothing half-made becomes visible.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// Synchronises `request.repository`; see the module.
pub(crate) async fn synchronize<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: SyncRequest,
) -> Result<SyncSummary, SyncError> {
    let SyncRequest { repository, cancel, reporter, .. } = &request;
    let kind = TaskKind::of::<P>("sync");
    let operation = |task| run(plugin, installation, &request, task);
    task::run(installation, kind, repository, cancel, &**reporter, operation).await
}

async fn run<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: &SyncRequest,
    task: task::TaskHandle,
) -> Result<SyncSummary, SyncError> {
    let clock = Instant::now();
    let started = Timestamp::now();
    let context = SyncContext::<P>::new(plugin, installation, request, &task)?;
    let first = tokio::select! {
        first = plugin.first_stage(&context) => first?,
        () = task.cancel.cancelled() => return Err(SyncError::Cancelled),
    };
    let before = installation.version(&context.repository, None).await?;
    let state = SyncState::of(&context, request, first.fingerprint, before.number);
    let unchanged = request.optimize && state.is_unchanged_since(&context.repository);
    let mut alternates = None;
    let (version, profile) = if unchanged {
        (None, None)
    } else {
        alternates = alternates::of_sync(plugin, &context).await?.map(Arc::new);
        let draft = VersionDraft::begin(installation, context.repository.id, MadeBy::Sync).await?;
        let line = line::of_sync(&context, &draft, alternates.as_ref());
        let line = plugin.pipeline(line, &context);
        let line = line.push_front(first.stage);
        let ending = if request.dry_run {
            Ending::Preview
        } else {
            Ending::Synchronized(state, context.warnings.clone())
        };
        let (version, profile) = line::run(plugin, line, &draft, &task, ending).await?;
        (version, Some(profile))
    };
    let transferred = context.downloads.statistics();
    let elsewhere = alternates.map(|alternates| alternates.statistics()).unwrap_or_default();
    Ok(SyncSummary {
        repository: context.repository.name.clone(),
        version: version.filter(|_| !request.dry_run).map(|version| version.number.0),
        latest_version: version.map_or(before.number, |version| version.number).0,
        added: version.map_or(0, |version| version.added),
        removed: version.map_or(0, |version| version.removed),
        present: version.map_or_else(|| before.counts.total(), |version| version.present),
        downloaded_bytes: transferred.bytes + elsewhere.bytes,
        requests: transferred.requests + elsewhere.requests,
        unchanged,
        dry_run: request.dry_run,
        warnings: context.warnings.taken(),
        started,
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        profile,
    })
}
