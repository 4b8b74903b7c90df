//! Flags for what every remote has: policy, credentials, certificates, proxy, limits, timeouts.
//!
//! The flags have the names of [`RemoteSettings`]' fields, so that only those that were given are
//! laid over what is stored. Passwords never have to stand on a command line: files, environment
//! variables and stdin work too.

use std::{
    io::Read as _,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use pulp_models::{
    ProxyUrl, RemoteSettings, Secret,
    remote_settings::{Header, OnBroken},
};

use crate::failure::{CommandResult, Failure};

/// See the module.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reaching upstream")]
pub(crate) struct RemoteFlags {
    /// User name for basic authentication
    #[arg(long)]
    username: Option<String>,
    /// File that holds the password; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Password (prefer `--password-file`, or this environment variable)
    #[arg(
        long,
        env = "PULP_REMOTE_PASSWORD",
        hide_env_values = true,
        conflicts_with = "password_file"
    )]
    password: Option<Secret>,
    /// Header sent to upstream, as `Name: value`; may repeat
    #[arg(long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<Header>,
    /// What is appended to our User-Agent
    #[arg(long)]
    user_agent: Option<String>,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Whether upstream must prove who it is [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    tls_validation: Option<bool>,
    /// Proxy for every request [default: the `*_PROXY` variables]
    #[arg(long, value_name = "URL")]
    proxy_url: Option<ProxyUrl>,
    /// User name for the proxy
    #[arg(long)]
    proxy_username: Option<String>,
    /// File that holds the proxy's password
    #[arg(long, value_name = "FILE")]
    proxy_password_file: Option<PathBuf>,
    /// Requests in flight at once [default: 10]
    #[arg(long, value_name = "N")]
    download_concurrency: Option<NonZeroU32>,
    /// Further attempts per URL after the first [default: 3]
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// Requests per second [default: unlimited]
    #[arg(long, value_name = "N")]
    rate_limit: Option<NonZeroU32>,
    /// Bytes per second [default: unlimited]
    #[arg(long, value_name = "N")]
    bytes_per_second: Option<NonZeroU64>,
    /// Seconds until a connection must stand [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    connect_timeout: Option<Duration>,
    /// Longest silence in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    idle_timeout: Option<Duration>,
    /// Slowest acceptable average in bytes per second; 0 is any [default: 1024]
    #[arg(long, value_name = "N")]
    minimum_rate: Option<u64>,
    /// What to do about a file that upstream lists and doesn't have, or gives corrupt: `fail` the
    /// sync, `skip` what it belongs to, or `defer` it to the first client that asks, which suits
    /// upstream's own lists better where they are published as they are [default: fail]
    #[arg(long, value_name = "WHAT")]
    on_broken: Option<OnBroken>,
    /// Folder from which `file://` URLs may be read; may repeat
    #[arg(long = "allow-file-path", value_name = "DIR")]
    allowed_file_paths: Vec<PathBuf>,
}

impl RemoteFlags {
    /// Lays what was given over `settings`; reads the files that flags name.
    pub(crate) fn overlay(self, settings: &mut RemoteSettings) -> CommandResult {
        fn set<T>(slot: &mut Option<T>, given: Option<T>) {
            if given.is_some() {
                *slot = given;
            }
        }
        let password = match self.password_file {
            Some(path) => Some(read_secret(&path)?),
            None => self.password,
        };
        set(&mut settings.username, self.username);
        set(&mut settings.password, password);
        if !self.headers.is_empty() {
            settings.headers = self.headers;
        }
        set(&mut settings.user_agent, self.user_agent);
        set(&mut settings.ca_cert, self.ca_cert.map(|path| read_text(&path)).transpose()?);
        set(&mut settings.client_cert, self.client_cert.map(|path| read_text(&path)).transpose()?);
        let client_key = self.client_key.map(|path| read_text(&path)).transpose()?;
        set(&mut settings.client_key, client_key.map(Secret::new));
        set(&mut settings.tls_validation, self.tls_validation);
        set(&mut settings.proxy_url, self.proxy_url);
        set(&mut settings.proxy_username, self.proxy_username);
        let proxy_password = self.proxy_password_file.map(|path| read_secret(&path)).transpose()?;
        set(&mut settings.proxy_password, proxy_password);
        set(&mut settings.download_concurrency, self.download_concurrency);
        set(&mut settings.max_retries, self.max_retries);
        set(&mut settings.rate_limit, self.rate_limit);
        set(&mut settings.bytes_per_second, self.bytes_per_second);
        set(&mut settings.connect_timeout, self.connect_timeout);
        set(&mut settings.idle_timeout, self.idle_timeout);
        set(&mut settings.minimum_rate, self.minimum_rate);
        set(&mut settings.on_broken, self.on_broken);
        if !self.allowed_file_paths.is_empty() {
            settings.allowed_file_paths = self.allowed_file_paths;
        }
        Ok(())
    }
}

fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("expected `Name: value`")?;
    Ok(Header::new(name.trim(), value.trim()))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn read_text(path: &std::path::Path) -> CommandResult<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("Failed to read `{}`", path.display()))
        .map_err(|error| Failure { error, hint: None, exit: crate::failure::Exit::Usage })
}

/// Reads a secret without its last line end; `-` is stdin.
pub(crate) fn read_secret(path: &std::path::Path) -> CommandResult<Secret> {
    let mut text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("Failed to read from stdin: {error}")))?;
        text
    } else {
        read_text(path)?
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}
