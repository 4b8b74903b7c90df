//! Downloads against upstreams on loopback. What is asserted is what crossed the socket.

mod authorization;
mod files;
mod proxies;
mod redirects;
mod requests;
mod resuming;
mod retries;
mod timeouts;
mod tls;

use std::{error::Error, future::Future, time::Duration};

use bytes::Bytes;
use pulp_models::{Expected, RemoteSettings, RemoteUrl, Sha256, store::ArtifactStore};
use tempfile::TempDir;

use super::{DownloadError, DownloadRequest, Downloaded, Downloader};

/// A store in a folder of its own.
struct Lab {
    store: ArtifactStore,
    home: TempDir,
}

impl Lab {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let store = ArtifactStore::open(home.path()).await.expect("a store");
        Self { store, home }
    }

    fn downloader(&self, url: &RemoteUrl, settings: &RemoteSettings) -> Downloader {
        Downloader::new(url, settings, self.store.clone()).expect("valid settings")
    }

    /// Fetches `url`, which is also the remote's, with patience for a busy machine but not for ever.
    async fn fetch(
        &self,
        url: &RemoteUrl,
        settings: &RemoteSettings,
        expected: Expected,
    ) -> Result<Downloaded, DownloadError> {
        let request = DownloadRequest::new(url.clone()).expecting(expected);
        bounded(self.downloader(url, settings).fetch(&request)).await
    }

    /// The temporary files that there are now.
    fn temporary_files(&self) -> usize {
        let processes = std::fs::read_dir(self.home.path().join("tmp")).expect("a folder");
        let files = processes.map(|process| {
            let process = process.expect("readable").path();
            let files = std::fs::read_dir(process).into_iter().flatten().flatten();
            files.filter(|file| file.file_name() != "alive").count()
        });
        files.sum()
    }
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it ends")
}

/// Retries at once.
fn settings() -> RemoteSettings {
    RemoteSettings { retry_delay: Some(Duration::ZERO), ..RemoteSettings::default() }
}

fn expected(bytes: &[u8]) -> Expected {
    Expected { size: Some(bytes.len() as u64), digests: Sha256::of(bytes).into() }
}

/// Bytes that differ everywhere and compress badly.
fn noise(size: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

fn body(downloaded: &Downloaded) -> Bytes {
    downloaded.verified.bytes(u64::MAX).expect("readable")
}

/// An error and its causes in one line, ports and IP replaced.
fn told(error: &DownloadError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    without_ports(&text)
}

fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("HOST");
        clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    clean
}
