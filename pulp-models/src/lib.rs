//! The nouns of the sync engine: database rows and queries, repository versions, the artifact store.
//!
//! This crate knows no HTTP client and no web server. Everything above it (stages, plugins, the
//! binary) reaches the database and the bytes on disk through here, and only through here.

pub mod digest;
mod file_lock;
pub mod key;
pub mod relative_path;
pub mod remote_settings;
pub mod remote_url;
pub mod store;

pub use digest::{Algorithm, Digests, Expected, Hasher, Mismatch, Sha256};
pub use key::Key;
pub use relative_path::RelativePath;
pub use remote_settings::{ProxyUrl, RemoteSettings, Secret};
pub use remote_url::RemoteUrl;
pub use store::ArtifactStore;
