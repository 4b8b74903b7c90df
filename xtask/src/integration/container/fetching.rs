//! What clients cause upstream to be asked: blobs on demand, and whole repositories by pull-through.
//!
//! Where requests are counted or spoilt, upstream is a registry of files ([`Files`]): what its clients
//! read lies at the paths that they read it from.

use std::{fs, net::SocketAddr, sync::Arc, thread};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    super::{Case, Lab, case, file::noise},
    NEEDS, copy, raw_manifest,
    registry::{Registry, UPSTREAM_NAME},
    scripted::Scripted,
};
use crate::{
    client::{self, Reply},
    pulp::{Installation, Serving, digest_of},
    server::Answer,
    upstream::{Fault, Gate, Upstream},
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("on_demand: clients who ask for one missing blob cause one fetch", one_fetch),
        case("on_demand: wrong bytes are never stored and never completed", wrong_bytes),
        case("on_demand: what upstream doesn't give is said as registries do", not_given),
        Case {
            name: "pull-through: what is asked for is fetched, filtered, kept, and served without upstream",
            needs: NEEDS,
            run: pulled_through,
        },
        case("pull-through: clients who ask at once cause one fetch", one_sync),
        case("pull-through: upstream's failures are told apart", failures),
        case("pull-through: no more is kept than allowed, and all of it can be destroyed", bounded),
        case("pull-through: a file declares it, and nothing synchronises it", declared),
        case("pull-through: rights are those of the repository that pulls", private),
    ]
}

/// A registry of one repository, made of files.
struct Files<'a>(&'a Upstream);

impl Files<'_> {
    const NAME: &'static str = "lab/files";

    fn path(below: &str) -> String {
        format!("v2/{}/{below}", Self::NAME)
    }

    /// Adds an image; gives its manifest and its layer's bytes.
    fn image(&self, tag: &str, seed: u64) -> (String, Vec<u8>) {
        let config = json!({"architecture": "amd64", "os": "linux", "seed": seed}).to_string();
        let layer = noise(seed, 200_000);
        let descriptor = |kind: &str, bytes: &[u8]| {
            let digest = digest_of("sha256", bytes);
            self.0.put(&Self::path(&format!("blobs/{digest}")), bytes);
            json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        })
        .to_string();
        for reference in [tag, &digest_of("sha256", manifest.as_bytes())] {
            self.0.put(&Self::path(&format!("manifests/{reference}")), manifest.as_bytes());
        }
        self.0.put(&Self::path("tags/list"), json!({"tags": [tag]}).to_string());
        (manifest, layer)
    }

    fn url(&self) -> String {
        self.0.url("")
    }
}

/// Serves an image that is mirrored on demand; gives the path of its layer here and upstream.
fn on_demand(lab: &Lab) -> Result<(Serving, String, String, Vec<u8>)> {
    let files = Files(&lab.upstream);
    let (_, layer) = files.image("v1", 1);
    let url = files.url();
    let arguments = ["mirror", "container", &url, "--upstream-name", Files::NAME];
    lab.pulp.run(&[&arguments[..], &["--name", "app", "--policy", "on_demand"]].concat())?;
    let digest = digest_of("sha256", &layer);
    let serving = lab.pulp.serve()?;
    lab.upstream.take_log();
    let there = Files::path(&format!("blobs/{digest}"));
    Ok((serving, format!("/v2/app/blobs/{digest}"), there, layer))
}

