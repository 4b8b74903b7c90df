//! Every media type of the registry world, its oddities, and what must be refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const V2: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

fn parse(document: &serde_json::Value, header: Option<&str>) -> Result<Manifest, ManifestError> {
    parse_text(&document.to_string(), header)
}

fn parse_text(text: &str, header: Option<&str>) -> Result<Manifest, ManifestError> {
    Manifest::parse(Bytes::from(text.to_owned()), header, None, DEFAULT_MAX_SIZE)
}

fn descriptor(media_type: &str, seed: &str) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(seed.as_bytes()), "size": seed.len()})
}

fn image(media_type: Option<&str>, config: &str, layers: &[&str]) -> serde_json::Value {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer, layer)).collect();
    let mut document =
        json!({"schemaVersion": 2, "config": descriptor(config, "config"), "layers": layers});
    if let Some(media_type) = media_type {
        document["mediaType"] = media_type.into();
    }
    document
}

fn kind(document: &serde_json::Value) -> Kind {
    Kind::of(&parse(document, None).expect("parses"), &BTreeMap::new())
}

#[test]
fn an_image_keeps_its_bytes_and_yields_its_blobs_once() {
    let mut document = image(Some(OCI), OCI_CONFIG, &["a", "bc", "a"]);
    document["annotations"] = json!({"x": "y"});
    let text = serde_json::to_string_pretty(&document).expect("serialises");
    let manifest = parse_text(&text, Some("text/plain")).expect("parses");
    assert_eq!(manifest.raw, text.as_bytes());
    assert_eq!(manifest.digest, Digest::sha256(text.as_bytes()));
    assert_eq!(manifest.media_type, MediaType::OciManifest);
    assert_eq!(manifest.blobs(false).count(), 3);
    assert_eq!(manifest.layers.len(), 3);
    assert_eq!(manifest.compressed_image_size(), 4);
    assert_eq!(manifest.annotations["x"], "y");
}

#[test]
fn the_body_names_the_type_then_the_header_then_the_shape() {
    let types = [
        (image(Some(OCI), OCI_CONFIG, &[]), Some(V2), OCI),
        (image(None, OCI_CONFIG, &[]), Some("application/vnd.x; q=1"), "application/vnd.x"),
        (image(None, OCI_CONFIG, &[]), Some("application/json"), OCI),
        (image(None, DOCKER_CONFIG, &[]), None, V2),
        (json!({"schemaVersion": 2, "manifests": []}), None, INDEX),
        (json!({"schemaVersion": 2, "manifests": [descriptor(V2, "child")]}), None, LIST),
        (
            json!({"schemaVersion": 1, "fsLayers": []}),
            None,
            "application/vnd.docker.distribution.manifest.v1+json",
        ),
    ];
    for (document, header, expected) in types {
        let manifest = parse(&document, header).expect("parses");
        assert_eq!(manifest.media_type.as_str(), expected, "{document}");
    }
    assert!(matches!(parse(&json!({}), None), Err(ManifestError::Untyped)));
}

#[test]
fn missing_and_null_lists_are_empty() {
    for layers in [json!([]), json!(null)] {
        let mut document = image(Some(OCI), OCI_CONFIG, &[]);
        document["layers"] = layers;
        document["annotations"] = json!(null);
        assert!(parse(&document, None).expect("parses").layers.is_empty());
        document.as_object_mut().expect("an object").remove("layers");
        assert!(parse(&document, None).expect("parses").layers.is_empty());
    }
    let index = parse(&json!({"mediaType": INDEX, "manifests": null}), None).expect("parses");
    assert!(index.is_index() && index.children.is_empty());
}

#[test]
fn a_negative_size_is_refused_and_a_missing_one_unknown() {
    let mut document = image(Some(OCI), OCI_CONFIG, &["a"]);
    document["layers"][0]["size"] = json!(null);
    assert_eq!(parse(&document, None).expect("parses").layers[0].size, None);
    document["layers"][0]["size"] = json!(-1);
    let error = crate::survey::chain(&parse(&document, None).expect_err("refused"));
    assert!(
        error.contains(OCI) && error.contains("Invalid size -1: expected 0 or more"),
        "{error}"
    );
}

