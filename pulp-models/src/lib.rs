//! The nouns of the sync engine: database rows and queries, repository versions, the artifact store.
//!
//! This crate knows no HTTP client and no web server. Everything above it (stages, plugins, the
//! binary) reaches the database and the bytes on disk through here, and only through here.

pub mod digest;
pub mod ids;
pub mod key;
pub mod relative_path;
pub mod remote_url;
pub mod time;

pub mod artifact;
pub mod content;
pub mod content_artifact;
pub mod db;
pub mod remote;
pub mod remote_artifact;
pub mod remote_settings;
pub mod repository;
mod schema;
pub mod version;

mod file_lock;
pub mod keyring;
pub mod lock;
pub mod store;

pub mod alternate_content_source;
pub mod distribution;
pub mod progress;
pub mod publication;
pub mod task;

pub mod backup;
pub mod check;
pub mod maintenance;
pub mod orphan;
pub mod reclaim;
pub mod repair;

#[cfg(test)]
mod fixture;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use db::{Connection, DatabaseUrl, Db, DbError};
pub use digest::{Algorithm, Digests, Expected, Hasher, Mismatch, Sha256};
pub use ids::{
    AlternateContentSourceId, ContentId, DistributionId, PublicationId, RemoteId, RepositoryId,
    TaskId,
};
pub use key::Key;
pub use keyring::Keyring;
pub use lock::RepositoryLock;
pub use relative_path::RelativePath;
pub use remote_settings::{ProxyUrl, RemoteSettings, Secret};
pub use remote_url::RemoteUrl;
pub use store::ArtifactStore;
pub use time::Timestamp;
pub use version::VersionNumber;
