//! The verbs of the sync engine: declarative content, stages, downloads, sync, publish, serve.
//!
//! The modules stand in the order in which a newcomer should read them. [`plugin`] is the contract
//! with whoever adds a repository type; then come the things that move along the line, the line
//! itself, what the stages need, and what is done with it all: [`sync`], [`publish`], [`serve`].

pub mod plugin;
pub mod options;
pub mod installation;

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
pub mod scope;
pub mod profile;
pub mod budget;

pub mod download;
pub mod stages;

pub mod sync;
pub mod publish;
pub mod serve;
pub mod repair;
pub mod task;
pub mod progress;
pub mod repository_settings;

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
