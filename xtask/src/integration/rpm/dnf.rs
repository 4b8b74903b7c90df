//! dnf as a client, with configuration, cache and database of its own: the machine's are neither read
//! nor changed.

use std::{fs, process::Command};

use anyhow::Result;
use tempfile::TempDir;

use super::lines_of;
use crate::run;

/// A dnf that knows one repository.
pub(super) struct Dnf {
    folder: TempDir,
}

impl Dnf {
    /// Takes packages from the repository at `url`.
    pub(super) fn new(url: &str) -> Result<Self> {
        let dnf = Self { folder: tempfile::tempdir()? };
        let at = |name: &str| dnf.folder.path().join(name).display().to_string();
        for name in ["repositories", "root", "download"] {
            fs::create_dir(dnf.folder.path().join(name))?;
        }
        let configuration = format!(
            "[main]\nreposdir={}\nvarsdir={}\ncachedir={}\npersistdir={}\nlogdir={}\n\
             gpgcheck=0\nretries=1\nzchunk=0\n",
            at("repositories"),
            at("variables"),
            at("cache"),
            at("state"),
            at("log"),
        );
        fs::write(dnf.folder.path().join("dnf.conf"), configuration)?;
        let repository = format!("[lab]\nname=lab\nbaseurl={url}\nproxy=_none_\n");
        fs::write(dnf.folder.path().join("repositories/lab.repo"), repository)?;
        Ok(dnf)
    }

    /// Fetches the metadata; whatever is wrong with it is an error.
    pub(super) fn make_cache(&self) -> Result<()> {
        run::output_of(self.command().arg("makecache")).map(drop)
    }

    /// What `dnf repoquery` finds, by name, epoch, version, release and architecture; sorted.
    pub(super) fn query(&self, arguments: &[&str]) -> Result<Vec<String>> {
        lines_of(self.command().args(["repoquery", "--nevra"]).args(arguments))
    }

    /// Downloads packages with what they need; file names and bytes.
    pub(super) fn download(&self, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let folder = self.folder.path().join("download");
        let mut command = self.command();
        command.args(["download", "--resolve", "--destdir"]).arg(&folder);
        run::output_of(command.args(names))?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
        Ok(files)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("dnf");
        command.arg("--config").arg(self.folder.path().join("dnf.conf"));
        command.arg("--installroot").arg(self.folder.path().join("root"));
        // One plugin looks into a folder of the machine.
        command.args(["--releasever=1", "--forcearch=x86_64", "--disableplugin=local", "--quiet"]);
        command
    }
}
