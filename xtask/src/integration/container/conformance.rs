//! What the OCI distribution specification asks of a registry, request by request: the workflows of
//! push, pull, content discovery and content management, and what a read-only mirror must refuse.
//!
//! The expectations are the specification's (v1.1), not what our server happens to do. Where it
//! allows several answers, all of them pass.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::{Case, Lab, case};
use crate::{
    client::{self, Reply},
    pulp::{Serving, digest_of},
};

const NAME: &str = "conform/push";
const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

/// Every case of the specification.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("conformance: an empty repository", empty),
        case("conformance: blobs are pushed by every workflow", blobs),
        case("conformance: chunks out of order are refused and can go on", chunks),
        case("conformance: blobs are mounted or not", mounts),
        case("conformance: wrong digests are refused everywhere", corrupt),
        case("conformance: blobs are served in ranges", ranges),
        case("conformance: manifests of every kind go in and come out", manifests),
        case("conformance: tags are listed in pages", tags),
        case("conformance: referrers are found and filtered", referrers),
        case("conformance: content is deleted", deletion),
        case("conformance: a mirror takes nothing", mirror),
    ]
}

/// A repository to push to, being served.
struct Registry {
    serving: Serving,
    name: &'static str,
}

impl Registry {
    fn start(lab: &Lab) -> Result<Self> {
        Self::create(lab, NAME, true)?;
        Ok(Self { serving: lab.pulp.serve()?, name: NAME })
    }

    fn create(lab: &Lab, name: &str, push: bool) -> Result<()> {
        let mut create = vec!["container", "repository", "create", "--name", name];
        create.extend(push.then_some("--push"));
        lab.pulp.run(&create)?;
        let distribution = ["container", "distribution", "create", "--name", name];
        let target = ["--base-path", name, "--repository", name];
        lab.pulp.run(&[&distribution[..], &target[..]].concat())?;
        Ok(())
    }

    fn address(&self) -> SocketAddr {
        self.serving.address
    }

