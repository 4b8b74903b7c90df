//! An archive upstream: packages by dpkg-deb, indices by apt-ftparchive, signatures by gpg.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{run, upstream::Upstream};

const INDEX: &str = "dists/stable/main/binary-amd64/Packages";

/// Packages in a folder, and a key to sign them with.
pub(super) struct Archive {
    folder: TempDir,
}

impl Archive {
    /// An empty archive with a key of its own.
    pub(super) fn new() -> Result<Self> {
        let archive = Self { folder: tempfile::tempdir()? };
        fs::create_dir_all(archive.root().join("pool/main"))?;
        run::output_of(archive.gpg().args([
            "--passphrase",
            "",
            "--quick-gen-key",
            "Lab <lab@example.invalid>",
            "ed25519",
            "sign",
            "never",
        ]))?;
        let key = run::output_of(archive.gpg().args(["--armor", "--export"]))?;
        fs::write(archive.key(), key)?;
        Ok(archive)
    }

    /// The public key, armoured.
    pub(super) fn key(&self) -> PathBuf {
        self.folder.path().join("key.asc")
    }

    /// The key's id: 16 upper-case hex digits.
    pub(super) fn key_id(&self) -> Result<String> {
        let keys = run::output_of(self.gpg().args(["--with-colons", "--list-keys"]))?;
        let public = keys.lines().find(|line| line.starts_with("pub:"));
        let id = public.and_then(|line| line.split(':').nth(4));
        id.map(str::to_owned).context("gpg lists no key")
    }

    /// Builds a package with one file in it.
    pub(super) fn add_package(&mut self, name: &str, version: &str, arch: &str) -> Result<()> {
        let tree = self.folder.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN"))?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {arch}\n\
             Maintainer: Lab <lab@example.invalid>\nX-Lab-Field: kept, whatever it is\n\
             Description: a package\n of the lab\n"
        );
        fs::write(tree.join("DEBIAN/control"), control)?;
        let share = tree.join("usr/share").join(name);
        fs::create_dir_all(&share)?;
        fs::write(share.join("version"), version)?;
        let mut command = Command::new("dpkg-deb");
        command.args(["--root-owner-group", "--build"]).arg(&tree);
        command.arg(self.root().join(format!("pool/main/{name}_{version}_{arch}.deb")));
        run::output_of(&mut command)?;
        Ok(fs::remove_dir_all(tree)?)
    }

    /// Forgets every package.
    pub(super) fn remove_packages(&mut self) -> Result<()> {
        fs::remove_dir_all(self.root().join("pool/main"))?;
        Ok(fs::create_dir_all(self.root().join("pool/main"))?)
    }

    /// The bytes of the package called `name`.
    pub(super) fn package(&self, name: &str) -> Result<Vec<u8>> {
        for entry in fs::read_dir(self.root().join("pool/main"))? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if file.split('_').next() == Some(name) {
                return Ok(fs::read(path)?);
            }
        }
        anyhow::bail!("No package `{name}` was built")
    }

    /// Writes indices and signed release files, and puts all of it below `debian/` upstream.
    pub(super) fn publish(&self, upstream: &Upstream) -> Result<()> {
        let root = self.root();
        let index = root.join(INDEX);
        fs::create_dir_all(index.parent().context("An index lies in a folder")?)?;
        let packages = run::output_of(self.ftparchive().args(["packages", "pool/main"]))?;
        fs::write(&index, packages)?;
        run::output_of(Command::new("gzip").args(["--keep", "--force", "-n"]).arg(&index))?;
        let suite = root.join("dists/stable");
        for name in ["Release", "InRelease"] {
            let _ = fs::remove_file(suite.join(name));
        }
        let mut command = self.ftparchive();
        for (field, value) in [
            ("Origin", "Lab"),
            ("Suite", "stable"),
            ("Codename", "stable"),
            ("Components", "main"),
            ("Architectures", "amd64 all"),
        ] {
            command.arg(format!("-oAPT::FTPArchive::Release::{field}={value}"));
        }
        let release = run::output_of(command.args(["release", "dists/stable"]))?;
        fs::write(suite.join("Release"), release)?;
        let mut command = self.gpg();
        command.arg("--clearsign").arg("--output").arg(suite.join("InRelease"));
        run::output_of(command.arg(suite.join("Release")))?;
        put(upstream, &root, &root)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.folder.path()).args(["--batch", "--yes", "--quiet"]);
        command
    }

    fn ftparchive(&self) -> Command {
        let mut command = Command::new("apt-ftparchive");
        command.arg("--quiet").current_dir(self.root());
        command
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // The agent that gpg started would outlive its folder.
        let mut command = Command::new("gpgconf");
        command.arg("--homedir").arg(self.folder.path()).args(["--kill", "all"]);
        let _ = run::output_of(&mut command);
    }
}

/// Puts every file below `folder` upstream.
fn put(upstream: &Upstream, root: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            put(upstream, root, &path)?;
        } else {
            let relative = path.strip_prefix(root)?.to_string_lossy();
            upstream.put(&format!("debian/{relative}"), fs::read(&path)?);
        }
    }
    Ok(())
}
