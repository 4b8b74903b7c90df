//! Container registries, end to end: a real registry upstream, real clients downstream.
//!
//! Here stand the cases; [`registry`] has the upstream and the images in it.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab};
use crate::{
    client,
    pulp::{Installation, Mirrored, Serving},
    run,
};

mod access;
mod budget;
mod clients;
mod conformance;
mod fetching;
mod interrupted;
mod naming;
mod registry;
mod scripted;
mod secrets;

use registry::{Registry, UPSTREAM_NAME};

/// The name under which cases mirror.
const NAME: &str = "team/app";

/// What every case needs; `tar` and `gzip` make the layers.
const NEEDS: &[&str] = &["skopeo", "docker-registry", "tar", "gzip"];

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: NEEDS, run };
    let mut cases = vec![
        case("immediate: skopeo copies the image byte for byte", |lab| copied(lab, "immediate")),
        case("on_demand: skopeo copies the image byte for byte", |lab| copied(lab, "on_demand")),
        case("an index comes with all its platforms", index),
        case("tags are chosen by patterns", tags),
        case("a moved tag moves with the next sync", moved),
        case("an exported version is a layout, and mirrored from its folder", exported),
        case("an exported version is an archive, and mirrored from it", archived),
        case("an export of some platforms is mirrored without the others", sparse),
        case("a tag that upstream lost stays, or goes with --mirror", lost),
        case("what is unchanged makes no version and fetches no blob", unchanged),
        case("a proxy counts no request too many", budget::kept),
        Case {
            name: "podman pulls the image",
            needs: &["podman", "skopeo", "docker-registry", "tar", "gzip"],
            run: podman,
        },
    ];
    cases.extend(access::cases());
    cases.extend(clients::cases());
    cases.extend(fetching::cases());
    cases.extend(naming::cases());
    cases.extend(interrupted::cases());
    cases.extend(secrets::cases());
    cases.extend(conformance::cases());
    cases.extend(scripted::cases());
    cases
}

fn mirror(lab: &Lab, registry: &Registry, more: &[&str]) -> Result<Mirrored> {
    mirror_from(&lab.pulp, registry.address, more)
}

/// Mirrors from the registry at `address`.
fn mirror_from(pulp: &Installation, address: SocketAddr, more: &[&str]) -> Result<Mirrored> {
    let arguments = mirroring(address, more);
    Mirrored::parse(&pulp.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?)
}

/// The command that mirrors from the registry at `address`.
fn mirroring(address: SocketAddr, more: &[&str]) -> Vec<String> {
    let url = format!("http://{address}");
    let command = ["mirror", "container", &url, "--upstream-name", UPSTREAM_NAME, "--name", NAME];
    command.iter().chain(more).chain(&["--json"]).map(ToString::to_string).collect()
}

/// A reference that skopeo understands.
fn reference(serving: &Serving, tag: &str) -> String {
    format!("docker://{}/{NAME}:{tag}", serving.address)
}

/// The manifest's exact bytes.
fn raw_manifest(reference: &str) -> Result<String> {
    let mut command = Command::new("skopeo");
    run::output_of(command.args(["inspect", "--raw", "--tls-verify=false", reference]))
}

/// Copies an image into a folder; skopeo verifies every digest on the way.
fn copy(reference: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--all"]);
    command.arg("--preserve-digests").arg(reference).arg(format!("dir:{}", folder.display()));
    run::output_of(&mut command).map(drop)
}

fn copied(lab: &Lab, policy: &str) -> Result<()> {
    let registry = Registry::start()?;
    let layers = registry.push_image("v1", 3)?;
    let mirrored = mirror(lab, &registry, &["--policy", policy])?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let reference = reference(&serving, "v1");
    let theirs = raw_manifest(&registry.reference("v1"))?;
    ensure!(raw_manifest(&reference)? == theirs, "The manifest differs from upstream's");
    let folder = tempfile::tempdir()?;
    copy(&reference, folder.path())?;
    for digest in layers {
        let name = digest.trim_start_matches("sha256:");
        let copied = fs::read(folder.path().join(name));
        let copied = copied.with_context(|| format!("The layer {digest} was not copied"))?;
        ensure!(crate::pulp::sha256(&copied) == name, "The layer {digest} is another one");
    }
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn index(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_index("multi", &["amd64", "arm64", "riscv64"])?;
    mirror(lab, &registry, &["--policy", "immediate"])?;
    let serving = lab.pulp.serve()?;
    let reference = reference(&serving, "multi");
    ensure!(
        raw_manifest(&reference)? == raw_manifest(&registry.reference("multi"))?,
        "The index differs from upstream's"
    );
    copy(&reference, tempfile::tempdir()?.path())?;
    serving.stop()
}

fn tags(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    for (seed, tag) in (1..).zip(["v1", "v2", "latest", "test"]) {
        registry.push_image(tag, seed)?;
    }
    mirror(lab, &registry, &["--include-tags", "v*", "--policy", "on_demand"])?;
    let serving = lab.pulp.serve()?;
    let path = format!("/v2/{NAME}/tags/list");
    let listed = client::get(serving.address, &path)?.expect(200)?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.body)?;
    ensure!(listed["tags"] == serde_json::json!(["v1", "v2"]), "Other tags: {listed}");
    let missing = client::get(serving.address, &format!("/v2/{NAME}/manifests/latest"))?;
    ensure!(missing.status == 404, "Status {} for a tag that was left out", missing.status);
    serving.stop()?;
    let none = mirror(lab, &registry, &["--include-tags", "1.*"])?;
    let told = "every tag of the 4 that upstream lists";
    ensure!(none.warnings.iter().any(|warning| warning.contains(told)), "{none:?}");
    Ok(())
}

