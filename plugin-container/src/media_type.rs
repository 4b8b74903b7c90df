//! Media types of manifests, and the few of layers and configurations that change what we do.
//!
//! Sources: OCI image-spec `media-types.md`, Docker's "Image Manifest Version 2" documents, Helm
//! and cosign for their configuration and layer types. Anything else is opaque and kept as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The media type of a manifest, without parameters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MediaType {
    /// Docker schema 1, unsigned.
    DockerSchema1,
    /// Docker schema 1 inside a JSON web signature.
    DockerSchema1Signed,
    /// Docker schema 2 image.
    DockerManifest,
    /// Docker schema 2 list of images for several platforms.
    DockerList,
    /// OCI image manifest; artifacts use it, too.
    OciManifest,
    /// OCI index.
    OciIndex,
    /// The artifact manifest of a release candidate of OCI 1.1, which ORAS pushed for a while.
    OciArtifact,
    /// Anything else, lower-case.
    Other(Box<str>),
}

impl MediaType {
    /// The types that a client asks for when it wants whatever is there, in order of preference.
    pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
        application/vnd.oci.image.manifest.v1+json, \
        application/vnd.docker.distribution.manifest.list.v2+json, \
        application/vnd.docker.distribution.manifest.v2+json, \
        application/vnd.oci.artifact.manifest.v1+json, \
        application/vnd.docker.distribution.manifest.v1+prettyjws, \
        application/vnd.docker.distribution.manifest.v1+json, \
        */*;q=0.1";

    const KNOWN: [(Self, &'static str); 7] = [
        (Self::DockerSchema1, "application/vnd.docker.distribution.manifest.v1+json"),
        (Self::DockerSchema1Signed, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (Self::DockerManifest, "application/vnd.docker.distribution.manifest.v2+json"),
        (Self::DockerList, "application/vnd.docker.distribution.manifest.list.v2+json"),
        (Self::OciManifest, "application/vnd.oci.image.manifest.v1+json"),
        (Self::OciIndex, "application/vnd.oci.image.index.v1+json"),
        (Self::OciArtifact, "application/vnd.oci.artifact.manifest.v1+json"),
    ];

    /// Reads a `Content-Type` or `mediaType`; parameters and case are dropped.
    pub fn parse(text: &str) -> Self {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self::KNOWN
            .into_iter()
            .find(|(_, name)| *name == essence)
            .map_or_else(|| Self::Other(essence.into()), |(known, _)| known)
    }

    /// The type as it is written in headers.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => Self::KNOWN
                .iter()
                .find(|(candidate, _)| candidate == known)
                .map_or("application/octet-stream", |(_, name)| name),
        }
    }

    /// Whether manifests of this type list other manifests.
    pub const fn is_index(&self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    /// Whether this is one of the two schema 1 types, whose digest is not simply that of its bytes.
    pub const fn is_schema1(&self) -> bool {
        matches!(self, Self::DockerSchema1 | Self::DockerSchema1Signed)
    }

    /// Whether this is a type whose fields we know.
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.as_str().into()
    }
}

/// Configuration of an image, Docker's and OCI's.
pub const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// Configuration of an artifact that needs none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Configuration of a Helm chart.
pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// Payload of a cosign signature.
pub const COSIGN_SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Payload of a cosign attestation.
pub const COSIGN_ATTESTATION: &str = "application/vnd.dsse.envelope.v1+json";
/// Beginning of the types of sigstore bundles, which end in a version.
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Layer types under which cosign attaches bills of materials.
pub const SBOMS: [&str; 7] = [
    "text/spdx",
    "text/spdx+json",
    "text/spdx+xml",
    "application/vnd.cyclonedx",
    "application/vnd.cyclonedx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.syft+json",
];

/// Whether an artifact of this type is a signature: cosign's, in a bundle or not, or notation's.
pub fn is_signature(artifact: &str) -> bool {
    artifact.starts_with(SIGSTORE_BUNDLE)
        || artifact == "application/vnd.dev.cosign.artifact.sig.v1+json"
        || artifact == "application/vnd.cncf.notary.signature"
}

/// Whether a layer of this type is not meant to be redistributed: registries need not hold it, and
/// clients fetch it from the `urls` of its descriptor.
pub fn is_foreign(layer: &str) -> bool {
    layer.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || layer.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_are_recognised_whatever_their_parameters_and_case() {
        for (known, name) in MediaType::KNOWN {
            assert_eq!(MediaType::parse(name), known);
            assert_eq!(MediaType::parse(&format!("{}; charset=utf-8", name.to_uppercase())), known);
            assert_eq!(known.as_str(), name);
            assert!(MediaType::ACCEPTED.contains(name));
        }
        assert_eq!(MediaType::parse("Application/X+json").as_str(), "application/x+json");
    }

    #[test]
    fn foreign_layers_are_recognised() {
        for layer in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ] {
            assert!(is_foreign(layer));
        }
        assert!(!is_foreign("application/vnd.oci.image.layer.v1.tar+zstd"));
    }
}
