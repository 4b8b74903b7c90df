//! Databases of every earlier schema become the present one, with what they hold.
//!
//! Each sample is a whole database as text, made by the program that had the schema: a mirror with two
//! versions, an on-demand one, one whose only sync failed. With a new migration comes the sample of
//! the schema before it: `sqlite3 pulp.sqlite3 .dump`, and `pg_dump --inserts --no-owner` without the
//! statements that only concern `pg_dump` itself.

use crate::{
    ArtifactStore, DbError, RelativePath, Secret, VersionNumber,
    check::{self, Depth, Finding},
    db::migrations,
    distribution, publication,
    remote::{self, Policy},
    repository::{self, NewRepository},
    schema::tests::describe,
    task::{self, TaskState},
    testing::TestDatabase,
    version,
};

/// A database as text, for both databases.
struct Sample {
    /// The last migration that it has seen.
    migration: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const SAMPLES: [Sample; 1] = [Sample {
    migration: "0001_initial",
    sqlite: include_str!("samples/sqlite/0001_initial.sql"),
    postgres: include_str!("samples/postgres/0001_initial.sql"),
}];

async fn becomes(old: TestDatabase, fresh: TestDatabase, migration: &str) {
    let now = old.read(describe).await.expect("described");
    let wanted = fresh.read(describe).await.expect("described");
    assert!(now == wanted, "{migration} becomes\n{now}\ninstead of\n{wanted}");
    let home = tempfile::tempdir().expect("a folder");
    let store = ArtifactStore::open(home.path()).await.expect("opens");
    let checked = check::check(&old, &store, Depth::Sizes, 10, |finding| {
        // Its files are not part of a sample.
        assert!(matches!(finding, Finding::Missing(_)), "{migration}: {finding}");
    });
    assert_eq!(checked.await.expect("checked").artifacts, 5);
    old.write(|conn| {
        let names: Vec<_> = repository::list(conn)?.into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["broken", "files", "lazy"]);

        let files = repository::get(conn, "files")?;
        assert_eq!(version::latest(conn, files.id)?, VersionNumber(2));
        for (number, path, expected) in [
            (1, "a.txt", true),
            (1, "b.txt", true),
            (1, "c.txt", false),
            (2, "a.txt", true),
            (2, "b.txt", false),
            (2, "c.txt", true),
        ] {
            let path = RelativePath::new(path).expect("valid");
            let found = version::find_file(conn, files.id, VersionNumber(number), &path)?;
            assert_eq!(found.is_some(), expected, "{path} in version {number}");
        }
        assert_eq!(publication::list(conn, files.id)?.len(), 2);
        assert_eq!(distribution::list(conn)?.len(), 3);

        let remote = remote::get(conn, "files")?;
        assert_eq!(remote.settings.username.as_deref(), Some("me"));
        assert_eq!(remote.settings.password, Some(Secret::new("old-secret")));
        assert_eq!(remote::get(conn, "lazy")?.policy, Policy::OnDemand);
        let tasks = task::latest(conn)?;
        let failed = tasks.iter().filter(|task| task.state == TaskState::Failed).count();
        assert_eq!((failed, tasks.len()), (1, 5));

        repository::create(conn, &NewRepository::new("new", "file"))?;
        repository::delete(conn, "broken")?;
        Ok::<_, DbError>(())
    })
    .await
    .expect("works");
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn every_sample_becomes_what_a_new_database_is() {
        for sample in SAMPLES {
            let old = TestDatabase::sqlite_with(sample.sqlite).await;
            becomes(old, TestDatabase::sqlite().await, sample.migration).await;
        }
    }
}

mod postgres {
    use super::*;

    #[tokio::test]
    async fn every_sample_becomes_what_a_new_database_is() {
        for sample in SAMPLES {
            let old = TestDatabase::postgres_with(sample.postgres).await;
            becomes(old, TestDatabase::postgres().await, sample.migration).await;
        }
    }
}

#[test]
fn every_schema_but_the_newest_has_a_sample() {
    let samples: Vec<_> = SAMPLES.iter().map(|sample| sample.migration.to_owned()).collect();
    let mut earlier = migrations();
    earlier.truncate(samples.len().max(earlier.len() - 1));
    assert_eq!(samples, earlier, "see the comment at the top of this file");
}