#[test]
fn an_index_yields_children_with_platforms_nested_indexes_included() {
    let mut child = descriptor(OCI, "child");
    child["platform"] = json!({"architecture": "arm", "os": "linux", "variant": "v7"});
    let nested = descriptor(INDEX, "nested");
    let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child, nested]});
    let manifest = parse(&document, None).expect("parses");
    let platform = manifest.children[0].platform.as_ref().expect("has a platform");
    assert_eq!(platform.to_string(), "linux/arm/v7");
    assert_eq!(MediaType::parse(&manifest.children[1].media_type), MediaType::OciIndex);
    assert_eq!(kind(&document), Kind::Index);
}

#[test]
fn both_digest_algorithms_are_compared_with_the_bytes() {
    let raw = Bytes::from(image(Some(OCI), OCI_CONFIG, &[]).to_string());
    for digest in [Digest::sha256(&raw), Digest::sha512(&raw)] {
        let manifest = Manifest::parse(raw.clone(), None, Some(&digest), 4096).expect("parses");
        assert_eq!(manifest.digest, digest);
    }
    let wrong = Digest::sha512(b"other");
    let result = Manifest::parse(raw.clone(), None, Some(&wrong), 4096);
    assert!(matches!(result, Err(ManifestError::Digest { expected, .. }) if *expected == wrong));
    let result = Manifest::parse(raw, None, None, 16);
    assert!(matches!(result, Err(ManifestError::TooLarge { limit: 16, .. })));
}

/// A schema 1 document, unsigned and signed as libtrust does it.
fn schema1() -> (String, String) {
    let payload = format!(
        "{{\n   \"schemaVersion\": 1,\n   \"name\": \"a/b\",\n   \"tag\": \"t\",\n   \
         \"architecture\": \"amd64\",\n   \"fsLayers\": [\n      {{\"blobSum\": \"{0}\"}},\n      \
         {{\"blobSum\": \"{1}\"}},\n      {{\"blobSum\": \"{0}\"}}\n   ]\n}}",
        Digest::sha256(b"empty"),
        Digest::sha256(b"layer"),
    );
    let length = payload.len() - 2;
    let protected = json!({
        "formatLength": length,
        "formatTail": URL_SAFE_NO_PAD.encode(&payload[length..]),
        "time": "2020-01-01T00:00:00Z",
    });
    let signature = json!([{
        "header": {"alg": "ES256"},
        "signature": "c2ln",
        "protected": URL_SAFE_NO_PAD.encode(protected.to_string()),
    }]);
    let signed = format!("{},\n   \"signatures\": {signature}\n}}", &payload[..length]);
    (payload, signed)
}

#[test]
fn a_signed_schema_1_manifest_is_named_by_its_payload() {
    let (payload, signed) = schema1();
    for text in [&payload, &signed] {
        let manifest = parse_text(text, None).expect("parses");
        assert_eq!(manifest.digest, Digest::sha256(payload.as_bytes()));
        assert_eq!(manifest.raw, text.as_bytes());
        assert_eq!(manifest.layers.len(), 2, "the repeated layer counts once");
        assert_eq!(manifest.architecture.as_deref(), Some("amd64"));
        assert!(manifest.media_type.is_schema1());
        assert_eq!(Kind::of(&manifest, &BTreeMap::new()), Kind::Image);
    }
    let whole = Digest::sha256(signed.as_bytes());
    let manifest = Manifest::parse(signed.into(), None, Some(&whole), 4096).expect("parses");
    assert_eq!(manifest.digest, whole, "a registry that doesn't know schema 1 names all bytes");
}

