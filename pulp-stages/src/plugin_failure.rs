//! A failure that only a plugin understands: a sentence, its cause, advice.
//!
//! Part of the errors of every verb that calls plugins; `?` and `into` make any of them of it.

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a plugin says when something of its own fails.
///
/// ```
/// use pulp_stages::{plugin::PluginFailure, sync::SyncError};
///
/// fn depth(text: &str) -> Result<u32, SyncError> {
///     let number = text.parse().map_err(|error| {
///         PluginFailure::new(format!("Failed to read the depth `{text}`"))
///             .caused_by(error)
///             .with_hint("it is a number of levels, e.g. 3")
///     })?;
///     Ok(number)
/// }
///
/// let error = depth("deep").expect_err("no number");
/// assert_eq!(error.to_string(), "Failed to read the depth `deep`");
/// assert_eq!(error.hint().as_deref(), Some("it is a number of levels, e.g. 3"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PluginFailure {
    message: String,
    kind: FailureKind,
    hint: Option<String>,
    source: Option<BoxError>,
}

/// What scripts can tell failures apart by: exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// Anything else.
    Other,
    /// What was named does not exist.
    NotFound,
    /// The name or the place is taken.
    Conflict,
    /// The user asked for an early end.
    Interrupted,
}

impl PluginFailure {
    /// From a message: capital first, names and paths in backticks, no closing period.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: FailureKind::Other, hint: None, source: None }
    }

    /// For work that the user has cut short; like the words of the program for it.
    pub fn interrupted() -> Self {
        Self::new("Interrupted").of_kind(FailureKind::Interrupted)
    }

    /// Says what kind of failure it is.
    #[must_use]
    pub fn of_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    /// What kind of failure it is.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Adds the cause, which the message does not repeat.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<BoxError>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds what the user can do about it, for a separate `hint:` line.
    #[must_use]
    pub fn with_hint(mut self, advice: impl Into<String>) -> Self {
        self.hint = Some(advice.into());
        self
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
