//! The programs that people pull and push with, each told to verify nothing less than it does by
//! itself: what they end up with must be upstream's, digest for digest.

mod docker;

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    super::{Case, Lab},
    NAME, mirror, raw_manifest, reference,
    registry::Registry,
};
use crate::{
    client,
    pulp::{Serving, digest_of},
    run::{self, PATIENCE, Running},
};

/// Where oras lies: a Python with the package, made by `.ci/run`.
const ORAS: &str = "oras-python";

pub(super) fn cases() -> Vec<Case> {
    fn case(
        name: &'static str,
        needs: &'static [&'static str],
        run: fn(&Lab) -> Result<()>,
    ) -> Case {
        Case { name, needs, run }
    }
    vec![
        case(
            "clients: skopeo syncs every tag",
            &["skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, skopeo_sync),
        ),
        case(
            "clients: skopeo inspects the image",
            &["skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, skopeo_inspect),
        ),
        case(
            "clients: dockerd pulls the image and knows its digest",
            &["dockerd", "curl", "skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, docker::pull),
        ),
        case(
            "clients: podman pulls the image and knows its digest",
            &["podman", "skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, podman),
        ),
        case(
            "clients: buildah pulls the image and knows its digest",
            &["buildah", "skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, buildah),
        ),
        case(
            "clients: containerd fetches the image from its mirror",
            &["ctr", "containerd", "skopeo", "docker-registry", "tar", "gzip"],
            |lab| pulled(lab, containerd),
        ),
        case(
            "clients: skopeo and podman push what is pulled back unchanged",
            &["podman", "skopeo", "docker-registry", "tar", "gzip"],
            pushed,
        ),
        case("clients: oras pushes files, and pulls them back and from a mirror", &[ORAS], oras),
    ]
}

/// What a client is to pull.
struct Image<'a> {
    serving: &'a Serving,
    /// The manifest's, as upstream has it.
    digest: String,
    /// The layers'.
    layers: Vec<String>,
}

impl Image<'_> {
    fn address(&self) -> SocketAddr {
        self.serving.address
    }

    fn name(&self) -> String {
        format!("{}/{NAME}:v1", self.address())
    }
}

/// The digest of the manifest there. Manifests of ours end in no line end, printed ones do.
fn digest_at(reference: &str) -> Result<String> {
    Ok(digest_of("sha256", raw_manifest(reference)?.trim_end().as_bytes()))
}

/// Mirrors an image at once and on demand, and lets `pull` pull it.
fn pulled(lab: &Lab, pull: fn(&Image<'_>) -> Result<()>) -> Result<()> {
    let registry = Registry::start()?;
    let layers = registry.push_image("v1", 1)?;
    let digest = digest_at(&registry.reference("v1"))?;
    for policy in ["immediate", "on_demand"] {
        let pulp = lab.pulp.another()?;
        let other = Lab { pulp, upstream: crate::upstream::Upstream::start()? };
        mirror(&other, &registry, &["--policy", policy])?;
        let serving = other.pulp.serve()?;
        let image = Image { serving: &serving, digest: digest.clone(), layers: layers.clone() };
        pull(&image).with_context(|| format!("Under policy {policy}"))?;
        serving.stop()?;
        other.pulp.has_no_temporary_files()?;
    }
    Ok(())
}

fn skopeo_sync(image: &Image<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("skopeo");
    command.args(["sync", "--src=docker", "--dest=dir", "--src-tls-verify=false", "--scoped"]);
    command.args(["--insecure-policy", "--all"]).arg(format!("{}/{NAME}", image.address()));
    run::output_of(command.arg(folder.path()))?;
    let copy = folder.path().join(format!("{}/{NAME}:v1", image.address()));
    let manifest = fs::read(copy.join("manifest.json"))?;
    ensure!(digest_of("sha256", &manifest) == image.digest, "Another manifest");
    for layer in &image.layers {
        let bytes = fs::read(copy.join(layer.trim_start_matches("sha256:")))?;
        ensure!(digest_of("sha256", &bytes) == *layer, "Another layer");
    }
    Ok(())
}

/// Without `--raw`, it looks into the configuration and lists the tags.
fn skopeo_inspect(image: &Image<'_>) -> Result<()> {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--tls-verify=false", &reference(image.serving, "v1")]);
    let told: Value = serde_json::from_str(&run::output_of(&mut command)?)?;
    ensure!(told["Digest"] == *image.digest, "Digest {}", told["Digest"]);
    ensure!(told["Layers"] == serde_json::json!(image.layers), "Layers {}", told["Layers"]);
    ensure!(told["RepoTags"] == serde_json::json!(["v1"]), "Tags {}", told["RepoTags"]);
    ensure!(told["Labels"]["seed"] == "1", "Labels {}", told["Labels"]);
    Ok(())
}

/// A command of podman's family with a storage of its own.
fn with_storage(program: &str, storage: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.arg("--root").arg(storage.path().join("root"));
    command.arg("--runroot").arg(storage.path().join("run")).arg("--storage-driver=vfs");
    command
}

fn podman(image: &Image<'_>) -> Result<()> {
    let storage = tempfile::tempdir()?;
    let podman = || with_storage("podman", &storage);
    run::output_of(podman().args(["pull", "--quiet", "--tls-verify=false", &image.name()]))?;
    let told = run::output_of(podman().args(["image", "inspect", &image.name()]))?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(told[0]["Digest"] == *image.digest, "Digest {}", told[0]["Digest"]);
    ensure!(told[0]["Labels"]["seed"] == "1", "Labels {}", told[0]["Labels"]);
    Ok(())
}

fn buildah(image: &Image<'_>) -> Result<()> {
    let storage = tempfile::tempdir()?;
    let buildah = || with_storage("buildah", &storage);
    run::output_of(buildah().args(["pull", "--quiet", "--tls-verify=false", &image.name()]))?;
    let told = run::output_of(buildah().args(["images", "--json", &image.name()]))?;
    let told: Value = serde_json::from_str(&told)?;
    ensure!(told[0]["digest"] == *image.digest, "Digest {}", told[0]["digest"]);
    Ok(())
}

/// The image's name is of a host that does not exist: containerd must ask its mirror, and tells it
/// the host by `ns=`.
fn containerd(image: &Image<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hosts = folder.path().join("hosts/upstream.invalid");
    fs::create_dir_all(&hosts)?;
    let mirror = format!(
        "server = \"https://upstream.invalid\"\n\
         [host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
        image.address()
    );
    fs::write(hosts.join("hosts.toml"), mirror)?;
    let containerd = Containerd::start(folder.path())?;
    let name = format!("upstream.invalid/{NAME}:v1");
    let fetched = containerd.run(&["content", "fetch", "--hosts-dir", "HOSTS", &name])?;
    let known = containerd.run(&["content", "ls", "--quiet"])?;
    for digest in image.layers.iter().chain([&image.digest]) {
        ensure!(known.contains(digest.as_str()), "`{digest}` was not fetched:\n{fetched}{known}");
    }
    Ok(())
}

/// A containerd of its own, without plugins that want a kernel.
struct Containerd<'a> {
    folder: &'a Path,
    _running: Running,
}

impl<'a> Containerd<'a> {
    fn start(folder: &'a Path) -> Result<Self> {
        let shown = folder.display();
        let settings = format!(
            "version = 2\nroot = \"{shown}/root\"\nstate = \"{shown}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\n  address = \"{shown}/socket\"\n"
        );
        fs::write(folder.join("config.toml"), settings)?;
        let mut command = Command::new("containerd");
        let mut running = Running::start(command.arg("--config").arg(folder.join("config.toml")))?;
        let start = Instant::now();
        loop {
            let line = running.error_line(PATIENCE)?;
            if line.contains("containerd successfully booted") {
                return Ok(Self { folder, _running: running });
            }
            if start.elapsed() > PATIENCE {
                bail!("containerd does not start");
            }
        }
    }

    /// Runs a command of `ctr`, in whose arguments `HOSTS` stands for the folder of mirrors.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.folder.join("socket"));
        for argument in arguments {
            match *argument {
                "HOSTS" => command.arg(self.folder.join("hosts")),
                other => command.arg(other),
            };
        }
        run::output_of(&mut command)
    }
}

/// A repository that anybody may push to.
fn open_repository(lab: &Lab) -> Result<Serving> {
    let create = ["container", "repository", "create", "--name", NAME, "--anonymous-push"];
    lab.pulp.run(&create)?;
    let distribution = ["container", "distribution", "create", "--name", NAME];
    lab.pulp.run(&[&distribution[..], &["--repository", NAME]].concat())?;
    lab.pulp.serve()
}

fn pushed(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    let layers = registry.push_image("v1", 1)?;
    registry.push_index("multi", &["amd64", "arm64"])?;
    let serving = open_repository(lab)?;
    for tag in ["v1", "multi"] {
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--all"]);
        command.args(["--dest-tls-verify=false", "--preserve-digests"]);
        command.args([registry.reference(tag), reference(&serving, tag)]);
        run::output_of(&mut command)?;
        let same =
            raw_manifest(&registry.reference(tag))? == raw_manifest(&reference(&serving, tag))?;
        ensure!(same, "`{tag}` came out as something else");
    }
    let digest = digest_at(&registry.reference("v1"))?;
    let image = Image { serving: &serving, digest, layers };
    skopeo_sync(&image)?;
    podman(&image)?;

    // podman compresses layers anew, so only what they hold stays the same.
    let storage = tempfile::tempdir()?;
    let podman = || with_storage("podman", &storage);
    let id =
        run::output_of(podman().args(["pull", "--quiet", "--tls-verify=false", &image.name()]))?;
    let again = format!("{}/{NAME}:again", serving.address);
    run::output_of(podman().args(["push", "--quiet", "--tls-verify=false", id.trim(), &again]))?;
    let other = tempfile::tempdir()?;
    let mut pull = with_storage("podman", &other);
    let pulled = run::output_of(pull.args(["pull", "--quiet", "--tls-verify=false", &again]))?;
    ensure!(pulled == id, "podman pulled {pulled} back for {id}");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Pushes one file of one kind at once, a larger one in chunks; or only pulls them, by their tags.
const ORAS_SCRIPT: &str = r#"
import os, sys, oras.client
address, folder, pulled, push = sys.argv[1:]
client = oras.client.OrasClient(hostname=address, insecure=True, tls_verify=False)
os.chdir(folder)
for tag, chunked in (("whole", False), ("chunks", True)):
    if push == "push":
        client.push(target=f"{address}/team/app:{tag}", files=[f"{tag}.txt:text/plain"],
                    do_chunked=chunked, chunk_size=1000, quiet=True)
    client.pull(target=f"{address}/team/app:{tag}", outdir=f"{folder}/{pulled}")
print(sorted(client.get_tags(f"{address}/team/app")))
"#;

fn oras(lab: &Lab) -> Result<()> {
    let serving = open_repository(lab)?;
    let folder = tempfile::tempdir()?;
    for (tag, length) in [("whole", 100), ("chunks", 4500)] {
        let text = tag.repeat(length);
        fs::write(folder.path().join(format!("{tag}.txt")), text)?;
    }
    oras_pulls(serving.address, folder.path(), "back", "push")?;
    for policy in ["immediate", "on_demand"] {
        let mirror = lab.pulp.another()?;
        let url = format!("http://{}", serving.address);
        let arguments = ["mirror", "container", &url, "--upstream-name", NAME, "--name", NAME];
        mirror.run(&[&arguments[..], &["--policy", policy]].concat())?;
        let mirror = mirror.serve()?;
        oras_pulls(mirror.address, folder.path(), policy, "only pull")?;
        mirror.stop()?;
    }
    client::get(serving.address, &format!("/v2/{NAME}/tags/list"))?.expect(200)?;
    serving.stop()
}

/// Pulls both files from the registry at `address` into `folder/pulled`, and compares them.
fn oras_pulls(address: SocketAddr, folder: &Path, pulled: &str, push: &str) -> Result<()> {
    let mut command = Command::new(crate::probe::program(ORAS).map_err(anyhow::Error::msg)?);
    command.args(["-c", ORAS_SCRIPT, &address.to_string()]).arg(folder).args([pulled, push]);
    let told = run::output_of(&mut command)?;
    ensure!(told.trim().ends_with("['chunks', 'whole']"), "{told}");
    for file in ["whole.txt", "chunks.txt"] {
        let (sent, pulled) = (folder.join(file), folder.join(pulled).join(file));
        ensure!(fs::read(sent)? == fs::read(pulled)?, "`{file}` came back as something else");
    }
    Ok(())
}
