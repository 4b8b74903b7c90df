//! The verbs of the sync engine: declarative content, stages, downloads, sync, publish, serve.

pub mod installation;
pub mod options;
pub mod plugin;

pub mod content;
pub mod declarative;
#[doc(hidden)]
pub mod pending;
pub mod resolution;

pub mod stage;

pub mod inbox;
pub mod outbox;
mod queue;

pub mod line;
pub mod pipeline;
pub mod profile;
pub mod scope;

pub mod budget;

pub mod download;
pub mod stages;

pub mod progress;
pub mod publish;
pub mod repair;
pub mod repository_settings;
pub mod serve;
pub mod sync;
pub mod task;

#[cfg(feature = "testing")]
pub mod testing;

pub use budget::{Budget, Permit};
pub use content::Content;
pub use declarative::{DeclarationError, DeclarativeArtifact, DeclarativeContent};
pub use inbox::{Batches, Inbox, Items};
pub use line::{Line, LineError};
pub use outbox::{Closed, Outbox};
pub use pipeline::{Monitor, Pipeline, Running};
pub use profile::{Profile, StageProfile};
pub use resolution::{Resolution, ResolutionError, Resolved, SavedArtifact};
pub use scope::{Child, Scope};
pub use stage::{Blame, PipelineError, Stage, StageError};
