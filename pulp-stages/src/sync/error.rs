//! Why a sync failed.

use pulp_models::{RemoteUrl, db::DbError, store::StoreError, version::VersionError};

use crate::{
    download::{DownloadError, SettingsError},
    line::LineError,
    options::OptionsError,
    plugin::PluginFailure,
    stage::{self, PipelineError, StageError},
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
        /// What the user can do about it.
        hint: Option<String>,
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
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
}

impl SyncError {
    /// A document of upstream's that cannot be used; to a result,
    /// [`at_url`](crate::Blame::at_url) and `?` do the same.
    pub fn upstream(url: &RemoteUrl, source: impl Into<BoxError>) -> Self {
        Self::Upstream { url: Box::new(url.clone()), source: source.into(), hint: None }
    }

    /// A failure that only the plugin understands.
    pub fn plugin(message: impl Into<String>) -> Self {
        PluginFailure::new(message).into()
    }

    /// Adds advice to a plugin's failure, or to a document that cannot be used; others know their
    /// own.
    #[must_use]
    pub fn with_hint(self, advice: impl Into<String>) -> Self {
        match self {
            Self::Plugin(failure) => Self::Plugin(failure.with_hint(advice)),
            Self::Upstream { url, source, .. } => {
                Self::Upstream { url, source, hint: Some(advice.into()) }
            }
            other => other,
        }
    }

    /// What the user can do about it, for a separate `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Download(error) => error.hint().map(Into::into),
            Self::Stage(error) => match cause_of::<Self>(error) {
                Some(error) => error.hint(),
                None => match cause_of::<PluginFailure>(error) {
                    Some(failure) => failure.hint().map(Into::into),
                    None => cause_of::<DownloadError>(error)?.hint().map(Into::into),
                },
            },
            Self::Database(error) => error.hint().map(Into::into),
            Self::Task(error) => error.hint(),
            Self::Plugin(failure) => failure.hint().map(Into::into),
            Self::Upstream { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// Whether upstream is to blame, rather than this installation or the request.
    pub fn is_upstream(&self) -> bool {
        match self {
            Self::Download(_) | Self::Upstream { .. } => true,
            // Nobody else has said where things are.
            Self::Database(DbError::Version(error)) => matches!(
                error,
                VersionError::PathConflict { .. } | VersionError::DuplicateContent { .. }
            ),
            // A stage names the document at hand when that cannot be used.
            Self::Stage(error) => {
                matches!(**error, PipelineError::Stage { url: Some(_), .. })
                    || cause_of::<DownloadError>(error).is_some()
                    || cause_of::<Self>(error).is_some_and(Self::is_upstream)
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

/// What a first stage's preparation fails with is written as in a stage: `parse(&text).at_url(&url)?`
/// makes a document of upstream's that cannot be used.
impl From<StageError> for SyncError {
    fn from(error: StageError) -> Self {
        let (url, source) = match error.in_stage("(before the first stage)") {
            PipelineError::Stage { url: Some(url), unit: None, source, .. } => (url, source),
            other => return other.into(),
        };
        match source.downcast::<Self>() {
            Ok(failure) => *failure,
            Err(source) => Self::upstream(&url, source),
        }
    }
}

/// The first error of this type behind a failed stage, if there is one.
fn cause_of<E: std::error::Error + 'static>(error: &PipelineError) -> Option<&E> {
    stage::find(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Blame as _;

    #[test]
    fn a_stage_that_fails_with_a_failure_of_a_sync_keeps_its_blame_and_its_advice() {
        let url: RemoteUrl = "http://example.org/Packages".parse().expect("a URL");
        let missing = || SyncError::upstream(&url, "It is missing").with_hint("try again");
        for (inner, is_upstream) in
            [(missing(), true), (SyncError::plugin("x").with_hint("try again"), false)]
        {
            let error = SyncError::from(StageError::from(inner).in_stage("Reader"));
            assert_eq!(
                (error.is_upstream(), error.hint().as_deref()),
                (is_upstream, Some("try again"))
            );
        }
    }

    #[test]
    fn a_document_that_cannot_be_used_is_told_alike_before_and_in_a_stage() {
        let url: RemoteUrl = "http://example.org/NOTES".parse().expect("a URL");
        let parse = |text: &str| text.parse::<u64>().at_url(&url);
        let read = |text: &str| -> Result<u64, SyncError> { Ok(parse(text)?) };
        assert_eq!(read("7").expect("a number"), 7);
        let error = read("seven").expect_err("no number");
        assert_eq!(
            crate::testing::report(&error),
            "Failed to read `http://example.org/NOTES`: invalid digit found in string"
        );
        assert!(error.is_upstream());
    }

    #[test]
    fn a_failure_of_a_sync_stays_what_it_is_on_the_way_through_a_stage() {
        let url: RemoteUrl = "http://example.org/NOTES".parse().expect("a URL");
        let inner = SyncError::upstream(&url, "It is missing").with_hint("try again");
        let outer = "http://example.org/".parse().expect("a URL");
        let error = SyncError::from(Err::<(), _>(inner).at_url(&outer).expect_err("it failed"));
        assert_eq!(error.to_string(), "Failed to read `http://example.org/NOTES`");
        assert_eq!(error.hint().as_deref(), Some("try again"));
        assert!(matches!(SyncError::from(StageError::cancelled()), SyncError::Cancelled));
        let unnamed = SyncError::from(StageError::message("It is odd"));
        assert!(!unnamed.is_upstream(), "nobody is blamed without a URL");
        assert!(crate::testing::report(&unnamed).ends_with(": It is odd"));
    }
}
