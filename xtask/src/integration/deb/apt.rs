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

/// Folders that apt and dpkg expect.
const FOLDERS: [&str; 9] = [
    "lists/partial",
    "cache/archives/partial",
    "etc",
    "parts",
    "download",
    "log",
    "root/var/lib/dpkg/info",
    "root/var/lib/dpkg/updates",
    "root/var/lib/dpkg/triggers",
];

const STATUS: &str = "root/var/lib/dpkg/status";

/// What makes apt fetch the lists that apt-file searches.
const APT_FILE: &str = "/etc/apt/apt.conf.d/50apt-file.conf";

impl Apt {
    /// Takes packages of `stable main` from the archive at `url`, and sources if `types` has
    /// `deb-src`, trusting `key` alone.
    pub(super) fn new(url: &str, key: &[u8], types: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        for name in FOLDERS {
            fs::create_dir_all(root.join(name))?;
        }
        let key_file = root.join("key.asc");
        fs::write(&key_file, key)?;
        fs::write(root.join(STATUS), "")?;
        let line =
            |kind: &&str| format!("{kind} [signed-by={}] {url} stable main\n", key_file.display());
        fs::write(root.join("sources.list"), types.iter().map(line).collect::<String>())?;
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
            ("Dir::State::Status", path(STATUS)),
            ("Dir::Log", path("log")),
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
        let output = run::captured(command.args(["update", "--error-on=any"]), run::PATIENCE)?;
        let said = output.stdout + &output.stderr;
        ensure!(output.status.success(), "apt-get update ended with {}:\n{said}", output.status);
        ensure!(!said.contains("W:"), "apt-get update warns:\n{said}");
        Ok(())
    }

    /// Whether a list was fetched whose name ends so, however it is compressed.
    pub(super) fn has_list(&self, ending: &str) -> Result<bool> {
        for entry in fs::read_dir(self.folder.path().join("lists"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.trim_end_matches(".lz4").trim_end_matches(".gz").ends_with(ending) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Installs a package below a folder of its own; gives a file of it.
    pub(super) fn install(&self, name: &str, file: &str) -> Result<String> {
        let root = self.folder.path().join("root");
        let mut command = self.command();
        command.args(["install", "--yes", "-o", "Dpkg::Use-Pty=false"]);
        // Whoever runs this need not be root, and dpkg misses nothing that this package needs.
        for option in ["--force-not-root", "--force-bad-path", "--log=/dev/null"] {
            command.args(["-o", &format!("Dpkg::Options::={option}")]);
        }
        command.args(["-o", &format!("Dpkg::Options::=--root={}", root.display())]);
        run::output_of(command.arg(name))?;
        let file = root.join(file);
        fs::read_to_string(&file).with_context(|| format!("`{}` is missing", file.display()))
    }

    /// Fetches and unpacks a source package; gives a file of it.
    pub(super) fn source(&self, name: &str, file: &str) -> Result<String> {
        let folder = self.folder.path().join("download");
        run::output_of(self.command().current_dir(&folder).args(["source", name]))?;
        let file = folder.join(file);
        fs::read_to_string(&file).with_context(|| format!("`{}` is missing", file.display()))
    }

    /// Makes updates fetch what apt-file searches, which then must be there if it is listed.
    pub(super) fn with_apt_file(self) -> Result<Self> {
        fs::copy(APT_FILE, self.folder.path().join("parts/apt-file.conf"))?;
        Ok(self)
    }

    /// What `apt-file search` says.
    pub(super) fn search(&self, path: &str) -> Result<String> {
        let mut command = Command::new("apt-file");
        command.env("APT_CONFIG", self.folder.path().join("apt.conf"));
        run::output_of(command.args(["search", path]))
    }

    /// What `apt-cache policy` says of the archive.
    pub(super) fn policy(&self) -> Result<String> {
        let mut command = Command::new("apt-cache");
        command.env("APT_CONFIG", self.folder.path().join("apt.conf"));
        run::output_of(command.arg("policy"))
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
