//! An archive upstream: packages by dpkg-deb, indices by apt-ftparchive, signatures by gpg.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{run, upstream::Upstream};

/// Where the suite's component lies.
const COMPONENT: &str = "dists/stable/main";

/// Packages in a folder, and a key to sign them with.
pub(super) struct Archive {
    folder: TempDir,
    /// What gpg takes for the time, if not now.
    time: Option<&'static str>,
}

impl Archive {
    /// An empty archive with a key of its own.
    pub(super) fn new() -> Result<Self> {
        Self::with_key(None, "never")
    }

    /// One whose key was good for a year, long ago, and signs at that time.
    pub(super) fn of_the_past() -> Result<Self> {
        Self::with_key(Some("20200102T000000"), "1y")
    }

    fn with_key(time: Option<&'static str>, good_for: &str) -> Result<Self> {
        let archive = Self { folder: tempfile::tempdir()?, time };
        fs::create_dir_all(archive.root().join("pool/main"))?;
        run::output_of(archive.gpg().args([
            "--passphrase",
            "",
            "--quick-gen-key",
            "Lab <lab@example.invalid>",
            "ed25519",
            "sign",
            good_for,
        ]))?;
        archive.export()?;
        Ok(archive)
    }

    /// Writes the public key as it is now.
    fn export(&self) -> Result<()> {
        let key = run::output_of(self.gpg().args(["--armor", "--export"]))?;
        Ok(fs::write(self.key(), key)?)
    }

    /// Revokes the key; what it has signed stays as it is.
    pub(super) fn revoke(&self) -> Result<()> {
        let folder = self.folder.path().join("openpgp-revocs.d");
        let prepared = fs::read_dir(&folder)?.next().context("gpg prepares a revocation")??.path();
        // A colon keeps people from importing it by mistake.
        let text = fs::read_to_string(prepared)?.replace(":-----BEGIN", "-----BEGIN");
        let certificate = self.folder.path().join("revocation.asc");
        fs::write(&certificate, text)?;
        run::output_of(self.gpg().arg("--import").arg(certificate))?;
        self.export()
    }

    /// A file with the secret key, armoured.
    pub(super) fn secret_key(&self) -> Result<PathBuf> {
        let file = self.folder.path().join("secret.asc");
        let key = run::output_of(self.gpg().args(["--armor", "--export-secret-keys"]))?;
        fs::write(&file, key)?;
        Ok(file)
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
        self.build_package(name, version, arch, "X-Lab-Field: kept, whatever it is")
    }

    /// Builds a package that needs others.
    pub(super) fn add_dependent(&mut self, name: &str, version: &str, needs: &str) -> Result<()> {
        self.build_package(name, version, "amd64", &format!("Depends: {needs}"))
    }

    /// Builds a package again, so that it is another one of the same name.
    pub(super) fn change_package(&mut self, name: &str, version: &str, arch: &str) -> Result<()> {
        self.build_package(name, version, arch, "X-Lab-Field: another one")
    }

