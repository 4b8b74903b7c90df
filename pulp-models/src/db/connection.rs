//! One connection to either database, and how it is opened.
//!
//! [`Connection`] is an enum; the macro [`on!`](crate::db::on) pastes one query body into both
//! arms, where the compiler checks it against each backend. Which transaction a body runs in is
//! decided in [`super::transaction`], who may have a connection in [`super::pool`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use diesel::{Connection as _, connection::SimpleConnection as _, prelude::*};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::runtime::Runtime;
use tokio_postgres::{NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::Keyring;

/// PostgreSQL without libpq: diesel's blocking interface over the pure Rust connection.
pub(crate) type PgConnection = AsyncConnectionWrapper<AsyncPgConnection>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection inside a transaction, as the closures of `Db::read` and `Db::write` get it.
///
/// The functions of the model files take it; nobody else needs to look inside.
pub struct Connection {
    backend: Backend,
    keyring: Arc<Keyring>,
}

/// The database that a connection leads to.
#[expect(
    clippy::large_enum_variant,
    reason = "a process has a dozen, and they stay where they are"
)]
pub(crate) enum Backend {
    /// An SQLite file.
    Sqlite(SqliteConnection),
    /// A PostgreSQL session.
    Postgres(PgConnection),
}

/// Runs one query body on whichever backend the connection has.
///
/// `on!(conn, c => body)` is a `match` with `body` in both arms; `c` is diesel's connection.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn.backend() {
            $crate::db::Backend::Sqlite($c) => $body,
            $crate::db::Backend::Postgres($c) => $body,
        }
    };
}
pub(crate) use on;

impl Connection {
    pub(crate) fn new(backend: Backend, keyring: Arc<Keyring>) -> Self {
        Self { backend, keyring }
    }

    /// What a statement runs on.
    pub(crate) fn backend(&mut self) -> &mut Backend {
        &mut self.backend
    }

    /// What encrypts the secrets in this database.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// Runs statements that return nothing and take no parameters.
    pub(crate) fn batch_execute(&mut self, statements: &str) -> QueryResult<()> {
        on!(self, c => c.batch_execute(statements))
    }
}

/// What an SQLite connection is for; it decides pragmas and cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The only writer of this process.
    Writer,
    /// Refuses to write.
    Reader,
}

/// Opens the SQLite file, creating it when absent.
///
/// `synchronous = NORMAL` in WAL mode: a power failure may lose the last commits, never the
/// database. A larger checkpoint interval than SQLite's 4 MB writes hot pages less often.
///
/// Caches are small (8 MiB for the writer, 2 MiB for a reader): a page that one of them lacks lies in
/// the system's cache, and keys are digests, so of a large index no cache of ours would hold enough.
/// Four times as much cost 27 MB more at 100,000 units and as much CPU.
pub(super) fn open_sqlite(path: &Path, role: Role) -> Result<SqliteConnection, BoxError> {
    let name = path.to_str().ok_or("its path is no UTF-8")?;
    let mut connection = SqliteConnection::establish(name)?;
    // First of all, for the switch to WAL can itself meet a lock.
    connection.batch_execute("PRAGMA busy_timeout = 60000")?;
    connection.batch_execute(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.batch_execute(match role {
        Role::Writer => "PRAGMA cache_size = -8192",
        Role::Reader => "PRAGMA cache_size = -2048; PRAGMA query_only = ON",
    })?;
    Ok(connection)
}

/// How to reach a PostgreSQL server; parsed once, used for every connection.
pub(crate) struct PostgresConnector {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
    /// Drives the sockets, so that no connection depends on the runtime of who opened it.
    runtime: Option<Runtime>,
}

impl PostgresConnector {
    pub(crate) fn new(url: &Url) -> Result<Self, BoxError> {
        let (url, mode, root) = split_tls_options(url)?;
        let mut config: tokio_postgres::Config = url.as_str().parse()?;
        if config.get_application_name().is_none() {
            config.application_name("pulp");
        }
        config.ssl_mode(mode);
        let tls = match mode {
            SslMode::Require => Some(MakeRustlsConnect::new(tls_config(root.as_deref())?)),
            _ => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pulp-postgres")
            .enable_all()
            .build()?;
        Ok(Self { config, tls, runtime: Some(runtime) })
    }

    /// Opens one connection. Blocks; must not be called on an async worker thread.
    pub(crate) fn connect(&self) -> Result<PgConnection, BoxError> {
        let runtime = self.runtime.as_ref().expect("taken only by drop");
        let connection = runtime.block_on(async {
            if let Some(tls) = &self.tls {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            } else {
                let (client, connection) = self.config.connect(NoTls).await?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
            .map_err(BoxError::from)
        })?;
        // The wrapper remembers the runtime it is made in.
        let _entered = runtime.enter();
        Ok(PgConnection::from(connection))
    }
}

impl Drop for PostgresConnector {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which an async caller may not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes out the options that `tokio_postgres` does not know. We always verify the certificate, so
/// libpq's `verify-ca` and `verify-full` mean `require`; `prefer` and `allow` mean no TLS.
fn split_tls_options(url: &Url) -> Result<(Url, SslMode, Option<PathBuf>), BoxError> {
    let (mut mode, mut root) = (SslMode::Disable, None);
    let mut rest = url.clone();
    rest.set_query(None);
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("sslmode", "require" | "verify-ca" | "verify-full") => mode = SslMode::Require,
            ("sslmode", "disable" | "allow" | "prefer") => mode = SslMode::Disable,
            ("sslmode", other) => return Err(format!("unknown `sslmode` `{other}`").into()),
            ("sslrootcert", path) => root = Some(PathBuf::from(path)),
            (name, value) => {
                rest.query_pairs_mut().append_pair(name, value);
            }
        }
    }
    Ok((rest, mode, root))
}

fn tls_config(root: Option<&Path>) -> Result<rustls::ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let Some(root) = root else {
        let verifier = rustls_platform_verifier::Verifier::new(provider)?;
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth());
    };
    let mut roots = rustls::RootCertStore::empty();
    let describe = |error: &dyn std::fmt::Display| format!("`{}`: {error}", root.display());
    for certificate in CertificateDer::pem_file_iter(root).map_err(|error| describe(&error))? {
        roots.add(certificate.map_err(|error| describe(&error))?)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_options_are_taken_out_of_the_url() {
        let url = "postgres://host/db?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3";
        let (rest, mode, root) =
            split_tls_options(&url.parse().expect("valid")).expect("known options");
        assert_eq!(rest.as_str(), "postgres://host/db?connect_timeout=3");
        assert_eq!((mode, root), (SslMode::Require, Some(PathBuf::from("/ca.pem"))));
        let bad = "postgres://host/db?sslmode=maybe".parse().expect("valid");
        assert!(split_tls_options(&bad).is_err());
    }
}
