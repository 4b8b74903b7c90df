//! Apt as a client, with lists, cache and status of its own: the machine's are neither read nor
//! changed.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::run;

/// An apt that knows one archive.
pub(super) struct Apt {
    folder: TempDir,
}

impl Apt {
    /// Takes packages of `stable main` from the archive at `url`, trusting `key` alone.
    pub(super) fn new(url: &str, key: &[u8]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        for name in ["lists/partial", "cache/archives/partial", "etc", "parts", "download"] {
            fs::create_dir_all(root.join(name))?;
        }
        let key_file = root.join("key.asc");
        fs::write(&key_file, key)?;
        fs::write(root.join("status"), "")?;
        let sources = root.join("sources.list");
        fs::write(&sources, format!("deb [signed-by={}] {url} stable main\n", key_file.display()))?;
        let path = |name: &str| root.join(name).display().to_string();
        let mut settings = String::new();
        for (name, value) in [
            ("Dir::Etc", path("etc")),
            ("Dir::Etc::SourceList", path("sources.list")),
            ("Dir::Etc::SourceParts", path("parts")),
            ("Dir::Etc::Parts", path("parts")),
            ("Dir::Etc::PreferencesParts", path("parts")),
            ("Dir::Etc::TrustedParts", path("parts")),
            ("Dir::State", root.display().to_string()),
            ("Dir::State::Lists", path("lists")),
            ("Dir::State::Status", path("status")),
            ("Dir::Cache", path("cache")),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Architectures", "amd64".to_owned()),
            // The folders above belong to whoever runs this.
            ("APT::Sandbox::User", String::new()),
            ("Acquire::http::Proxy", "DIRECT".to_owned()),
            ("Acquire::Retries", "0".to_owned()),
        ] {
            settings += &[name, " \"", &value, "\";\n"].concat();
        }
        fs::write(root.join("apt.conf"), settings)?;
        Ok(Self { folder })
    }

    /// Fetches the indices; a warning is an error, since apt has them for signatures as well.
    pub(super) fn update(&self) -> Result<()> {
        let mut command = self.command();
        let output = run::captured(
            command.args(["update", "--error-on=any"]),
            std::time::Duration::from_secs(60),
        )?;
        let said = output.stdout + &output.stderr;
        ensure!(output.status.success(), "apt-get update ended with {}:\n{said}", output.status);
        ensure!(!said.contains("W:"), "apt-get update warns:\n{said}");
        Ok(())
    }

    /// Downloads a package and returns its bytes.
    pub(super) fn download(&self, name: &str) -> Result<Vec<u8>> {
        let folder: PathBuf = self.folder.path().join("download");
        run::output_of(self.command().current_dir(&folder).args(["download", name]))?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if file.split('_').next() == Some(name) {
                return Ok(fs::read(path)?);
            }
        }
        None.with_context(|| format!("apt-get downloaded no `{name}`"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.arg("--quiet").env("APT_CONFIG", self.folder.path().join("apt.conf"));
        command
    }
}
