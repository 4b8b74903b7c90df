//! Why a publication was not made.

use pulp_models::{db::DbError, store::StoreError};

use crate::{options::OptionsError, plugin::PluginFailure, task::TaskError};

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
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
}

impl PublishError {
    /// What the user can do about it, for a separate `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.hint().map(Into::into),
            Self::Task(error) => error.hint(),
            Self::Plugin(failure) => failure.hint().map(Into::into),
            _ => None,
        }
    }
}