fn moved(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    for seed in 1..=2 {
        registry.push_image("latest", seed)?;
        let mirrored = mirror(lab, &registry, &["--policy", "immediate"])?;
        ensure!(mirrored.version == Some(seed), "Not version {seed}: {mirrored:?}");
        let serving = lab.pulp.serve()?;
        let ours = raw_manifest(&reference(&serving, "latest"))?;
        ensure!(ours == raw_manifest(&registry.reference("latest"))?, "Not the tag's image");
        serving.stop()?;
    }
    Ok(())
}

fn unchanged(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    for seed in 1..=3 {
        registry.push_image(&format!("v{seed}"), seed)?;
    }
    mirror(lab, &registry, &["--policy", "immediate"])?;
    let again = mirror(lab, &registry, &["--policy", "immediate"])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    // One for the list of tags and one for each of them; one more is allowed.
    ensure!(again.requests <= 3 + 2, "Too many requests: {again:?}");
    ensure!(again.downloaded_bytes < 10_000, "Something was fetched again: {again:?}");
    Ok(())
}

/// Two tags and an index, exported, read by skopeo, mirrored from the folder under another name.
fn exported(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    registry.push_index("multi", &["amd64", "arm64"])?;
    mirror(lab, &registry, &["--policy", "immediate"])?;
    let folder = tempfile::tempdir()?;
    // What would be cut off the URL of a registry is a folder's name.
    let layout = folder.path().join("v2");
    let layout = layout.to_str().context("The temporary folder is not UTF-8")?;
    lab.pulp.run(&["container", "export", "--repository", NAME, layout])?;
    copy(&format!("oci:{layout}:v1"), tempfile::tempdir()?.path())?;
    let again = lab.pulp.run_failing(&["container", "export", "--repository", NAME, layout])?;
    ensure!(again.1.contains("not empty"), "Exported into a full folder: {}", again.1);

    let url = format!("file://{layout}");
    let arguments = ["mirror", "container", &url, "--name", "again", "--allow-file-path", layout];
    let mirrored = Mirrored::parse(&lab.pulp.run(&[&arguments[..], &["--json"]].concat())?)?;
    ensure!(mirrored.version == Some(1), "Not mirrored: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    for tag in ["v1", "multi"] {
        let ours = raw_manifest(&format!("docker://{}/again:{tag}", serving.address))?;
        ensure!(ours == raw_manifest(&registry.reference(tag))?, "`{tag}` differs");
    }
    copy(&format!("docker://{}/again:multi", serving.address), tempfile::tempdir()?.path())?;
    serving.stop()?;
    let again = Mirrored::parse(&lab.pulp.run(&[&arguments[..], &["--json"]].concat())?)?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    Ok(())
}

/// The same as one file, at once and with blobs that are read from it when they are asked for.
fn archived(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    registry.push_index("multi", &["amd64", "arm64"])?;
    mirror(lab, &registry, &["--policy", "immediate"])?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (archive, twin) = (path("app.tar"), path("twin.tar"));
    for file in [&archive, &twin] {
        lab.pulp.run(&["container", "export", "--repository", NAME, file])?;
    }
    ensure!(fs::read(&archive)? == fs::read(&twin)?, "Two exports of one version differ");
    copy(&format!("oci-archive:{archive}:v1"), tempfile::tempdir()?.path())?;
    let (_, told) =
        lab.pulp.run_failing(&["container", "export", "--repository", NAME, &archive])?;
    ensure!(told.contains("exists already"), "Exported over an archive: {told}");

    for policy in ["immediate", "on_demand"] {
        let url = format!("file://{archive}");
        let arguments = ["mirror", "container", &url, "--name", policy, "--policy", policy];
        let more = ["--allow-file-path", &archive, "--json"];
        let other = lab.pulp.another()?;
        let mirrored = Mirrored::parse(&other.run(&[&arguments[..], &more].concat())?)?;
        ensure!(mirrored.version == Some(1), "Not mirrored: {mirrored:?}");
        let serving = other.serve()?;
        for tag in ["v1", "multi"] {
            let ours = format!("docker://{}/{policy}:{tag}", serving.address);
            let theirs = raw_manifest(&registry.reference(tag))?;
            ensure!(raw_manifest(&ours)? == theirs, "`{tag}` differs");
            copy(&ours, tempfile::tempdir()?.path())?;
        }
        serving.stop()?;
    }
    let whole = fs::read(&archive)?;
    let (part, named) = (path("part.tar"), format!("file://{}", path("part.tar")));
    fs::write(&part, &whole[..whole.len() / 2])?;
    let arguments = ["mirror", "container", &named, "--name", "part", "--allow-file-path", &part];
    let (code, told) = lab.pulp.run_failing(&arguments)?;
    ensure!(code == 3 && told.contains("was cut off"), "{code}: {told}");
    let output = Command::new("gzip").arg("--keep").arg(&archive).status()?;
    ensure!(output.success(), "gzip failed");
    let url = format!("file://{archive}.gz");
    let arguments = ["mirror", "container", &url, "--name", "gz", "--allow-file-path"];
    let compressed = format!("{archive}.gz");
    let (code, told) = lab.pulp.run_failing(&[&arguments[..], &[&compressed]].concat())?;
    ensure!(code == 3 && told.contains("unpacked first"), "{code}: {told}");
    Ok(())
}

