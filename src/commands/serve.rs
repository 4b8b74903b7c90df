//! `pulp serve`: distributions over HTTP, until told to stop.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use pulp_stages::serve::{
    Challenge, ContentApp, ServeSettings, ServerSettings, Tls, serve, serve_metrics, users::Users,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    application::Session,
    failure::{CommandResult, Exit, Failure},
};

pub(super) fn describe() -> Command {
    // After the flags, whose groups would put their own words here.
    ServeFlags::augment_args(Command::new("serve"))
        .about("Serve distributions over HTTP until interrupted")
        .long_about(None)
}

#[derive(Debug, Args)]
struct ServeFlags {
    /// Address to listen on; port 0 lets the system pick one
    #[arg(long, env = "PULP_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// URL under which clients reach this server, if a proxy stands before it
    #[arg(long, env = "PULP_PUBLIC_URL", value_name = "URL")]
    public_url: Option<url::Url>,
    /// Certificate chain for TLS (PEM)
    #[arg(long, env = "PULP_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key for TLS (PEM)
    #[arg(long, env = "PULP_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Users and their passwords, as `htpasswd -B` writes them; who may do what is an option of each
    /// repository (`pulp container repository create --help`) [default: nobody can log in]
    #[arg(long, env = "PULP_USERS_FILE", value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// How clients are asked to log in: they get a token for their password and show that, or send
    /// the password with every request
    #[arg(long, env = "PULP_LOGIN", value_name = "HOW", value_enum, default_value_t)]
    login: Login,
    /// Another address, on which alone `/metrics` is served, and tells of each repository; without
    /// it, clients can read them too, but for the names of repositories
    #[arg(long, env = "PULP_METRICS_LISTEN", value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    limits: LimitFlags,
}

/// See [`Challenge`].
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Login {
    #[default]
    Bearer,
    Basic,
}

/// What clients may ask of the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Connections at once; further ones wait
    #[arg(
        long,
        env = "PULP_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = ServerSettings::default().max_connections,
        value_parser = positive,
    )]
    max_connections: usize,
    /// Connections at once of one client address (IPv6: /64 network); further ones are closed. Raise
    /// it if all clients come through one proxy
    #[arg(
        long,
        env = "PULP_MAX_CONNECTIONS_PER_CLIENT",
        value_name = "N",
        default_value_t = ServerSettings::default().max_connections_per_client,
        value_parser = positive,
    )]
    max_connections_per_client: usize,
    /// Requests at once on one HTTP/2 connection
    #[arg(
        long,
        env = "PULP_MAX_STREAMS",
        value_name = "N",
        default_value_t = ServerSettings::default().max_streams,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    max_streams: u32,
    /// Longest head of a request in bytes
    #[arg(
        long,
        env = "PULP_MAX_HEAD",
        value_name = "BYTES",
        default_value_t = 131_072,
        value_parser = clap::value_parser!(u32).range(8192..=16_777_216),
    )]
    max_head: u32,
    /// Seconds for a TLS handshake, for the head of a request, and between two requests
    #[arg(
        long,
        env = "PULP_HEADER_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    header_timeout: u64,
    /// Bytes per second that a client must take, or send, while the server waits for it
    #[arg(
        long,
        env = "PULP_MINIMUM_RATE",
        value_name = "BYTES",
        default_value_t = ServerSettings::default().minimum_rate,
    )]
    minimum_rate: u64,
    /// Seconds of waiting over which a client's rate is judged
    #[arg(
        long,
        env = "PULP_STALL_WINDOW",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    stall_window: u64,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1 up".to_owned()),
        Ok(number) => Ok(number),
    }
}

impl LimitFlags {
    fn settings(&self, tls: Option<Tls>) -> ServerSettings {
        ServerSettings {
            max_connections: self.max_connections,
            max_connections_per_client: self.max_connections_per_client,
            max_head: self.max_head as usize,
            header_timeout: Duration::from_secs(self.header_timeout),
            stall_window: Duration::from_secs(self.stall_window),
            minimum_rate: self.minimum_rate,
            max_streams: self.max_streams,
            tls,
            ..ServerSettings::default()
        }
    }
}

/// Printed once the server answers.
#[derive(Serialize)]
struct Ready {
    /// Where it listens, with the port that the system picked.
    address: SocketAddr,
    /// The URL of its contents.
    url: String,
    /// Where metrics are served, if that is another address.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_address: Option<SocketAddr>,
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let flags =
        ServeFlags::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    let installation = session.installation().await?;
    let tls = match (&flags.tls_cert, &flags.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Tls::load(certificate, key).map_err(anyhow::Error::new)?)
        }
        _ => None,
    };
    let listener = listen(flags.listen).await?;
    let metrics = match flags.metrics_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let address = listener.local_addr()?;
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = match &flags.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{scheme}://{address}"),
    };
    let users_file = flags.users_file.as_ref().or(session.settings.users_file.as_ref());
    let users = users_file.map(|path| Users::open(path)).transpose().map_err(|error| {
        Failure::from(anyhow::Error::new(error))
            .hint("make it with `htpasswd -B -c FILE NAME`, of the package `apache2-utils`")
            .exit(Exit::Usage)
    })?;
    let challenge = match flags.login {
        Login::Bearer => Challenge::Bearer,
        Login::Basic => Challenge::Basic,
    };
    let settings = ServeSettings {
        public_url: flags.public_url,
        users,
        challenge,
        is_secure: tls.is_some(),
        metrics_apart: metrics.is_some(),
        ..ServeSettings::default()
    };
    let app = ContentApp::new(installation, session.plugins.clone(), settings);
    let ready = Ready { address, url: format!("{url}/pulp/content/"), metrics_address };
    session.printer.result(&ready, |ready| format!("Serving {}", ready.url))?;
    let monitoring = async {
        if let Some(listener) = metrics {
            serve_metrics(listener, app.clone(), session.interrupt.clone()).await;
        }
    };
    let limits = flags.limits.settings(tls);
    let serving = serve(vec![listener], app.clone(), session.interrupt.clone(), limits);
    tokio::join!(serving, monitoring);
    session.printer.note("Stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> CommandResult<TcpListener> {
    let listener = TcpListener::bind(address).await;
    Ok(listener.with_context(|| format!("Failed to listen on {address}"))?)
}
