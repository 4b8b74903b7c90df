//! Why a publication was not made.

use pulp_models::{db::DbError, store::StoreError};

use crate::{options::OptionsError, task::TaskError};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed publication; nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The publication's options are wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The repository is being changed by somebody else, or the task could not be kept.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The artifact store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored content that the plugin cannot read.
    #[error("Failed to read stored content {0}")]
    Content(String, #[source] serde_json::Error),
    /// It was cancelled.
    #[error("Publishing was cancelled")]
    Cancelled,
    /// Something that only the plugin understands.
    #[error("{message}")]
    Plugin {
        /// What failed.
        message: String,
        /// What the user can do about it.
        hint: Option<String>,
        /// Why.
        source: Option<BoxError>,
    },
}

impl PublishError {
    /// A failure that only the plugin understands.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self::Plugin { message: message.into(), hint: None, source: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, advice: impl Into<String>) -> Self {
        if let Self::Plugin { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<BoxError>) -> Self {
        if let Self::Plugin { source, .. } = &mut self {
            *source = Some(cause.into());
        }
        self
    }

    /// What the user can do about it, for a separate `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.hint().map(Into::into),
            Self::Task(error) => error.hint(),
            Self::Plugin { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}
