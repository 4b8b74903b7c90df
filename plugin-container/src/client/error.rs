//! Why a registry's answer is of no use, and what can be done about it.

use http::StatusCode;
use pulp_models::RemoteUrl;
use pulp_stages::{download::DownloadError, sync::SyncError};

use super::{TransportError, Unending};
use crate::manifest::ManifestError;

/// Why a registry's answer is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryClientError {
    /// No answer.
    #[error("Failed to fetch `{url}`")]
    Transport {
        /// The request's URL.
        url: RemoteUrl,
        /// Why.
        source: TransportError,
    },
    /// The registry doesn't have it.
    #[error("The registry has no `{url}`")]
    NotFound {
        /// The request's URL.
        url: RemoteUrl,
    },
    /// Another status than a success.
    #[error("The registry answered `{url}` with status {status}{}", told(.message))]
    Status {
        /// The request's URL.
        url: RemoteUrl,
        /// The status.
        status: StatusCode,
        /// The first message of the error document, if there was one.
        message: String,
    },
    /// The body is not the list that it should be.
    #[error("Failed to parse `{url}`")]
    List {
        /// The request's URL.
        url: RemoteUrl,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A list is longer than is believed.
    #[error("The list at `{url}` {reason}")]
    Unending {
        /// The last page's URL.
        url: RemoteUrl,
        /// How that showed.
        reason: Unending,
    },
    /// The body is not the manifest that it should be.
    #[error("Failed to read manifest `{url}`")]
    Manifest {
        /// The request's URL.
        url: RemoteUrl,
        /// Why.
        source: ManifestError,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RegistryClientError {
    /// What was asked for.
    pub const fn url(&self) -> &RemoteUrl {
        match self {
            Self::Transport { url, .. }
            | Self::NotFound { url }
            | Self::Status { url, .. }
            | Self::List { url, .. }
            | Self::Unending { url, .. }
            | Self::Manifest { url, .. } => url,
        }
    }

    /// Whether the registry says that it doesn't have what was asked for.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The failure of a sync from the remote at `url`.
    pub(crate) fn at(self, url: &RemoteUrl) -> SyncError {
        let hint = self.hint();
        let error = SyncError::upstream(url, self);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// What the user can do about it, without a full stop.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { url } if url.expose().path().ends_with(super::TAGS) => Some(
                "see that the registry has the repository that `--upstream-name` names, and shows \
                 it to whom `--username` names",
            ),
            Self::NotFound { .. } | Self::Manifest { .. } => Some(
                "if upstream is being changed just now, try again later; `--on-broken skip` leaves \
                 out what it lacks or has broken",
            ),
            Self::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
                Some("name a user who may pull from it by `--username` and `--password-file`")
            }
            Self::Transport { source, .. } => source.downcast_ref::<DownloadError>()?.hint(),
            _ => None,
        }
    }
}
