//! `pulp serve`: distributions over HTTP, until told to stop.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use pulp_stages::serve::{
    Challenge, ContentApp, ServeSettings, ServerSettings, Tls, serve, users::Users,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    application::Session,
    failure::{CommandResult, Exit, Failure},
};

pub(super) fn describe() -> Command {
    ServeFlags::augment_args(
        Command::new("serve").about("Serve distributions over HTTP until interrupted"),
    )
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
}

/// See [`Challenge`].
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Login {
    #[default]
    Bearer,
    Basic,
}

/// Printed once the server answers.
#[derive(Serialize)]
struct Ready {
    /// Where it listens, with the port that the system picked.
    address: SocketAddr,
    /// The URL of its contents.
    url: String,
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
    let listener = TcpListener::bind(flags.listen)
        .await
        .with_context(|| format!("Failed to listen on {}", flags.listen))?;
    let address = listener.local_addr()?;
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
        ..ServeSettings::default()
    };
    let app = ContentApp::new(installation, session.plugins.clone(), settings);
    let ready = Ready { address, url: format!("{url}/pulp/content/") };
    session.printer.result(&ready, |ready| format!("Serving {}", ready.url))?;
    let server = ServerSettings { tls, ..ServerSettings::default() };
    serve(vec![listener], app, session.interrupt.clone(), server).await;
    session.printer.note("Stopped");
    Ok(())
}
