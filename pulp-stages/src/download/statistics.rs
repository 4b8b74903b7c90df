//! Counts for a sync's summary.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a downloader did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DownloadStatistics {
    /// Requests sent, redirects and retries included.
    pub requests: u64,
    /// Bytes of bodies received, including those of attempts that failed.
    pub bytes: u64,
    /// Attempts after a failed one.
    pub retries: u64,
    /// Retries that went on where the attempt before had stopped.
    pub resumed: u64,
    /// Conditional requests that were answered with "not modified".
    pub not_modified: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    resumed: AtomicU64,
    not_modified: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    pub(super) fn not_modified(&self) {
        self.not_modified.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self) -> DownloadStatistics {
        DownloadStatistics {
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            resumed: self.resumed.load(Relaxed),
            not_modified: self.not_modified.load(Relaxed),
        }
    }
}
