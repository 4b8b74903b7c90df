//! Performance: reading a profile.
//!
//! Every sync has one, in its summary (`pulp sync NAME --json`, field `profile`), one row per stage:
//!
//! ```
//! # use async_trait::async_trait;
//! # use pulp_stages::{Content, DeclarativeContent, Inbox, Line, Outbox, Pipeline, Stage, StageError};
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note;
//! # impl Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "notes.note" }
//! #     fn natural_key(&self) -> Option<pulp_models::Key> { None }
//! # }
//! # struct Notes;
//! # #[async_trait]
//! # impl Stage<Note> for Notes {
//! #     fn name(&self) -> &'static str { "Notes" }
//! #     async fn run(self: Box<Self>, _: Inbox<Note>, o: Outbox<Note>) -> Result<(), StageError> {
//! #         Ok(o.put(DeclarativeContent::new(Note, Vec::new())).await?)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let line = Line::new().push(Box::new(Notes));
//! let profile = Pipeline::new(line)?.run(&Default::default()).await?;
//! println!("{profile}");
//! assert_eq!(profile.stages[0].sent, 1);
//! # Ok(())
//! # }
//! ```
//!
//! | Column | Says |
//! |---|---|
//! | `working` | neither waiting for input nor for room: this stage sets the pace if it is the most |
//! | `waiting` | input came too slowly: look at the stages before |
//! | `blocked` | the next queue was full: look at the stages behind |
//! | `mean` batch | far below 500 in the stages that ask the database: somebody awaits too early |
//! | `polled`, longest poll | time on an async thread; more than milliseconds at once is a defect |
//! | `depth` | the most units that waited before it; 1,000 is full |
//!
//! # What is usually found
//!
//! - *The downloader works, all others wait.* As it should be. More connections
//!   (`download_concurrency`) help as long as upstream has more to give.
//! - *The first stage works, all others wait.* The parser: give it bytes and not lines, borrow,
//!   allocate less. 5 µs a unit is good.
//! - *A database stage has batches of one.* The first stage awaits each unit after its put:
//!   [`discovery`](super::discovery).
//! - *A stage has a long poll.* It computes on its task: [`Outbox::put_parsed`] or
//!   [`Scope::spawn_blocking`].
//! - *Unchanged syncs take long.* The fingerprint is `None`, or made of something that changes (a
//!   date). It should be made of the digests of what all else follows from.
//!
//! [`Outbox::put_parsed`]: crate::Outbox::put_parsed
//! [`Scope::spawn_blocking`]: crate::Scope::spawn_blocking
