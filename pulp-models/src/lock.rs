//! Repository locks: one repository is changed by one task at a time, in whatever process.
//!
//! A lock dies with its holder, however that dies; so there is nothing to sweep and nothing to
//! expire. With SQLite it is an OS lock on the file `HOME/locks/<repository id>`. With PostgreSQL it
//! is an advisory lock of a session of its own (which a pooler in transaction mode cannot give), and
//! what the holder changes, it changes on that session's connection ([`RepositoryLock::write`]): who
//! lost the lock cannot complete a version.
//!
//! What a dead holder left behind is garbage only to the next one: an incomplete version
//! ([`crate::version`]), running tasks ([`RepositoryLock::fail_abandoned_tasks`]), incomplete
//! publications ([`crate::publication::delete_incomplete`]).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{dsl::sql, prelude::*, sql_types::Bool};
use sha2::Digest as _;
use tokio::time::{Instant, sleep};

use crate::{
    Connection, Db, DbError, RepositoryId, TaskId,
    db::{Backend, Session},
    file_lock::{FileLock, Mode},
    task::{self, Holder},
};

/// First and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The right to change one repository. Dropping it lets go: at once with SQLite, as soon as the
/// server notices with PostgreSQL ([`RepositoryLock::unlock`] waits for that).
#[derive(Debug)]
#[must_use]
pub struct RepositoryLock {
    repository: RepositoryId,
    db: Db,
    held: Held,
}

enum Held {
    File(#[expect(dead_code, reason = "dropped, never read")] FileLock),
    Session(Session),
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another task is at work.
    #[error("The repository is locked by {}", describe(.holder.as_ref()))]
    Held {
        /// Whose task it probably is: the repository's running one.
        holder: Option<Holder>,
    },
    /// The lock file cannot be used.
    #[error("Failed to lock `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl RepositoryLock {
    /// Takes the lock, or says at once who holds it.
    pub async fn try_lock(
        db: &Db,
        home: &Path,
        repository: RepositoryId,
    ) -> Result<Self, LockError> {
        Self::lock(db, home, repository, Duration::ZERO).await
    }

    /// Waits at most `patience` for the lock. Cancel-safe; first come, first served is not promised.
    pub async fn lock(
        db: &Db,
        home: &Path,
        repository: RepositoryId,
        patience: Duration,
    ) -> Result<Self, LockError> {
        let end = Instant::now() + patience;
        let attempt = match db.url().sqlite_path() {
            Some(_) => Attempt::File(lock_file(home, repository)?),
            None => Attempt::Session(session(db).await?, key(repository)),
        };
        let (mut pause, longest) = PAUSES;
        loop {
            if let Some(held) = attempt.make().await? {
                return Ok(Self { repository, db: db.clone(), held });
            }
            if Instant::now() + pause > end {
                let holder = db.read(move |conn| task::holder(conn, repository)).await?;
                return Err(LockError::Held { holder });
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Which repository may be changed.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// [`Db::write`] by the holder: on PostgreSQL on the connection that has the lock, so that it
    /// fails ([`DbError::LockLost`] or the connection's own error) when the lock is gone.
    pub async fn write<T, F>(&self, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        match &self.held {
            Held::File(_) => self.db.write(f).await,
            Held::Session(session) => session.write(f).await,
        }
    }

    /// Marks the repository's running tasks as failed, other than the holder's own: their owners are
    /// dead, for they would have the lock. Returns them.
    pub async fn fail_abandoned_tasks(&self, own: Option<TaskId>) -> Result<Vec<TaskId>, DbError> {
        let repository = self.repository;
        self.write(move |conn| task::fail_abandoned(conn, repository, own)).await
    }

    /// Lets go, and returns when the next one can have the lock.
    pub async fn unlock(self) -> Result<(), DbError> {
        let Held::Session(session) = self.held else { return Ok(()) };
        let statement = format!("pg_advisory_unlock({})", key(self.repository));
        session.run(move |conn| ask(conn, &statement)).await.map(drop)
    }
}

/// How to try, again and again, without anything to undo in between.
enum Attempt {
    File(PathBuf),
    Session(Session, i64),
}

impl Attempt {
    async fn make(&self) -> Result<Option<Held>, LockError> {
        match self {
            Self::File(path) => match FileLock::try_take(path, Mode::Exclusive) {
                Ok(lock) => Ok(lock.map(Held::File)),
                Err(source) => Err(LockError::Io { path: path.clone(), source }),
            },
            Self::Session(session, key) => {
                let statement = format!("pg_try_advisory_lock({key})");
                let taken = session.run(move |conn| ask(conn, &statement)).await?;
                Ok(taken.then(|| Held::Session(session.clone())))
            }
        }
    }
}

fn lock_file(home: &Path, repository: RepositoryId) -> Result<PathBuf, LockError> {
    let folder = home.join("locks");
    fs::create_dir_all(&folder).map_err(|source| LockError::Io { path: folder.clone(), source })?;
    Ok(folder.join(repository.to_string()))
}

/// A session whose loss is noticed: by the server within a minute when our host dies, and never for
/// idleness while we live.
async fn session(db: &Db) -> Result<Session, DbError> {
    const SETTINGS: &str = "
        SELECT set_config(name, value, false)
        FROM (VALUES ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),
            ('tcp_keepalives_count', '3'), ('idle_session_timeout', '0')) AS wanted (name, value)
        WHERE name IN (SELECT name FROM pg_settings)";
    let session = Session::open(db).await?;
    session.run(|conn| Ok(conn.batch_execute(SETTINGS)?)).await?;
    Ok(session)
}

/// Advisory locks are named by 64 bits. A collision would only make two repositories wait for each
/// other.
fn key(repository: RepositoryId) -> i64 {
    let digest = sha2::Sha256::new()
        .chain_update(b"pulp repository lock")
        .chain_update(repository.0)
        .finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("32 bytes hold eight"))
}

fn ask(conn: &mut Connection, expression: &str) -> Result<bool, DbError> {
    match conn.backend() {
        Backend::Postgres(c) => Ok(diesel::select(sql::<Bool>(expression)).get_result(c)?),
        Backend::Sqlite(_) => unreachable!("a session is opened on PostgreSQL only"),
    }
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Session(_) => "Session",
        })
    }
}

#[cfg(test)]
mod tests;
