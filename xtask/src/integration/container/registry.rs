//! A registry upstream: the reference implementation on a port of its own, filled by skopeo.
//!
//! Images are OCI layouts written here, so that every byte of them is known.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    pulp::sha256,
    run::{self, PATIENCE, Running},
};

/// The repository that images are pushed to.
pub(super) const UPSTREAM_NAME: &str = "lab/app";

/// A running registry; gone when dropped.
pub(super) struct Registry {
    pub(super) address: SocketAddr,
    _running: Running,
    folder: TempDir,
}

impl Registry {
    /// Starts one without images, on a port of the system's choice.
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = folder.path().join("registry.yml");
        let data = folder.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\n\
             http: {{ addr: '127.0.0.1:0' }}\n",
            data.display()
        );
        fs::write(&settings, text)?;
        let mut running =
            Running::start(Command::new("docker-registry").arg("serve").arg(&settings))?;
        let address = loop {
            let line = running.error_line(PATIENCE)?;
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find('"').unwrap_or(rest.len());
                break rest[..end].parse().with_context(|| format!("No address in `{line}`"))?;
            }
        };
        Ok(Self { address, _running: running, folder })
    }

    /// A reference to an image here, as skopeo writes it.
    pub(super) fn reference(&self, tag: &str) -> String {
        format!("docker://{}/{UPSTREAM_NAME}:{tag}", self.address)
    }

    /// Pushes an image of two layers that depend on `seed`; returns the layers' digests.
    pub(super) fn push_image(&self, tag: &str, seed: u64) -> Result<Vec<String>> {
        let layout = Layout::new(self.folder.path(), tag)?;
        let (manifest, layers) = layout.image("amd64", seed)?;
        layout.finish(tag, &manifest)?;
        self.push(&layout, tag)?;
        Ok(layers)
    }

    /// Pushes an index of an image per architecture.
    pub(super) fn push_index(&self, tag: &str, architectures: &[&str]) -> Result<()> {
        let layout = Layout::new(self.folder.path(), tag)?;
        let mut manifests = Vec::new();
        for (seed, architecture) in (100..).zip(architectures) {
            let (mut manifest, _) = layout.image(architecture, seed)?;
            manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
            manifests.push(manifest);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        let kind = "application/vnd.oci.image.index.v1+json";
        let descriptor = layout.blob(kind, index.to_string().as_bytes())?;
        layout.finish(tag, &descriptor)?;
        self.push(&layout, tag)
    }

    fn push(&self, layout: &Layout, tag: &str) -> Result<()> {
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", "--all"]);
        command.arg(format!("oci:{}:{tag}", layout.0.display())).arg(self.reference(tag));
        run::output_of(&mut command).map(drop)
    }
}

/// An OCI image layout in a folder.
struct Layout(PathBuf);

impl Layout {
    fn new(folder: &Path, tag: &str) -> Result<Self> {
        let folder = folder.join(format!("layout-{tag}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self(folder))
    }

    /// Adds an image; returns its manifest's descriptor and its layers' digests.
    fn image(&self, architecture: &str, seed: u64) -> Result<(Value, Vec<String>)> {
        let mut layers = Vec::new();
        let mut contents = Vec::new();
        for number in 0..2 {
            let (layer, content) = self.layer(seed * 10 + number)?;
            layers.push(layer);
            contents.push(content);
        }
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Labels": { "seed": seed.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": contents },
        });
        let kind = "application/vnd.oci.image.config.v1+json";
        let config = self.blob(kind, config.to_string().as_bytes())?;
        let digests = layers.iter().filter_map(|layer| layer["digest"].as_str());
        let digests = digests.map(str::to_owned).collect();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
        Ok((self.blob(kind, manifest.to_string().as_bytes())?, digests))
    }

    /// Adds a layer with one file; returns its descriptor and the digest of what it unpacks to.
    fn layer(&self, seed: u64) -> Result<(Value, String)> {
        let folder = self.0.join(format!("layer-{seed}"));
        fs::create_dir_all(folder.join("data"))?;
        fs::write(folder.join(format!("data/{seed}")), super::super::file::noise(seed, 50_000))?;
        let archive = self.0.join(format!("layer-{seed}.tar"));
        let mut command = Command::new("tar");
        command.args(["--sort=name", "--owner=0", "--group=0", "--mtime=@0", "--create"]);
        command.arg("--file").arg(&archive).arg("--directory").arg(&folder).arg("data");
        run::output_of(&mut command)?;
        let content = format!("sha256:{}", sha256(&fs::read(&archive)?));
        run::output_of(Command::new("gzip").args(["--no-name", "--force"]).arg(&archive))?;
        let bytes = fs::read(archive.with_extension("tar.gz"))?;
        Ok((self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &bytes)?, content))
    }

    /// Adds a blob; returns its descriptor.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Result<Value> {
        let digest = sha256(bytes);
        fs::write(self.0.join("blobs/sha256").join(&digest), bytes)?;
        let digest = format!("sha256:{digest}");
        Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    }

    /// Names what the layout is about.
    fn finish(&self, tag: &str, descriptor: &Value) -> Result<()> {
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        fs::write(self.0.join("index.json"), index.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_names_blobs_by_their_digests() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path(), "v1").expect("writable");
        let descriptor = layout.blob("text/plain", b"abc").expect("writable");
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            descriptor,
            json!({ "mediaType": "text/plain", "digest": format!("sha256:{digest}"), "size": 3 })
        );
        assert!(layout.0.join("blobs/sha256").join(digest).is_file());
    }
}
