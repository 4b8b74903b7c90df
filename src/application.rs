//! The program from its first to its last moment: parse, settings, logging, run, report, exit.

use std::{io::IsTerminal as _, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::ArgMatches;
use pulp_models::{Keyring, db::DatabaseUrl};
use pulp_stages::{
    installation::Installation,
    plugin::{Plugin, Plugins},
};
use tokio_util::sync::CancellationToken;

use crate::{
    commands,
    failure::{CommandResult, Exit, Failure},
    printer::Printer,
    settings::{LogFormat, Settings},
};

/// A program made of plugins; see the [crate].
#[derive(Clone, Default)]
pub struct Application {
    plugins: Plugins,
}

impl Application {
    /// A program without any plugin yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a repository type.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.add(plugin);
        self
    }

    /// Runs the command line of this process and says how it went.
    pub fn run(self) -> ExitCode {
        let mut tree = commands::tree(&self.plugins);
        let matches = tree.try_get_matches_from_mut(std::env::args_os()).unwrap_or_else(|error| {
            commands::direct(error, &tree, &self.plugins).exit();
        });
        let mut printer = Printer::new(matches.get_flag("json"), matches.get_flag("quiet"));
        match self.run_matches(&matches, &mut printer) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                printer.failure(&failure.error, failure.advice());
                failure.exit.into()
            }
        }
    }

    fn run_matches(self, matches: &ArgMatches, printer: &mut Printer) -> CommandResult {
        let settings = Settings::load(matches).map_err(|error| Failure {
            error,
            hint: None,
            exit: Exit::Usage,
        })?;
        start_logging(&settings)?;
        if settings.log_format == LogFormat::Json {
            *printer = printer.into_log();
        }
        // A second installed provider (by a test, by a plugin) serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("Failed to start the program's runtime")?;
        let result = runtime.block_on(async {
            let session = Session {
                plugins: self.plugins,
                settings,
                printer: *printer,
                interrupt: interrupt_on_signals()?,
            };
            commands::run(&session, matches).await
        });
        // Tasks that are left hold the store, whose folder for temporary files goes when they do. What
        // hangs may not hold us up.
        runtime.shutdown_timeout(END);
        result
    }
}

/// How long what is left may take to end once the command has: a server that used all of its own
/// time must still end within five seconds.
const END: Duration = Duration::from_millis(500);

/// What every command has at hand.
pub(crate) struct Session {
    pub(crate) plugins: Plugins,
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    /// Fires on the first SIGINT or SIGTERM.
    pub(crate) interrupt: CancellationToken,
}

impl Session {
    /// Opens the installation that the settings name.
    pub(crate) async fn installation(&self) -> CommandResult<Installation> {
        let database = match &self.settings.database_url {
            Some(url) => Some(url.parse::<DatabaseUrl>().map_err(|error| {
                Failure::from(anyhow::Error::new(error))
                    .exit(Exit::Usage)
                    .hint("write it as postgres://user@host/name or sqlite:///path/to/file")
            })?),
            None => None,
        };
        let keyring = match &self.settings.secret_key_file {
            Some(path) => self.keyring(path)?,
            None => Keyring::default(),
        };
        Ok(Installation::open_with(&self.settings.home, database.as_ref(), keyring).await?)
    }

    fn keyring(&self, path: &Path) -> CommandResult<Keyring> {
        use std::os::unix::fs::PermissionsExt as _;
        let keyring = Keyring::load(path).map_err(|error| {
            Failure::from(anyhow::Error::new(error)).exit(Exit::Usage).hint(
                "`--secret-key-file`, `PULP_SECRET_KEY_FILE` or `secret_key_file` name it; \
                 `pulp secret create-key FILE` makes one",
            )
        })?;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            let path = path.display();
            self.printer.warning(format!("Key file `{path}` is not its owner's alone: chmod 600"));
        }
        Ok(keyring)
    }
}

/// What is not told by [`Printer`] goes to stderr from here on.
fn start_logging(settings: &Settings) -> CommandResult {
    let filter = &settings.log;
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("Invalid log filter `{filter}`: {error}")))?;
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(())
}

/// The first signal asks for an orderly end; the second ends the process at once.
fn interrupt_on_signals() -> CommandResult<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let fired = token.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        fired.cancel();
        next().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(token)
}
