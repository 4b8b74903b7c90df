//! The database: one [`Db`] over SQLite or PostgreSQL.
//!
//! [`Db::read`] and [`Db::write`] run a closure in one transaction on the blocking pool; the
//! model files of this crate (`content`, `version`, …) hold the statements that such a closure
//! calls. Nothing outside this crate sees a statement, and nothing in here knows what the tables
//! mean.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("pulp.sqlite");
//! use pulp_models::{db::{DatabaseUrl, Db}, repository};
//!
//! let db = Db::open(&DatabaseUrl::sqlite(&path)).await?;
//! let repositories = db.read(repository::list).await?;
//! assert!(repositories.is_empty());
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod connection;
pub(crate) mod dialect;
mod error;
mod migrate;
mod pool;
mod session;
mod transaction;
pub mod types;
mod url;

use std::sync::Arc;

#[cfg(test)]
pub(crate) use self::migrate::names as migrations;
pub use self::{
    connection::Connection,
    error::DbError,
    url::{DatabaseUrl, InvalidDatabaseUrl},
};
pub(crate) use self::{
    connection::{Backend, PostgresConnector, on},
    error::named,
    session::Session,
};
use self::{
    connection::{Role, open_sqlite},
    pool::Pool,
};
use crate::{Keyring, remote};

/// Connections that only read, of one process to one SQLite file.
const SQLITE_READERS: usize = 4;

/// Connections of one process to one PostgreSQL server. Its default limit is 100 for all.
const POSTGRES_CONNECTIONS: usize = 8;

/// A database. Cheap to clone; the clones share their connections.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    url: DatabaseUrl,
    keyring: Arc<Keyring>,
    /// On SQLite a single connection: one writer at a time, in the order of asking.
    writers: Arc<Pool>,
    /// On PostgreSQL the same pool as `writers`.
    readers: Arc<Pool>,
}

impl Db {
    /// Opens the database, creating the SQLite file when absent (its folder must exist), and brings
    /// its schema up to date. A database that a newer program has migrated is [`DbError::Newer`].
    ///
    /// Secrets are stored as they are; one that is encrypted is [`DbError::Sealed`].
    pub async fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        Self::open_with(url, Keyring::default()).await
    }

    /// [`Db::open`], with secrets encrypted by `keyring`. One that it cannot decrypt is
    /// [`DbError::Sealed`], here and not when it is needed.
    pub async fn open_with(url: &DatabaseUrl, keyring: Keyring) -> Result<Self, DbError> {
        let (url, keyring) = (url.clone(), Arc::new(keyring));
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(url, keyring));
        opened.await.map_err(|_| DbError::Stopping)?
    }

    fn open_blocking(url: DatabaseUrl, keyring: Arc<Keyring>) -> Result<Self, DbError> {
        let (writers, readers) = match &url.0 {
            url::Kind::Sqlite(_) => {
                let writers = Pool::new(1, connect_sqlite(&url, Role::Writer, &keyring));
                let readers =
                    Pool::new(SQLITE_READERS, connect_sqlite(&url, Role::Reader, &keyring));
                (Arc::new(writers), Arc::new(readers))
            }
            url::Kind::Postgres(server) => {
                let connector = PostgresConnector::new(server).map_err(open_error(&url))?;
                let error = open_error(&url);
                let keyring = Arc::clone(&keyring);
                let connect = move || {
                    let connection = connector.connect().map_err(&error)?;
                    Ok(Connection::new(Backend::Postgres(connection), Arc::clone(&keyring)))
                };
                let pool = Arc::new(Pool::new(POSTGRES_CONNECTIONS, Box::new(connect)));
                (Arc::clone(&pool), pool)
            }
        };
        let lock = migrate::lock_sqlite(&url)?;
        writers.with_new(|connection| {
            migrate::migrate(connection, &url)?;
            remote::check_secrets(connection)
        })?;
        drop(lock);
        Ok(Self { inner: Arc::new(Inner { url, keyring, writers, readers }) })
    }

    /// What encrypts the secrets of this database.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    /// Where the database is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.inner.url
    }

    /// Runs `f` on the blocking pool in a transaction that sees one snapshot of the database and
    /// cannot change it.
    ///
    /// Dropping the future before `f` has begun leaves it undone; once begun, it runs to its end.
    pub async fn read<T, F>(&self, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        let begin = transaction::begin_read;
        self.inner.readers.run(begin, |connection| transaction::read(connection, f)).await
    }

    /// Runs `f` on the blocking pool in one transaction, committed when `f` returns `Ok`.
    ///
    /// On PostgreSQL `f` may run more than once: a transaction that lost to another one is rolled
    /// back and runs again, a few times. Dropping the future before `f` has begun leaves it undone;
    /// once begun, it runs to its end and commits.
    pub async fn write<T, F>(&self, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        let begin = transaction::begin_write;
        self.inner.writers.run(begin, |connection| transaction::write(connection, f)).await
    }

    /// Rewrites an SQLite file without what was deleted or overwritten in it; needs as much room again
    /// on the disk. PostgreSQL's `VACUUM FULL` is its administrator's business.
    pub async fn compact(&self) -> Result<(), DbError> {
        if self.inner.url.sqlite_path().is_none() {
            return Ok(());
        }
        // Not possible in a transaction, hence not on a connection of the pool.
        let session = Session::open(self).await?;
        session.run(|connection| Ok(connection.batch_execute("VACUUM")?)).await
    }

    /// Returns when what was committed before cannot be undone by a power failure. Needed only
    /// before something outside of the database relies on it, such as the deletion of a file.
    ///
    /// An SQLite commit reaches the disk with a later one (`synchronous = NORMAL`), so the log is
    /// synced here. A PostgreSQL commit has reached it already.
    pub(crate) async fn make_durable(&self) -> Result<(), DbError> {
        let Some(path) = self.inner.url.sqlite_path() else { return Ok(()) };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let database = self.inner.url.to_string();
        let sync = move || match std::fs::File::open(log).and_then(|log| log.sync_all()) {
            // Without a log everything is in the main file.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(DbError::Sync { database, source: error })
            }
            _ => Ok(()),
        };
        tokio::task::spawn_blocking(sync).await.map_err(|_| DbError::Stopping)?
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({})", self.inner.url)
    }
}

fn open_error(
    url: &DatabaseUrl,
) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> DbError + Send + Sync + use<> {
    let database = url.to_string();
    move |source| DbError::Open { database: database.clone(), source }
}

fn connect_sqlite(
    url: &DatabaseUrl,
    role: Role,
    keyring: &Arc<Keyring>,
) -> Box<dyn Fn() -> Result<Connection, DbError> + Send + Sync> {
    let path = url.sqlite_path().map(ToOwned::to_owned).unwrap_or_default();
    let (error, keyring) = (open_error(url), Arc::clone(keyring));
    Box::new(move || {
        let connection = open_sqlite(&path, role).map_err(&error)?;
        Ok(Connection::new(Backend::Sqlite(connection), Arc::clone(&keyring)))
    })
}

#[cfg(test)]
mod tests;
