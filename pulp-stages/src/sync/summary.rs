//! What a sync did, for people, scripts and the task's row.

use pulp_models::Timestamp;
use serde::Serialize;

use crate::profile::Profile;

/// The outcome of a successful sync. Serialises as one JSON object whose names scripts rely on.
#[derive(Debug, Clone, Serialize)]
pub struct SyncSummary {
    /// The repository's name.
    pub repository: String,
    /// The number of the version that this sync made; `None` if nothing changed.
    pub version: Option<i64>,
    /// The number of the repository's latest version afterwards.
    pub latest_version: i64,
    /// Units that the new version has and the one before had not.
    pub added: u64,
    /// Units that the one before had and the new version has not.
    pub removed: u64,
    /// Units in the latest version.
    pub present: u64,
    /// Bytes received from upstream and alternate content sources, metadata included.
    pub downloaded_bytes: u64,
    /// Requests made to upstream and alternate content sources, retries included.
    pub requests: u64,
    /// Whether upstream was unchanged, so that no pipeline ran.
    pub unchanged: bool,
    /// Whether nothing was to be kept ([`super::SyncRequest::dry_run`]).
    pub dry_run: bool,
    /// What was left out or looked wrong without stopping the sync.
    pub warnings: Vec<String>,
    /// When it started.
    pub started: Timestamp,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// Every stage's counters; `None` if no pipeline ran.
    pub profile: Option<Profile>,
}
