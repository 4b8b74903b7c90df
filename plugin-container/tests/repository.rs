//! The conformance kit on a registry: every sample is the one layer of an image.

use bytes::Bytes;
use plugin_container::Container;
use pulp_models::Sha256;
use pulp_stages::testing::{Blueprint, Lab, Sample};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux"}"#;

struct Registry;

impl Blueprint for Registry {
    type Plugin = Container;
    const PLUGIN: Container = Container;
    /// Each tag costs two requests.
    const UNITS: usize = 3000;

    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
        let config = Sha256::of(CONFIG.as_bytes());
        let names: Vec<&str> = samples.iter().map(|sample| &*sample.name).collect();
        let tags = json!({ "name": "app", "tags": names }).to_string();
        let mut files = vec![
            ("v2/app/tags/list".to_owned(), tags.into()),
            (format!("v2/app/blobs/sha256:{config}"), CONFIG.into()),
        ];
        for sample in samples {
            let manifest = Bytes::from(manifest(sample, config));
            let digest = Sha256::of(&manifest);
            files.push((format!("v2/app/manifests/{}", sample.name), manifest.clone()));
            files.push((format!("v2/app/manifests/sha256:{digest}"), manifest));
        }
        files
    }

    fn options() -> Value {
        json!({ "upstream_name": "app" })
    }

    fn path(sample: &Sample) -> String {
        format!("sha256:{}", sample.sha256())
    }

    fn source(sample: &Sample) -> String {
        format!("v2/app/blobs/{}", Self::path(sample))
    }

    fn served(sample: &Sample) -> String {
        format!("/v2/{}/blobs/{}", Lab::<Container>::BASE_PATH, Self::path(sample))
    }
}

fn manifest(sample: &Sample, config: Sha256) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{config}"),
            "size": CONFIG.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Registry::path(sample),
            "size": sample.size(),
        }],
    })
    .to_string()
}

pulp_stages::conformance!(Registry);