    fn path(&self, below: &str) -> String {
        format!("/v2/{}/{below}", self.name)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply> {
        client::exchange(self.address(), method, path, headers, body)
    }

    fn get(&self, below: &str) -> Result<Reply> {
        client::get(self.address(), &self.path(below))
    }

    /// Begins an upload; gives its location.
    fn begin(&self) -> Result<String> {
        let reply = self.send("POST", &self.path("blobs/uploads/"), &[], b"")?.expect(202)?;
        location(&reply)
    }

    fn push_blob(&self, bytes: &[u8], algorithm: &str) -> Result<String> {
        let digest = digest_of(algorithm, bytes);
        let target = with_digest(&self.begin()?, &digest);
        let reply = self.send("PUT", &target, &[OCTETS], bytes)?.expect(201)?;
        self.has(&location(&reply)?, bytes)?;
        Ok(digest)
    }

    /// Pushes by tag or by digest; the answer, whatever it is.
    fn put_manifest(&self, reference: &str, kind: &str, body: &str) -> Result<Reply> {
        let path = self.path(&format!("manifests/{reference}"));
        self.send("PUT", &path, &[("Content-Type", kind)], body.as_bytes())
    }

    fn push_manifest(&self, reference: &str, kind: &str, body: &str) -> Result<Reply> {
        self.put_manifest(reference, kind, body)?.expect(201)
    }

    /// GET and HEAD of a path give these bytes, with their length and, if it is said, their digest.
    fn has(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let got = client::get(self.address(), path)?.expect(200)?;
        ensure!(got.body == bytes, "GET `{path}` gave other bytes");
        let head = client::request(self.address(), "HEAD", path, &[])?.expect(200)?;
        for reply in [&got, &head] {
            let length = reply.header("content-length");
            ensure!(length == Some(&*bytes.len().to_string()), "`{path}` has length {length:?}");
            let digest = reply.header("docker-content-digest").context("No digest is stated")?;
            let algorithm = digest.split(':').next().unwrap_or_default();
            ensure!(digest == digest_of(algorithm, bytes), "`{path}` states {digest}");
        }
        ensure!(got.header("content-type") == head.header("content-type"), "The types differ");
        Ok(())
    }
}

fn location(reply: &Reply) -> Result<String> {
    let location = reply.header("location").context("There is no `Location`")?;
    let path = location.find("/v2/").context("`Location` leads out of the registry")?;
    Ok(location[path..].to_owned())
}

fn with_digest(location: &str, digest: &str) -> String {
    let sign = if location.contains('?') { '&' } else { '?' };
    format!("{location}{sign}digest={digest}")
}

fn descriptor(kind: &str, bytes: &[u8], algorithm: &str) -> Value {
    json!({"mediaType": kind, "digest": digest_of(algorithm, bytes), "size": bytes.len()})
}

fn error_code(reply: &Reply) -> Result<String> {
    let body: Value = serde_json::from_slice(&reply.body).context("The error is no JSON")?;
    let code = body["errors"][0]["code"].as_str().context("The error has no code")?;
    Ok(code.to_owned())
}

fn empty(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    client::get(registry.address(), "/v2/")?.expect(200)?;
    let tags = registry.get("tags/list")?.expect(200)?;
    ensure!(serde_json::from_slice::<Value>(&tags.body)?["tags"] == json!([]), "There are tags");
    let none = digest_of("sha256", b"none");
    let referrers = registry.get(&format!("referrers/{none}"))?.expect(200)?;
    ensure!(referrers.header("content-type") == Some(INDEX), "Referrers are no index");
    ensure!(serde_json::from_slice::<Value>(&referrers.body)?["manifests"] == json!([]));
    for below in ["manifests/none", &format!("manifests/{none}"), &format!("blobs/{none}")] {
        let missing = registry.get(below)?;
        ensure!(missing.status == 404, "Status {} for `{below}`", missing.status);
        error_code(&missing)?;
    }
    let unknown = client::get(registry.address(), "/v2/no/such/tags/list")?;
    ensure!(unknown.status == 404 && error_code(&unknown)? == "NAME_UNKNOWN");
    let bad = registry.get("manifests/sha256:baddigeststring")?;
    ensure!([400, 404].contains(&bad.status), "Status {} for a bad digest", bad.status);
    registry.serving.stop()
}

fn blobs(lab: &Lab) -> Result<()> {
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
        // Three chunks, the last one with the end.
        let mut upload = registry.begin()?;
        for (range, chunk) in [("0-2", b"abc"), ("3-5", b"def")] {
            let headers = [OCTETS, ("Content-Range", range)];
            let reply = registry.send("PATCH", &upload, &headers, chunk)?.expect(202)?;
            upload = location(&reply)?;
        }
        let end = with_digest(&upload, &digest_of(algorithm, b"abcdefghi"));
        let headers = [OCTETS, ("Content-Range", "6-8")];
        let reply = registry.send("PUT", &end, &headers, b"ghi")?.expect(201)?;
        registry.has(&location(&reply)?, b"abcdefghi")?;
    }
    // An upload that is given up.
    let upload = registry.begin()?;
    registry.send("DELETE", &upload, &[], b"")?.expect(204)?;
    registry.send("GET", &upload, &[], b"")?.expect(404)?;
    registry.serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn chunks(lab: &Lab) -> Result<()> {
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

fn mounts(lab: &Lab) -> Result<()> {
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

fn corrupt(lab: &Lab) -> Result<()> {
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

fn ranges(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let bytes: Vec<u8> = (0..2048_u32).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let digest = registry.push_blob(&bytes, "sha256")?;
    let path = registry.path(&format!("blobs/{digest}"));
    let part = |range: &str| {
        client::request(registry.address(), "GET", &path, &[("Range", &format!("bytes={range}"))])
    };
    for (range, first, last) in [
        ("500-1499", 500, 1499),
        ("500-", 500, 2047),
        ("-500", 1548, 2047),
        ("2000-5000", 2000, 2047),
    ] {
        let reply = part(range)?.expect(206)?;
        ensure!(reply.body == bytes[first..=last], "Other bytes for {range}");
        let stated = reply.header("content-range").unwrap_or_default();
        ensure!(stated == format!("bytes {first}-{last}/2048"), "{range}: {stated}");
    }
    let beyond = part("5000-10000")?;
    ensure!(beyond.status == 416, "Status {} beyond the end", beyond.status);
    // RFC 9110 lets a server ignore a range whose end is before its start.
    let backwards = part("500-0")?;
    ensure!([200, 416].contains(&backwards.status), "Status {} backwards", backwards.status);
    registry.serving.stop()
}

fn manifests(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    for algorithm in ALGORITHMS {
        for bytes in [&config[..], b"layer", b"{}"] {
            registry.push_blob(bytes, algorithm)?;
        }
        let image = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(CONFIG, config, algorithm),
            "layers": [descriptor(LAYER, b"layer", algorithm)],
        });
        let with = |changes: &[(&str, Value)]| {
            let mut changed = image.clone();
            for (field, value) in changes {
                changed[*field] = value.clone();
            }
            changed.to_string()
        };
        let subject = descriptor(IMAGE, b"there is no such subject", algorithm);
        let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        let mut layer_with_data = descriptor(LAYER, b"{}", algorithm);
        layer_with_data["data"] = "e30=".into();
        let padding = "x".repeat(3_900_000);
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
        let empty_config = descriptor(EMPTY, b"{}", algorithm);
        let sets = [
            ("image", IMAGE, plain.clone()),
            ("large", IMAGE, with(&[("annotations", json!({"padding": padding}))])),
            ("custom", IMAGE, with(&[("x-custom", json!({"a": [1, 2]}))])),
            ("no-layers", IMAGE, with(&[("layers", json!([]))])),
            ("data", IMAGE, with(&[("layers", json!([layer_with_data]))])),
            ("foreign", IMAGE, with(&[("layers", json!([descriptor(foreign, b"f", algorithm)]))])),
            ("subject", IMAGE, with(&[("subject", subject)])),
            ("artifact", IMAGE, with(&[("config", empty_config), ("artifactType", json!("a/b"))])),
            ("index", INDEX, inner.clone()),
            ("nested", INDEX, index(&[&inner, &plain])),
            ("empty-index", INDEX, index(&[])),
        ];
        for (tag, kind, body) in &sets {
            let digest = digest_of(algorithm, body.as_bytes());
            for reference in [&digest, *tag] {
                let reply = registry.push_manifest(reference, kind, body);
                let reply = reply.with_context(|| format!("Pushing `{tag}` as {reference}"))?;
                ensure!(location(&reply)?.contains("/manifests/"), "Location of `{tag}`");
                let path = registry.path(&format!("manifests/{reference}"));
                registry.has(&path, body.as_bytes())?;
                let got = client::get(registry.address(), &path)?;
                ensure!(got.header("content-type") == Some(kind), "Type of `{tag}`");
            }
        }
    }
    let sparse = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(IMAGE, b"not pushed", "sha256")],
    });
    let reply = registry.put_manifest("sparse", INDEX, &sparse.to_string())?;
    ensure!(error_code(&reply)? == "MANIFEST_BLOB_UNKNOWN", "An index without its children");
    registry.serving.stop()
}

