//! Indices that are content: upstream's own list, kept byte for byte.
//!
//! Clients often want upstream's index itself, since it is signed (`Release`, `repomd.xml`) or says
//! more than you keep. Then it is a unit of its own: a version holds it, the default publication
//! passes it through at its own path, and a mirror is verbatim without a publisher.
//!
//! - It is a *second kind* of content: an enum with a type name for each, so that numbers in versions
//!   tell packages from indices.
//! - Its natural key has its digest, its repository key is *one place*: the next index takes it.
//! - It was fetched to be read; [`Origin::document`](crate::sync::Origin::document) declares bytes
//!   that are here. One that the line shall fetch is
//!   [`Origin::metadata`](crate::sync::Origin::metadata), and is [awaited](super::discovery).
//! - It is true only of a *mirror*: an additive repository keeps what it does not list. So only
//!   mirrors put it, and whatever version comes without one
//!   [vacates](crate::sync::VersionDraft::vacate) its place.
//!
//! With the notes of [`first_plugin`](super::first_plugin), whose list is called `NOTES`:
//!
//! ```
//! # use std::io::{BufRead as _, BufReader};
//! # use async_trait::async_trait;
//! # use pulp_models::{Expected, Key, RelativePath, Sha256};
//! # use pulp_stages::{
//! #     Blame as _, Content, DeclarativeContent, StageError,
//! #     options::NoOptions,
//! #     plugin::{FirstStage, Plugin},
//! #     sync::{SyncContext, SyncError, VersionDraft},
//! # };
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # struct Note { path: RelativePath, sha256: Sha256, size: u64 }
//! # fn parse(line: &str) -> Result<Note, StageError> {
//! #     let fields: Vec<&str> = line.splitn(3, ' ').collect();
//! #     let [sha256, size, path] = fields[..] else {
//! #         return Err(StageError::message(format!("`{line}` has not three fields")));
//! #     };
//! #     Ok(Note { path: path.parse()?, sha256: sha256.parse()?, size: size.parse()? })
//! # }
//! #[derive(Clone, Serialize, Deserialize)]
//! #[serde(untagged)]
//! enum Unit {
//!     Note(Note),
//!     Index { index: Sha256 },
//! }
//!
//! impl Unit {
//!     /// Where the one index of a version is.
//!     fn place() -> Key {
//!         Key::of("notes.index").finish()
//!     }
//! }
//!
//! impl Content for Unit {
//!     type Extra = ();
//!
//!     fn type_name(&self) -> &'static str {
//!         match self {
//!             Self::Note(_) => "notes.note",
//!             Self::Index { .. } => "notes.index",
//!         }
//!     }
//!
//!     fn natural_key(&self) -> Option<Key> {
//!         let key = Key::of(self.type_name());
//!         Some(match self {
//!             Self::Note(note) => key.path(&note.path).field(note.sha256.0).finish(),
//!             Self::Index { index } => key.field(index.0).finish(),
//!         })
//!     }
//!
//!     fn repo_key(&self) -> Option<Key> {
//!         Some(match self {
//!             Self::Note(note) => Key::of("notes.note").path(&note.path).finish(),
//!             Self::Index { .. } => Self::place(),
//!         })
//!     }
//! }
//!
//! # #[derive(Clone)]
//! # struct Notes;
//! #[async_trait]
//! impl Plugin for Notes {
//! #   const NAME: &'static str = "notes";
//! #   const ABOUT: &'static str = "Notes, listed by a text";
//! #   type RemoteOptions = NoOptions;
//! #   type RepositoryOptions = NoOptions;
//! #   type PublicationOptions = NoOptions;
//!     type Content = Unit;
//!     // …
//!
//!     async fn first_stage(
//!         &self,
//!         context: &SyncContext<Self>,
//!     ) -> Result<FirstStage<Unit>, SyncError> {
//!         let url = context.remote.url.clone();
//!         let document = context.fetch_document(&url).await?;
//!         let (index, lines) = (document.sha256(), BufReader::new(document.reader()).lines());
//!         let fingerprint = Key::of("notes.index").field(index.0).finish();
//!         let (origin, folder, at) = (context.origin(), url.parent(), url.clone());
//!         let notes = lines.map(move |line| -> Result<_, StageError> {
//!             let note = parse(&line?).at_url(&at)?;
//!             let expected = Expected { size: Some(note.size), digests: note.sha256.into() };
//!             let source = folder.join_path(note.path.as_str());
//!             let artifact = origin.artifact(note.path.clone(), source, expected);
//!             Ok(DeclarativeContent::new(Unit::Note(note), vec![artifact]))
//!         });
//!         let kept = if context.mirror {
//!             let artifact = origin.document("NOTES".parse().at_url(&url)?, url, document);
//!             Some(DeclarativeContent::new(Unit::Index { index }, vec![artifact]))
//!         } else {
//!             None
//!         };
//!         let units = notes.chain(kept.map(Ok));
//!         Ok(FirstStage::parsed("ReadIndex", Some(fingerprint), units))
//!     }
//!
//!     async fn finalize_version(&self, draft: &VersionDraft) -> Result<(), SyncError> {
//!         draft.vacate(Unit::place());
//!         Ok(())
//!     }
//! }
//!
//! # use pulp_models::remote::Policy;
//! # use pulp_stages::testing::{Lab, TestDatabase};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let lab = Lab::new(Notes, TestDatabase::sqlite().await).await;
//! let list = |text: &str| format!("{} {} hello\n", Sha256::of(text.as_bytes()), text.len());
//! lab.upstream.put("NOTES", list("Hello\n"));
//! let remote = lab.remote(lab.upstream.url("NOTES"), Policy::OnDemand, Default::default()).await;
//! lab.sync(remote.clone(), true).await.expect("synced");
//! let stored = Some(Sha256::of(list("Hello\n").as_bytes()));
//! assert_eq!(lab.files().await["NOTES"], stored, "the list is here, its file is not yet");
//! assert_eq!(lab.files().await["hello"], None);
//! lab.publish(Default::default()).await.expect("published");
//! let served = lab.serve().await.get("/pulp/content/lab/NOTES").await.expect(200);
//! assert_eq!(served, list("Hello\n"));
//!
//! // What is added to now is no longer what any list says.
//! lab.upstream.put("NOTES", list("Good day\n"));
//! lab.sync(remote, false).await.expect("synced");
//! assert!(!lab.files().await.contains_key("NOTES"));
//! # }
//! ```
//!
//! Put an index *behind* what it lists, or before: a version becomes visible as a whole, so clients
//! never see one without the other. What the index names but the sync leaves out (filters, formats
//! that you do not know) clients will ask for in vain: declare it too, or do not keep the index.
