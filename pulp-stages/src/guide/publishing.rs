//! Publishing: from a version to what clients see.
//!
//! A publication is a complete, immutable map from paths to bytes. Made of three things:
//!
//! - [`pass_through`](crate::publish::PublicationWriter::pass_through): every file of the version at
//!   its own path, without a row for each. This is the default.
//! - [`metadata`](crate::publish::PublicationWriter::metadata) and
//!   [`verified`](crate::publish::PublicationWriter::verified): bytes that the plugin generates.
//! - [`content`](crate::publish::PublicationWriter::content): a unit's file at another path, stored
//!   or on demand.
//!
//! Rows win over what is passed through. Nobody sees a publication before it is complete, and one
//! that fails is gone.
//!
//! An index of everything, a page of the version at a time, so that memory stays flat:
//!
//! ```
//! use std::fmt::Write as _;
//!
//! use pulp_stages::publish::{PublicationWriter, PublishContext, PublishError};
//! # use pulp_stages::plugin::{Plugin, PluginFailure};
//!
//! async fn publish<P: Plugin>(
//!     context: &PublishContext<P>,
//!     writer: &mut PublicationWriter,
//! ) -> Result<(), PublishError> {
//!     let mut index = String::new();
//!     let mut pages = context.contents();
//!     while let Some(page) = pages.next_page().await? {
//!         for file in page.iter().flat_map(|unit| &unit.artifacts) {
//!             // `size` and `artifact` are unknown as long as nobody has fetched the file: an index
//!             // is made of what the unit itself says.
//!             let _ = writeln!(index, "{}", file.relative_path);
//!         }
//!     }
//!     let path = "INDEX".parse().map_err(|error: pulp_models::relative_path::InvalidPath| {
//!         PluginFailure::new("Failed to name the index").caused_by(error)
//!     })?;
//!     writer.metadata(path, index.into()).await?;
//!     writer.pass_through();
//!     Ok(())
//! }
//! ```
//!
//! An index that may be large is written into a [`Verifier`](pulp_models::store::Verifier) instead
//! of a string, and handed over by `verified`.
//!
//! # Verbatim, or your own?
//!
//! A *mirror* that [keeps upstream's metadata as units](super::kept_indices) publishes it as it is,
//! signatures included: no code at all, as in `examples/rpm`. An *additive* repository, or one with
//! filters, holds what no upstream lists, so its metadata has to be written. Content that speaks of
//! the version as a whole (upstream's own list) must leave once it is wrong:
//! [`VersionDraft::vacate`](crate::sync::VersionDraft::vacate), or a repository key that the next one
//! takes.
//!
//! Publications on demand must not fetch: read what units say, not their bytes.
//!
//! A key that signs publications belongs into
//! [`Installation::keys`](crate::installation::Installation::keys): files that only their owner can
//! read, encrypted where the user has set a key file.
