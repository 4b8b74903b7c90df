//! Settings of an installation: from flags, then `PULP_*` variables, then a YAML file, then defaults.
//!
//! `pulp settings` shows every value with where it came from. What belongs to one repository is
//! not here but in the database (see `pulp apply`).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Args, FromArgMatches as _, ValueEnum, parser::ValueSource};
use pulp_models::DatabaseUrl;
use serde::{Deserialize, Serialize};

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalFlags {
    /// Folder of the installation: database, artifacts, keys [default: the platform's data folder]
    #[arg(long, global = true, env = "PULP_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    /// Database to use in place of the embedded one, as in `postgres://user@host/name`
    #[arg(
        long,
        global = true,
        env = "PULP_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_url: Option<String>,
    /// File with the keys that encrypt passwords and private keys at rest (see `pulp secret`)
    #[arg(long, global = true, env = "PULP_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// Settings file [default: HOME/settings.yaml, if it is there]
    #[arg(long, global = true, env = "PULP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log on stderr, as in `info` or `pulp_stages=debug`
    #[arg(long, global = true, env = "PULP_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How logs are written on stderr; `json` makes an object of every line, errors included
    #[arg(long, global = true, env = "PULP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// How logs are written: for people, or an object per line for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The YAML file; every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    home: Option<PathBuf>,
    database_url: Option<String>,
    secret_key_file: Option<PathBuf>,
    log: Option<String>,
    users_file: Option<PathBuf>,
    log_format: Option<LogFormat>,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Folder of the installation.
    pub(crate) home: PathBuf,
    /// Database URL; `None` is the embedded database in `home`. It may hold a password.
    pub(crate) database_url: Option<String>,
    /// Key file; without it, secrets are stored as they are.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// Log filter.
    pub(crate) log: String,
    /// Users of the server, for `pulp serve`, whose flag wins over it.
    pub(crate) users_file: Option<PathBuf>,
    /// How logs are written.
    pub(crate) log_format: LogFormat,
    origins: Vec<Origin>,
}

/// One setting as `pulp settings` shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Origin {
    /// The setting's name, as in the file and (as `PULP_<NAME>`) in the environment.
    pub(crate) name: &'static str,
    /// Its value, passwords hidden.
    pub(crate) value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub(crate) source: String,
}

impl Settings {
    /// Puts the settings together.
    pub(crate) fn load(matches: &ArgMatches) -> anyhow::Result<Self> {
        let flags = GlobalFlags::from_arg_matches(matches)?;
        let home_flag = flags.home.clone().or_else(default_home);
        let (file, file_path) = read_file(flags.config.as_deref(), home_flag.as_deref())?;
        let mut loader = Loader { matches, file_path, origins: Vec::new() };

        let home = loader
            .pick("home", flags.home, file.home, default_home(), |path| path.display().to_string());
        let Some(home) = home else {
            bail!("No home folder is known; give one with `--home DIR` or `PULP_HOME`");
        };
        let database_url =
            loader.pick("database_url", flags.database_url, file.database_url, None, |url| {
                show_database(url)
            });
        let secret_key_file = loader.pick(
            "secret_key_file",
            flags.secret_key_file,
            file.secret_key_file,
            None,
            |path| path.display().to_string(),
        );
        let log = loader
            .pick("log", flags.log, file.log, Some("warn".to_owned()), Clone::clone)
            .unwrap_or_default();
        let users_file = std::env::var_os("PULP_USERS_FILE").map(PathBuf::from);
        let users_file = loader.pick("users_file", users_file, file.users_file, None, |path| {
            path.display().to_string()
        });
        let log_format = loader
            .pick(
                "log_format",
                flags.log_format,
                file.log_format,
                Some(LogFormat::Text),
                |format| format!("{format:?}").to_lowercase(),
            )
            .unwrap_or_default();
        Ok(Self {
            home,
            database_url,
            secret_key_file,
            log,
            log_format,
            users_file,
            origins: loader.origins,
        })
    }

    /// Every setting with its origin.
    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }
}

/// The URL without its password.
fn show_database(url: &str) -> String {
    let parsed = url.parse::<DatabaseUrl>();
    parsed.map_or_else(|_| "(invalid)".to_owned(), |url| url.to_string())
}

struct Loader<'a> {
    matches: &'a ArgMatches,
    file_path: Option<PathBuf>,
    origins: Vec<Origin>,
}

impl Loader<'_> {
    fn pick<T>(
        &mut self,
        name: &'static str,
        flag: Option<T>,
        file: Option<T>,
        default: Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        // What is no flag of every command can only come from the environment here.
        let from_environment = self.matches.try_contains_id(name).is_err()
            || self.matches.value_source(name) == Some(ValueSource::EnvVariable);
        let (value, source) = match (flag, file) {
            (Some(value), _) if from_environment => (Some(value), "environment".to_owned()),
            (Some(value), _) => (Some(value), "flag".to_owned()),
            (None, Some(value)) => {
                let path = self.file_path.as_deref().unwrap_or(Path::new(""));
                (Some(value), format!("file {}", path.display()))
            }
            (None, None) => (default, "default".to_owned()),
        };
        let shown = value.as_ref().map(show).unwrap_or_default();
        self.origins.push(Origin { name, value: shown, source });
        value
    }
}

fn read_file(
    given: Option<&Path>,
    home: Option<&Path>,
) -> anyhow::Result<(SettingsFile, Option<PathBuf>)> {
    let path = match (given, home) {
        (Some(path), _) => path.to_owned(),
        (None, Some(home)) if home.join("settings.yaml").is_file() => home.join("settings.yaml"),
        (None, _) => return Ok((SettingsFile::default(), None)),
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("Failed to read settings file `{}`", path.display()))?;
    let file = if text.trim().is_empty() {
        SettingsFile::default()
    } else {
        serde_yaml::from_str(&text)
            .with_context(|| format!("Failed to parse settings file `{}`", path.display()))?
    };
    Ok((file, Some(path)))
}

/// `$XDG_DATA_HOME/pulp`, or `~/.local/share/pulp` (`~/Library/Application Support/pulp` on macOS).
fn default_home() -> Option<PathBuf> {
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(data).join("pulp"));
    }
    let user = PathBuf::from(std::env::var_os("HOME").filter(|value| !value.is_empty())?);
    let data =
        if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    Some(user.join(data).join("pulp"))
}

#[cfg(test)]
mod fuzz {
    use pulp_stages::testing::fuzz;

    use super::SettingsFile;

    #[test]
    fn settings_files() {
        let seeds: [&[u8]; 2] = [
            b"home: /var/lib/pulp\ndatabase_url: postgres://u@h/d\nlog: info\nlog_format: json\n",
            b"{home: \"a\", log: &x [*x]}",
        ];
        fuzz(&seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            drop(serde_yaml::from_str::<SettingsFile>(&text));
        });
    }
}