fn tags(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    for tag in ["b", "A", "c", "a"] {
        registry.push_manifest(tag, INDEX, &body)?;
    }
    let listed = |query: &str| -> Result<(Value, Option<String>)> {
        let reply = registry.get(&format!("tags/list{query}"))?.expect(200)?;
        let link = reply.header("link").map(ToOwned::to_owned);
        let document: Value = serde_json::from_slice(&reply.body)?;
        ensure!(document["name"] == NAME, "The list is of `{}`", document["name"]);
        Ok((document["tags"].clone(), link))
    };
    ensure!(listed("")? == (json!(["A", "a", "b", "c"]), None), "{:?}", listed("")?);
    let (first, link) = listed("?n=2")?;
    ensure!(first == json!(["A", "a"]), "{first}");
    let link = link.context("A page has no link to the next")?;
    let next = link.split(['<', '>']).nth(1).context("No target in the link")?;
    let query = &next[next.find('?').context("No query in the link")?..];
    ensure!(listed(query)? == (json!(["b", "c"]), None), "{:?}", listed(query)?);
    ensure!(listed("?last=b")?.0 == json!(["c"]), "{:?}", listed("?last=b")?);
    ensure!(listed("?last=z")?.0 == json!([]), "{:?}", listed("?last=z")?);
    ensure!(listed("?n=0")? == (json!([]), None), "{:?}", listed("?n=0")?);
    registry.serving.stop()
}

