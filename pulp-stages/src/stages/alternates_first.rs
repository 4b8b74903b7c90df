//! Fetching from alternate content sources first, and from the origin if they fail.
//!
//! Between `ArtifactDownloader` and the downloaders: each source is asked with its own remote's
//! settings and credentials, the origin with the origin's. A source that fails again and again is
//! left alone for the rest of the run; whatever it does, it cannot make a sync fail.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use pulp_models::{RemoteId, remote::Remote, store::Verified};
use tokio::sync::Semaphore;

use super::Fetch;
use crate::{
    declarative::DeclarativeArtifact,
    download::{DownloadError, DownloadRequest, DownloadStatistics, Downloader},
    stage::StageError,
    sync::Warnings,
};

/// Asks alternate content sources, then the origin; see the module.
pub(crate) struct AlternatesFirst {
    origin: Arc<dyn Fetch>,
    sources: HashMap<RemoteId, Source>,
    warnings: Warnings,
}

/// A source, as one run sees it.
struct Source {
    /// For warnings.
    name: String,
    downloads: Downloader,
    /// As many as its remote takes at once. Whoever waits here learns in time that the source was
    /// given up, where a wait inside the downloader would end in one more request.
    turns: Semaphore,
    /// Failures since the last success.
    failures: AtomicU32,
}

impl AlternatesFirst {
    /// After so many failures in a row a source is not asked again.
    pub(crate) const GIVE_UP_AFTER: u32 = 5;

    /// Knows no source yet, only the origin.
    pub(crate) fn new(origin: Arc<dyn Fetch>, warnings: Warnings) -> Self {
        Self { origin, sources: HashMap::new(), warnings }
    }

    /// Adds the source whose offers name `remote`.
    pub(crate) fn add_source(&mut self, name: String, remote: &Remote, downloads: Downloader) {
        let turns = Semaphore::new(remote.settings.download_concurrency() as usize);
        let source = Source { name, downloads, turns, failures: AtomicU32::new(0) };
        self.sources.entry(remote.id).or_insert(source);
    }

    /// What all sources together transferred, the origin not included.
    pub(crate) fn statistics(&self) -> DownloadStatistics {
        let mut sum = DownloadStatistics::default();
        for source in self.sources.values() {
            let one = source.downloads.statistics();
            sum.requests += one.requests;
            sum.bytes += one.bytes;
            sum.retries += one.retries;
            sum.resumed += one.resumed;
            sum.not_modified += one.not_modified;
        }
        sum
    }

    fn failed(&self, source: &Source, artifact: &DeclarativeArtifact, error: &DownloadError) {
        let failures = source.failures.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(source = source.name, path = %artifact.relative_path, %error,
            "Alternate content source failed");
        if failures == Self::GIVE_UP_AFTER {
            self.warnings.add(format!(
                "Alternate content source `{}` failed {failures} times in a row and is not asked \
                 again, the last time with: {error}",
                source.name
            ));
        }
    }
}

#[async_trait]
impl Fetch for AlternatesFirst {
    async fn fetch(&self, artifact: &DeclarativeArtifact) -> Result<Verified, StageError> {
        for alternate in &artifact.alternates {
            let Some(source) = self.sources.get(&alternate.remote) else { continue };
            let _turn = source.turns.acquire().await?;
            if source.failures.load(Ordering::Relaxed) >= Self::GIVE_UP_AFTER {
                continue;
            }
            let request = DownloadRequest {
                // Somebody else has the right ones.
                final_mismatch: true,
                ..DownloadRequest::new(alternate.url.clone()).expecting(artifact.expected.clone())
            };
            match source.downloads.fetch(&request).await {
                Ok(downloaded) => {
                    source.failures.store(0, Ordering::Relaxed);
                    return Ok(downloaded.verified);
                }
                // The store's trouble is everybody's.
                Err(error @ DownloadError::Store(_)) => return Err(error.into()),
                Err(error) => self.failed(source, artifact, &error),
            }
        }
        self.origin.fetch(artifact).await
    }
}
