//! What the OCI distribution specification asks of a registry, request by request: the workflows of
//! push, pull, content discovery and content management, and what a read-only mirror must refuse.
//!
//! The expectations are the specification's (v1.1), not what our server happens to do. Where it
//! allows several answers, all of them pass.

mod mirror;
mod push;

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
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Every case of the specification.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("conformance: an empty repository", empty),
        case("conformance: blobs are pushed by every workflow", push::blobs),
        case("conformance: chunks out of order are refused and can go on", push::chunks),
        case("conformance: blobs are mounted or not", push::mounts),
        case("conformance: wrong digests are refused everywhere", push::corrupt),
        case("conformance: blobs are served in ranges", ranges),
        case("conformance: manifests of every kind go in and come out", push::manifests),
        case("conformance: pushes to one repository at once all count", push::at_once),
        case("conformance: tags are listed in pages", tags),
        case("conformance: referrers are found and filtered", referrers),
        case("conformance: content is deleted", deletion),
        case("conformance: a mirror takes nothing", mirror::takes_nothing),
        case("conformance: a mirror serves what was pushed upstream", mirror::serves),
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
        create.extend(push.then_some("--anonymous-push"));
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
        let length = reply.header("content-length").unwrap_or_default();
        ensure!(length == (last - first + 1).to_string(), "{range}: {length} bytes");
    }
    for range in ["5000-10000", "500-0"] {
        let reply = part(range)?;
        ensure!(reply.status == 416, "Status {} for {range}", reply.status);
    }
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
    // What states no type of its own has its configuration's; an index has none.
    let subject = descriptor(INDEX, subject.as_bytes(), "sha256");
    let plain = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "layers": [], "subject": subject,
        "config": descriptor("a/config", b"{}", "sha256"),
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": subject,
    });
    for (kind, body, stated) in
        [(IMAGE, plain.to_string(), json!("a/config")), (INDEX, index.to_string(), Value::Null)]
    {
        let digest = digest_of("sha256", body.as_bytes());
        registry.push_manifest(&digest, kind, &body)?;
        let listed = listed("")?.0;
        let found = listed.iter().find(|found| found["digest"] == *digest).context("Not listed")?;
        ensure!(found["artifactType"] == stated, "Expected type {stated}: {found}");
    }
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