    fn build_package(&self, name: &str, version: &str, arch: &str, field: &str) -> Result<()> {
        let tree = self.folder.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN"))?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {arch}\n\
             Maintainer: Lab <lab@example.invalid>\n{field}\n\
             Priority: required\nDescription: a package\n of the lab\n"
        );
        fs::write(tree.join("DEBIAN/control"), control)?;
        let share = tree.join("usr/share").join(name);
        fs::create_dir_all(&share)?;
        fs::write(share.join("version"), version)?;
        let mut command = Command::new("dpkg-deb");
        command.arg("--build").arg(&tree);
        // As everywhere, names of files leave out the epoch.
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        command.arg(self.root().join(format!("pool/main/{name}_{version}_{arch}.deb")));
        run::output_of(&mut command)?;
        Ok(fs::remove_dir_all(tree)?)
    }

    /// Builds a source package with one file in it.
    pub(super) fn add_source(&mut self, name: &str, version: &str) -> Result<()> {
        let tree = self.folder.path().join("source");
        fs::create_dir_all(tree.join("debian/source"))?;
        let maintainer = "Lab <lab@example.invalid>";
        let changelog = format!(
            "{name} ({version}) stable; urgency=low\n\n  * Made for a test.\n\n \
             -- {maintainer}  Sat, 11 Jul 2026 10:16:37 +0000\n"
        );
        let control = format!(
            "Source: {name}\nMaintainer: {maintainer}\n\nPackage: {name}\nArchitecture: any\n\
             Description: a package\n"
        );
        fs::write(tree.join("debian/changelog"), changelog)?;
        fs::write(tree.join("debian/control"), control)?;
        fs::write(tree.join("debian/source/format"), "3.0 (native)\n")?;
        fs::write(tree.join("README"), version)?;
        let pool = self.root().join("pool/main");
        let mut command = Command::new("dpkg-source");
        run::output_of(command.current_dir(pool).arg("--build").arg(&tree))?;
        Ok(fs::remove_dir_all(tree)?)
    }

    /// Forgets every package.
    pub(super) fn remove_packages(&mut self) -> Result<()> {
        fs::remove_dir_all(self.root().join("pool/main"))?;
        Ok(fs::create_dir_all(self.root().join("pool/main"))?)
    }

    /// The files with one of these extensions, by name.
    pub(super) fn files(&self, extensions: &[&str]) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.root().join("pool/main"))? {
            let path = entry?.path();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if extensions.contains(&&*extension) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The bytes of the package called `name`.
    pub(super) fn package(&self, name: &str) -> Result<Vec<u8>> {
        for path in self.files(&["deb"])? {
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
        let component = root.join(COMPONENT);
        for (index, command) in [
            ("binary-amd64/Packages", "packages"),
            ("source/Sources", "sources"),
            ("Contents-amd64", "contents"),
        ] {
            let text = run::output_of(self.ftparchive().args([command, "pool/main"]))?;
            write_compressed(&component.join(index), &text)?;
        }
        let translation = "Package: hello\nDescription-md5: 5c2df97a1dc6b0b1f9e0b2dbd0a3a8a4\n\
                           Description-en: a package\n of the lab\n\n";
        write_compressed(&component.join("i18n/Translation-en"), translation)?;
        self.release("dists/stable", &["Components=main", "Architectures=amd64 all"])?;
        put(upstream, &root, &root)
    }

    /// The same as a flat repository.
    pub(super) fn publish_flat(&self, upstream: &Upstream) -> Result<()> {
        let root = self.root();
        for (index, command) in [("Packages", "packages"), ("Sources", "sources")] {
            let text = run::output_of(self.ftparchive().args([command, "pool/main"]))?;
            write_compressed(&root.join(index), &text)?;
        }
        self.release(".", &[])?;
        put(upstream, &root, &root)
    }

    /// Writes the release file of what is in `folder`, and signs it.
    fn release(&self, folder: &str, fields: &[&str]) -> Result<()> {
        let suite = self.root().join(folder);
        for name in ["Release", "InRelease"] {
            let _ = fs::remove_file(suite.join(name));
        }
        let mut command = self.ftparchive();
        for field in ["Origin=Lab", "Suite=stable", "Codename=stable"].iter().chain(fields) {
            command.arg(format!("-oAPT::FTPArchive::Release::{field}"));
        }
        let release = run::output_of(command.args(["release", folder]))?;
        fs::write(suite.join("Release"), release)?;
        let mut command = self.gpg();
        command.arg("--clearsign").arg("--output").arg(suite.join("InRelease"));
        run::output_of(command.arg(suite.join("Release")))?;
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.folder.path()).args(["--batch", "--yes", "--quiet"]);
        if let Some(time) = self.time {
            command.args(["--faked-system-time", time]);
        }
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

/// Writes a file, and beside it the same compressed.
fn write_compressed(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("An index lies in a folder")?)?;
    fs::write(path, text)?;
    run::output_of(Command::new("gzip").args(["--keep", "--force", "-n"]).arg(path))?;
    Ok(())
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
