//! Stage 3: downloads what is neither stored nor deferred.
//!
//! All downloads are driven inside this one task: a task per file would cost more than a small
//! file does. Units leave in the order in which they are complete; units without downloads pass at
//! once. A file that cannot be had fails the run, or what it belongs to is left out or goes on
//! without it, as the remote says ([`OnBroken`]). How to download it does not know, that is
//! [`Fetch`]'s; nor where the bytes are kept, that is the next stage's.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, future::try_join_all, stream::FuturesUnordered};
use pulp_models::{remote_settings::OnBroken, store::Verified};

use crate::{
    budget::Budget,
    content::Content,
    declarative::{DeclarativeArtifact, DeclarativeContent},
    download::{DownloadError, DownloadRequest, Downloader},
    inbox::Inbox,
    outbox::Outbox,
    progress::Counter,
    stage::{Blame as _, Stage, StageError},
};

/// How artifacts are fetched; the downloader of a remote, or a stand-in in tests.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches and verifies one artifact, whose URLs are tried in order. Dropping the future stops
    /// the transfer and leaves nothing behind.
    async fn fetch(&self, artifact: &DeclarativeArtifact) -> Result<Verified, StageError>;
}

#[async_trait]
impl Fetch for Downloader {
    async fn fetch(&self, artifact: &DeclarativeArtifact) -> Result<Verified, StageError> {
        let request = DownloadRequest {
            urls: artifact.urls.clone(),
            expected: artifact.expected.clone(),
            ..DownloadRequest::default()
        };
        Ok(Downloader::fetch(self, &request).await?.verified)
    }
}

/// Downloads artifacts; see the module.
///
/// Failing or cancelled, it drops the downloads that run. What they had fetched is gone; what was
/// passed on before is not.
pub struct ArtifactDownloader {
    fetch: Arc<dyn Fetch>,
    budget: Budget,
    counter: Option<Counter>,
    concurrency: usize,
    on_broken: OnBroken,
    report: Arc<dyn Fn(String) + Send + Sync>,
}

impl ArtifactDownloader {
    /// Units that are downloaded at once, by default. Connections are fewer: they are limited by
    /// the remote.
    pub const CONCURRENCY: usize = 200;

    /// Downloads through `fetch`.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        let budget = Budget::new(Budget::DEFAULT_BYTES);
        Self {
            fetch,
            budget,
            counter: None,
            concurrency: Self::CONCURRENCY,
            on_broken: OnBroken::Fail,
            report: Arc::new(|_| {}),
        }
    }

    /// Bounds the bytes that are downloaded and not saved yet, as far as sizes are known before.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Counts downloads.
    #[must_use]
    pub fn counter(mut self, counter: Counter) -> Self {
        self.counter = Some(counter);
        self
    }

    /// Downloads so many units at once, at least one; all artifacts of a unit at the same time.
    #[must_use]
    pub fn concurrency(mut self, units: usize) -> Self {
        self.concurrency = units.max(1);
        self
    }

    /// What becomes of units whose files upstream doesn't give; `report` is told of each file that
    /// the run goes on without. Handles of a unit that is left out end in
    /// [`ResolutionError::Dropped`](crate::ResolutionError::Dropped). Fails the run by default.
    #[must_use]
    pub fn on_broken(
        mut self,
        on_broken: OnBroken,
        report: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        self.on_broken = on_broken;
        self.report = Arc::new(report);
        self
    }

    /// Downloads what `unit` lacks and passes it on. It does both, so that a full outbox keeps this
    /// unit waiting and no other one's download.
    async fn pass<C: Content>(
        &self,
        mut unit: DeclarativeContent<C>,
        output: &Outbox<C>,
    ) -> Result<(), StageError> {
        if lacks_bytes(&unit) {
            let bytes = bytes_to_come(&unit.artifacts);
            // One permit for all of them: a unit that held one and waited for another could wait
            // for a unit that does the same.
            let permit = self.budget.acquire(bytes).await;
            let wanted = unit.artifacts.iter_mut().filter(|artifact| artifact.needs_download());
            let downloaded = try_join_all(wanted.map(|artifact| self.download(artifact))).await;
            if !downloaded.at_unit(&unit)?.into_iter().all(|kept| kept) {
                return Ok(());
            }
            unit.charge(permit);
        }
        Ok(output.put(unit).await?)
    }

    /// False if the unit is to be left out for want of this file.
    async fn download(&self, artifact: &mut DeclarativeArtifact) -> Result<bool, StageError> {
        match self.fetch.fetch(artifact).await {
            Ok(bytes) => artifact.set_downloaded(bytes),
            Err(error) if self.is_borne(&error) => {
                let path = artifact.relative_path.clone();
                let defers = self.on_broken == OnBroken::Defer;
                artifact.deferred_download = defers;
                let kept = defers && !artifact.needs_download();
                let what = if kept { "is left to the first request" } else { "is left out" };
                (self.report)(format!("`{path}` {what}: {}", error.chain()));
                return Ok(kept);
            }
            Err(error) => return Err(error),
        }
        if let Some(counter) = &self.counter {
            counter.add(1);
        }
        Ok(true)
    }

    fn is_borne(&self, error: &StageError) -> bool {
        let of_the_file = error.find::<DownloadError>().is_some_and(DownloadError::is_of_the_file);
        of_the_file && self.on_broken != OnBroken::Fail
    }
}

#[async_trait]
impl<C: Content> Stage<C> for ArtifactDownloader {
    fn name(&self) -> &'static str {
        "ArtifactDownloader"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut units = input.items();
        let mut running = FuturesUnordered::new();
        let mut open = true;
        while open || !running.is_empty() {
            tokio::select! {
                biased;
                Some(passed) = running.next() => passed?,
                unit = units.next(), if open && running.len() < self.concurrency => match unit {
                    None => open = false,
                    // Nothing is kept waiting, so the way of a re-sync's many units is the short one.
                    Some(unit) if running.is_empty() && !lacks_bytes(&unit) => {
                        output.put(unit).await?;
                    }
                    Some(unit) => running.push(self.pass(unit, &output)),
                },
            }
        }
        Ok(())
    }
}

fn lacks_bytes<C: Content>(unit: &DeclarativeContent<C>) -> bool {
    unit.artifacts.iter().any(DeclarativeArtifact::needs_download)
}

/// As upstream says; it may say anything.
fn bytes_to_come(artifacts: &[DeclarativeArtifact]) -> u64 {
    let wanted = artifacts.iter().filter(|artifact| artifact.needs_download());
    wanted.filter_map(DeclarativeArtifact::size).fold(0, u64::saturating_add)
}
