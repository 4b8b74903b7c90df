//! What a manifest *is*: an image, a chart, a signature. Shown to users and filtered by; nothing
//! about transfer depends on it. The order of the tests is Pulp's, first match wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::media_type::{self, MediaType};

/// The kind of thing that a manifest describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Image,
    Index,
    Bootable,
    Flatpak,
    Helm,
    CosignSignature,
    CosignAttestation,
    CosignAttestationBundle,
    CosignSbom,
    Artifact,
}

/// What a mirror wants to know from an image's configuration blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFacts {
    /// As Go names it.
    pub architecture: Option<String>,
    /// As Go names it.
    pub os: Option<String>,
    /// `config.Labels`.
    pub labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(rename = "config")]
    runtime: Option<Runtime>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Runtime {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, Option<String>>>,
}

impl ConfigFacts {
    /// Reads an image's configuration (image-spec, `config.md`). A configuration that is something
    /// else (artifacts may use any bytes) yields nothing, and that is no error.
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(config) = serde_json::from_slice::<Config>(bytes) else { return Self::default() };
        let labels = config.runtime.and_then(|runtime| runtime.labels).unwrap_or_default();
        Self {
            architecture: config.architecture.filter(|stated| !stated.is_empty()),
            os: config.os.filter(|stated| !stated.is_empty()),
            labels: labels
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect(),
        }
    }
}

impl Kind {
    /// Classifies `manifest`, whose configuration has `labels`.
    pub fn of(manifest: &Manifest, labels: &BTreeMap<String, String>) -> Self {
        if manifest.is_index() {
            return Self::Index;
        }
        let marked = |key: &str, wanted: Option<&str>| {
            labels
                .get(key)
                .or_else(|| manifest.annotations.get(key))
                .is_some_and(|value| wanted.is_none_or(|wanted| value == wanted))
        };
        if marked("containers.bootc", Some("1")) {
            return Self::Bootable;
        }
        if labels.contains_key("org.flatpak.ref") {
            return Self::Flatpak;
        }
        let config = manifest.config.as_ref().map(|config| &*config.media_type);
        if config == Some(media_type::HELM_CONFIG) {
            return Self::Helm;
        }
        manifest
            .layers
            .iter()
            .find_map(|layer| Self::of_cosign_layer(&layer.media_type))
            .unwrap_or_else(|| Self::of_config(manifest, config))
    }

    fn of_cosign_layer(layer: &str) -> Option<Self> {
        match layer {
            media_type::COSIGN_SIGNATURE => Some(Self::CosignSignature),
            media_type::COSIGN_ATTESTATION => Some(Self::CosignAttestation),
            bundle if bundle.starts_with(media_type::SIGSTORE_BUNDLE) => {
                Some(Self::CosignAttestationBundle)
            }
            sbom if media_type::SBOMS.contains(&sbom) => Some(Self::CosignSbom),
            _ => None,
        }
    }

    fn of_config(manifest: &Manifest, config: Option<&str>) -> Self {
        let image = manifest.media_type.is_schema1()
            || config.is_some_and(|config| {
                media_type::IMAGE_CONFIGS.contains(&config)
                    // What old Docker versions pushed.
                    || (config == "application/octet-stream"
                        && manifest.media_type == MediaType::DockerManifest)
            });
        if image && manifest.artifact_type.is_none() { Self::Image } else { Self::Artifact }
    }

    /// The name under which the kind is shown and stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Bootable => "bootable",
            Self::Flatpak => "flatpak",
            Self::Helm => "helm",
            Self::CosignSignature => "cosign_signature",
            Self::CosignAttestation => "cosign_attestation",
            Self::CosignAttestationBundle => "cosign_attestation_bundle",
            Self::CosignSbom => "cosign_sbom",
            Self::Artifact => "artifact",
        }
    }
}
