//! Why a sync failed.

use pulp_models::{RemoteUrl, db::DbError, store::StoreError};

use crate::{
    download::{DownloadError, SettingsError},
    line::LineError,
    options::OptionsError,
    stage::PipelineError,
    task::TaskError,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed sync. Nothing of it is visible; verified bytes stay for the next one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Upstream could not be reached or answered with something else than was asked for.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// Upstream's metadata cannot be used.
    #[error("Failed to read `{url}`")]
    Upstream {
        /// The document.
        url: Box<RemoteUrl>,
        /// What is wrong with it.
        source: BoxError,
    },
    /// A stage of the line failed.
    #[error(transparent)]
    Stage(Box<PipelineError>),
    /// The plugin's line cannot be built.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The settings of the remote cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The options of the remote or the repository are wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The repository is being changed by somebody else, or the task could not be kept.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The database failed, or refused the version.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The artifact store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was cancelled by `task cancel`, a signal or the caller.
    #[error("Cancelled before the version was complete")]
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

impl SyncError {
    /// A document of upstream's that cannot be used.
    pub fn upstream(url: &RemoteUrl, source: impl Into<BoxError>) -> Self {
        Self::Upstream { url: Box::new(url.clone()), source: source.into() }
    }

    /// A failure that only the plugin understands.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self::Plugin { message: message.into(), hint: None, source: None }
    }

    /// Adds advice to a plugin's failure; others know their own.
    #[must_use]
    pub fn with_hint(mut self, advice: impl Into<String>) -> Self {
        if let Self::Plugin { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// What the user can do about it, for a separate `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Download(error) => error.hint().map(Into::into),
            Self::Stage(error) => download_error(error)?.hint().map(Into::into),
            Self::Database(error) => error.hint().map(Into::into),
            Self::Task(error) => error.hint(),
            Self::Plugin { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// Whether upstream is to blame, rather than this installation or the request.
    pub fn is_upstream(&self) -> bool {
        match self {
            Self::Download(_) | Self::Upstream { .. } => true,
            // A stage names the document at hand when that cannot be used.
            Self::Stage(error) => {
                matches!(**error, PipelineError::Stage { url: Some(_), .. })
                    || download_error(error).is_some()
            }
            _ => false,
        }
    }
}

impl From<PipelineError> for SyncError {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Cancelled => Self::Cancelled,
            other => Self::Stage(Box::new(other)),
        }
    }
}

/// The failed download behind a failed stage, if there is one.
fn download_error(error: &PipelineError) -> Option<&DownloadError> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<DownloadError>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
