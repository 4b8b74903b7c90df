//! Pushing (distribution-spec, "Push"): every workflow, and every way to do it wrong.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    EMPTY, IMAGE, INDEX, Lab, NAME, OCTETS, Registry, Reply, client, descriptor, digest_of,
    error_code, location, with_digest,
};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

pub(super) fn blobs(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let large = vec![7; 300_000];
    for algorithm in ALGORITHMS {
        for bytes in [&b""[..], b"{}", &large] {
            registry.push_blob(bytes, algorithm)?;
        }
        // The whole in one request.
        let digest = digest_of(algorithm, b"one request");
        let path = with_digest(&registry.path("blobs/uploads/"), &digest);
        let reply = registry.send("POST", &path, &[OCTETS], b"one request")?.expect(201)?;
        registry.has(&location(&reply)?, b"one request")?;
        // One stream without a range, and the end without a body.
        let upload = registry.begin()?;
        let reply = registry.send("PATCH", &upload, &[OCTETS], b"streamed")?.expect(202)?;
        let digest = digest_of(algorithm, b"streamed");
        let end = with_digest(&location(&reply)?, &digest);
        let reply = registry.send("PUT", &end, &[], b"")?.expect(201)?;
        registry.has(&location(&reply)?, b"streamed")?;
        // Chunks, all of them before the end, or the last one with it.
        for (chunks, last) in
            [(&["abc"][..], ""), (&["abc", "def", "ghi"], ""), (&["abc", "def"], "ghi")]
        {
            let (mut upload, mut sent) = (registry.begin()?, String::new());
            for chunk in chunks {
                let range = format!("{}-{}", sent.len(), sent.len() + chunk.len() - 1);
                let headers = [OCTETS, ("Content-Range", &range)];
                let reply =
                    registry.send("PATCH", &upload, &headers, chunk.as_bytes())?.expect(202)?;
                upload = location(&reply)?;
                sent.push_str(chunk);
                let held = format!("0-{}", sent.len() - 1);
                ensure!(reply.header("range") == Some(&held), "Range {:?}", reply.header("range"));
            }
            let range = format!("{}-{}", sent.len(), (sent.len() + last.len()).max(1) - 1);
            let headers = [OCTETS, ("Content-Range", &range)];
            let headers = if last.is_empty() { &headers[..1] } else { &headers[..] };
            sent.push_str(last);
            let end = with_digest(&upload, &digest_of(algorithm, sent.as_bytes()));
            let reply = registry.send("PUT", &end, headers, last.as_bytes())?.expect(201)?;
            registry.has(&location(&reply)?, sent.as_bytes())?;
        }
    }
    // An upload that is given up.
    let upload = registry.begin()?;
    registry.send("DELETE", &upload, &[], b"")?.expect(204)?;
    registry.send("GET", &upload, &[], b"")?.expect(404)?;
    registry.serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

pub(super) fn chunks(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let upload = registry.begin()?;
    let chunk = |range, bytes: &[u8]| {
        registry.send("PATCH", &upload, &[OCTETS, ("Content-Range", range)], bytes)
    };
    ensure!(chunk("5-7", b"fgh")?.status == 416, "A chunk before the first was taken");
    let reply = chunk("0-4", b"abcde")?.expect(202)?;
    ensure!(reply.header("range") == Some("0-4"), "Range {:?}", reply.header("range"));
    ensure!(chunk("0-4", b"abcde")?.status == 416, "A chunk was taken twice");
    ensure!(chunk("9-9", b"z")?.status == 416, "A chunk with a gap was taken");
    for range in ["5-6", "5-99"] {
        let reply = chunk(range, b"fgh")?.expect(400)?;
        ensure!(error_code(&reply)? == "SIZE_INVALID", "A chunk of three bytes for {range}");
    }
    let late = with_digest(&upload, &digest_of("sha256", b"abcdefgh"));
    let headers = [OCTETS, ("Content-Range", "7-8")];
    ensure!(registry.send("PUT", &late, &headers, b"gh")?.status == 416, "An end with a gap");
    let status = registry.send("GET", &upload, &[], b"")?.expect(204)?;
    ensure!(status.header("range") == Some("0-4"), "Range {:?}", status.header("range"));
    location(&status)?;
    chunk("5-7", b"fgh")?.expect(202)?;
    let reply = registry.send("PUT", &late, &[], b"")?.expect(201)?;
    registry.has(&location(&reply)?, b"abcdefgh")?;
    registry.serving.stop()
}

pub(super) fn mounts(lab: &Lab) -> Result<()> {
    Registry::create(lab, "conform/other", true)?;
    let registry = Registry::start(lab)?;
    let digest = registry.push_blob(b"shared", "sha256")?;
    let other = "/v2/conform/other/blobs";
    let missing = digest_of("sha256", b"missing");
    let mount = |query: &str| registry.send("POST", &format!("{other}/uploads/?{query}"), &[], b"");
    let reply = mount(&format!("mount={digest}"))?;
    ensure!([201, 202].contains(&reply.status), "Status {} without `from`", reply.status);
    mount(&format!("mount={missing}&from={NAME}"))?.expect(202)?;
    mount(&format!("mount={digest}&from=no/such"))?.expect(202)?;
    let reply = mount(&format!("mount={digest}&from={NAME}&origin=x"))?.expect(201)?;
    registry.has(&location(&reply)?, b"shared")?;
    registry.serving.stop()
}

pub(super) fn corrupt(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    for algorithm in ALGORITHMS {
        let digest = digest_of(algorithm, b"right");
        let refused = |reply: &Reply, what: &str| {
            ensure!(reply.status == 400, "Status {} for {what}", reply.status);
            ensure!(error_code(reply)? == "DIGEST_INVALID", "{what}: {}", error_code(reply)?);
            Ok(())
        };
        let path = with_digest(&registry.path("blobs/uploads/"), &digest);
        refused(&registry.send("POST", &path, &[OCTETS], b"wrong")?, "one request")?;
        let end = with_digest(&registry.begin()?, &digest);
        refused(&registry.send("PUT", &end, &[OCTETS], b"wrong")?, "POST and PUT")?;
        let upload = registry.begin()?;
        registry.send("PATCH", &upload, &[OCTETS], b"wrong")?.expect(202)?;
        refused(&registry.send("PUT", &with_digest(&upload, &digest), &[], b"")?, "PATCH")?;
        registry.get(&format!("blobs/{digest}"))?.expect(404)?;
        let manifest = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
        refused(&registry.put_manifest(&digest, INDEX, &manifest)?, "a manifest")?;
        registry.get(&format!("manifests/{digest}"))?.expect(404)?;
    }
    let bad = registry.put_manifest("sha256:baddigeststring", INDEX, "{}")?;
    ensure!(bad.status == 400, "Status {} for a bad digest", bad.status);
    for body in ["", "nonsense", "[]", r#"{"mediaType": 7}"#] {
        let reply = registry.put_manifest("v1", IMAGE, body)?;
        ensure!(reply.status == 400, "Status {} for manifest `{body}`", reply.status);
    }
    registry.serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

const IMAGE_CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux"}"#;

/// The blobs that the sets refer to.
pub(super) const BLOBS: [&[u8]; 3] = [IMAGE_CONFIG, b"layer", b"{}"];

/// A manifest: its tag, its type, its bytes.
pub(super) type Set = (String, &'static str, String);

/// One manifest of every kind, children before their indexes; digests by one algorithm.
fn sets(algorithm: &str) -> Vec<Set> {
    let image = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(CONFIG, IMAGE_CONFIG, algorithm),
        "layers": [descriptor(LAYER, b"layer", algorithm)],
    });
    let with = |changes: &[(&str, Value)]| {
        let mut changed = image.clone();
        for (field, value) in changes {
            changed[*field] = value.clone();
        }
        changed.to_string()
    };
    let index = |children: &[&str]| {
        let children: Vec<_> = children
            .iter()
            .map(|child| {
                let kind = if child.contains("\"manifests\"") { INDEX } else { IMAGE };
                descriptor(kind, child.as_bytes(), algorithm)
            })
            .collect();
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string()
    };
    let plain = image.to_string();
    let inner = index(&[&plain]);
    let nested = index(&[&inner, &plain]);
    let subject = descriptor(IMAGE, b"there is no such subject", algorithm);
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let mut layer_with_data = descriptor(LAYER, b"{}", algorithm);
    layer_with_data["data"] = "e30=".into();
    let padding = "x".repeat(3_900_000);
    let (no_layers, artifact_type) = (("layers", json!([])), ("artifactType", json!("a/b")));
    let empty_config = ("config", descriptor(EMPTY, b"{}", algorithm));
    let to_image = descriptor(IMAGE, plain.as_bytes(), algorithm);
    let typed = |index: &str, field: &str, value: Value| -> String {
        let mut document: Value = serde_json::from_str(index).expect("written above");
        document[field] = value;
        document.to_string()
    };
    let artifact_index = typed(&inner, "artifactType", json!("a/index"));
    // No two sets are one manifest.
    let empty_index = typed(&index(&[]), "annotations", json!({"set": algorithm}));
    let index_of_image = typed(&inner, "subject", to_image.clone());
    let sets = [
        ("large", IMAGE, with(&[("annotations", json!({"padding": padding}))])),
        ("custom", IMAGE, with(&[("x-custom", json!({"a": [1, 2]}))])),
        ("no-layers", IMAGE, with(&[("layers", json!([]))])),
        ("data", IMAGE, with(&[("layers", json!([layer_with_data]))])),
        ("foreign", IMAGE, with(&[("layers", json!([descriptor(foreign, b"f", algorithm)]))])),
        ("subject", IMAGE, with(&[("subject", subject)])),
        ("artifact", IMAGE, with(&[empty_config.clone(), artifact_type.clone()])),
        ("bare-artifact", IMAGE, with(&[empty_config, artifact_type, no_layers])),
        ("image", IMAGE, plain),
        ("with-subject", IMAGE, with(&[("subject", to_image)])),
        ("index", INDEX, inner),
        ("artifact-index", INDEX, artifact_index),
        ("index-with-subject", INDEX, index_of_image),
        ("nested", INDEX, nested),
        ("empty-index", INDEX, empty_index),
    ];
    sets.into_iter().map(|(tag, kind, body)| (format!("{tag}-{algorithm}"), kind, body)).collect()
}

/// Pushes every set by digest, then by tag, and looks at what comes out.
pub(super) fn push_sets(registry: &Registry) -> Result<Vec<Set>> {
    let mut pushed = Vec::new();
    for algorithm in ALGORITHMS {
        for bytes in BLOBS {
            registry.push_blob(bytes, algorithm)?;
        }
        for (tag, kind, body) in sets(algorithm) {
            for reference in [&digest_of(algorithm, body.as_bytes()), &tag] {
                let reply = registry.push_manifest(reference, kind, &body);
                let reply = reply.with_context(|| format!("Pushing `{tag}` as {reference}"))?;
                ensure!(location(&reply)?.contains("/manifests/"), "Location of `{tag}`");
                let path = registry.path(&format!("manifests/{reference}"));
                registry.has(&path, body.as_bytes())?;
                let got = client::get(registry.address(), &path)?;
                ensure!(got.header("content-type") == Some(kind), "Type of `{tag}`");
            }
            pushed.push((tag, kind, body));
        }
    }
    Ok(pushed)
}

pub(super) fn manifests(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let pushed = push_sets(&registry)?;
    let listed = registry.get("tags/list")?.expect(200)?;
    let listed: Value = serde_json::from_slice(&listed.body)?;
    let mut tags: Vec<_> = pushed.iter().map(|(tag, ..)| tag.as_str()).collect();
    tags.sort_unstable();
    ensure!(listed["tags"] == json!(tags), "Expected {tags:?}, got {listed}");
    let sparse = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(IMAGE, b"not pushed", "sha256")],
    });
    let reply = registry.put_manifest("sparse", INDEX, &sparse.to_string())?;
    ensure!(error_code(&reply)? == "MANIFEST_BLOB_UNKNOWN", "An index without its children");
    for (tag, _, body) in pushed.iter().rev() {
        delete(&registry, tag, body)?;
    }
    registry.serving.stop()
}

