//! Fills: fetching what a client asked for and the store does not have.
//!
//! The first request for a file starts one task; everybody who asks meanwhile follows the same task
//! ([`super::fill_reader`]). The task tries the file's sources in turn, verifies what arrives, stores
//! it and links it to the content, whether or not anybody is still reading. Under the policy
//! `streamed` nothing is stored, and the task ends when its last reader leaves.
//!
//! Where a file comes from is read in [`super::demand`]; responses are made in [`super::on_demand`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pulp_models::{
    Expected,
    remote::Policy,
    store::{Growing, Verified},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    cool_down::CoolDown,
    demand::{Demand, FileKey, Offer, Source, Sources, Stored},
    fill_error::{FillError, SourceError},
    metrics::Metrics,
};
use crate::{
    download::{DownloadError, DownloadRequest},
    installation::Installation,
    plugin::Plugins,
};

/// The fills under way. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fills {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Sources,
    cool_down: CoolDown,
    running: Mutex<HashMap<FileKey, Arc<Fill>>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    metrics: Arc<Metrics>,
}

/// One fill, as its readers see it.
pub(super) struct Fill {
    /// What is known of the bytes.
    pub(super) expected: Expected,
    progress: watch::Sender<Progress>,
}

/// How far a fill has come.
#[derive(Clone)]
pub(super) enum Progress {
    /// No source has sent anything yet.
    Starting,
    /// A source is sending; a later attempt begins again from the first byte. Stays so after the last
    /// byte: readers end when they have followed the body to its end.
    Receiving { attempt: u32, body: Growing },
    /// It was in the store already.
    Stored(Stored),
    /// No source is left.
    Failed(Arc<FillError>),
}

impl Progress {
    /// The size in bytes, if upstream said it or the body is verified.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Starting | Self::Failed(_) => None,
            Self::Receiving { body, .. } => body.size(),
            Self::Stored(stored) => Some(stored.size),
        }
    }
}

impl Fills {
    pub(super) fn new(
        installation: Installation,
        plugins: Plugins,
        cool_down: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let inner = Inner {
            sources: Sources::new(installation, plugins),
            cool_down: CoolDown::new(cool_down),
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The fill for `key` that is under way, and a receiver that keeps it going.
    pub(super) fn running(&self, key: &FileKey) -> Option<(Arc<Fill>, watch::Receiver<Progress>)> {
        let fill = self.inner.running().get(key)?.clone();
        let progress = fill.progress.subscribe();
        Some((fill, progress))
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.inner.running().len()
    }

    /// What is known of a file that is not under way.
    pub(super) async fn demand(&self, key: &FileKey) -> Result<Demand, FillError> {
        self.inner.sources.demand(key).await
    }

    /// Joins the fill for `key`, or starts it.
    pub(super) fn join(
        &self,
        key: &FileKey,
        offer: Offer,
    ) -> (Arc<Fill>, watch::Receiver<Progress>) {
        let mut running = self.inner.running();
        if let Some(fill) = running.get(key) {
            return (fill.clone(), fill.progress.subscribe());
        }
        let (sender, progress) = watch::channel(Progress::Starting);
        let fill = Arc::new(Fill { expected: offer.expected.clone(), progress: sender });
        running.insert(key.clone(), fill.clone());
        drop(running);
        let registered = Registered {
            inner: self.inner.clone(),
            key: key.clone(),
            fill: fill.clone(),
            settled: false,
        };
        // Logs with the id of the request that started it.
        self.inner.tasks.spawn(registered.run(offer).in_current_span());
        (fill, progress)
    }

    /// Ends all fills: what is verified is still stored, other bytes are dropped. Further ones end at
    /// once.
    pub(super) async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<FileKey, Arc<Fill>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fill in the map of running ones; leaves it when dropped, so that no reader waits for a task
/// that is gone.
struct Registered {
    inner: Arc<Inner>,
    key: FileKey,
    fill: Arc<Fill>,
    settled: bool,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if !self.settled {
            self.fill.fail(FillError::Abandoned);
        }
        let mut running = self.inner.running();
        if running.get(&self.key).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
            running.remove(&self.key);
        }
    }
}

impl Fill {
    fn fail(&self, error: FillError) {
        self.progress.send_replace(Progress::Failed(Arc::new(error)));
    }
}

impl Registered {
    async fn run(mut self, offer: Offer) {
        let cancel = self.inner.cancel.clone();
        let outcome = tokio::select! {
            outcome = self.fill(&offer) => outcome,
            () = self.nobody_reads(), if offer.is_streamed() => return,
            () = cancel.cancelled() => return,
        };
        match outcome {
            // Not given up when the server ends: the client that had to wait for these bytes has them.
            Ok(Some(verified)) => self.keep(verified).await,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    path = %self.key.relative_path, content = %self.key.content, %error,
                    "Failed to fetch what a client asked for"
                );
                self.inner.metrics.fills_failed.add(1);
                self.fill.fail(error);
            }
        }
        self.settled = true;
    }

    /// Ends when the last reader has left, after which nobody can join.
    async fn nobody_reads(&self) {
        loop {
            self.fill.progress.closed().await;
            let mut running = self.inner.running();
            if self.fill.progress.is_closed() {
                running.remove(&self.key);
                return;
            }
        }
    }

    /// Goes through the sources until one has the right bytes; returns them if they are to be kept.
    async fn fill(&self, offer: &Offer) -> Result<Option<Verified>, FillError> {
        let inner = &self.inner;
        if let Some(stored) = inner.sources.already_stored(&self.key, offer).await? {
            self.fill.progress.send_replace(Progress::Stored(stored));
            return Ok(None);
        }
        let mut failures = Vec::new();
        let mut attempt = 0;
        for source in &offer.sources {
            if let Some(rest) = inner.cool_down.remaining(source.remote, &source.url) {
                failures.push(SourceError::CoolingDown { url: source.url.clone(), rest });
                continue;
            }
            match self.fetch(source, offer, &mut attempt).await {
                Ok(verified) => {
                    inner.metrics.fills_completed.add(1);
                    inner.metrics.filled_bytes.add(verified.size());
                    return Ok((source.policy != Policy::Streamed).then_some(verified));
                }
                Err(DownloadError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    if error.is_mismatch() {
                        inner.cool_down.begin(source.remote, &source.url);
                    }
                    failures.push(SourceError::Download(error));
                }
            }
        }
        Err(FillError::Sources(failures))
    }

    /// Fetches from one source. Wrong bytes end it at once: whoever has read some of them is cut off,
    /// and the next source is more likely to have the right ones.
    async fn fetch(
        &self,
        source: &Source,
        offer: &Offer,
        attempt: &mut u32,
    ) -> Result<Verified, DownloadError> {
        let request = DownloadRequest {
            final_mismatch: true,
            ..DownloadRequest::new(source.url.clone()).expecting(offer.expected.clone())
        };
        let mut announce = |body| {
            *attempt += 1;
            let attempt = *attempt;
            self.fill.progress.send_replace(Progress::Receiving { attempt, body });
        };
        source.downloader.fetch_followed(&request, &mut announce).await.map(|done| done.verified)
    }

    /// Stores the bytes and links them to the content. Readers have them all by now: a failure here
    /// only means that they are fetched again next time.
    async fn keep(&self, verified: Verified) {
        let kept = self.inner.sources.keep(&self.key, verified).await;
        if let Err(error) = kept {
            tracing::error!(path = %self.key.relative_path, %error, "Failed to store what was fetched");
        }
    }
}
