//! What a plugin's first stage has at hand.

use std::sync::{Arc, Mutex, PoisonError};

use pulp_models::{
    Expected, RemoteUrl,
    remote::{Policy, Remote},
    repository::Repository,
    store::Verified,
};
use tokio_util::sync::CancellationToken;

use super::{Origin, SyncError, SyncRequest};
use crate::{
    download::{DownloadRequest, Downloader},
    installation::Installation,
    options,
    plugin::Plugin,
    progress::{Progress, Reporter},
    repository_settings::RepositorySettings,
    task::TaskHandle,
};

/// The most bytes of a document whose size nobody has told: 1 GiB. The list of a million files has
/// a tenth of that.
pub const DOCUMENT_LIMIT: u64 = 1 << 30;

/// The services and the settings of one sync.
pub struct SyncContext<P: Plugin> {
    /// Database and artifact store.
    pub installation: Installation,
    /// The repository as it is before the sync.
    pub repository: Repository,
    /// Where the content comes from.
    pub remote: Remote,
    /// What the plugin added to the remote.
    pub options: P::RemoteOptions,
    /// What the plugin added to the repository.
    pub repository_options: P::RepositoryOptions,
    /// When artifacts are fetched. Metadata is always fetched at once.
    pub policy: Policy,
    /// Whether units that upstream no longer has leave the repository.
    pub mirror: bool,
    /// Reaches the remote, within its limits. Cheap to clone.
    pub downloads: Downloader,
    /// Counters for people to watch.
    pub progress: Progress,
    /// What was left out or looked wrong without stopping the sync.
    pub warnings: Warnings,
    /// Fires when the sync is to end early; long waits outside of downloads should watch it.
    pub cancel: CancellationToken,
}

impl<P: Plugin> SyncContext<P> {
    pub(super) fn new(
        plugin: &P,
        installation: &Installation,
        request: &SyncRequest,
        task: &TaskHandle,
    ) -> Result<Self, SyncError> {
        let (remote, repository) = (request.remote.clone(), task.repository.clone());
        let settings = RepositorySettings::of(&repository)?;
        // A dry run fetches metadata only.
        let policy = if request.dry_run { Policy::OnDemand } else { remote.policy };
        Ok(Self {
            downloads: plugin.downloader(&remote, installation.store.clone())?,
            options: options::parse(&remote.options)?,
            repository_options: options::parse(&settings.options)?,
            installation: installation.clone(),
            repository,
            remote,
            policy,
            mirror: request.mirror,
            progress: task.progress.clone(),
            warnings: Warnings::new(Arc::clone(&request.reporter)),
            cancel: task.cancel.clone(),
        })
    }

    /// Declares artifacts of the remote, deferred if its policy says so. A copy to keep in a stage.
    pub fn origin(&self) -> Origin {
        Origin::new(self.remote.id, self.policy.is_deferred())
    }

    /// Fetches a document of which nothing is known, such as the one from which all else follows.
    ///
    /// Upstream may send [`DOCUMENT_LIMIT`] bytes.
    pub async fn fetch_document(&self, url: &RemoteUrl) -> Result<Verified, SyncError> {
        self.fetch_expected(url, Expected::default()).await
    }

    /// Fetches a document and checks it against what is known of it.
    pub async fn fetch_expected(
        &self,
        url: &RemoteUrl,
        expected: Expected,
    ) -> Result<Verified, SyncError> {
        let counter =
            self.progress.counter("sync.downloading.metadata", "Downloading Metadata Files");
        let request = DownloadRequest {
            limit: Some(DOCUMENT_LIMIT),
            ..DownloadRequest::new(url.clone()).expecting(expected)
        };
        let downloaded = self.downloads.fetch(&request).await?;
        counter.add(1);
        Ok(downloaded.verified)
    }

    /// Notes something that does not stop the sync but that a person should know.
    pub fn warn(&self, message: impl Into<String>) {
        self.warnings.add(message);
    }
}

/// Warnings of one sync: shown at once, and kept (up to a limit) for the summary. Cheap to clone.
#[derive(Clone)]
pub struct Warnings {
    reporter: Arc<dyn Reporter>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    messages: Vec<String>,
    dropped: u64,
    /// Whether something that upstream has is not in the version.
    incomplete: bool,
}

impl Warnings {
    /// Warnings beyond this many are only counted.
    pub const LIMIT: usize = 100;
    /// Of a longer warning this many bytes are told: it may repeat what upstream wrote.
    pub const LONGEST: usize = 1000;

    /// None so far; they are shown by `reporter`.
    pub fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, kept: Arc::default() }
    }

    /// Adds one; the same text twice is once.
    pub fn add(&self, message: impl Into<String>) {
        let mut message = message.into();
        if message.len() > Self::LONGEST {
            let mut ends = (0..=Self::LONGEST).rev();
            let end = ends.find(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or_default());
            message.push('…');
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.messages.contains(&message) {
            return;
        }
        if kept.messages.len() < Self::LIMIT {
            self.reporter.warning(&message);
            kept.messages.push(message);
        } else {
            kept.dropped += 1;
        }
    }

    /// Adds one about something that upstream lists and the version will lack. The next sync tries
    /// again, even if upstream looks unchanged.
    pub fn left_out(&self, message: impl Into<String>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).incomplete = true;
        self.add(message);
    }

    /// Whether [`left_out`](Self::left_out) was called.
    pub(super) fn is_incomplete(&self) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).incomplete
    }

    /// All that was kept, and how many more there were.
    pub fn taken(&self) -> Vec<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut messages = std::mem::take(&mut kept.messages);
        if kept.dropped > 0 {
            messages.push(format!("{} more warnings are not shown", kept.dropped));
        }
        messages
    }
}
