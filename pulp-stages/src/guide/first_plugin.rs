//! Your first plugin, step by step.
//!
//! An upstream is one text, `NOTES`, with a line for each file: its SHA-256, its size, its name.
//!
//! # 1. What is a unit?
//!
//! A serde struct. Its JSON is what the database keeps, so put into it what you want to query or
//! publish later, and nothing that can be computed. The natural key says when two units are the same
//! one; the repository key says which place it takes.
//!
//! # 2. What is upstream like now?
//!
//! [`Plugin::first_stage`](crate::plugin::Plugin::first_stage) fetches the one document from which
//! all else follows, and derives a *fingerprint*. If that is the last sync's and no setting changed,
//! the sync ends here, after one request.
//!
//! # 3. From lines to units
//!
//! [`SyncContext::origin`](crate::sync::SyncContext::origin) declares artifacts: path, URL, and what
//! is known of the bytes. It knows the remote and its policy. [`FirstStage::parsed`] takes an
//! iterator and runs it on the blocking pool, a chunk at a time: a million lines need no more memory
//! than a thousand. `at_url` names the document in errors.
//!
//! ```
//! use std::io::{BufRead as _, BufReader};
//!
//! use async_trait::async_trait;
//! use pulp_models::{Expected, Key, RelativePath, Sha256};
//! use pulp_stages::{
//!     Blame as _, Content, DeclarativeContent, StageError,
//!     options::NoOptions,
//!     plugin::{FirstStage, Plugin},
//!     sync::{SyncContext, SyncError},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Note {
//!     path: RelativePath,
//!     sha256: Sha256,
//!     size: u64,
//! }
//!
//! impl Content for Note {
//!     type Extra = ();
//!
//!     fn type_name(&self) -> &'static str {
//!         "notes.note"
//!     }
//!
//!     fn natural_key(&self) -> Option<Key> {
//!         Some(Key::of("notes.note").path(&self.path).field(self.sha256.0).finish())
//!     }
//!
//!     fn repo_key(&self) -> Option<Key> {
//!         Some(Key::of("notes.note").path(&self.path).finish())
//!     }
//! }
//!
//! fn parse(line: &str) -> Result<Note, StageError> {
//!     let fields: Vec<&str> = line.splitn(3, ' ').collect();
//!     let [sha256, size, path] = fields[..] else {
//!         return Err(StageError::message(format!("`{line}` has not three fields")));
//!     };
//!     Ok(Note { path: path.parse()?, sha256: sha256.parse()?, size: size.parse()? })
//! }
//!
//! #[derive(Clone)]
//! struct Notes;
//!
//! #[async_trait]
//! impl Plugin for Notes {
//!     const NAME: &'static str = "notes";
//!     const ABOUT: &'static str = "Notes, listed by a text";
//!     type Content = Note;
//!     type RemoteOptions = NoOptions;
//!     type RepositoryOptions = NoOptions;
//!     type PublicationOptions = NoOptions;
//!
//!     async fn first_stage(
//!         &self,
//!         context: &SyncContext<Self>,
//!     ) -> Result<FirstStage<Note>, SyncError> {
//!         let url = context.remote.url.clone();
//!         let list = context.fetch_document(&url).await?;
//!         let fingerprint = Key::of("notes.list").field(list.sha256().0).finish();
//!         let (origin, folder) = (context.origin(), url.parent());
//!         let lines = BufReader::new(list.reader()).lines();
//!         let units = lines.map(move |line| -> Result<_, StageError> {
//!             let note = parse(&line?).at_url(&url)?;
//!             let expected = Expected { size: Some(note.size), digests: note.sha256.into() };
//!             let source = folder.join_path(note.path.as_str());
//!             let artifact = origin.artifact(note.path.clone(), source, expected);
//!             Ok(DeclarativeContent::new(note, vec![artifact]))
//!         });
//!         Ok(FirstStage::parsed("ReadList", Some(fingerprint), units))
//!     }
//! }
//!
//! # use pulp_models::remote::Policy;
//! # use pulp_stages::testing::{Lab, TestDatabase};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let lab = Lab::new(Notes, TestDatabase::sqlite().await).await;
//! lab.upstream.put("hello", "Hello\n");
//! lab.upstream.put("NOTES", format!("{} 6 hello\n", Sha256::of(b"Hello\n")));
//! let options = serde_json::json!({});
//! let remote = lab.remote(lab.upstream.url("NOTES"), Policy::Immediate, options).await;
//! let summary = lab.sync(remote, false).await.expect("synced");
//! assert_eq!((summary.version, summary.added), (Some(1), 1));
//! # }
//! ```
//!
//! That is all. The default publication passes the version's own paths through, so it can be
//! published and served; the command line, YAML, mirror mode, policies, progress and tasks are the
//! framework's.
//!
//! # 4. A program
//!
//! A program is its plugins. Beside or instead of the three reference plugins, in `main.rs`:
//!
//! ```text
//! fn main() -> std::process::ExitCode {
//!     pulp::Application::new().plugin(Notes).run()
//! }
//! ```
//!
//! Then `pulp mirror notes https://example.org/NOTES --name notes` and `pulp serve`.
//!
//! # 5. Options
//!
//! An options struct is serde and clap in one: its fields are flags, YAML keys and stored JSON. Let
//! every field have a default, and refuse unknown ones; [`crate::options`] has the rules.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//!
//! /// What a user may say of a remote.
//! #[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct NoteRemoteOptions {
//!     /// Only notes whose name begins so
//!     #[arg(long, value_name = "TEXT")]
//!     prefix: Option<String>,
//! }
//!
//! # fn is_options<T: pulp_stages::options::Options>() {}
//! is_options::<NoteRemoteOptions>();
//! ```
//!
//! The first stage finds them in `context.options`.
//!
//! # 6. Failing well
//!
//! An upstream document that cannot be used is named by [`at_url`](crate::Blame::at_url), in
//! `first_stage` as in a stage: `parse(&text).at_url(&url)?`. What only the plugin understands is a
//! [`PluginFailure`](crate::plugin::PluginFailure), with a hint. Neither repeats its cause. Never panic
//! on what upstream says.
//!
//! [`FirstStage::parsed`]: crate::plugin::FirstStage::parsed
