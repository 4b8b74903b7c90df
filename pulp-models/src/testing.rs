//! Scratch databases for tests, on both backends.
//!
//! Only under the feature `testing` (and in this crate's own tests). [`both_databases!`] turns one
//! async test into two: `sqlite::<name>` and `postgres::<name>`. The second needs the environment
//! variable `PULP_TEST_POSTGRES`, the URL of a database in which the user may create schemas, and
//! fails without it: a test that did not run must not look like one that passed. Runners that have
//! no server skip the tests whose path contains `postgres::`.
//!
//! [`both_databases!`]: crate::both_databases

use std::{ops::Deref, thread};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use tempfile::TempDir;

use crate::db::{DatabaseUrl, Db, PostgresConnector};

/// The variable that names the PostgreSQL server for tests.
const POSTGRES_VARIABLE: &str = "PULP_TEST_POSTGRES";

/// An empty, migrated database of its own; gone when dropped. Dereferences to its [`Db`].
pub struct TestDatabase {
    db: Db,
    scratch: Scratch,
}

enum Scratch {
    Folder(#[expect(dead_code, reason = "held for its drop")] TempDir),
    Schema { admin: DatabaseUrl, name: String },
}

impl TestDatabase {
    /// A new SQLite file in a temporary folder.
    pub async fn sqlite() -> Self {
        Self::sqlite_with("").await
    }

    /// The same after `statements`, and then opened.
    pub(crate) async fn sqlite_with(statements: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("pulp.sqlite");
        if !statements.is_empty() {
            let name = path.to_str().expect("temporary folders have plain names");
            let mut connection = SqliteConnection::establish(name).expect("a new file");
            connection.batch_execute(statements).expect("valid statements");
        }
        Self::open(DatabaseUrl::sqlite(&path), Scratch::Folder(folder)).await
    }

    /// A new schema in the database that `PULP_TEST_POSTGRES` names.
    ///
    /// # Panics
    /// When the variable is unset or the server cannot be used.
    pub async fn postgres() -> Self {
        Self::postgres_with("").await
    }

    /// The same after `statements`, and then opened.
    pub(crate) async fn postgres_with(statements: &str) -> Self {
        let admin = std::env::var(POSTGRES_VARIABLE).unwrap_or_else(|_| {
            panic!("{POSTGRES_VARIABLE} is unset; skip `postgres::` or set it to a postgres:// URL")
        });
        let admin: DatabaseUrl = admin.parse().expect("PULP_TEST_POSTGRES is a database URL");
        let name = format!("pulp_test_{}", uuid::Uuid::now_v7().simple());
        administer(&admin, format!("CREATE SCHEMA {name}"));
        let mut url = admin.expose_postgres().expect("a postgres:// URL").clone();
        url.query_pairs_mut().append_pair("options", &format!("-csearch_path={name}"));
        let url: DatabaseUrl = url.as_str().parse().expect("still a database URL");
        if !statements.is_empty() {
            administer(&url, statements.to_owned());
        }
        Self::open(url, Scratch::Schema { admin, name }).await
    }

    async fn open(url: DatabaseUrl, scratch: Scratch) -> Self {
        let db = Db::open(&url).await.expect("a new database opens");
        Self { db, scratch }
    }
}

impl Deref for TestDatabase {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Scratch::Schema { admin, name } = &self.scratch {
            // Bounded, for a closure of the test may still be running.
            let statements = format!("SET lock_timeout = '10s'; DROP SCHEMA {name} CASCADE");
            let dropped = try_administer(admin, statements);
            // A second panic would hide the test's own.
            assert!(dropped.is_ok() || thread::panicking(), "Failed to drop schema `{name}`");
        }
    }
}

fn administer(admin: &DatabaseUrl, statements: String) {
    try_administer(admin, statements).expect("the test server can be administered");
}

/// Runs `statements` on a connection and a thread of its own, since the caller may be async.
fn try_administer(admin: &DatabaseUrl, statements: String) -> thread::Result<()> {
    let url = admin.expose_postgres().expect("a postgres:// URL").clone();
    let work = thread::spawn(move || {
        let connector = PostgresConnector::new(&url).expect("a usable server URL");
        let mut connection = connector.connect().expect("the test server answers");
        connection.batch_execute(&statements).expect("the test user may create and drop schemas");
    });
    work.join()
}

/// Declares tests that run on SQLite and on PostgreSQL.
///
/// ```
/// pulp_models::both_databases! {
///     async fn a_new_database_is_empty(db: pulp_models::testing::TestDatabase) {
///         let names = db.read(pulp_models::repository::list).await.expect("reads");
///         assert!(names.is_empty());
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($db:ident: $type:ty) $body:block)+) => {
        $(async fn $name($db: $type) $body)+

        mod sqlite {
            $(
                $(#[$attribute])*
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::testing::TestDatabase::sqlite().await).await;
                }
            )+
        }

        mod postgres {
            $(
                $(#[$attribute])*
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::testing::TestDatabase::postgres().await).await;
                }
            )+
        }
    };
}
