//! Why a client's file could not be fetched, and what the client is told.

use std::{error::Error, fmt::Write as _, time::Duration};

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use pulp_models::{RemoteUrl, db::DbError, store::StoreError};

use super::response::explain;
use crate::download::DownloadError;

/// A fill that gave its readers nothing, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum FillError {
    /// Content without bytes and without a remote to get them from.
    #[error("It is not stored, and no remote offers it any more")]
    NoSource,
    /// Content that only an immediate sync can store.
    #[error("It is not stored, and its remote names no digest by which it could be checked")]
    NoDigest,
    /// Every source failed.
    #[error("No source has it: {}", listed(.0))]
    Sources(Vec<SourceError>),
    /// The server is ending, or the task died.
    #[error("The transfer was abandoned")]
    Abandoned,
    /// The database failed.
    #[error("Failed to look up its sources")]
    Database(#[from] DbError),
    /// The artifact store failed.
    #[error("Failed to store what was fetched")]
    Store(#[from] StoreError),
}

/// One source that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SourceError {
    #[error("{}", with_causes(.0))]
    Download(DownloadError),
    #[error("`{url}` gave wrong bytes, it is tried again in {} s", .rest.as_secs().max(1))]
    CoolingDown { url: RemoteUrl, rest: Duration },
    #[error("Remote `{remote}` cannot be used: {problem}")]
    Settings { remote: String, problem: String },
}

impl FillError {
    /// What a client is told that has received nothing yet.
    pub(super) fn response(&self) -> Response {
        let mut response = match self {
            // What the database or the disk said is for the log only.
            Self::Database(_) | Self::Store(_) => explain(self.status(), self),
            _ => explain(self.status(), format_args!("{self}{}", self.hint())),
        };
        if let Some(wait) = self.retry_after() {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoSource | Self::NoDigest => StatusCode::NOT_FOUND,
            Self::Sources(failures) if failures.iter().all(SourceError::is_gone) => {
                StatusCode::NOT_FOUND
            }
            Self::Sources(_) => StatusCode::BAD_GATEWAY,
            Self::Abandoned => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoSource => "\nhint: synchronise the repository again, from a remote that has it",
            Self::NoDigest => "\nhint: set the remote's policy to `immediate`, synchronise again",
            _ => "",
        }
    }

    /// When the first source may be asked again, if that is why it failed.
    fn retry_after(&self) -> Option<Duration> {
        let Self::Sources(failures) = self else { return None };
        let rests = failures.iter().filter_map(|failure| match failure {
            SourceError::CoolingDown { rest, .. } => Some(*rest),
            _ => None,
        });
        rests.min()
    }
}

impl SourceError {
    fn is_gone(&self) -> bool {
        match self {
            Self::Download(error) => {
                matches!(error.status(), Some(StatusCode::NOT_FOUND | StatusCode::GONE))
            }
            _ => false,
        }
    }
}

fn listed(failures: &[SourceError]) -> String {
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// An error and its causes on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