fn sparse(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_index("multi", &["amd64", "arm64"])?;
    mirror(lab, &registry, &["--platform", "linux/arm64", "--policy", "immediate"])?;
    let folder = tempfile::tempdir()?;
    for name in ["layout", "layout.tar"] {
        let layout = folder.path().join(name).display().to_string();
        lab.pulp.run(&["container", "export", "--repository", NAME, &layout])?;
        let url = format!("file://{layout}");
        let arguments = ["mirror", "container", &url, "--name", NAME, "--json"];
        let other = lab.pulp.another()?;
        let more = ["--allow-file-path", &layout];
        let mirrored = Mirrored::parse(&other.run(&[&arguments[..], &more].concat())?)?;
        let told = "lacks 1 of the manifests";
        ensure!(mirrored.warnings.iter().any(|text| text.contains(told)), "{mirrored:?}");
        let serving = other.serve()?;
        let ours = raw_manifest(&reference(&serving, "multi"))?;
        ensure!(ours == raw_manifest(&registry.reference("multi"))?, "Another index");
        let index: serde_json::Value = serde_json::from_str(&ours)?;
        for (child, status) in [(0, 404), (1, 200)] {
            let digest = index["manifests"][child]["digest"].as_str().context("No digest")?;
            client::get(serving.address, &format!("/v2/{NAME}/manifests/{digest}"))?
                .expect(status)?;
        }
        serving.stop()?;
    }
    Ok(())
}

/// The upstream is a registry of our own, where a tag can be deleted.
fn lost(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    mirror(lab, &registry, &["--policy", "immediate"])?;
    let team = ["container", "repository", "create", "--name", "upstream", "--anonymous-push"];
    lab.pulp.run(&team)?;
    let site = ["container", "distribution", "create", "--name", "upstream"];
    let target = ["--base-path", "upstream", "--repository", "upstream"];
    lab.pulp.run(&[&site[..], &target[..]].concat())?;
    let serving = lab.pulp.serve()?;
    for tag in ["stays", "goes"] {
        let from = reference(&serving, "v1");
        let to = format!("docker://{}/upstream:{tag}", serving.address);
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]);
        run::output_of(command.arg("--dest-tls-verify=false").args([from, to]))?;
    }
    let url = format!("http://{}", serving.address);
    let arguments =
        ["mirror", "container", &url, "--upstream-name", "upstream", "--name", "copy", "--json"];
    let sync = |more: &[&str]| Mirrored::parse(&lab.pulp.run(&[&arguments[..], more].concat())?);
    let tags = || -> Result<serde_json::Value> {
        let listed = client::get(serving.address, "/v2/copy/tags/list")?.expect(200)?;
        Ok(serde_json::from_slice::<serde_json::Value>(&listed.body)?["tags"].clone())
    };
    sync(&[])?;
    ensure!(tags()? == serde_json::json!(["goes", "stays"]), "{}", tags()?);
    client::request(serving.address, "DELETE", "/v2/upstream/manifests/goes", &[])?.expect(202)?;
    sync(&[])?;
    ensure!(tags()? == serde_json::json!(["goes", "stays"]), "Without --mirror: {}", tags()?);
    sync(&["--mirror"])?;
    ensure!(tags()? == serde_json::json!(["stays"]), "With --mirror: {}", tags()?);
    serving.stop()
}

fn podman(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    registry.push_image("v1", 1)?;
    mirror(lab, &registry, &["--policy", "on_demand"])?;
    let serving = lab.pulp.serve()?;
    let storage = tempfile::tempdir()?;
    let image = format!("{}/{NAME}:v1", serving.address);
    let mut command = Command::new("podman");
    command.arg("--root").arg(storage.path().join("root"));
    command.arg("--runroot").arg(storage.path().join("run"));
    command.args(["--storage-driver=vfs", "pull", "--quiet", "--tls-verify=false", &image]);
    let id = run::output_of(&mut command)?;
    ensure!(id.trim().len() == 64, "podman pulled something odd: `{id}`");
    serving.stop()
}
