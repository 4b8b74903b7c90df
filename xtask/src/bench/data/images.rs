//! A container repository as files: what a registry answers, by the path it is asked at.
//!
//! Images have layers that all of one platform share and some of their own, as images from one
//! build have.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Layers, Noise};
use crate::{pulp::digest_of, upstream::Upstream};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ARCHITECTURES: [&str; 4] = ["amd64", "arm64", "riscv64", "s390x"];

pub(super) fn make(
    folder: &Path,
    name: &str,
    tags: u64,
    platforms: u64,
    shared: Layers,
    own: Layers,
) -> Result<()> {
    for kind in ["blobs", "manifests", "tags"] {
        fs::create_dir_all(folder.join(kind))?;
    }
    let architectures = &ARCHITECTURES[..usize::try_from(platforms)?];
    let mut seeds = 0..;
    let mut layers = |of: Layers| {
        let seeds = seeds.by_ref().take(usize::try_from(of.count)?);
        seeds.map(|seed| layer(folder, seed, of.size)).collect::<Result<Vec<_>>>()
    };
    let bases = architectures.iter().map(|_| layers(shared)).collect::<Result<Vec<_>>>()?;
    let mut names = Vec::new();
    for tag in 0..tags {
        let mut images = Vec::new();
        for (architecture, base) in architectures.iter().zip(&bases) {
            let layers = [base.clone(), layers(own)?].concat();
            images.push(image(folder, architecture, tag, &layers)?);
        }
        let tagged = match &images[..] {
            [image] => image.clone(),
            several => index(folder, several)?,
        };
        let digest = tagged["digest"].as_str().context("A manifest has a digest")?;
        let name = format!("v{tag:03}");
        fs::hard_link(folder.join("manifests").join(digest), folder.join("manifests").join(&name))?;
        names.push(name);
    }
    let list = json!({ "name": format!("lab/{name}"), "tags": names });
    Ok(fs::write(folder.join("tags/list"), list.to_string())?)
}

fn layer(folder: &Path, seed: u64, size: u64) -> Result<Value> {
    let mut content = vec![0; usize::try_from(size)?];
    Noise::new(seed).fill(&mut content);
    store(&folder.join("blobs"), LAYER, &content)
}

/// An image's config and manifest; returns what an index says of it.
fn image(folder: &Path, architecture: &str, tag: u64, layers: &[Value]) -> Result<Value> {
    let content: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Labels": { "tag": tag.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": content },
    });
    let config = store(&folder.join("blobs"), CONFIG, config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let mut image = store(&folder.join("manifests"), MANIFEST, manifest.to_string().as_bytes())?;
    image["platform"] = json!({ "architecture": architecture, "os": "linux" });
    Ok(image)
}

fn index(folder: &Path, images: &[Value]) -> Result<Value> {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images });
    store(&folder.join("manifests"), INDEX, index.to_string().as_bytes())
}

/// Writes bytes under their digest; returns what others say of them.
fn store(folder: &Path, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest_of("sha256", bytes);
    fs::write(folder.join(&digest), bytes)?;
    Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
}

/// Has a server, at whose root the set's folder already is, answer as a registry does: it must tell
/// the type of a manifest.
pub(in super::super) fn offer(upstream: &Upstream, folder: &Path, path: &str) -> Result<()> {
    upstream.put("v2/", "{}");
    for entry in fs::read_dir(folder.join("manifests"))? {
        let entry = entry?;
        let bytes = fs::read(entry.path())?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let kind = if manifest["mediaType"] == INDEX { INDEX } else { MANIFEST };
        let name = entry.file_name();
        upstream.put_manifest(&format!("{path}/manifests/{}", name.display()), kind, bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path, kind: &str) -> usize {
        fs::read_dir(folder.join(kind)).expect("it is there").count()
    }

    #[test]
    fn an_index_has_an_image_for_each_platform_and_each_image_its_own_layers() {
        let folder = tempfile::tempdir().expect("a folder");
        let layers = |count| Layers { count, size: 100 };
        make(folder.path(), "x", 3, 4, layers(1), layers(2)).expect("made");
        // Shared layers, own layers, configs.
        assert_eq!(count(folder.path(), "blobs"), 4 + 3 * 4 * 2 + 3 * 4);
        // Images, indexes, tags.
        assert_eq!(count(folder.path(), "manifests"), 3 * 4 + 3 + 3);
        let upstream = Upstream::start().expect("it starts");
        offer(&upstream, folder.path(), "v2/lab/x").expect("offered");
        let text = fs::read_to_string(folder.path().join("manifests/v000")).expect("it is there");
        let tag: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&tag["mediaType"], tag["manifests"].as_array().map(Vec::len)),
            (&json!(INDEX), Some(4))
        );
    }
}
