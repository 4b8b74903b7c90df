//! One closure, one transaction.
//!
//! A writing transaction on SQLite begins `IMMEDIATE`: a deferred one that upgrades to writing
//! fails at once, whatever the busy timeout, when another writer committed in between. A reading
//! one sees a single snapshot on both databases. On PostgreSQL a write that lost to another
//! (serialization failure, deadlock) runs again from its start.
//!
//! [`super::pool`] begins the first transaction of a closure, the functions here end it.

use std::time::Duration;

use diesel::QueryResult;

use super::{Backend, Connection, DbError, pool::After};

/// How often a transaction is run before its conflict is reported.
const ATTEMPTS: u32 = 6;

/// Begins a transaction for [`read`].
pub(super) fn begin_read(connection: &mut Connection) -> QueryResult<()> {
    let begin = match connection.backend() {
        Backend::Sqlite(_) => "BEGIN",
        Backend::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    connection.batch_execute(begin)
}

/// Begins a transaction for [`write`].
pub(super) fn begin_write(connection: &mut Connection) -> QueryResult<()> {
    let begin = match connection.backend() {
        Backend::Sqlite(_) => "BEGIN IMMEDIATE",
        Backend::Postgres(_) => "BEGIN",
    };
    connection.batch_execute(begin)
}

/// Runs `f` in the begun transaction, which sees one snapshot and changes nothing.
pub(super) fn read<T>(
    connection: &mut Connection,
    f: impl FnOnce(&mut Connection) -> Result<T, DbError>,
) -> (Result<T, DbError>, After) {
    let result = f(connection);
    end(connection, result)
}

/// Runs `f` in the begun transaction and commits it when `f` returns `Ok`; again in another one
/// when it lost to somebody else's.
pub(super) fn write<T>(
    connection: &mut Connection,
    mut f: impl FnMut(&mut Connection) -> Result<T, DbError>,
) -> (Result<T, DbError>, After) {
    let mut attempt = 1;
    loop {
        let result = f(connection);
        let (result, after) = end(connection, result);
        match (&result, &after) {
            (Err(error), After::Keep) if attempt < ATTEMPTS && error.is_transient() => {
                tracing::debug!(attempt, "A transaction lost to another one and runs again");
                std::thread::sleep(pause(attempt));
            }
            _ => return (result, after),
        }
        if let Err(error) = begin_write(connection) {
            return (Err(error.into()), After::Close);
        }
        attempt += 1;
    }
}

fn end<T>(connection: &mut Connection, result: Result<T, DbError>) -> (Result<T, DbError>, After) {
    let result = result.and_then(|value| {
        connection.batch_execute("COMMIT")?;
        Ok(value)
    });
    match result {
        Ok(value) => (Ok(value), After::Keep),
        // Where the error has already rolled back, one more ROLLBACK only warns (PostgreSQL) or
        // fails (SQLite), and then a new connection is the simplest way back to a known state.
        Err(error) => match connection.batch_execute("ROLLBACK") {
            Ok(()) => (Err(error), After::Keep),
            Err(_) => (Err(error), After::Close),
        },
    }
}

/// Doubles with each attempt and differs between losers, so that two of them do not meet again.
fn pause(attempt: u32) -> Duration {
    let random = uuid::Uuid::now_v7().as_bytes()[15];
    Duration::from_micros((1_000 + u64::from(random) * 16) << attempt)
}
