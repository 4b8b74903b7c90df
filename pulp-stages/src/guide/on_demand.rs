//! On demand: files that wait for their first reader.
//!
//! A remote's policy says when its files are fetched: `immediate` during the sync, `on_demand` when
//! somebody first asks for them, `streamed` whenever somebody asks. A plugin does little about it:
//! it declares every artifact alike, through [`Origin`](crate::sync::Origin), and says which files
//! are content and which are metadata.
//!
//! - [`Origin::artifact`](crate::sync::Origin::artifact) follows the policy.
//! - [`Origin::metadata`](crate::sync::Origin::metadata) is fetched at once: what the sync itself
//!   reads, and what clients need to make sense of the rest.
//! - [`Origin::document`](crate::sync::Origin::document) is here already.
//!
//! ```
//! use pulp_models::{Expected, Sha256};
//! # use pulp_stages::{DeclarativeArtifact, StageError, sync::Origin};
//! # fn declare(origin: Origin, url: pulp_models::RemoteUrl) -> Result<(), StageError> {
//! let expected = Expected { size: Some(6), digests: Sha256::of(b"Hello\n").into() };
//! let package = origin.artifact("pool/hello".parse()?, url.clone(), expected.clone());
//! let index = origin.metadata("index".parse()?, url.clone(), expected);
//! assert!(!index.deferred_download);
//!
//! // Nothing proves these bytes, so they are fetched now: later, nobody could tell whether what
//! // upstream sends is still the same file.
//! let unproven = origin.artifact("latest".parse()?, url, Expected::default());
//! assert!(!unproven.deferred_download);
//! # Ok(())
//! # }
//! ```
//!
//! # What follows from it
//!
//! - Give every digest that upstream gives; SHA-1 and MD5 are checked, but prove nothing.
//! - A unit's key must not need its bytes, or it has to be fetched: see
//!   [`Content::complete`](crate::Content::complete).
//! - Do not put into `metadata` of a unit what only its bytes say, unless they are fetched anyway.
//! - If files lie in several places, add the others by
//!   [`DeclarativeArtifact::mirrors`](crate::DeclarativeArtifact::mirrors): they are tried in order.
//! - Servers that ask for tokens: give [`Plugin::downloader`](crate::plugin::Plugin::downloader) an
//!   [`Authorize`](crate::download::Authorize). Syncs, fills for clients and repairs all use it.
//!
//! A client never gets wrong bytes as a whole answer: the end is withheld until all of the file is
//! verified. That is the server's business, as are ranges, many clients at once, and clients that
//! leave.
