//! Lists of tags and manifests.

use serde_json::{Value, json};

use super::{
    Document, Files,
    Outcome::{Mirrored, Told},
    document,
};
use crate::pulp::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(super) const DOCUMENTS: &[Document] = &[
    // The tag and its manifest, the configuration and the layer.
    document("an honest image", Mirrored(4, ""), || tagged(&["v1"], &image(DIGEST, 3))),
    document("tags that are none", Mirrored(4, "../../etc/passwd"), || {
        let long = "x".repeat(10_000);
        let tags = ["v1", "../../etc/passwd", "a\u{0}b", "\u{1b}[2J", "a b", "", &long];
        tagged(&tags, &image(DIGEST, 3))
    }),
    document("a manifest of 50 MB", Told(&["manifests/v1", "4194304"]), || {
        let mut manifest = image(DIGEST, 3);
        manifest["annotations"] = json!({ "filler": "x".repeat(50 << 20) });
        tagged(&["v1"], &manifest)
    }),
    document("a manifest in a manifest in a manifest", Told(&["manifests/v1"]), || {
        let text = format!("{}{}", "{\"a\":".repeat(500_000), "1}".repeat(500_000));
        tagged_text(&["v1"], &text)
    }),
    document("a digest that climbs out", Told(&["manifests/v1"]), || {
        tagged(&["v1"], &image("sha256:../../../../etc/passwd", 3))
    }),
    document("a digest that nobody trusts", Told(&["manifests/v1"]), || {
        tagged(&["v1"], &image("md5:900150983cd24fb0d6963f7d28e17f72", 3))
    }),
    document("a negative size", Told(&["v1", "size"]), || tagged(&["v1"], &image(DIGEST, -3))),
    document("a list of tags of 100 MB", Told(&["tags/list"]), || {
        let tags: Vec<_> = (0..1_000_000).map(|number| format!("{number:0>100}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        tagged(&tags, &image(DIGEST, 3))
    }),
    document("an index in an index, two hundred times", Told(&["`v1`", "nested"]), || {
        let mut files = Files::new();
        let mut inner = image(DIGEST, 3).to_string();
        let mut kind = MANIFEST;
        for _ in 0..200 {
            let digest = format!("sha256:{}", sha256(inner.as_bytes()));
            let child = json!({ "mediaType": kind, "digest": digest, "size": inner.len() });
            files.insert(format!("v2/lab/app/manifests/{digest}"), inner.into_bytes());
            kind = INDEX;
            inner =
                json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] }).to_string();
        }
        files.extend(tagged_text(&["v1"], &inner));
        files
    }),
];

/// An image whose layer has this digest and size.
fn image(digest: &str, size: i64) -> Value {
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size,
    });
    let config = json!({
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": format!("sha256:{}", sha256(b"{}")),
        "size": 2,
    });
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] })
}

/// A registry whose tags all are this manifest.
fn tagged(tags: &[&str], manifest: &Value) -> Files {
    tagged_text(tags, &manifest.to_string())
}

fn tagged_text(tags: &[&str], manifest: &str) -> Files {
    let list = json!({ "name": "lab/app", "tags": tags });
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    let blob = format!("v2/lab/app/blobs/sha256:{}", sha256(b"{}"));
    Files::from([
        ("v2/".to_owned(), b"{}".to_vec()),
        ("v2/lab/app/tags/list".to_owned(), list.to_string().into_bytes()),
        ("v2/lab/app/manifests/v1".to_owned(), manifest.as_bytes().to_vec()),
        (format!("v2/lab/app/manifests/{digest}"), manifest.as_bytes().to_vec()),
        (blob, b"{}".to_vec()),
    ])
}
