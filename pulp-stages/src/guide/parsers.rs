//! Parsers: those that are asked for the next unit, and those that call back.
//!
//! Either way a parser runs on the blocking pool, a bounded queue sets its pace, and what is in
//! memory does not grow with the document.
//!
//! # Parsers that are asked
//!
//! An iterator is given to [`FirstStage::parsed`], or in a stage to [`Outbox::put_parsed`], and asked
//! for a thousand units at a time: that is all. Prefer it where you have the choice. A pull parser of
//! XML (`quick-xml`, say) becomes one with a `next_record` that reads events up to the end of a record
//! (`examples/rpm`, `records.rs`).
//!
//! # Parsers that call back
//!
//! Some parsers go through a document themselves and call back for what they find. They run in the
//! stage's [`Scope`], and put from there: [`Outbox::blocking_put_all`] waits while the next stage is
//! busy, and fails when the run is over, so that nobody reads to the end for nothing.
//!
//! ```
//! use std::io::BufRead;
//!
//! use async_trait::async_trait;
//! use pulp_stages::{DeclarativeContent, Inbox, Outbox, Stage, StageError};
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note { text: String }
//! # impl pulp_stages::Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "notes.note" }
//! #     fn natural_key(&self) -> Option<pulp_models::Key> { None }
//! # }
//!
//! /// The parser. It knows nothing of the line.
//! fn each_note(
//!     document: impl BufRead,
//!     mut found: impl FnMut(Note) -> Result<(), StageError>,
//! ) -> Result<(), StageError> {
//!     document.lines().try_for_each(|text| found(Note { text: text? }))
//! }
//!
//! struct ReadNotes<R>(R);
//!
//! #[async_trait]
//! impl<R: BufRead + Send + 'static> Stage<Note> for ReadNotes<R> {
//!     fn name(&self) -> &'static str {
//!         "ReadNotes"
//!     }
//!
//!     async fn run(
//!         self: Box<Self>,
//!         _: Inbox<Note>,
//!         output: Outbox<Note>,
//!     ) -> Result<(), StageError> {
//!         let line = output.clone();
//!         let parsing = output.scope().spawn_blocking(move || {
//!             let mut units = Vec::new();
//!             each_note(self.0, |note| {
//!                 units.push(DeclarativeContent::new(note, Vec::new()));
//!                 if units.len() == 500 {
//!                     line.blocking_put_all(std::mem::take(&mut units))?;
//!                 }
//!                 Ok(())
//!             })?;
//!             Ok(line.blocking_put_all(units)?)
//!         });
//!         parsing.await?
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # use pulp_stages::testing::{report, run_stage};
//! let document = "one\n".repeat(1234);
//! let notes = run_stage(ReadNotes(std::io::Cursor::new(document)), Vec::new()).await;
//! assert_eq!(notes.expect("nothing fails").len(), 1234);
//! let broken = run_stage(ReadNotes(&b"one\n\xff\n"[..]), Vec::new()).await;
//! assert!(report(&broken.expect_err("no text")).contains("UTF-8"));
//! # }
//! ```
//!
//! A callback that cannot fail keeps the first error, ignores what comes after, and the error is
//! returned at the end.
//!
//! # Through a channel
//!
//! A parser whose callbacks must not know of units is made an iterator by a bounded channel, at the
//! price of a second thread. Whichever side ends first ends the other:
//!
//! ```
//! # use std::{io::BufRead, sync::mpsc};
//! # use async_trait::async_trait;
//! # use pulp_stages::{DeclarativeContent, Inbox, Outbox, Stage, StageError};
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct Note { text: String }
//! # impl pulp_stages::Content for Note {
//! #     type Extra = ();
//! #     fn type_name(&self) -> &'static str { "notes.note" }
//! #     fn natural_key(&self) -> Option<pulp_models::Key> { None }
//! # }
//! # fn each_note(
//! #     document: impl BufRead,
//! #     mut found: impl FnMut(Note) -> Result<(), StageError>,
//! # ) -> Result<(), StageError> {
//! #     document.lines().try_for_each(|text| found(Note { text: text? }))
//! # }
//! # struct ReadNotes<R>(R);
//! # #[async_trait]
//! # impl<R: BufRead + Send + 'static> Stage<Note> for ReadNotes<R> {
//! #     fn name(&self) -> &'static str { "ReadNotes" }
//! #     async fn run(
//! #         self: Box<Self>,
//! #         _: Inbox<Note>,
//! #         output: Outbox<Note>,
//! #     ) -> Result<(), StageError> {
//! let (found, notes) = mpsc::sync_channel(500);
//! let parsing = output
//!     .scope()
//!     .spawn_blocking(move || each_note(self.0, |note| Ok(found.send(note)?)));
//! let units = notes.into_iter().map(|note| DeclarativeContent::new(note, Vec::new()));
//! output.put_parsed(units.map(Ok::<_, StageError>)).await?;
//! parsing.await?
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # use pulp_stages::testing::{report, run_stage};
//! # let document = "one\n".repeat(1234);
//! # let notes = run_stage(ReadNotes(std::io::Cursor::new(document)), Vec::new()).await;
//! # assert_eq!(notes.expect("nothing fails").len(), 1234);
//! # let broken = run_stage(ReadNotes(&b"one\n\xff\n"[..]), Vec::new()).await;
//! # assert!(report(&broken.expect_err("no text")).contains("UTF-8"));
//! # }
//! ```
//!
//! # What both owe
//!
//! - The place of what is wrong (a line, an element), and by [`at_url`](crate::Blame::at_url) the
//!   document.
//! - No trust in numbers: a length field is a claim, a depth has a limit.
//! - Compressed documents are decompressed on the way, by a reader around the reader.
//!
//! [`FirstStage::parsed`]: crate::plugin::FirstStage::parsed
//! [`Outbox::put_parsed`]: crate::Outbox::put_parsed
//! [`Outbox::blocking_put_all`]: crate::Outbox::blocking_put_all
//! [`Scope`]: crate::Scope
