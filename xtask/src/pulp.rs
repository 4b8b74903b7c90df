//! The built program: an installation in a folder of its own, driven as a user would.
//!
//! Only the fixed command line is used (`pulp mirror … --json`, `pulp serve --json`, `PULP_HOME`,
//! `PULP_DATABASE_URL`), so these drivers break when scripts would.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sha2::Digest as _;
use tempfile::TempDir;

use crate::{
    client::{self, Reply},
    probe,
    run::{self, Output, PATIENCE, Running},
};

/// A server must end so long after SIGTERM.
const END: Duration = Duration::from_secs(5);
/// Exit code of what names something that is not there.
const NOT_FOUND: i32 = 4;

/// Which database an installation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// A program with a home; all of it is gone when dropped.
pub(crate) struct Installation {
    program: PathBuf,
    home: PathBuf,
    schema: Option<Schema>,
    /// Holds the home, unless somebody else does.
    _folder: Option<TempDir>,
}

/// A PostgreSQL schema of its own.
struct Schema {
    name: String,
    url: String,
}

impl Installation {
    /// A new one in a temporary folder.
    pub(crate) fn new(program: &Path, backend: Backend) -> Result<Self> {
        let folder = tempfile::tempdir().context("Failed to make a temporary folder")?;
        let installation = Self::below(folder.path(), program, backend)?;
        Ok(Self { _folder: Some(folder), ..installation })
    }

