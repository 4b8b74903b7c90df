//! Who may have a connection, and when: a fair queue in front of a few connections.
//!
//! Waiting happens in async code, so that a blocking thread is taken only by work that can run.
//! A connection whose closure panicked, or whose transaction could not be ended, is closed
//! instead of being used again.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::{
    QueryResult,
    result::{DatabaseErrorKind, Error},
};
use tokio::sync::Semaphore;

use super::{Connection, DbError};

type Connect = Box<dyn Fn() -> Result<Connection, DbError> + Send + Sync>;

/// At most `size` connections, opened when first needed and then kept.
pub(super) struct Pool {
    connect: Connect,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// What a closure made of its connection.
pub(super) enum After {
    /// It is idle again.
    Keep,
    /// Its state is unknown.
    Close,
}

impl Pool {
    pub(super) fn new(size: usize, connect: Connect) -> Self {
        Self { connect, idle: Mutex::default(), permits: Arc::new(Semaphore::new(size)) }
    }

    /// Opens a connection that the pool does not know of. Blocks.
    pub(super) fn connect(&self) -> Result<Connection, DbError> {
        (self.connect)()
    }

    /// Runs `f` on the blocking pool, with a connection on which `begin` succeeded. Dropping the
    /// future before `f` has begun leaves it undone; once begun, `f` runs to its end.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        begin: fn(&mut Connection) -> QueryResult<()>,
        f: impl FnOnce(&mut Connection) -> (Result<T, DbError>, After) + Send + 'static,
    ) -> Result<T, DbError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let pool = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let mut connection = pool.take(begin)?;
            let (result, after) = f(&mut connection);
            if let After::Keep = after {
                pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(permit);
            result
        });
        match work.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(DbError::Stopping),
            },
        }
    }

    /// Runs `f` with a new connection, outside of a transaction, and keeps the connection when `f`
    /// succeeds. Blocks.
    pub(super) fn with_new<T>(
        &self,
        f: impl FnOnce(&mut Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut connection = (self.connect)()?;
        let value = f(&mut connection)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(value)
    }

    /// An idle connection may have been closed by its server long ago; only a new one that fails
    /// is an error.
    fn take(&self, begin: fn(&mut Connection) -> QueryResult<()>) -> Result<Connection, DbError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut connection) = idle else { break };
            match begin(&mut connection) {
                Ok(()) => return Ok(connection),
                Err(error) if is_closed(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection = (self.connect)()?;
        begin(&mut connection)?;
        Ok(connection)
    }
}

fn is_closed(error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    matches!(error, Error::DatabaseError(ClosedConnection | UnableToSendCommand, _))
}
