//! How the last sync stood, so that the next one can tell that nothing changed.

use pulp_models::{Key, VersionNumber, repository::Repository};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{SyncContext, SyncRequest};
use crate::plugin::Plugin;

/// Everything that decides what a sync does, as digests. Kept in the repository's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncState {
    /// Remote, URL, options, policy and mirror mode.
    settings: String,
    /// What the plugin found upstream.
    fingerprint: Option<String>,
    /// The repository's latest version when the sync ended.
    version: VersionNumber,
}

impl SyncState {
    /// The state as it is before the line runs.
    pub(super) fn of<P: Plugin>(
        context: &SyncContext<P>,
        request: &SyncRequest,
        fingerprint: Option<Key>,
        latest: VersionNumber,
    ) -> Self {
        let remote = &context.remote;
        let settings = Key::of(P::NAME)
            .field(remote.id.to_string())
            .field(remote.url.expose().as_str())
            .field(remote.options.to_string())
            .field(context.repository.options.to_string())
            .field(context.policy.name())
            .field([u8::from(request.mirror)])
            .finish();
        Self {
            settings: settings.to_string(),
            fingerprint: fingerprint.map(|key| key.to_string()),
            version: latest,
        }
    }

    /// Whether the last sync of `repository` saw the very same, and nobody changed it since.
    pub(super) fn is_unchanged_since(&self, repository: &Repository) -> bool {
        let last = repository.last_sync.as_ref().and_then(|state| Self::deserialize(state).ok());
        self.fingerprint.is_some() && last.as_ref() == Some(self)
    }

    /// The same state after a sync that left the repository at `version`.
    pub(super) fn at_version(mut self, version: VersionNumber) -> Self {
        self.version = version;
        self
    }

    /// As the repository's row keeps it.
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
