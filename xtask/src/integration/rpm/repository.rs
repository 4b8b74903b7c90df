//! A repository upstream: packages by `rpmbuild`, metadata by `createrepo_c`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::FOLDER;
use crate::{pulp, run};

/// How the list of packages is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Primary {
    /// By `createrepo_c`, with a compression that it offers.
    By(&'static str),
    /// As newer ones than Debian's do by default; the rest of the metadata by gzip.
    Zstd,
}

/// Packages in a folder.
pub(super) struct Repository {
    folder: TempDir,
}

impl Repository {
    /// One without packages and metadata.
    pub(super) fn new() -> Result<Self> {
        let repository = Self { folder: tempfile::tempdir()? };
        fs::create_dir_all(repository.root().join("Packages"))?;
        Ok(repository)
    }

    /// What is to be served: the repository lies in it.
    pub(super) fn served(&self) -> PathBuf {
        self.folder.path().join("served")
    }

    fn root(&self) -> PathBuf {
        self.served().join(FOLDER)
    }

    /// Builds a package with one file in it. `version` is `[EPOCH:]VERSION-RELEASE`.
    pub(super) fn add(&self, name: &str, version: &str, arch: &str, needs: &[&str]) -> Result<()> {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (version, release) = rest.split_once('-').context("A version has a release")?;
        let needs: String = needs.iter().flat_map(|one| ["Requires: ", one, "\n"]).collect();
        let spec = format!(
            "Name: {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\n\
             Summary: A package of the <lab> & others\nLicense: MIT\n{needs}\n\
             %description\nMade for a test.\n\n\
             %install\nmkdir -p %{{buildroot}}/usr/share/{name}\n\
             echo {version} >%{{buildroot}}/usr/share/{name}/version\n\n\
             %files\n/usr/share/{name}\n\n\
             %changelog\n* Sat Jul 11 2026 Größe <lab@example.invalid> - {rest}\n- Made\n"
        );
        let file = self.folder.path().join("package.spec");
        fs::write(&file, spec)?;
        let build = self.folder.path().join("build");
        let mut command = Command::new("rpmbuild");
        command.args(["-bb", "--quiet", "--nodeps", "--target", arch]);
        for (name, value) in [
            ("_topdir", build.display().to_string()),
            ("_rpmdir", self.root().join("Packages").display().to_string()),
            ("_rpmfilename", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned()),
            ("_buildhost", "lab".to_owned()),
            // No tools of a distribution: nothing in here is a program.
            ("debug_package", "%{nil}".to_owned()),
        ] {
            command.args(["--define", &format!("{name} {value}")]);
        }
        run::output_of(command.arg(&file))?;
        Ok(fs::remove_dir_all(build)?)
    }

    /// Deletes a package.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        for entry in fs::read_dir(self.root().join("Packages"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes the metadata of all packages anew.
    pub(super) fn index(&self, primary: Primary, more: &[&str]) -> Result<()> {
        let compression = match primary {
            Primary::By(compression) => compression,
            Primary::Zstd => "gz",
        };
        let mut command = Command::new("createrepo_c");
        command.args(["--quiet", "--general-compress-type", compression]);
        run::output_of(command.args(more).arg(self.root()))?;
        if matches!(primary, Primary::Zstd) { self.compress_by_zstd() } else { Ok(()) }
    }

    /// Replaces the primary metadata by the same in another compression.
    fn compress_by_zstd(&self) -> Result<()> {
        let list = self.root().join("repodata/repomd.xml");
        let text = fs::read_to_string(&list)?;
        let begin = text.find("<data type=\"primary\">").context("No primary metadata")?;
        let end = begin + text[begin..].find("</data>").context("It has no end")?;
        let old = &text[begin..end];
        let value = |before: &str, after: &str| {
            let (_, rest) = old.split_once(before)?;
            Some(rest.split_once(after)?.0)
        };
        let path = value("<location href=\"", "\"").context("It lies nowhere")?;
        let digest = value("<checksum type=\"sha256\">", "<").context("It has no checksum")?;
        let size = value("<size>", "<").context("It has no size")?;

        let mut plain = Vec::new();
        let compressed = fs::File::open(self.root().join(path))?;
        std::io::copy(&mut flate2::read::GzDecoder::new(compressed), &mut plain)?;
        fs::remove_file(self.root().join(path))?;
        let file = self.folder.path().join("primary.xml");
        fs::write(&file, plain)?;
        run::output_of(Command::new("zstd").args(["--quiet", "--force"]).arg(&file))?;
        let bytes = fs::read(file.with_extension("xml.zst"))?;
        let new_digest = pulp::sha256(&bytes);
        let new_path = format!("repodata/{new_digest}-primary.xml.zst");
        let new = old
            .replace(path, &new_path)
            .replace(&format!(">{digest}<"), &format!(">{new_digest}<"))
            .replace(&format!("<size>{size}<"), &format!("<size>{}<", bytes.len()));
        fs::write(self.root().join(new_path), bytes)?;
        Ok(fs::write(list, text.replace(old, &new))?)
    }

    /// Everything that a client may ask for: path and bytes.
    pub(super) fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        for folder in ["Packages", "repodata"] {
            for entry in fs::read_dir(self.root().join(folder))? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                files.push((format!("{folder}/{name}"), read(&path)?));
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("Failed to read `{}`", path.display()))
}
