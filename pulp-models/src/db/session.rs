//! A connection of one's own, outside of the pool: what a PostgreSQL session holds, such as an
//! advisory lock, lives and dies with it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Connection, Db, DbError, pool::After, transaction};

/// One session. Dropping it closes the connection, once a closure that still runs has ended.
#[derive(Clone)]
pub(crate) struct Session {
    /// `None` once the connection is lost: it is never replaced by another.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Session {
    /// Opens a connection to the same database as `db`.
    pub(crate) async fn open(db: &Db) -> Result<Self, DbError> {
        let pool = Arc::clone(&db.inner.writers);
        let connection = blocking(move || pool.connect()).await?;
        Ok(Self { connection: Arc::new(Mutex::new(Some(connection))) })
    }

    /// Runs `f` on the blocking pool, outside of a transaction.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.with(move |connection| {
            let result = f(connection);
            let after = if result.is_ok() { After::Keep } else { After::Close };
            (result, after)
        })
        .await
    }

    /// [`Db::write`] on this connection.
    pub(crate) async fn write<T, F>(&self, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Connection) -> Result<T, DbError> + Send + 'static,
    {
        self.with(move |connection| match transaction::begin_write(connection) {
            Ok(()) => transaction::write(connection, f),
            Err(error) => (Err(error.into()), After::Close),
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Connection) -> (Result<T, DbError>, After) + Send + 'static,
    ) -> Result<T, DbError> {
        let shared = Arc::clone(&self.connection);
        blocking(move || {
            let mut place = shared.lock().unwrap_or_else(PoisonError::into_inner);
            // Taken out, so that a panic of `f` leaves none.
            let mut connection = place.take().ok_or(DbError::LockLost)?;
            let (result, after) = f(&mut connection);
            if let After::Keep = after {
                *place = Some(connection);
            }
            result
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(DbError::Stopping),
        },
    }
}
