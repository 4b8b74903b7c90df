//! The verbs of the sync engine: declarative content, stages, downloads, sync, publish, serve.
//!
//! The modules stand in the order in which a newcomer should read them. [`plugin`] is the contract
//! with whoever adds a repository type; then come the things that move along the line, the line
//! itself, what the stages need, and what is done with it all: [`sync`], [`publish`], [`serve`].
//!
//! # The assembly line
//!
//! ```text
//! upstream
//!    │      ┌─────────────── content futures: what a first stage awaits ───────────────┐
//!    ▼      ▼                                                                          │
//! first stage ─▶ QueryExistingContents ─▶ QueryExistingArtifacts ─▶ ArtifactDownloader │
//!                                                                           │          │
//!      ┌─ RemoteArtifactSaver ◀─ ContentSaver ◀─ ArtifactSaver ◀────────────┘          │
//!      │                                                                               │
//!      └─▶ ResolveContentFutures ─▶ ContentAssociation ─▶ ContentUnassociation         │
//!                    │                                    (with `mirror`)              │
//!                    │                                           ▼                     │
//!                    │                                  repository version             │
//!                    └─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A plugin's first stage declares *units*: a typed [`Content`] and the [`DeclarativeArtifact`]s that
//! belong to it, together a [`DeclarativeContent`]. Each [`Stage`] is a task; between two of them is
//! one bounded queue, so that the slowest sets the pace and memory does not grow with the
//! repository. A unit is in one place at a time. A run ends well when every stage returned `Ok`, and
//! only then a version becomes visible; the first error, a panic or a cancellation ends all stages,
//! and nothing they spawned is left when [`Pipeline::run`] returns.
//!
//! The smallest first stage, in a line of its own:
//!
//! ```
//! use async_trait::async_trait;
//! use pulp_stages::{DeclarativeContent, Inbox, Line, Outbox, Pipeline, Stage, StageError};
//! # use pulp_models::Key;
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note { text: String }
//! # impl pulp_stages::Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "note.note" }
//! #     fn natural_key(&self) -> Option<Key> {
//! #         Some(Key::of("note.note").field(&self.text).finish())
//! #     }
//! # }
//!
//! struct Notes;
//!
//! #[async_trait]
//! impl Stage<Note> for Notes {
//!     fn name(&self) -> &'static str {
//!         "Notes"
//!     }
//!
//!     async fn run(
//!         self: Box<Self>,
//!         _: Inbox<Note>,
//!         output: Outbox<Note>,
//!     ) -> Result<(), StageError> {
//!         for text in ["one", "two"] {
//!             let note = Note { text: text.to_owned() };
//!             // No artifacts. The put waits while the next stage is busy.
//!             output.put(DeclarativeContent::new(note, Vec::new())).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let line = Line::new().push(Box::new(Notes));
//! let profile = Pipeline::new(line)?.run(&Default::default()).await?;
//! assert_eq!(profile.stages[0].sent, 2);
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] goes on from here: a plugin step by step, on-demand, futures, stages, routes,
//! publishing, tests, speed.

pub mod guide;

pub mod plugin;
mod plugin_failure;
pub mod options;
pub mod installation;
pub mod key_files;

pub mod content;
pub mod declarative;
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
pub mod local_file;
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
pub use content::{Content, Label};
pub use declarative::{DeclarationError, DeclarativeArtifact, DeclarativeContent};
pub use inbox::{Batches, Inbox, Items};
pub use line::{Line, LineError};
pub use outbox::{Closed, Outbox};
pub use pipeline::{Monitor, Pipeline, Running};
pub use profile::{Profile, StageProfile};
pub use resolution::{Resolution, ResolutionError, Resolved, SavedArtifact};
pub use scope::{Child, Scope};
pub use stage::{Blame, PipelineError, Stage, StageError};