fn one_fetch(lab: &Lab) -> Result<()> {
    let (serving, here, there, layer) = on_demand(lab)?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan(&there, 1, &Fault::Held(Arc::clone(&gate)));
    let address = serving.address;
    let ask = |headers: &'static [(&str, &str)]| {
        let path = here.clone();
        thread::spawn(move || client::request(address, "GET", &path, headers))
    };
    let clients = [ask(&[]), ask(&[]), ask(&[("Range", "bytes=100000-150000")])];
    gate.wait_for_arrivals(1)?;
    gate.open();
    for (client, (status, bytes)) in clients.into_iter().zip([
        (200, &layer[..]),
        (200, &layer),
        (206, &layer[100_000..=150_000]),
    ]) {
        let reply = client.join().expect("no panic")?.expect(status)?;
        ensure!(reply.body == bytes, "Other bytes for status {status}");
    }
    client::get(address, &here)?.expect(200)?;
    let asked = lab.upstream.take_log();
    ensure!(asked.len() == 1, "Upstream was asked more than once: {asked:?}");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn not_given(lab: &Lab) -> Result<()> {
    let (serving, here, there, _) = on_demand(lab)?;
    for (theirs, ours, code) in [(403, 502, "UNKNOWN"), (404, 404, "BLOB_UNKNOWN")] {
        lab.upstream.plan(&there, 1, &Fault::Status(theirs));
        let reply = client::get(serving.address, &here)?.expect(ours)?;
        let told: Value = serde_json::from_slice(&reply.body).context("The error is no JSON")?;
        ensure!(told["errors"][0]["code"] == code, "For upstream's {theirs}: {told}");
        ensure!(!told.to_string().contains("http"), "The client learns of upstream: {told}");
    }
    // And then it does.
    client::get(serving.address, &here)?.expect(200)?;
    serving.stop()
}

