//! What all artifacts of one sync have in common: whose they are, and when they are fetched.

use pulp_models::{Expected, RelativePath, RemoteId, RemoteUrl, store::Verified};

use crate::declarative::DeclarativeArtifact;

/// Declares artifacts of the remote at hand; from [`SyncContext::origin`](super::SyncContext::origin).
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    remote: RemoteId,
    deferred: bool,
}

impl Origin {
    pub(super) const fn new(remote: RemoteId, deferred: bool) -> Self {
        Self { remote, deferred }
    }

    /// A file as the remote's policy has it: fetched by the line, or by whoever reads it first. What
    /// no digest proves is always fetched at once: later, nobody could tell whether it is the same.
    pub fn artifact(
        &self,
        relative_path: RelativePath,
        url: RemoteUrl,
        expected: Expected,
    ) -> DeclarativeArtifact {
        let deferred = self.deferred && expected.digests.is_trusted();
        self.metadata(relative_path, url, expected).deferred(deferred)
    }

    /// A file that is needed now, whatever the policy.
    pub fn metadata(
        &self,
        relative_path: RelativePath,
        url: RemoteUrl,
        expected: Expected,
    ) -> DeclarativeArtifact {
        DeclarativeArtifact::at(relative_path, vec![url], expected).remote(self.remote)
    }

    /// A document that was fetched already, from `url`, where a repair finds it again.
    pub fn document(
        &self,
        relative_path: RelativePath,
        url: RemoteUrl,
        bytes: Verified,
    ) -> DeclarativeArtifact {
        let mut artifact = DeclarativeArtifact::from_verified(relative_path, bytes);
        artifact.urls = vec![url];
        artifact.remote(self.remote)
    }
}
