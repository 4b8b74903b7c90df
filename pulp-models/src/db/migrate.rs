//! Migrations: forward only, embedded, in pairs with equal names for the two databases.
//!
//! They run when a database is opened, under a lock that two starting processes share, each in a
//! transaction. A database that has a migration we do not know was used by a newer program and is
//! refused.

use std::fs::File;

use diesel::{
    backend,
    migration::{Migration, MigrationSource},
    prelude::*,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Backend, Connection, DatabaseUrl, DbError};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The advisory lock held while migrating; any constant that nobody else takes.
const ADVISORY_LOCK: i64 = 0x7075_6c70_6d69_6772;

/// Brings the schema up to date.
pub(super) fn migrate(connection: &mut Connection, url: &DatabaseUrl) -> Result<(), DbError> {
    match connection.backend() {
        Backend::Sqlite(sqlite) => run(sqlite, SQLITE, url),
        Backend::Postgres(postgres) => {
            let lock =
                |function: &str| diesel::sql_query(format!("SELECT {function}({ADVISORY_LOCK})"));
            lock("pg_advisory_lock").execute(postgres)?;
            let result = run(postgres, POSTGRES, url);
            // After an error the connection is dropped, and the lock with it.
            result.and_then(|()| Ok(lock("pg_advisory_unlock").execute(postgres).map(|_| ())?))
        }
    }
}

/// Takes the lock under which an SQLite file is created and migrated; held until dropped.
pub(super) fn lock_sqlite(url: &DatabaseUrl) -> Result<Option<File>, DbError> {
    let Some(path) = url.sqlite_path() else { return Ok(None) };
    let lock = || {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(name)?;
        file.lock()?;
        Ok(file)
    };
    lock().map(Some).map_err(|source: std::io::Error| DbError::Open {
        database: url.to_string(),
        source: source.into(),
    })
}

/// The names of all migrations, in their order.
#[cfg(test)]
pub(crate) fn names() -> Vec<String> {
    let ours: Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>> =
        SQLITE.migrations().expect("embedded");
    let mut names: Vec<_> = ours.iter().map(|migration| migration.name().to_string()).collect();
    names.sort_unstable();
    names
}

fn run<C, DB>(
    connection: &mut C,
    migrations: EmbeddedMigrations,
    url: &DatabaseUrl,
) -> Result<(), DbError>
where
    C: MigrationHarness<DB>,
    DB: backend::Backend,
{
    let failed = |source| DbError::Migrate { database: url.to_string(), source };
    let ours: Vec<Box<dyn Migration<DB>>> = migrations.migrations().map_err(failed)?;
    let applied = connection.applied_migrations().map_err(failed)?;
    let unknown: Vec<String> = applied
        .iter()
        .filter(|version| ours.iter().all(|known| known.name().version() != **version))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        return Err(DbError::Newer { database: url.to_string(), unknown });
    }
    connection.run_pending_migrations(migrations).map_err(failed)?;
    Ok(())
}
