//! Stage 3: downloads what is neither stored nor deferred.
//!
//! All downloads are driven inside this one task: a task per file would cost more than a small
//! file does. Units leave in the order in which they are complete; units without downloads pass at
//! once.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, future::try_join_all, stream::FuturesUnordered};
use pulp_models::store::Verified;

use crate::{
    budget::Budget,
    content::Content,
    declarative::{DeclarativeArtifact, DeclarativeContent},
    download::{DownloadRequest, Downloader},
    inbox::Inbox,
    outbox::Outbox,
    progress::Counter,
    stage::{Blame as _, Stage, StageError},
};

/// How artifacts are fetched; the downloader of a remote, or a stand-in in tests.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches and verifies one artifact.
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
pub struct ArtifactDownloader {
    fetch: Arc<dyn Fetch>,
    budget: Budget,
    counter: Option<Counter>,
    concurrency: usize,
}

impl ArtifactDownloader {
    /// Units that are downloaded at once, by default.
    pub const CONCURRENCY: usize = 200;

    /// Downloads through `fetch`.
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        let budget = Budget::new(Budget::DEFAULT_BYTES);
        Self { fetch, budget, counter: None, concurrency: Self::CONCURRENCY }
    }

    /// Bounds the bytes that are downloaded and not saved yet.
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

    async fn download<C: Content>(
        &self,
        mut unit: DeclarativeContent<C>,
    ) -> Result<DeclarativeContent<C>, StageError> {
        let wanted: Vec<usize> =
            (0..unit.artifacts.len()).filter(|at| unit.artifacts[*at].needs_download()).collect();
        let bytes = wanted.iter().filter_map(|at| unit.artifacts[*at].size()).sum();
        let permit = self.budget.acquire(bytes).await;
        let bodies = wanted.iter().map(|at| self.fetch.fetch(&unit.artifacts[*at]));
        let bodies = try_join_all(bodies).await.at_unit(&unit)?;
        if let Some(counter) = &self.counter {
            counter.add(bodies.len() as u64);
        }
        for (at, body) in wanted.into_iter().zip(bodies) {
            unit.artifacts[at].set_downloaded(body);
        }
        unit.charge(permit);
        Ok(unit)
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
                Some(unit) = running.next(), if !running.is_empty() => output.put(unit?).await?,
                unit = units.next(), if open && running.len() < self.concurrency => match unit {
                    None => open = false,
                    Some(unit) if unit.artifacts.iter().any(DeclarativeArtifact::needs_download) => {
                        running.push(self.download(unit));
                    }
                    Some(unit) => output.put(unit).await?,
                },
            }
        }
        Ok(())
    }
}