fn wrong_bytes(lab: &Lab) -> Result<()> {
    let (serving, here, there, layer) = on_demand(lab)?;
    lab.upstream.plan(&there, 20, &Fault::FlippedEnd);
    for headers in [&[][..], &[("Range", "bytes=0-99")], &[("Range", "bytes=199900-")]] {
        let reply = client::request(serving.address, "GET", &here, headers)?;
        let is_whole = reply.complete && reply.status < 300;
        ensure!(!is_whole, "Wrong bytes came to their end with status {}", reply.status);
    }
    let mut wrong = layer[layer.len() - 64..].to_vec();
    wrong[63] ^= 0xFF;
    ensure!(!lab.pulp.holds(&wrong)?, "Wrong bytes were stored");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Makes `hub` pull through from `url`.
fn hub(pulp: &Installation, url: &str, more: &[&str]) -> Result<()> {
    pulp.run(&["container", "pull-through", url, "--name", "hub", "--repository", "lab/*"])?;
    let update = ["container", "repository", "update", "--name", "hub"];
    pulp.run(&[&update[..], more].concat()).map(drop)
}

fn pulled_through(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    registry.push_index("multi", &["amd64", "arm64"])?;
    hub(&lab.pulp, &format!("http://{}", registry.address), &["--pull-through-max-age", "0"])?;
    let serving = lab.pulp.serve()?;
    let ours = |tag: &str| format!("docker://{}/hub/{UPSTREAM_NAME}:{tag}", serving.address);
    let get = |below: &str| client::get(serving.address, &format!("/v2/hub/{below}"));
    let tags = || -> Result<Value> {
        let listed = get(&format!("{UPSTREAM_NAME}/tags/list"))?.expect(200)?;
        Ok(serde_json::from_slice::<Value>(&listed.body)?["tags"].clone())
    };
    // What can be pulled is listed before it was.
    ensure!(tags()? == json!(["multi", "v1"]), "{}", tags()?);
    get("lab/none/tags/list")?.expect(404)?;
    get("other/app/tags/list")?.expect(404)?;
    registry.push_image("v2", 7)?;
    for tag in ["v1", "multi"] {
        let theirs = raw_manifest(&registry.reference(tag))?;
        ensure!(raw_manifest(&ours(tag))? == theirs, "`{tag}` differs from upstream's");
        copy(&ours(tag), tempfile::tempdir()?.path())?;
    }
    for missing in
        ["lab/app/manifests/none", "lab/none/manifests/v1", "other/app/manifests/v1", "lab"]
    {
        get(missing)?.expect(404)?;
    }
    let catalog = client::get(serving.address, "/v2/_catalog")?.expect(200)?;
    let catalog: Value = serde_json::from_slice(&catalog.body)?;
    ensure!(catalog["repositories"] == json!(["hub", "hub/lab/app"]), "{catalog}");
    ensure!(tags()? == json!(["multi", "v1", "v2"]), "{}", tags()?);
    let kept = lab.pulp.run(&["container", "repository", "list", "--json"])?;
    ensure!(kept.contains("\"hub//lab/app\"") && !kept.contains("none"), "{kept}");
    // Nothing of it is for `sync --all`, which would fetch every tag.
    lab.pulp.run(&["sync", "--all"])?;

    registry.push_image("v1", 2)?;
    let moved = raw_manifest(&registry.reference("v1"))?;
    ensure!(raw_manifest(&ours("v1"))? == moved, "The moved tag was not followed");
    copy(&ours("v1"), tempfile::tempdir()?.path())?;
    drop(registry);
    ensure!(raw_manifest(&ours("v1"))? == moved, "Without upstream the tag is gone");
    copy(&ours("v1"), tempfile::tempdir()?.path())?;
    get("lab/app/manifests/unknown")?.expect(504)?;
    ensure!(tags()? == json!(["multi", "v1"]), "Without upstream: {}", tags()?);
    get("lab/other/tags/list")?.expect(504)?;
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn manifest(server: SocketAddr, tag: &str) -> Result<Reply> {
    let path = format!("/v2/hub/{}/manifests/{tag}", Files::NAME);
    client::get(server, &path)
}

fn one_sync(lab: &Lab) -> Result<()> {
    let files = Files(&lab.upstream);
    hub(&lab.pulp, &files.url(), &[])?;
    let serving = lab.pulp.serve()?;
    // What one client costs…
    files.image("alone", 1);
    manifest(serving.address, "alone")?.expect(200)?;
    let cost = lab.upstream.take_log().len();
    // … five cost, too.
    let (expected, _) = files.image("v1", 2);
    let gate = Arc::new(Gate::default());
    lab.upstream.plan(&Files::path("manifests/v1"), 2, &Fault::Held(Arc::clone(&gate)));
    let replies = thread::scope(|scope| {
        let address = serving.address;
        let ask = || scope.spawn(move || manifest(address, "v1"));
        let clients: Vec<_> = std::iter::repeat_with(ask).take(5).collect();
        gate.wait_for_arrivals(1)?;
        gate.open();
        clients
            .into_iter()
            .map(|client| client.join().expect("no panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    for reply in replies {
        ensure!(reply.expect(200)?.body == expected.as_bytes(), "Another manifest");
    }
    // A tag that was asked for just now is not asked for again.
    manifest(serving.address, "v1")?.expect(200)?;
    let asked = lab.upstream.take_log();
    ensure!(asked.len() == cost, "{cost} requests expected: {asked:?}");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn failures(lab: &Lab) -> Result<()> {
    hub(&lab.pulp, &Files(&lab.upstream).url(), &[])?;
    let serving = lab.pulp.serve()?;
    for (tag, theirs, ours) in
        [("a", 404, 404), ("b", 403, 404), ("c", 429, 429), ("d", 503, 502), ("e", 400, 502)]
    {
        let path = Files::path(&format!("manifests/{tag}"));
        lab.upstream.plan(&path, 10, &Fault::Status(theirs));
        let reply = manifest(serving.address, tag)?
            .expect(ours)
            .with_context(|| format!("For upstream's {theirs}"))?;
        let told = String::from_utf8_lossy(&reply.body).into_owned();
        ensure!(theirs != 404 || told.contains("no `a` of"), "The tag is not named: {told}");
    }
    // What is no manifest is not served, and leaves no repository.
    lab.upstream.put(&Files::path("manifests/f"), "nonsense");
    manifest(serving.address, "f")?.expect(502)?;
    let kept = lab.pulp.run(&["container", "repository", "list", "--json"])?;
    ensure!(!kept.contains("hub//"), "{kept}");
    serving.stop()
}

/// The names of the repositories that are kept for `hub`.
fn kept(pulp: &Installation) -> Result<Vec<String>> {
    let listed = pulp.run(&["container", "repository", "list", "--json"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    let names = listed.as_array().into_iter().flatten().filter_map(|row| row["name"].as_str());
    Ok(names.filter(|name| name.starts_with("hub//")).map(str::to_owned).collect())
}

fn bounded(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    // What upstream says that it has, and has not.
    let lie = digest_of("sha256", b"lie");
    let head = Answer::new(200, "").with("Docker-Content-Digest", &lie);
    registry.always("HEAD manifests/lie", head.clone());
    registry.always("HEAD /v2/lab/other/manifests/v1", head);
    hub(&lab.pulp, &registry.url(), &["--pull-through-limit", "1"])?;
    let serving = lab.pulp.serve()?;
    let get = |below: &str| client::get(serving.address, &format!("/v2/hub/{below}"));
    for below in ["lab/app/manifests/lie", "lab/app/manifests/none", "lab/none/manifests/v1"] {
        let reply = get(below)?;
        ensure!(matches!(reply.status, 404 | 502), "Status {} for `{below}`", reply.status);
        ensure!(kept(&lab.pulp)?.is_empty(), "`{below}` left {:?}", kept(&lab.pulp)?);
    }
    get("lab/app/manifests/v1")?.expect(200)?;
    get("lab/app/manifests/v1")?.expect(200)?;
    let refused = get("lab/other/manifests/v1")?.expect(403)?;
    let told = String::from_utf8_lossy(&refused.body).into_owned();
    ensure!(told.contains("No more than 1 repositories"), "{told}");
    serving.stop()?;

    // Without the distribution they are out of reach, but there.
    let output = lab.pulp.try_run(&["container", "distribution", "destroy", "--name", "hub"])?;
    let told = "pulp container repository destroy --name hub --with-kept";
    ensure!(output.status.success() && output.stderr.contains(told), "{}", output.stderr);
    ensure!(output.stderr.contains("(1 in all)"), "{}", output.stderr);
    ensure!(kept(&lab.pulp)? == ["hub//lab/app"], "{:?}", kept(&lab.pulp)?);
    let destroy = ["container", "repository", "destroy", "--name", "hub"];
    let (code, told) = lab.pulp.run_failing(&destroy)?;
    ensure!(code == 5 && told.contains("hub//lab/app") && told.contains("--with-kept"), "{told}");
    lab.pulp.run(&[&destroy[..], &["--with-kept"]].concat())?;
    ensure!(kept(&lab.pulp)?.is_empty(), "{:?}", kept(&lab.pulp)?);
    Ok(())
}

fn declared(lab: &Lab) -> Result<()> {
    let files = Files(&lab.upstream);
    let (expected, _) = files.image("v1", 1);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pulp.yaml");
    let text = format!(
        "repositories:\n- name: hub\n  plugin: container\n  url: {}\n  policy: on_demand\n  \
         sync: false\n  repository:\n    pull_through: hub\n    \
         pull_through_repositories: [lab/*]\n",
        files.url()
    );
    fs::write(&file, text.replace("pull_through: hub", "pull_through: nowhere"))?;
    let file = file.to_str().context("The temporary folder is not UTF-8")?;
    let create = ["container", "repository", "create", "--name", "hub", "--pull-through"];
    for command in [&["apply", file][..], &[&create[..], &["nowhere"]].concat()] {
        let (code, said) = lab.pulp.run_failing(command)?;
        ensure!(code == 4 && said.contains("`nowhere`"), "{command:?}: {code}, {said}");
    }
    ensure!(lab.pulp.run(&["container", "repository", "list", "--json"])?.trim() == "[]");
    fs::write(file, text)?;
    lab.pulp.run(&["apply", file])?;
    lab.pulp.run(&["apply", "--check", file])?;
    lab.pulp.run(&["sync", "--all"])?;
    ensure!(lab.upstream.take_log().is_empty(), "Something was synchronised");
    let serving = lab.pulp.serve()?;
    let reply = manifest(serving.address, "v1")?.expect(200)?;
    ensure!(reply.body == expected.as_bytes(), "Another manifest");
    serving.stop()
}

fn private(lab: &Lab) -> Result<()> {
    let files = Files(&lab.upstream);
    files.image("v1", 1);
    hub(&lab.pulp, &files.url(), &["--private"])?;
    let serving = lab.pulp.serve()?;
    manifest(serving.address, "v1")?.expect(404)?;
    let asked = lab.upstream.take_log();
    ensure!(asked.is_empty(), "Upstream was asked for somebody without rights: {asked:?}");
    serving.stop()
}
