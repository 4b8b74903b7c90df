//! Docker schema 1: layers without sizes, and a JSON web signature wrapped around the document.
//!
//! A signed manifest is named by the digest of the *payload*: the document before the `signatures`
//! member was spliced in. Each signature's protected header says how to get it back: the first
//! `formatLength` bytes of the document, then `formatTail`.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{Descriptor, ManifestError};
use crate::digest::Digest;

/// One entry of `fsLayers`.
#[derive(Deserialize)]
pub(super) struct FsLayer {
    #[serde(rename = "blobSum")]
    blob_sum: Digest,
}

#[derive(Deserialize)]
struct Signed {
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// The layers, without the repetitions of the empty one.
pub(super) fn layers(listed: Vec<FsLayer>) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    listed
        .into_iter()
        .filter(|layer| seen.insert(layer.blob_sum))
        .map(|layer| Descriptor {
            media_type: "application/vnd.docker.container.image.rootfs.diff+x-gtar".into(),
            digest: layer.blob_sum,
            size: None,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
            urls: Vec::new(),
            platform: None,
        })
        .collect()
}

/// The signed payload of `raw`. All signatures must agree on it.
pub(super) fn payload(raw: &[u8]) -> Result<Vec<u8>, ManifestError> {
    let signed: Signed = serde_json::from_slice(raw)
        .map_err(|_| ManifestError::Signature("`signatures` is not a list of signatures"))?;
    let mut agreed: Option<(usize, Vec<u8>)> = None;
    for signature in &signed.signatures {
        let header = URL_SAFE_NO_PAD
            .decode(signature.protected.trim_end_matches('='))
            .map_err(|_| ManifestError::Signature("`protected` is not base64url"))?;
        let protected: Protected = serde_json::from_slice(&header)
            .map_err(|_| ManifestError::Signature("`protected` lacks the format of the payload"))?;
        let tail = URL_SAFE_NO_PAD
            .decode(protected.format_tail.trim_end_matches('='))
            .map_err(|_| ManifestError::Signature("`formatTail` is not base64url"))?;
        let found = (protected.format_length, tail);
        if agreed.as_ref().is_some_and(|agreed| *agreed != found) {
            return Err(ManifestError::Signature("the signatures disagree on the payload"));
        }
        agreed = Some(found);
    }
    let (length, tail) = agreed.ok_or(ManifestError::Signature("`signatures` is empty"))?;
    let head = raw
        .get(..length)
        .ok_or(ManifestError::Signature("`formatLength` is beyond the end of the document"))?;
    Ok([head, &tail].concat())
}
