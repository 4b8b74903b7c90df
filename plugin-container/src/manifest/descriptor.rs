//! Descriptors: how one document of a registry refers to another (OCI image-spec,
//! `descriptor.md`). Read leniently where a mirror loses nothing by it: `null` is nothing, and a
//! missing size an unknown one.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::digest::Digest;

/// A reference to a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the target; empty where the document leaves it out.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    /// Digest of the target.
    pub digest: Digest,
    /// Length of the target in bytes, if known.
    #[serde(default, deserialize_with = "size", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Type of the artifact that the target is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations of the reference.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where else the target may be fetched; foreign layers have these.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What the target runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on (image-spec, `image-index.md`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it: `amd64`, `arm64`.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// As Go names it: `linux`, `windows`.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// Windows' build.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the processor: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Features of the processor, in Docker's lists.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid platform `{0}`: expected `os/architecture` or `os/architecture/variant`")]
pub struct InvalidPlatform(String);

impl Platform {
    /// Whether `self`, as asked for, covers `other`, as an index states it: operating system and
    /// architecture are equal, and so is the variant if one is asked for. `arm64` without a variant
    /// is `v8`, and `arm` is `v7`, as containerd normalises them.
    pub fn covers(&self, other: &Self) -> bool {
        let default_variant = |platform: &Self| match (&*platform.architecture, &platform.variant) {
            (_, Some(variant)) => Some(variant.clone()),
            ("arm64", None) => Some("v8".into()),
            ("arm", None) => Some("v7".into()),
            _ => None,
        };
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || default_variant(self) == default_variant(other))
            && (self.os_version.is_none() || self.os_version == other.os_version)
    }

    /// Whether this is the placeholder of `BuildKit`'s attestation manifests.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match *parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(InvalidPlatform(text.into())),
        };
        if parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(InvalidPlatform(text.into()));
        }
        Ok(Self {
            architecture: architecture.to_ascii_lowercase(),
            os: os.to_ascii_lowercase(),
            variant: variant.map(str::to_ascii_lowercase),
            ..Self::default()
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// `null` as the empty value.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A whole number of bytes. Clients refuse a negative one, so there is no use in mirroring it.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(size) = Option::<i64>::deserialize(deserializer)? else { return Ok(None) };
    let wrong = || D::Error::custom(format!("Invalid size {size}: expected 0 or more bytes"));
    u64::try_from(size).map(Some).map_err(|_| wrong())
}