#[test]
fn broken_signatures_of_schema_1_are_errors() {
    let far = URL_SAFE_NO_PAD.encode(r#"{"formatLength": 99999999, "formatTail": ""}"#);
    for signatures in [
        json!([]),
        json!({}),
        json!([{"protected": "%"}]),
        json!([{"protected": "e30"}]),
        json!([{"protected": far}]),
    ] {
        let document = json!({"schemaVersion": 1, "fsLayers": [], "signatures": signatures});
        let result = parse(&document, None);
        assert!(matches!(result, Err(ManifestError::Signature(_))), "{document}: {result:?}");
    }
}

#[test]
fn ambiguous_documents_are_refused() {
    let mut both = image(Some(OCI), OCI_CONFIG, &["a"]);
    both["manifests"] = json!([descriptor(OCI, "child")]);
    assert!(matches!(parse(&both, None), Err(ManifestError::Ambiguous { .. })));
    both["mediaType"] = INDEX.into();
    assert!(matches!(parse(&both, None), Err(ManifestError::Ambiguous { .. })));
}

#[test]
fn a_pushed_manifest_agrees_with_its_header() {
    let raw = Bytes::from(image(Some(OCI), OCI_CONFIG, &[]).to_string());
    assert!(Manifest::parse_pushed(raw.clone(), Some(OCI), None, 4096).is_ok());
    let result = Manifest::parse_pushed(raw, Some(V2), None, 4096);
    assert!(matches!(result, Err(ManifestError::MediaType { .. })));
}

#[test]
fn a_pushed_manifest_has_what_its_type_requires() {
    for (document, media_type, missing) in [
        (json!({}), OCI, "`schemaVersion`"),
        (json!({"schemaVersion": 2, "layers": []}), OCI, "`config`"),
        (
            json!({"schemaVersion": 1, "config": descriptor(DOCKER_CONFIG, "c")}),
            V2,
            "`schemaVersion`",
        ),
        (json!({"manifests": []}), INDEX, "`schemaVersion`"),
    ] {
        let raw = Bytes::from(document.to_string());
        let error = Manifest::parse_pushed(raw.clone(), Some(media_type), None, 4096);
        let error = error.expect_err("incomplete").to_string();
        assert!(error.contains(missing), "{error}");
        assert!(Manifest::parse(raw, Some(media_type), None, 4096).is_ok(), "mirrored as it is");
    }
    for (document, media_type) in [
        (json!({"schemaVersion": 2, "manifests": []}), LIST),
        (json!({}), "application/vnd.example+json"),
    ] {
        let raw = Bytes::from(document.to_string());
        assert!(Manifest::parse_pushed(raw, Some(media_type), None, 4096).is_ok());
    }
}

#[test]
fn unknown_types_are_kept_with_the_references_they_have() {
    let document = image(Some("application/vnd.example+json"), "application/x", &["a"]);
    assert_eq!(parse(&document, None).expect("parses").blobs(false).count(), 2);
    let manifest = parse_text("\u{1}not json", Some("application/vnd.example")).expect("is kept");
    assert_eq!(manifest.blobs(true).count(), 0);
    let odd = json!({"mediaType": "application/vnd.example", "config": "text", "layers": 7});
    assert_eq!(parse(&odd, None).expect("is kept").blobs(true).count(), 0);
    assert!(matches!(parse_text("not json", Some(OCI)), Err(ManifestError::Json { .. })));
    assert!(matches!(parse_text("not json", None), Err(ManifestError::Json { .. })));
    assert!(matches!(parse_text(" [2]", Some(OCI)), Err(ManifestError::Json { .. })));
}

#[test]
fn foreign_layers_count_only_when_asked_for() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let manifest = parse(&image(Some(V2), DOCKER_CONFIG, &[foreign, "a"]), None).expect("parses");
    assert_eq!(manifest.blobs(false).count(), 2);
    assert_eq!(manifest.blobs(true).count(), 3);
    assert_eq!(manifest.compressed_image_size(), 1);
}