/// Deletes a manifest by the digest that its tag has, and by the one it was pushed by.
fn delete(registry: &Registry, tag: &str, body: &str) -> Result<()> {
    let algorithm = if tag.ends_with("sha512") { "sha512" } else { "sha256" };
    let by_tag = registry.get(&format!("manifests/{tag}"))?.expect(200)?;
    let tagged = by_tag.header("docker-content-digest").context("No digest is stated")?.to_owned();
    let mut digests = vec![tagged, digest_of(algorithm, body.as_bytes())];
    digests.dedup();
    for digest in &digests {
        let path = registry.path(&format!("manifests/{digest}"));
        registry.send("DELETE", &path, &[], b"")?.expect(202)?;
    }
    for reference in digests.iter().map(String::as_str).chain([tag]) {
        let path = registry.path(&format!("manifests/{reference}"));
        let head = client::request(registry.address(), "HEAD", &path, &[])?;
        ensure!(head.status == 404, "Status {} for the deleted `{reference}`", head.status);
    }
    Ok(())
}

/// Two servers of one installation, and several clients of each.
pub(super) fn at_once(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let other = lab.pulp.serve()?;
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let tags: Vec<String> = (10..22).map(|number| format!("v{number}")).collect();
    let servers = [registry.address(), other.address];
    std::thread::scope(|scope| {
        let pushes: Vec<_> = tags
            .iter()
            .zip(servers.into_iter().cycle())
            .map(|(tag, server)| {
                let (path, body) = (registry.path(&format!("manifests/{tag}")), body.as_bytes());
                scope.spawn(move || {
                    client::exchange(server, "PUT", &path, &[("Content-Type", INDEX)], body)?
                        .expect(201)
                })
            })
            .collect();
        pushes.into_iter().try_for_each(|push| push.join().expect("no panic").map(drop))
    })?;
    for server in servers {
        let listed = client::get(server, &registry.path("tags/list"))?.expect(200)?;
        let listed: Value = serde_json::from_slice(&listed.body)?;
        ensure!(listed["tags"] == json!(tags), "Expected {tags:?}, got {listed}");
    }
    other.stop()?;
    registry.serving.stop()
}