fn referrers(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    registry.push_blob(b"{}", "sha256")?;
    let subject = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let subject_digest = digest_of("sha256", subject.as_bytes());
    let referrer = |kind: &str| {
        json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "artifactType": kind,
            "config": descriptor(EMPTY, b"{}", "sha256"),
            "layers": [descriptor(EMPTY, b"{}", "sha256")],
            "subject": descriptor(INDEX, subject.as_bytes(), "sha256"),
            "annotations": {"kind": kind},
        })
        .to_string()
    };
    // The subject may come after what refers to it.
    for kind in ["a/x", "a/y"] {
        let body = referrer(kind);
        let reply = registry.push_manifest(&digest_of("sha256", body.as_bytes()), IMAGE, &body)?;
        ensure!(reply.header("oci-subject") == Some(&*subject_digest), "No `OCI-Subject`");
    }
    registry.push_manifest("subject", INDEX, &subject)?;
    let listed = |query: &str| -> Result<(Vec<Value>, Option<String>)> {
        let reply = registry.get(&format!("referrers/{subject_digest}{query}"))?.expect(200)?;
        ensure!(reply.header("content-type") == Some(INDEX), "Referrers are no index");
        let filters = reply.header("oci-filters-applied").map(ToOwned::to_owned);
        let document: Value = serde_json::from_slice(&reply.body)?;
        Ok((document["manifests"].as_array().context("No list")?.clone(), filters))
    };
    let (all, filters) = listed("")?;
    ensure!(all.len() == 2 && filters.is_none(), "{all:?} {filters:?}");
    let (some, filters) = listed("?artifactType=a/y")?;
    ensure!(filters.as_deref() == Some("artifactType"), "The filter is not named");
    let body = referrer("a/y");
    let mut expected = descriptor(IMAGE, body.as_bytes(), "sha256");
    expected["artifactType"] = "a/y".into();
    expected["annotations"] = json!({"kind": "a/y"});
    ensure!(some == [expected.clone()], "Expected {expected}, got {some:?}");
    registry.serving.stop()
}

fn deletion(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let digest = digest_of("sha256", body.as_bytes());
    for tag in ["one", "two"] {
        registry.push_manifest(tag, INDEX, &body)?;
    }
    let delete = |below: &str| registry.send("DELETE", &registry.path(below), &[], b"");
    delete("manifests/one")?.expect(202)?;
    registry.get("manifests/one")?.expect(404)?;
    registry.get("manifests/two")?.expect(200)?;
    delete(&format!("manifests/{digest}"))?.expect(202)?;
    for reference in ["two", &digest] {
        registry.get(&format!("manifests/{reference}"))?.expect(404)?;
    }
    delete(&format!("manifests/{digest}"))?.expect(404)?;
    let blob = registry.push_blob(b"to be deleted", "sha256")?;
    delete(&format!("blobs/{blob}"))?.expect(202)?;
    let head =
        client::request(registry.address(), "HEAD", &registry.path(&format!("blobs/{blob}")), &[])?;
    ensure!(head.status == 404, "Status {} for a deleted blob", head.status);
    delete(&format!("blobs/{blob}"))?.expect(404)?;
    registry.serving.stop()
}

fn mirror(lab: &Lab) -> Result<()> {
    Registry::create(lab, "conform/mirror", false)?;
    let registry = Registry { serving: lab.pulp.serve()?, name: "conform/mirror" };
    let digest = digest_of("sha256", b"x");
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let one_request = with_digest(&registry.path("blobs/uploads/"), &digest);
    for (method, path, bytes) in [
        ("POST", registry.path("blobs/uploads/"), &b""[..]),
        ("POST", one_request, b"x"),
        ("PUT", registry.path("manifests/v1"), body.as_bytes()),
        ("DELETE", registry.path("manifests/v1"), b""),
        ("DELETE", registry.path(&format!("blobs/{digest}")), b""),
    ] {
        let reply = registry.send(method, &path, &[("Content-Type", INDEX)], bytes)?;
        ensure!(
            [403, 405].contains(&reply.status),
            "Status {} for {method} `{path}`",
            reply.status
        );
        error_code(&reply)?;
    }
    registry.serving.stop()
}
