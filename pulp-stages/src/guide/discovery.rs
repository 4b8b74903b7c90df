//! Upstreams of several levels: futures, and how to await them.
//!
//! Often one file says what the others are: a release file lists indices, an index lists packages.
//! The index is content too: it goes through the line like everything else, is downloaded, verified
//! and stored there, and *then* your stage reads it. A [`Resolution`](crate::Resolution) is how it
//! learns when: [`Outbox::put_awaitable`](crate::Outbox::put_awaitable) puts a unit and gives one.
//!
//! ```
//! use std::io::{BufRead as _, BufReader};
//!
//! use async_trait::async_trait;
//! use pulp_models::ArtifactStore;
//! use pulp_stages::{DeclarativeContent, Inbox, Outbox, Stage, StageError};
//! # use pulp_models::Key;
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note { text: String }
//! # impl pulp_stages::Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "notes.note" }
//! #     fn natural_key(&self) -> Option<Key> { None }
//! # }
//! # fn unit(text: String) -> DeclarativeContent<Note> {
//! #     DeclarativeContent::new(Note { text }, Vec::new())
//! # }
//!
//! /// Two levels: indices, and what they list.
//! struct ReadIndices {
//!     indices: Vec<DeclarativeContent<Note>>,
//!     store: ArtifactStore,
//! }
//!
//! #[async_trait]
//! impl Stage<Note> for ReadIndices {
//!     fn name(&self) -> &'static str {
//!         "ReadIndices"
//!     }
//!
//!     async fn run(
//!         self: Box<Self>,
//!         _: Inbox<Note>,
//!         output: Outbox<Note>,
//!     ) -> Result<(), StageError> {
//!         // Put everything that is known …
//!         let mut indices = Vec::new();
//!         for index in self.indices {
//!             indices.push(output.put_awaitable(index).await?);
//!         }
//!         // … then await. They have travelled together.
//!         for index in indices {
//!             let file = index.await?.open(&self.store).await?;
//!             let lines = BufReader::new(file).lines();
//!             output.put_parsed(lines.map(|line| Ok::<_, std::io::Error>(unit(line?)))).await?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Right and wrong
//!
//! A unit that nobody awaits waits in a batch until there are 500, or no more come. Once somebody
//! *awaits* it, its batch leaves as it is, in every stage. Creating a handle costs nothing; the first
//! `await` does. So:
//!
//! | | |
//! |---|---|
//! | **Wrong** | `output.put_awaitable(index).await?.await?` in a loop: each index travels alone |
//! | **Right** | put all, keep the handles, await afterwards: full batches |
//! | **Wrong** | to hold a unit and await it: an error ([`ResolutionError::NotPut`]), never a hang |
//! | **Wrong** | a stage in the middle that awaits what is *behind* it: it waits for itself |
//! | **Right** | only the first stage awaits, or a stage what it has put itself |
//! | **Wrong** | awaiting to learn ids: refer to other content by its natural key or digest |
//! | **Wrong** | keeping millions of handles: a handle keeps its unit's outcome in memory |
//!
//! What is awaited must not be deferred: declare it with
//! [`Origin::metadata`](crate::sync::Origin::metadata).
//!
//! Whatever happens to a unit, whoever awaits it learns of it: dropped, failed and cancelled are
//! errors ([`ResolutionError`]). Dropping a handle harms no other.
//!
//! [`ResolutionError`]: crate::ResolutionError
//! [`ResolutionError::NotPut`]: crate::ResolutionError::NotPut