    /// A new one in a folder that is nobody else's; the folder stays.
    pub(crate) fn below(folder: &Path, program: &Path, backend: Backend) -> Result<Self> {
        let schema = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Schema::new(folder)?),
        };
        let home = folder.join("home");
        Ok(Self { program: program.to_owned(), home, schema, _folder: None })
    }

    /// One in a given folder, on SQLite; the folder stays.
    pub(crate) fn in_folder(program: &Path, home: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned(), schema: None, _folder: None }
    }

    /// A second one of the same program, with nothing in common.
    pub(crate) fn another(&self) -> Result<Self> {
        let backend = if self.schema.is_some() { Backend::Postgres } else { Backend::Sqlite };
        Self::new(&self.program, backend)
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Everything in its PostgreSQL database, as SQL; `None` for an embedded one.
    pub(crate) fn dump(&self) -> Result<Option<String>> {
        self.schema.as_ref().map(Schema::dump).transpose()
    }

    /// Fills the PostgreSQL database of `other` with what is in this one's.
    pub(crate) fn copy_database(&self, other: &Self) -> Result<()> {
        let (Some(from), Some(to)) = (&self.schema, &other.schema) else {
            bail!("Both must be on PostgreSQL");
        };
        let text = from.dump()?.replace(&format!("CREATE SCHEMA {};", from.name), "");
        let file = other.home.with_extension("sql");
        fs::write(&file, text.replace(&from.name, &to.name))?;
        let server = probe::postgres().map_err(anyhow::Error::msg)?;
        let mut restore = Command::new("psql");
        restore.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
        run::output_of(restore.arg(&file).arg(server)).map(drop)
    }

    /// A command whose surroundings say nothing but where its home and database are.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PULP_") || text.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(&name);
            }
        }
        command.env("PULP_HOME", &self.home);
        if let Some(schema) = &self.schema {
            command.env("PULP_DATABASE_URL", &schema.url);
        }
        command
    }

    /// Runs a command to its end, whatever that is.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Result<Output> {
        run::captured(&mut self.command(arguments), PATIENCE)
    }

    /// Runs a command that must succeed and returns its standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.try_run(arguments)?;
        if !output.status.success() {
            let Output { status, stdout, stderr } = output;
            bail!("`pulp {}` ended with {status}\n{stdout}{stderr}", arguments.join(" "));
        }
        Ok(output.stdout)
    }

    /// Runs a command that must fail with an exit code and returns its standard error.
    pub(crate) fn run_failing(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.try_run(arguments)?;
        let shown = arguments.join(" ");
        match output.status.code() {
            Some(0) => bail!("`pulp {shown}` succeeded\n{}", output.stdout),
            Some(code) => Ok((code, output.stderr)),
            None => bail!("`pulp {shown}` died of {}\n{}", output.status, output.stderr),
        }
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Running> {
        Running::start(&mut self.command(arguments))
    }

    /// Runs `pulp mirror file` with further arguments.
    pub(crate) fn mirror(&self, url: &str, name: &str, more: &[&str]) -> Result<Mirrored> {
        let mut arguments = vec!["mirror", "file", url, "--name", name, "--json"];
        arguments.extend(more);
        Mirrored::parse(&self.run(&arguments)?)
    }

    /// Starts `pulp serve` and waits until it says that it answers.
    pub(crate) fn serve(&self) -> Result<Serving> {
        self.serve_with(&[])
    }

    /// The same with further arguments.
    pub(crate) fn serve_with(&self, more: &[&str]) -> Result<Serving> {
        Serving::start(&mut self.command(&[Serving::WORDS, more].concat()))
    }

    /// Regular files below `folder` of the home, deepest last.
    pub(crate) fn files(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect_files(&self.home.join(folder), &mut files)?;
        Ok(files)
    }

    /// The versions of a repository as the program lists them; none if there is no repository, as
    /// after a first mirror that failed.
    pub(crate) fn versions(&self, plugin: &str, name: &str) -> Result<Vec<Value>> {
        let words = [plugin, "repository", "version", "list", "--repository", name, "--json"];
        let output = self.try_run(&words)?;
        match output.status.code() {
            Some(0) => Ok(serde_json::from_str(&output.stdout)?),
            Some(NOT_FOUND) => Ok(Vec::new()),
            _ => bail!("Failed to list the versions of `{name}`:\n{}", output.stderr),
        }
    }

    /// An error when a temporary file is left.
    pub(crate) fn has_no_temporary_files(&self) -> Result<()> {
        let left = self.files("tmp")?;
        ensure!(left.is_empty(), "Temporary files are left: {left:?}");
        Ok(())
    }

    /// Whether a file of the home, or a row of its database, holds this text.
    pub(crate) fn stores(&self, text: &str) -> Result<bool> {
        match self.dump()? {
            Some(rows) if rows.contains(text) => Ok(true),
            _ => self.holds(text.as_bytes()),
        }
    }

    /// Whether any file of the home holds these bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> Result<bool> {
        for path in self.files("")? {
            let content =
                fs::read(&path).with_context(|| format!("Failed to read `{}`", path.display()))?;
            if content.windows(bytes.len()).any(|window| window == bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("Failed to list `{}`", folder.display()))?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_files(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

impl Schema {
    /// Named after a folder that nobody else has.
    fn new(folder: &Path) -> Result<Self> {
        let server = probe::postgres().map_err(anyhow::Error::msg)?;
        let unique = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("pulp_xtask_{}_{unique}", std::process::id());
        probe::psql(server, &format!("CREATE SCHEMA {name}"))?;
        let separator = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{separator}options=-csearch_path%3D{name}");
        Ok(Self { name, url })
    }
}

impl Schema {
    fn dump(&self) -> Result<String> {
        let server = probe::postgres().map_err(anyhow::Error::msg)?;
        let mut dump = Command::new("pg_dump");
        run::output_of(dump.args(["--no-owner", "--schema", &self.name, server]))
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if let Ok(server) = probe::postgres() {
            // A schema that stays harms nobody: its name is never used again.
            let _ = probe::psql(server, &format!("DROP SCHEMA {} CASCADE", self.name));
        }
    }
}

/// What `pulp mirror --json` printed.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Mirrored {
    pub(crate) repository: String,
    pub(crate) version: Option<u64>,
    pub(crate) added: u64,
    pub(crate) removed: u64,
    pub(crate) present: u64,
    pub(crate) downloaded_bytes: u64,
    pub(crate) requests: u64,
    pub(crate) duration_ms: u64,
    pub(crate) served_at: String,
    pub(crate) warnings: Vec<String>,
}

impl Mirrored {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .with_context(|| format!("`pulp mirror --json` printed something else:\n{text}"))
    }
}

/// A running `pulp serve`; killed when dropped.
pub(crate) struct Serving {
    running: Running,
    pub(crate) address: SocketAddr,
}

impl Serving {
    /// The command that serves.
    pub(crate) const WORDS: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--json"];

    /// Starts a command that serves, and waits until it says that it answers.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut running = Running::start(command)?;
        let line = running.line(PATIENCE)?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("`pulp serve --json` printed no JSON: `{line}`"))?;
        let address = ready["address"].as_str().and_then(|text| text.parse().ok());
        let address = address.with_context(|| format!("No `address` with a port in `{line}`"))?;
        Ok(Self { running, address })
    }

    /// Fetches a file of a distribution.
    pub(crate) fn get(&self, name: &str, path: &str) -> Result<Reply> {
        self.request("GET", name, path, &[])
    }

    /// Sends a request for a file of a distribution.
    pub(crate) fn request(
        &self,
        method: &str,
        name: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Reply> {
        client::request(self.address, method, &content_path(name, path), headers)
    }

    /// Waits until it ends by itself, or is interrupted together with this program.
    pub(crate) fn wait(self) -> Result<()> {
        self.running.finish(Duration::MAX).map(drop)
    }

    /// The process id, as in `/proc`.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(self) -> Result<()> {
        self.running.kill().map(drop)
    }

    /// Ends it by SIGTERM, which must not take longer than promised.
    pub(crate) fn stop(self) -> Result<()> {
        let start = Instant::now();
        self.running.terminate()?;
        let output = self.running.finish(END * 4)?;
        let taken = start.elapsed();
        ensure!(taken <= END, "`pulp serve` took {taken:?} to end");
        ensure!(output.status.success(), "`pulp serve` ended with {}", output.status);
        Ok(())
    }
}

/// The path under which a distribution's file is served, encoded.
pub(crate) fn content_path(name: &str, path: &str) -> String {
    format!("/pulp/content/{}/{}", client::encode(name), client::encode(path))
}

/// A digest as registries write it, by `sha256` or `sha512`.
pub(crate) fn digest_of(algorithm: &str, bytes: &[u8]) -> String {
    match algorithm {
        "sha512" => format!("sha512:{:x}", sha2::Sha512::digest(bytes)),
        _ => format!("sha256:{}", sha256(bytes)),
    }
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", sha2::Sha256::digest(bytes))
}
