//! Manifests: from the exact bytes of upstream or of a client's push to what they refer to.
//!
//! Parsing keeps the bytes as they are, recomputes the digest, and extracts the references (child
//! manifests, configuration, layers, subject) that sync, push and serving need. Whether the things
//! referred to exist is not known here. Before: the registry client or a PUT body. After: the first
//! stage and the content types. Sources: OCI image-spec `manifest.md`, `image-index.md`,
//! `descriptor.md`; Docker's schema 1 and 2 documents.

mod descriptor;
mod kind;
mod schema1;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

pub use self::{
    descriptor::{Descriptor, Platform},
    kind::{ConfigFacts, Kind},
};
use crate::{
    digest::Digest,
    media_type::{self, MediaType},
};

/// Largest manifest that is read unless an option says otherwise, in bytes. The distribution
/// specification asks registries to take at least this much.
pub const DEFAULT_MAX_SIZE: usize = 4 * 1024 * 1024;

/// A parsed manifest and its exact bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The bytes as they came. Served and stored unchanged.
    pub raw: Bytes,
    /// Computed from `raw`; of signed schema 1 manifests, from the signed payload.
    pub digest: Digest,
    /// From the body, else from `Content-Type`, else by the shape of the document.
    pub media_type: MediaType,
    /// `schemaVersion`; 0 where a document of unknown type has none.
    pub schema_version: u64,
    /// What the artifact is, if the manifest says so itself.
    pub artifact_type: Option<String>,
    /// The configuration blob.
    pub config: Option<Descriptor>,
    /// Layers (or an artifact's blobs) in the manifest's order; schema 1 layers without repetition.
    pub layers: Vec<Descriptor>,
    /// Manifests listed by an index, in its order.
    pub children: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// Annotations of the manifest itself.
    pub annotations: BTreeMap<String, String>,
    /// Architecture, which only schema 1 manifests state themselves.
    pub architecture: Option<String>,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Larger than allowed.
    #[error("Manifest of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Length in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are not the ones that were asked for.
    #[error("Digest mismatch: expected {expected}, got {actual}")]
    Digest {
        /// Asked for.
        expected: Box<Digest>,
        /// Computed by the same algorithm.
        actual: Box<Digest>,
    },
    /// Not the JSON that its type promises.
    #[error("Failed to parse the manifest as `{media_type}`")]
    Json {
        /// The type by which it was read.
        media_type: MediaType,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A document that two clients could read as two different things (CVE-2021-41190).
    #[error("Ambiguous manifest of type `{media_type}`: it has {fields}")]
    Ambiguous {
        /// The type by which it was read.
        media_type: MediaType,
        /// The fields that do not belong to the type.
        fields: &'static str,
    },
    /// `Content-Type` and `mediaType` disagree, where they must not.
    #[error("Media type mismatch: expected `{expected}`, got `{actual}`")]
    MediaType {
        /// From the header.
        expected: MediaType,
        /// From the body.
        actual: MediaType,
    },
    /// A field is missing, or not what the type requires.
    #[error("Invalid manifest of type `{media_type}`: {reason}")]
    Incomplete {
        /// The type by which it was read.
        media_type: MediaType,
        /// What the type requires.
        reason: &'static str,
    },
    /// Neither a type nor a shape that says what it is.
    #[error("The manifest's media type is unknown: neither a header nor its fields say it")]
    Untyped,
    /// The signature block of a schema 1 manifest is not readable.
    #[error("Invalid signature of a schema 1 manifest: {0}")]
    Signature(&'static str),
}

impl Manifest {
    /// Reads the exact bytes `raw`.
    ///
    /// `content_type` is the header's value; the body's `mediaType` wins over it, except that a
    /// body without one is taken for what the header says. With `expected`, the digest is computed
    /// by its algorithm and must be equal, else it is SHA-256. No more than `max_size` bytes are
    /// looked at. A document of a type that we don't know is kept, and its references are taken
    /// where they have the usual form.
    pub fn parse(
        raw: Bytes,
        content_type: Option<&str>,
        expected: Option<&Digest>,
        max_size: usize,
    ) -> Result<Self, ManifestError> {
        if raw.len() > max_size {
            return Err(ManifestError::TooLarge { size: raw.len(), limit: max_size });
        }
        let header = content_type
            .map(MediaType::parse)
            .filter(|header| !matches!(header.as_str(), "" | "application/json" | "text/plain"));
        let document = match Document::read(&raw) {
            Ok(document) => document,
            Err(source) => Document::opaque(&raw, header.as_ref(), source)?,
        };
        let media_type = document.media_type(header).ok_or(ManifestError::Untyped)?;
        document.refuse_ambiguity(&media_type)?;
        let digest = match media_type {
            // Whether a registry signed it is told by the body, not by the header.
            ref schema1 if schema1.is_schema1() && document.signatures.is_some() => {
                let payload = schema1::payload(&raw)?;
                compare(&payload, &raw, expected)?
            }
            _ => compare(&raw, &raw, expected)?,
        };
        Ok(document.into_manifest(raw, digest, media_type))
    }

    /// Like [`Manifest::parse`], for a client's push: `Content-Type` is required to agree with
    /// `mediaType` where both are given (distribution-spec, "Pushing manifests"), and what the type
    /// requires has to be there. What upstream once took is mirrored without.
    pub fn parse_pushed(
        raw: Bytes,
        content_type: Option<&str>,
        expected: Option<&Digest>,
        max_size: usize,
    ) -> Result<Self, ManifestError> {
        let manifest = Self::parse(raw, content_type, expected, max_size)?;
        match content_type.map(MediaType::parse) {
            Some(header) if header.is_known() && header != manifest.media_type => {
                Err(ManifestError::MediaType { expected: header, actual: manifest.media_type })
            }
            _ => manifest.refuse_incompleteness(),
        }
    }

    /// image-spec `manifest.md` and `image-index.md`: the properties that are REQUIRED.
    fn refuse_incompleteness(self) -> Result<Self, ManifestError> {
        let has_config = match self.media_type {
            MediaType::OciManifest | MediaType::DockerManifest => self.config.is_some(),
            MediaType::OciIndex | MediaType::DockerList => true,
            _ => return Ok(self),
        };
        let reason = match (self.schema_version, has_config) {
            (2, true) => return Ok(self),
            (2, false) => "`config` is missing",
            _ => "`schemaVersion` has to be 2",
        };
        Err(ManifestError::Incomplete { media_type: self.media_type, reason })
    }

    /// Whether it lists other manifests.
    pub fn is_index(&self) -> bool {
        self.media_type.is_index() || !self.children.is_empty()
    }

    /// Configuration and layers that a registry holds, each digest once; foreign layers only if
    /// `foreign` says so.
    pub fn blobs(&self, foreign: bool) -> impl Iterator<Item = &Descriptor> {
        let mut seen = std::collections::HashSet::new();
        self.config
            .iter()
            .chain(&self.layers)
            .filter(move |blob| foreign || !media_type::is_foreign(&blob.media_type))
            .filter(move |blob| seen.insert(blob.digest))
    }

    /// Sum of the sizes of all layers that are not foreign, in bytes.
    pub fn compressed_image_size(&self) -> u64 {
        self.layers
            .iter()
            .filter(|layer| !media_type::is_foreign(&layer.media_type))
            .filter_map(|layer| layer.size)
            .fold(0, u64::saturating_add)
    }

    /// The type under which a referrer is listed: its own, else that of its configuration
    /// (distribution-spec, "Listing Referrers").
    pub fn referrer_type(&self) -> Option<&str> {
        self.artifact_type.as_deref().or(match self.media_type {
            MediaType::OciManifest => self.config.as_ref().map(|config| &*config.media_type),
            _ => None,
        })
    }
}

/// The digest of `payload`, compared with `expected`. A registry that doesn't know schema 1 names
/// a signed manifest by all of its bytes, so `expected` may also be the digest of `raw`.
fn compare(payload: &[u8], raw: &[u8], expected: Option<&Digest>) -> Result<Digest, ManifestError> {
    let Some(expected) = expected else { return Ok(Digest::sha256(payload)) };
    let actual = expected.same_algorithm(payload);
    if actual == *expected || (payload != raw && expected.matches(raw)) {
        Ok(*expected)
    } else {
        Err(ManifestError::Digest { expected: Box::new(*expected), actual: Box::new(actual) })
    }
}

/// Every field of every type. Missing and null lists are the same, and empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
    // Schema 1.
    fs_layers: Option<Vec<schema1::FsLayer>>,
    architecture: Option<String>,
    signatures: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// A list is no document, though serde would take one for its fields in order.
    fn read(raw: &[u8]) -> Result<Self, serde_json::Error> {
        if raw.trim_ascii_start().first() == Some(&b'[') {
            return Err(serde::de::Error::custom("expected an object, got a list"));
        }
        serde_json::from_slice(raw)
    }

    /// A document whose fields we cannot read is kept as it is, unless it has a type by which we
    /// should have been able to.
    fn opaque(
        raw: &[u8],
        header: Option<&MediaType>,
        source: serde_json::Error,
    ) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            media_type: String,
        }
        let stated = serde_json::from_slice::<Typed>(raw).ok().map(|typed| typed.media_type);
        match stated.as_deref().map(MediaType::parse).as_ref().or(header) {
            Some(MediaType::Other(_)) => Ok(Self { media_type: stated, ..Self::default() }),
            known => {
                let media_type = known.cloned();
                let media_type =
                    media_type.unwrap_or_else(|| MediaType::Other("application/json".into()));
                Err(ManifestError::Json { media_type, source })
            }
        }
    }

    /// Body, then header, then shape.
    fn media_type(&self, header: Option<MediaType>) -> Option<MediaType> {
        if let Some(stated) = self.media_type.as_deref().filter(|stated| !stated.is_empty()) {
            return Some(MediaType::parse(stated));
        }
        header.or_else(|| self.guess())
    }

    fn guess(&self) -> Option<MediaType> {
        let docker = |descriptor: &Descriptor| descriptor.media_type.contains(".docker.");
        if self.fs_layers.is_some() {
            let signed = self.signatures.is_some();
            return Some(if signed {
                MediaType::DockerSchema1Signed
            } else {
                MediaType::DockerSchema1
            });
        }
        if let Some(children) = &self.manifests {
            return Some(if children.iter().all(docker) && !children.is_empty() {
                MediaType::DockerList
            } else {
                MediaType::OciIndex
            });
        }
        let config = self.config.as_ref()?;
        Some(if docker(config) { MediaType::DockerManifest } else { MediaType::OciManifest })
    }

    fn refuse_ambiguity(&self, media_type: &MediaType) -> Result<(), ManifestError> {
        let some = |list: &Option<Vec<Descriptor>>| list.as_ref().is_some_and(|l| !l.is_empty());
        let fields = if media_type.is_index() {
            (self.config.is_some() || some(&self.layers) || self.fs_layers.is_some())
                .then_some("`config`, `layers` or `fsLayers` beside `manifests`")
        } else if media_type.is_known() {
            some(&self.manifests).then_some("`manifests`")
        } else {
            None
        };
        match fields {
            Some(fields) => {
                Err(ManifestError::Ambiguous { media_type: media_type.clone(), fields })
            }
            None => Ok(()),
        }
    }

    fn into_manifest(self, raw: Bytes, digest: Digest, media_type: MediaType) -> Manifest {
        let layers = if media_type.is_schema1() {
            schema1::layers(self.fs_layers.unwrap_or_default())
        } else {
            self.layers.or(self.blobs).unwrap_or_default()
        };
        Manifest {
            raw,
            digest,
            media_type,
            schema_version: self.schema_version,
            artifact_type: self.artifact_type.filter(|stated| !stated.is_empty()),
            config: self.config,
            layers,
            children: self.manifests.unwrap_or_default(),
            subject: self.subject,
            annotations: self.annotations.unwrap_or_default(),
            architecture: self.architecture,
        }
    }
}

#[cfg(test)]
mod tests;
