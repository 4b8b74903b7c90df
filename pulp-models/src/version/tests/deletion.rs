//! Versions that are served, or that a checkpoint is made of, stay.

use super::*;
use crate::{
    distribution::{self, NewDistribution, Target},
    publication::{self, NewPublication},
};

/// A repository with versions 0 to `last`, each with one unit more.
fn history(conn: &mut Connection, name: &str, last: i64) -> Result<RepositoryId, DbError> {
    let repository = new_repository(conn, name);
    for number in 1..=last {
        let unit = unit(conn, &number.to_string());
        add(conn, repository, &[unit])?;
    }
    Ok(repository)
}

fn publish(
    conn: &mut Connection,
    repository: RepositoryId,
    number: i64,
    checkpoint: bool,
) -> Result<crate::PublicationId, DbError> {
    let new = NewPublication {
        repository,
        version: VersionNumber(number),
        plugin: "file".to_owned(),
        options: serde_json::json!({}),
        checkpoint,
    };
    let id = publication::create(conn, &new)?;
    publication::complete(conn, id, true)?;
    Ok(id)
}

fn serve(conn: &mut Connection, name: &str, target: Target) -> Result<(), DbError> {
    let new = NewDistribution {
        name: name.to_owned(),
        plugin: "file".to_owned(),
        base_path: name.parse().expect("valid"),
        target,
        options: serde_json::json!({}),
    };
    distribution::create(conn, &new).map(drop)
}

fn numbers(conn: &mut Connection, repository: RepositoryId) -> Result<Vec<i64>, DbError> {
    Ok(list(conn, repository)?.into_iter().map(|version| version.number.0).collect())
}

both_databases! {
    async fn retention_keeps_what_is_served_besides_the_newest(db: TestDatabase) {
        db.write(|conn| {
            let repository = history(conn, "a", 8)?;
            serve(conn, "by-version", Target::Version(repository, VersionNumber(1)))?;
            let published = publish(conn, repository, 3, false)?;
            serve(conn, "by-publication", Target::Publication(published))?;
            publish(conn, repository, 4, true)?;
            publish(conn, repository, 5, false)?;
            publish(conn, repository, 6, false)?;
            serve(conn, "by-repository", Target::Repository(repository))?;
            let deleted = retain_versions(conn, repository, 1)?;
            assert_eq!(deleted, [7, 5, 2, 0].map(VersionNumber));
            assert_eq!(numbers(conn, repository)?, [1, 3, 4, 6, 8]);
            // The publication of version 5 went with it, the others are there.
            assert_eq!(publication::list(conn, repository)?.len(), 3);
            // 8, 4 and so on hold what they held.
            assert_eq!(set(conn, repository, VersionNumber(8))?.len(), 8);
            assert_eq!(set(conn, repository, VersionNumber(4))?.len(), 4);
            assert!(retain_versions(conn, repository, 1)?.is_empty());
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn the_latest_version_survives_any_retention(db: TestDatabase) {
        db.write(|conn| {
            let repository = history(conn, "a", 2)?;
            retain_versions(conn, repository, 0)?;
            assert_eq!(numbers(conn, repository)?, [2]);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_served_version_is_not_deleted_by_name_either(db: TestDatabase) {
        db.write(|conn| {
            let repository = history(conn, "a", 2)?;
            serve(conn, "d", Target::Version(repository, VersionNumber(1)))?;
            let error = delete_version(conn, repository, VersionNumber(1)).expect_err("served");
            assert_eq!(
                error.to_string(),
                "Version 1 of repository `a` is used by distribution `d`"
            );
            // Another repository's distribution protects nothing here.
            let other = history(conn, "b", 2)?;
            delete_version(conn, other, VersionNumber(1))?;
            assert_eq!(numbers(conn, other)?, [0, 2]);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn deleting_the_latest_forgets_what_the_last_sync_saw(db: TestDatabase) {
        db.write(|conn| {
            let repository = history(conn, "a", 2)?;
            let seen = serde_json::json!({"etag": "x"});
            repository::set_last_sync(conn, repository, Some(&seen))?;
            delete_version(conn, repository, VersionNumber(1))?;
            assert_eq!(repository::get(conn, "a")?.last_sync, Some(seen));
            delete_version(conn, repository, VersionNumber(2))?;
            assert_eq!(repository::get(conn, "a")?.last_sync, None);
            assert!(set(conn, repository, VersionNumber(0))?.is_empty());
            Ok(())
        })
        .await
        .expect("done");
    }
}
