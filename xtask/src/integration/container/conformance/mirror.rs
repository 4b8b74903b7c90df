//! What the specification asks of a registry that is only read: a mirror of what another one took.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    INDEX, Lab, NAME, Registry, client, digest_of, error_code,
    push::{ALGORITHMS, BLOBS, Set, push_sets},
    with_digest,
};

/// A repository that nobody may push to.
pub(super) fn takes_nothing(lab: &Lab) -> Result<()> {
    Registry::create(lab, "conform/mirror", false)?;
    let registry = Registry { serving: lab.pulp.serve()?, name: "conform/mirror" };
    refuses_changes(&registry)?;
    names_methods(&registry)?;
    registry.serving.stop()
}

/// Everything that was pushed, mirrored by another installation at once and on demand.
pub(super) fn serves(lab: &Lab) -> Result<()> {
    let registry = Registry::start(lab)?;
    let pushed = push_sets(&registry)?;
    let url = format!("http://{}", registry.address());
    for policy in ["immediate", "on_demand"] {
        let other = lab.pulp.another()?;
        let arguments = ["mirror", "container", &url, "--upstream-name", NAME, "--name", NAME];
        other.run(&[&arguments[..], &["--policy", policy]].concat())?;
        let copy = Registry { serving: other.serve()?, name: NAME };
        pulls(&copy, &pushed).with_context(|| format!("Under policy {policy}"))?;
        discovers(&copy, &pushed)?;
        lacks(&copy)?;
        refuses_changes(&copy)?;
        copy.serving.stop()?;
        other.has_no_temporary_files()?;
    }
    registry.serving.stop()
}

fn pulls(copy: &Registry, pushed: &[Set]) -> Result<()> {
    client::get(copy.address(), "/v2/")?.expect(200)?;
    for (tag, kind, body) in pushed {
        let by_tag = copy.path(&format!("manifests/{tag}"));
        copy.has(&by_tag, body.as_bytes())?;
        let got = client::get(copy.address(), &by_tag)?;
        ensure!(got.header("content-type") == Some(kind), "Type of `{tag}`");
        let digest = got.header("docker-content-digest").context("No digest is stated")?;
        copy.has(&copy.path(&format!("manifests/{digest}")), body.as_bytes())?;
        // A client that knows what it would get gets nothing.
        let tag = [("If-None-Match", got.header("etag").context("No `ETag`")?)];
        client::request(copy.address(), "GET", &by_tag, &tag)?.expect(304)?;
        // Mirrors are told of the host that they stand for.
        client::get(copy.address(), &format!("{by_tag}?ns=registry.example"))?.expect(200)?;
    }
    for algorithm in ALGORITHMS {
        for bytes in BLOBS {
            let path = copy.path(&format!("blobs/{}", digest_of(algorithm, bytes)));
            if bytes.len() > 1 {
                let range = [("Range", "bytes=1-")];
                let part = client::request(copy.address(), "GET", &path, &range)?.expect(206)?;
                ensure!(part.body == bytes[1..], "Another part of `{path}`");
            }
            copy.has(&path, bytes)?;
        }
    }
    Ok(())
}

fn discovers(copy: &Registry, pushed: &[Set]) -> Result<()> {
    let mut expected: Vec<_> = pushed.iter().map(|(tag, ..)| tag.as_str()).collect();
    expected.sort_unstable();
    let (mut tags, mut query) = (Vec::new(), "?n=7".to_owned());
    loop {
        let page = copy.get(&format!("tags/list{query}"))?.expect(200)?;
        let list: Value = serde_json::from_slice(&page.body)?;
        let names = list["tags"].as_array().context("No list of tags")?;
        ensure!(names.len() <= 7, "A page of {} tags", names.len());
        tags.extend(names.iter().filter_map(|name| name.as_str().map(ToOwned::to_owned)));
        let Some(link) = page.header("link") else { break };
        let next = link.split(['<', '>']).nth(1).context("No target in the link")?;
        let from = next.find('?').context("No query in the link")?;
        next[from..].clone_into(&mut query);
    }
    ensure!(tags == expected, "Expected {expected:?}, got {tags:?}");
    let (_, _, subject) = pushed.iter().find(|(tag, ..)| tag == "image-sha256").context("None")?;
    let path = format!("referrers/{}", digest_of("sha256", subject.as_bytes()));
    let referrers = copy.get(&path)?.expect(200)?;
    ensure!(referrers.header("content-type") == Some(INDEX), "Referrers are no index");
    let found: Value = serde_json::from_slice(&referrers.body)?;
    let found = found["manifests"].as_array().context("No list of referrers")?;
    ensure!(found.len() == 2, "An image and an index refer to the image, but: {found:?}");
    Ok(())
}

fn lacks(copy: &Registry) -> Result<()> {
    let missing = digest_of("sha256", b"none");
    for below in [&format!("manifests/{missing}"), "manifests/none", &format!("blobs/{missing}")] {
        let reply = copy.get(below)?.expect(404)?;
        error_code(&reply)?;
    }
    Ok(())
}

/// What an endpoint doesn't know is answered with what it does (RFC 9110, section 15.5.6).
fn names_methods(registry: &Registry) -> Result<()> {
    let digest = digest_of("sha256", b"x");
    for (method, path, expected) in [
        ("POST", "/v2/".to_owned(), "GET, HEAD"),
        ("DELETE", registry.path("tags/list"), "GET, HEAD"),
        ("POST", registry.path("manifests/v1"), "GET, HEAD, PUT, DELETE"),
        ("PUT", registry.path(&format!("blobs/{digest}")), "GET, HEAD, DELETE"),
        ("GET", registry.path("blobs/uploads/"), "POST"),
        ("POST", registry.path("blobs/uploads/x"), "GET, HEAD, PATCH, PUT, DELETE"),
    ] {
        let reply = registry.send(method, &path, &[], b"")?.expect(405)?;
        let allowed = reply.header("allow");
        ensure!(allowed == Some(expected), "{method} `{path}`: allowed is {allowed:?}");
    }
    Ok(())
}

fn refuses_changes(registry: &Registry) -> Result<()> {
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
        let (status, code) =
            if method == "DELETE" { (405, "UNSUPPORTED") } else { (403, "DENIED") };
        let reply = reply.expect(status).with_context(|| format!("{method} `{path}`"))?;
        ensure!(error_code(&reply)? == code, "Another code for {method} `{path}`");
        let allowed = reply.header("allow");
        ensure!(allowed == (status == 405).then_some("GET, HEAD"), "Allowed: {allowed:?}");
    }
    Ok(())
}
