//! The stages of the default line, one file each, in the order in which content passes them.
//!
//! A first stage stands before them. Each one takes its services (database, store, downloads) when
//! it is built and knows neither its neighbours nor the plugin. What writes is shielded: a run that
//! is over waits for it, so nothing is written after the repository's lock is gone.
mod query_existing_contents;
mod query_existing_artifacts;
mod alternate_content_sources;
mod alternates_first;
mod artifact_downloader;
mod artifact_saver;
mod content_saver;
mod remote_artifact_saver;
mod resolve_content_futures;
mod content_association;
mod content_unassociation;
mod parsed_units;

pub(crate) use alternate_content_sources::AlternateContentSources;
pub(crate) use alternates_first::AlternatesFirst;
pub use artifact_downloader::{ArtifactDownloader, Fetch};
pub use artifact_saver::ArtifactSaver;
pub use content_association::ContentAssociation;
pub use content_saver::ContentSaver;
pub use content_unassociation::ContentUnassociation;
pub(crate) use parsed_units::ParsedUnits;
pub use query_existing_artifacts::QueryExistingArtifacts;
pub use query_existing_contents::QueryExistingContents;
pub use remote_artifact_saver::RemoteArtifactSaver;
pub use resolve_content_futures::ResolveContentFutures;

/// Units that a database stage collects before it asks the database, unless something waits.
pub(crate) const BATCH: usize = 500;
