//! A registry's repository as a static web server has it.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Plugin, Scale, State, Stock, body};
use crate::pulp::sha256;

pub(super) const UPSTREAM_NAME: &str = "lab/app";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A tag for every two layers; tags name their generation.
pub(super) fn stock(scale: Scale, generation: u64) -> Stock {
    let mut stock = Stock::empty(Plugin::Container);
    stock.metadata("v2/", "{}");
    let mut tags = Vec::new();
    for number in 0..scale.units / 2 {
        let layers = [number * 2, number * 2 + 1]
            .map(|layer| blob(&mut stock, LAYER, body(scale, layer, generation)));
        let tag = format!("v{number}-{generation}");
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "tag": tag } },
            "rootfs": { "type": "layers", "diff_ids": layers.each_ref().map(|l| &l["digest"]) },
        });
        let config = blob(&mut stock, CONFIG, config.to_string().into_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let manifest = manifest.to_string();
        for reference in [tag.clone(), format!("sha256:{}", sha256(manifest.as_bytes()))] {
            stock.metadata(format!("v2/{UPSTREAM_NAME}/manifests/{reference}"), manifest.clone());
        }
        tags.push(tag);
    }
    stock.state = tags.iter().cloned().collect();
    let list = json!({ "name": UPSTREAM_NAME, "tags": tags });
    stock.metadata(format!("v2/{UPSTREAM_NAME}/tags/list"), list.to_string());
    stock
}

fn blob(stock: &mut Stock, kind: &str, bytes: Vec<u8>) -> Value {
    let (digest, size) = (format!("sha256:{}", sha256(&bytes)), bytes.len());
    stock.artifact(&format!("v2/{UPSTREAM_NAME}/blobs/{digest}"), bytes);
    json!({ "mediaType": kind, "digest": digest, "size": size })
}

/// The tags in a list.
pub(super) fn state(list: &str) -> Result<State> {
    let list: Value = serde_json::from_str(list)?;
    let tags = list["tags"].as_array().context("A list without tags")?;
    Ok(tags.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
