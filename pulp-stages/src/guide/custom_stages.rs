//! Stages of your own: what they may do, and where to put them.
//!
//! Most plugins need none. One that does edits the line by name, in
//! [`Plugin::pipeline`](crate::plugin::Plugin::pipeline):
//!
//! ```
//! # use pulp_stages::{Line, Stage};
//! # use async_trait::async_trait;
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note { text: String }
//! # impl pulp_stages::Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "notes.note" }
//! #     fn natural_key(&self) -> Option<pulp_models::Key> { None }
//! # }
//! use pulp_stages::{Inbox, Outbox, StageError};
//!
//! /// Takes notes without text out of the line.
//! struct DropEmpty;
//!
//! #[async_trait]
//! impl Stage<Note> for DropEmpty {
//!     fn name(&self) -> &'static str {
//!         "DropEmpty"
//!     }
//!
//!     async fn run(
//!         self: Box<Self>,
//!         input: Inbox<Note>,
//!         output: Outbox<Note>,
//!     ) -> Result<(), StageError> {
//!         let mut units = input.items();
//!         while let Some(mut unit) = units.next().await {
//!             if unit.content.text.is_empty() {
//!                 // Whoever awaits it shall know that this is all that becomes of it.
//!                 unit.resolve();
//!             } else {
//!                 output.put(unit).await?;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn pipeline(line: Line<Note>) -> Line<Note> {
//!     line.before("ArtifactDownloader", Box::new(DropEmpty))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let note = |text: &str| {
//!     pulp_stages::DeclarativeContent::new(Note { text: text.to_owned() }, Vec::new())
//! };
//! let left = pulp_stages::testing::run_stage(DropEmpty, vec![note(""), note("a")]).await;
//! assert_eq!(left.expect("nothing fails").len(), 1);
//! # }
//! ```
//!
//! # Where
//!
//! | To | Put it |
//! |---|---|
//! | leave units out, add what the plugin knows | before `QueryExistingContents` |
//! | treat known units differently ([`id`](crate::DeclarativeContent::id) is set) | after it |
//! | decide what is downloaded, or from where | before `ArtifactDownloader` |
//! | look into bytes before they are stored | before `ArtifactSaver` |
//! | complete a unit from its stored bytes | before `ContentSaver`; mostly [`Content::complete`](crate::Content::complete) will do |
//! | use ids of saved units | after `ContentSaver` |
//! | download nothing, keep nothing | `without` the stages in question |
//!
//! A name that is not in the line is an error before anything runs.
//!
//! # What a stage has to do
//!
//! - Take its input to the end: units that it leaves would be lost, so that is an error.
//! - Work in [batches](crate::Inbox::batches) if it asks the database, [one by
//!   one](crate::Inbox::items) if not.
//! - [Resolve](crate::DeclarativeContent::resolve) units that it takes out.
//! - Be ready to be dropped at any `await`. What must not be cut in half is
//!   [shielded](crate::Scope::shield).
//! - Name what it failed on, by [`Blame`](crate::Blame).
//!
//! # What it may not do
//!
//! - Compute for long on its task: that is the blocking pool's work
//!   ([`Scope::spawn_blocking`](crate::Scope::spawn_blocking),
//!   [`Outbox::put_parsed`](crate::Outbox::put_parsed)). The profile tells who does.
//! - Spawn past its [`Scope`](crate::Scope): what the run does not know, it cannot join, and the
//!   repository's lock is gone while it still writes.
//! - Collect all units. Names and numbers may be kept where a filter needs them, units not.
//! - Hold a lock or a database connection across an `await`.
//! - Await a unit that is behind it ([`discovery`](super::discovery)).
