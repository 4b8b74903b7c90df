//! What a container repository holds: blobs, manifests, tags, signatures.
//!
//! Each is a serde struct that the framework keeps as a row; they refer to one another by digest.
//! A manifest's exact bytes are the row's `raw`, a blob's bytes are its one artifact, at the
//! relative path that is its digest. A tag is the only thing of which a version holds one per name.

use std::collections::BTreeMap;

use bytes::Bytes;
use pulp_models::{Key, content::StoredContent};
use pulp_stages::Content;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    manifest::{ConfigFacts, Kind, Manifest},
    media_type::MediaType,
    reference::Tag,
};

/// A unit of a container repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ContainerContent {
    /// `container.tag`.
    Tag(TagContent),
    /// `container.manifest`; boxed, since it is by far the largest.
    Manifest(Box<ManifestContent>),
    /// `container.signature`.
    Signature(SignatureContent),
    /// `container.blob`.
    Blob(BlobContent),
}

/// Bytes that a manifest refers to: a layer or a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobContent {
    /// Names and proves the bytes.
    pub digest: Digest,
}

/// A manifest of any type, an index included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestContent {
    /// Names and proves the bytes (of signed schema 1 manifests, their payload).
    pub digest: Digest,
    /// With which type it is served.
    pub media_type: MediaType,
    /// Length of `raw` in bytes.
    pub size: u64,
    /// What it describes.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// `schemaVersion`.
    pub schema_version: u64,
    /// What it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifest it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// Its configuration blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_blob: Option<Digest>,
    /// Its layers, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
    /// The manifests that an index lists, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed_manifests: Vec<Digest>,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// As the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Sum of the layers' sizes in bytes, without foreign ones.
    pub compressed_image_size: u64,
    /// The exact bytes. Kept beside the metadata, not in it.
    #[serde(skip)]
    pub raw: Bytes,
}

/// A name for a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagContent {
    /// The tag.
    pub name: Tag,
    /// The manifest.
    pub tagged_manifest: Digest,
}

/// A signature that is kept beside the registry's own content (sigstore, registry extension).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureContent {
    /// `<digest>@<32 hex digits>`, as registries name it.
    pub name: String,
    /// SHA-256 of the document.
    pub signature: Digest,
    /// The signed manifest.
    pub signed_manifest: Digest,
    /// The document. Kept beside the metadata, not in it.
    #[serde(skip)]
    pub raw: Bytes,
}

impl SignatureContent {
    /// A signature of `manifest`; `None` if the bytes are no OpenPGP message, neither binary nor
    /// armoured, as when a web server answers everything with a page.
    pub fn of(manifest: &Digest, raw: Bytes) -> Option<Self> {
        let is_binary = raw.first().is_some_and(|first| first & 0x80 != 0);
        if !is_binary && !raw.starts_with(b"-----BEGIN PGP ") {
            return None;
        }
        let signature = Digest::sha256(&raw);
        let name = format!("{manifest}@{}", &signature.hex()[..32]);
        Some(Self { name, signature, signed_manifest: *manifest, raw })
    }

    /// The same under the name that a registry gives it, if that is a name for it.
    #[must_use]
    pub fn named(mut self, name: String) -> Self {
        let unique = name.strip_prefix(&format!("{}@", self.signed_manifest)).unwrap_or_default();
        if unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.name = name;
        }
        self
    }
}

impl ManifestContent {
    /// What is kept of `manifest`, whose configuration says `facts`.
    pub fn new(manifest: &Manifest, facts: ConfigFacts) -> Self {
        Self {
            digest: manifest.digest,
            media_type: manifest.media_type.clone(),
            size: manifest.raw.len() as u64,
            kind: Kind::of(manifest, &facts.labels),
            schema_version: manifest.schema_version,
            artifact_type: manifest.referrer_type().map(Into::into),
            subject: manifest.subject.as_ref().map(|subject| subject.digest),
            config_blob: manifest.config.as_ref().map(|config| config.digest),
            blobs: manifest.layers.iter().map(|layer| layer.digest).collect(),
            listed_manifests: manifest.children.iter().map(|child| child.digest).collect(),
            annotations: manifest.annotations.clone(),
            labels: facts.labels,
            architecture: manifest.architecture.clone().or(facts.architecture),
            os: facts.os,
            compressed_image_size: manifest.compressed_image_size(),
            raw: manifest.raw.clone(),
        }
    }
}

impl ContainerContent {
    /// Type of [`BlobContent`] in the database.
    pub const BLOB: &'static str = "container.blob";
    /// Type of [`ManifestContent`] in the database.
    pub const MANIFEST: &'static str = "container.manifest";
    /// Type of [`TagContent`] in the database.
    pub const TAG: &'static str = "container.tag";
    /// Type of [`SignatureContent`] in the database.
    pub const SIGNATURE: &'static str = "container.signature";

    /// The natural key of a blob.
    pub fn blob_key(digest: &Digest) -> Key {
        Self::digest_key(Self::BLOB, digest)
    }

