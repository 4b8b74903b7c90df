//! A container repository as files: what a registry answers, by the path it is asked at.
//!
//! Every image has three layers that all share and two of its own, as images from one build have.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

use super::Noise;
use crate::{pulp::digest_of, upstream::Upstream};

/// Layers that all images share, and each image's own, in bytes.
const SHARED: usize = 5 << 20;
const OWN: usize = 256 << 10;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn make(folder: &Path, tags: u64, quick: bool) -> Result<()> {
    for kind in ["blobs", "manifests", "tags"] {
        fs::create_dir_all(folder.join(kind))?;
    }
    let size = |size: usize| if quick { size >> 10 } else { size };
    let layer = |seed, bytes| {
        let mut content = vec![0; size(bytes)];
        Noise::new(seed).fill(&mut content);
        blob(folder, "application/vnd.oci.image.layer.v1.tar+gzip", &content)
    };
    let shared = (0..3).map(|number| layer(number, SHARED)).collect::<Result<Vec<_>>>()?;
    let mut names = Vec::new();
    for tag in 0..tags {
        let mut layers = shared.clone();
        layers.push(layer(1000 + 2 * tag, OWN)?);
        layers.push(layer(1001 + 2 * tag, OWN)?);
        let content: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "tag": tag.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": content },
        });
        let kind = "application/vnd.oci.image.config.v1+json";
        let config = blob(folder, kind, config.to_string().as_bytes())?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let name = format!("v{tag:03}");
        fs::write(folder.join("manifests").join(&name), manifest.to_string())?;
        names.push(name);
    }
    let list = json!({ "name": "lab/many", "tags": names });
    Ok(fs::write(folder.join("tags/list"), list.to_string())?)
}

fn blob(folder: &Path, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest_of("sha256", bytes);
    fs::write(folder.join("blobs").join(&digest), bytes)?;
    Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
}

/// Has a server, at whose root the set's folder already is, answer as a registry does: it must tell
/// the type of a manifest, also when asked for it by its digest.
pub(in super::super) fn offer(upstream: &Upstream, folder: &Path, path: &str) -> Result<()> {
    upstream.put("v2/", "{}");
    for entry in fs::read_dir(folder.join("manifests"))? {
        let entry = entry?;
        let bytes = fs::read(entry.path())?;
        let by_digest = digest_of("sha256", &bytes);
        for name in [&*entry.file_name().to_string_lossy(), &*by_digest] {
            upstream.put_typed(&format!("{path}/manifests/{name}"), MANIFEST, bytes.clone());
        }
    }
    Ok(())
}
