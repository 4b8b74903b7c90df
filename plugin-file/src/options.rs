//! What file repositories add to the framework's options.

use clap::Args;
use pulp_models::{Algorithm, RelativePath};
use serde::{Deserialize, Serialize};

use crate::upstream_format::UpstreamFormat;

/// Options of a remote.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileRemoteOptions {
    /// Format of upstream's list [default: told by its name, then by its content]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<UpstreamFormat>,
    /// Which digests of a checksum list that holds several, as in `sha256` [default: all of them]
    #[arg(long, value_name = "ALGORITHM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
}

/// Options of a repository.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileRepositoryOptions {
    /// Whether mirror syncs publish upstream's own list, byte for byte, instead of a new manifest
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub verbatim_manifest: Option<bool>,
}

/// Options of a publication.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilePublicationOptions {
    /// Path of the manifest in the publication [default: `PULP_MANIFEST`]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<RelativePath>,
    /// Publish no manifest
    #[arg(long, conflicts_with = "manifest")]
    pub no_manifest: bool,
}