#[test]
fn manifests_are_classified() {
    let artifact = |artifact_type: &str| {
        let mut document = image(Some(OCI), media_type::EMPTY, &["text/plain"]);
        document["artifactType"] = artifact_type.into();
        document["subject"] = descriptor(OCI, "subject");
        document
    };
    let layer = |layer: &str| image(Some(OCI), OCI_CONFIG, &[layer]);
    let cases = [
        (layer("application/vnd.oci.image.layer.v1.tar+zstd"), Kind::Image),
        (image(Some(V2), "application/octet-stream", &["a"]), Kind::Image),
        (image(Some(OCI), media_type::HELM_CONFIG, &["a"]), Kind::Helm),
        (layer(media_type::COSIGN_SIGNATURE), Kind::CosignSignature),
        (layer(media_type::COSIGN_ATTESTATION), Kind::CosignAttestation),
        (layer("application/vnd.dev.sigstore.bundle.v0.3+json"), Kind::CosignAttestationBundle),
        (layer("text/spdx+json"), Kind::CosignSbom),
        (image(Some(OCI), "application/wasm", &["a"]), Kind::Artifact),
        (artifact("application/x"), Kind::Artifact),
    ];
    for (document, expected) in cases {
        assert_eq!(kind(&document), expected, "{document}");
    }
    let image = parse(&layer("a"), None).expect("parses");
    for (label, value, expected) in [
        ("containers.bootc", "1", Kind::Bootable),
        ("containers.bootc", "0", Kind::Image),
        ("org.flatpak.ref", "app/x", Kind::Flatpak),
    ] {
        let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
        assert_eq!(Kind::of(&image, &labels), expected);
    }
    let referrer = parse(&artifact("application/x"), None).expect("parses");
    assert_eq!(referrer.referrer_type(), Some("application/x"));
    assert_eq!(image.referrer_type(), Some(OCI_CONFIG));
}

#[test]
fn a_configuration_yields_platform_and_labels_or_nothing() {
    let facts = ConfigFacts::read(
        br#"{"architecture":"arm64","os":"linux","config":{"Labels":{"a":"b","c":null}}}"#,
    );
    assert_eq!(facts.architecture.as_deref(), Some("arm64"));
    assert_eq!(facts.labels["a"], "b");
    for other in [&b"{}"[..], b"null", b"\xff", br#"{"config":null}"#, br#"{"os":""}"#] {
        assert_eq!(ConfigFacts::read(other), ConfigFacts::default());
    }
}

#[test]
fn a_platform_covers_what_it_leaves_open() {
    let platform = |text: &str| text.parse::<Platform>().expect(text);
    assert!(platform("linux/arm64").covers(&platform("linux/arm64/v8")));
    assert!(platform("linux/arm64/v8").covers(&platform("linux/arm64")));
    assert!(platform("linux/arm").covers(&platform("linux/arm/v6")));
    assert!(!platform("linux/arm/v7").covers(&platform("linux/arm/v6")));
    assert!(!platform("linux/amd64").covers(&platform("windows/amd64")));
    for text in ["", "linux", "linux/", "a/b/c/d", "a /b"] {
        assert!(text.parse::<Platform>().is_err(), "{text:?} was taken");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(0u8.., 0..200)) {
        let _ = Manifest::parse(bytes.clone().into(), None, None, 4096);
        let _ = Manifest::parse(bytes.into(), Some("x/y"), None, 4096);
    }

    #[test]
    fn no_signature_block_makes_the_parser_panic(length in 0usize.., tail in "[A-Za-z0-9_-]{0,9}") {
        let header = json!({"formatLength": length, "formatTail": tail}).to_string();
        let signatures = json!([{"protected": URL_SAFE_NO_PAD.encode(header)}]);
        let document = json!({"schemaVersion": 1, "fsLayers": [], "signatures": signatures});
        let _ = parse(&document, None);
    }
}