    /// The natural key of a manifest.
    pub fn manifest_key(digest: &Digest) -> Key {
        Self::digest_key(Self::MANIFEST, digest)
    }

    /// The repository key of a tag.
    pub fn tag_key(name: &Tag) -> Key {
        Key::of(Self::TAG).near_name(name.as_str()).field(name.as_str()).finish()
    }

    fn digest_key(type_name: &str, digest: &Digest) -> Key {
        Key::of(type_name).field(digest.algorithm().name()).field(digest.as_bytes()).finish()
    }
}

impl Content for ContainerContent {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        match self {
            Self::Tag(_) => Self::TAG,
            Self::Manifest(_) => Self::MANIFEST,
            Self::Signature(_) => Self::SIGNATURE,
            Self::Blob(_) => Self::BLOB,
        }
    }

    fn natural_key(&self) -> Option<Key> {
        Some(match self {
            Self::Tag(tag) => Key::of(Self::TAG)
                .near_name(tag.name.as_str())
                .field(tag.name.as_str())
                .field(tag.tagged_manifest.algorithm().name())
                .field(tag.tagged_manifest.as_bytes())
                .finish(),
            Self::Manifest(manifest) => Self::manifest_key(&manifest.digest),
            Self::Signature(signature) => Self::digest_key(Self::SIGNATURE, &signature.signature),
            Self::Blob(blob) => Self::blob_key(&blob.digest),
        })
    }

    fn repo_key(&self) -> Option<Key> {
        match self {
            Self::Tag(tag) => Some(Self::tag_key(&tag.name)),
            Self::Manifest(_) | Self::Signature(_) | Self::Blob(_) => None,
        }
    }

    fn raw(&self) -> Option<Bytes> {
        match self {
            Self::Manifest(manifest) => Some(manifest.raw.clone()),
            Self::Signature(signature) => Some(signature.raw.clone()),
            Self::Tag(_) | Self::Blob(_) => None,
        }
    }

    fn load(stored: StoredContent) -> Result<Self, serde_json::Error> {
        let raw = stored.raw.map(Bytes::from).unwrap_or_default();
        Ok(match stored.type_name.as_str() {
            Self::TAG => Self::Tag(serde_json::from_str(&stored.metadata)?),
            Self::MANIFEST => {
                let manifest = serde_json::from_str(&stored.metadata)?;
                Self::Manifest(Box::new(ManifestContent { raw, ..manifest }))
            }
            Self::SIGNATURE => {
                let signature = serde_json::from_str(&stored.metadata)?;
                Self::Signature(SignatureContent { raw, ..signature })
            }
            _ => Self::Blob(serde_json::from_str(&stored.metadata)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use pulp_models::ContentId;

    use super::*;

    fn units() -> Vec<ContainerContent> {
        let raw = Bytes::from_static(
            br#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#,
        );
        let manifest = Manifest::parse(raw, None, None, 4096).expect("parses");
        let facts = ConfigFacts { os: Some("linux".into()), ..ConfigFacts::default() };
        let digest = manifest.digest;
        vec![
            ContainerContent::Blob(BlobContent { digest }),
            ContainerContent::Manifest(Box::new(ManifestContent::new(&manifest, facts))),
            ContainerContent::Tag(TagContent {
                name: "v1".parse().expect("valid"),
                tagged_manifest: digest,
            }),
            ContainerContent::Signature(SignatureContent {
                name: format!("{digest}@0123"),
                signature: Digest::sha256(b"signature"),
                signed_manifest: digest,
                raw: Bytes::from_static(b"signature"),
            }),
        ]
    }

    #[test]
    fn every_unit_comes_back_from_its_row_with_its_bytes() {
        for unit in units() {
            let stored = StoredContent {
                id: ContentId::new(),
                type_name: unit.type_name().into(),
                natural_key: unit.natural_key().expect("has one"),
                metadata: serde_json::to_string(&unit).expect("serialises"),
                raw: unit.raw().map(|raw| raw.to_vec()),
            };
            assert_eq!(ContainerContent::load(stored).expect("loads"), unit);
        }
    }

    #[test]
    fn a_blob_and_a_manifest_of_one_digest_are_two_units() {
        let keys: std::collections::HashSet<_> =
            units().iter().map(|unit| unit.natural_key().expect("has one")).collect();
        assert_eq!(keys.len(), 4);
    }

    #[test]
    fn a_moved_tag_takes_the_same_place() {
        let tag = |digest| {
            ContainerContent::Tag(TagContent {
                name: "v1".parse().expect("valid"),
                tagged_manifest: digest,
            })
        };
        let (old, new) = (tag(Digest::sha256(b"old")), tag(Digest::sha256(b"new")));
        assert_ne!(old.natural_key(), new.natural_key());
        assert_eq!(old.repo_key(), new.repo_key());
        assert!(old.repo_key().is_some());
    }
}
