//! What a stage is, and how it fails.
//!
//! A [`Stage`] takes units from its inbox and puts units into its outbox until its input ends. It
//! knows neither its neighbours nor the run. [`StageError`] is what it fails with: any error, plus
//! the unit and the URL at hand. The [runner](crate::pipeline) adds the stage's name and reports
//! a [`PipelineError`].

use std::{any::Any, error::Error, fmt};

use async_trait::async_trait;
use pulp_models::RemoteUrl;

use crate::{
    content::Content, declarative::DeclarativeContent, inbox::Inbox, outbox::Closed,
    outbox::Outbox, resolution::ResolutionError,
};

/// One step of the assembly line; a task while the line runs.
///
/// The smallest one that does something:
///
/// ```
/// use async_trait::async_trait;
/// use pulp_stages::{Content, Inbox, Outbox, Stage, StageError};
///
/// /// Takes the units without artifacts out of the line.
/// struct DropEmpty;
///
/// #[async_trait]
/// impl<C: Content> Stage<C> for DropEmpty {
///     fn name(&self) -> &'static str {
///         "DropEmpty"
///     }
///
///     async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
///         let mut units = input.items();
///         while let Some(mut unit) = units.next().await {
///             if unit.artifacts.is_empty() {
///                 // Whoever awaits it shall know that this is all that becomes of it.
///                 unit.resolve();
///             } else {
///                 output.put(unit).await?;
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Stage<C: Content>: Send + 'static {
    /// Its name: unique in a line, in errors and in the profile, and how a line is edited.
    fn name(&self) -> &'static str;

    /// Works until the input has ended. Only `Ok` ends the next stage's input; a stage that is
    /// not the first must have seen the end of its own, else the run fails.
    ///
    /// When the run is over early, the future is dropped at whatever `await` it is in. Work that
    /// must be finished or joined then belongs to the [`Scope`](crate::scope::Scope).
    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError>;
}

/// Why a stage gave up. Made by `?` from any error; the unit and the URL at hand are added with
/// [`Blame`].
///
/// Like `anyhow::Error`, and so that `?` can do this, it is no [`Error`] itself.
pub struct StageError(Box<Inner>);

struct Inner {
    unit: Option<String>,
    url: Option<RemoteUrl>,
    cause: Cause,
}

enum Cause {
    Error(Box<dyn Error + Send + Sync>),
    Panic(String),
    Cancelled,
}

/// A cause that is only a text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

impl StageError {
    /// From a message: capital first, names and paths in backticks, no closing period.
    pub fn message(text: impl Into<String>) -> Self {
        Message(text.into()).into()
    }

    /// Names the unit at hand, unless one is named already.
    #[must_use]
    pub fn unit<C: Content>(mut self, unit: &DeclarativeContent<C>) -> Self {
        self.0.unit.get_or_insert_with(|| unit.to_string());
        self
    }

    /// Names the URL at hand, unless one is named already. Credentials in it are not shown.
    #[must_use]
    pub fn url(mut self, url: &RemoteUrl) -> Self {
        self.0.url.get_or_insert_with(|| url.clone());
        self
    }

    /// What happened and why, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        if let Cause::Error(error) = &self.0.cause {
            for cause in std::iter::successors(error.source(), |&error| error.source()) {
                text.push_str(": ");
                text.push_str(&cause.to_string());
            }
        }
        text
    }

    /// The first error of this type in the chain of causes.
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        match &self.0.cause {
            Cause::Error(error) => find(&**error),
            Cause::Panic(_) | Cause::Cancelled => None,
        }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(Cause::Cancelled)
    }

    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "(no message)".to_owned());
        Self::new(Cause::Panic(text))
    }

    fn new(cause: Cause) -> Self {
        Self(Box::new(Inner { unit: None, url: None, cause }))
    }

    /// Whether it says only that another stage went away or that the run is over: then the other
    /// one's error is the one to report.
    pub(crate) fn follows(&self) -> bool {
        match &self.0.cause {
            Cause::Cancelled => true,
            Cause::Panic(_) => false,
            Cause::Error(error) => {
                let mut cause: Option<&(dyn Error + 'static)> = Some(&**error);
                while let Some(error) = cause {
                    if error.is::<Closed>() {
                        return true;
                    }
                    if let Some(error) = error.downcast_ref::<ResolutionError>() {
                        return !matches!(error, ResolutionError::NotPut { .. });
                    }
                    cause = error.source();
                }
                false
            }
        }
    }

    pub(crate) fn in_stage(self, stage: &'static str) -> PipelineError {
        let Inner { unit, url, cause } = *self.0;
        match cause {
            Cause::Error(source) => PipelineError::Stage { stage, unit, url, source },
            Cause::Panic(message) => PipelineError::Panicked { stage, message },
            Cause::Cancelled => PipelineError::Cancelled,
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StageError {
    fn from(error: E) -> Self {
        Self::new(Cause::Error(Box::new(error)))
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Error(error) => error.fmt(f),
            Cause::Panic(message) => write!(f, "Panicked: {message}"),
            Cause::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl fmt::Debug for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StageError");
        shown.field("unit", &self.0.unit).field("url", &self.0.url);
        match &self.0.cause {
            Cause::Error(error) => shown.field("error", error),
            Cause::Panic(message) => shown.field("panic", message),
            Cause::Cancelled => shown.field("cancelled", &true),
        };
        shown.finish()
    }
}

/// The first error of this type in a chain of causes, `error` included.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// Adds to a failure what was at hand: `parse(&bytes).at_unit(&unit)?`.
pub trait Blame<T> {
    /// Names the unit, unless one is named already.
    fn at_unit<C: Content>(self, unit: &DeclarativeContent<C>) -> Result<T, StageError>;

    /// Names the URL, unless one is named already.
    fn at_url(self, url: &RemoteUrl) -> Result<T, StageError>;
}

impl<T, E: Into<StageError>> Blame<T> for Result<T, E> {
    fn at_unit<C: Content>(self, unit: &DeclarativeContent<C>) -> Result<T, StageError> {
        self.map_err(|error| error.into().unit(unit))
    }

    fn at_url(self, url: &RemoteUrl) -> Result<T, StageError> {
        self.map_err(|error| error.into().url(url))
    }
}

/// Why a run did not come to its end. Nothing that it spawned is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The line could not be built; nothing ran.
    #[error(transparent)]
    Line(#[from] crate::line::LineError),
    /// A stage failed.
    #[error("Stage `{stage}` failed{}", place(unit.as_deref(), url.as_ref()))]
    Stage {
        /// Its name.
        stage: &'static str,
        /// The unit at hand, as it displays.
        unit: Option<String>,
        /// The URL at hand.
        url: Option<RemoteUrl>,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stage, or work that it spawned, panicked.
    #[error("Stage `{stage}` panicked: {message}")]
    Panicked {
        /// Its name.
        stage: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A stage returned before the end of its input; its units would have been lost silently.
    #[error("Stage `{stage}` ended before its input did")]
    EndedEarly {
        /// Its name.
        stage: &'static str,
    },
    /// The run was cancelled from outside.
    #[error("Cancelled")]
    Cancelled,
}

fn place(unit: Option<&str>, url: Option<&RemoteUrl>) -> String {
    let unit = unit.map(|unit| format!(" on {unit}")).unwrap_or_default();
    let url = url.map(|url| format!(" at `{url}`")).unwrap_or_default();
    unit + &url
}
