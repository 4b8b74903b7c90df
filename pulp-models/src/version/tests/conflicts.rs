//! Units and paths that cannot stand in one version.

use super::*;
use crate::{
    Expected, RemoteId,
    remote_artifact::{self, NewRemoteArtifact},
};

fn conflict(outcome: Outcome) -> String {
    outcome.expect_err("a conflict").to_string()
}

both_databases! {
    async fn a_new_unit_takes_the_place_of_an_old_one(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let old = unit_at(conn, "old", Some("x"));
            let other = unit_at(conn, "other", Some("y"));
            let new = unit_at(conn, "new", Some("x"));
            add(conn, repository, &[old, other])?;
            let summary = add(conn, repository, &[new])?.expect("a new version");
            assert_eq!((summary.added, summary.removed, summary.present), (1, 1, 2));
            assert_eq!(set(conn, repository, VersionNumber(2))?, BTreeSet::from([other, new]));
            assert_eq!(set(conn, repository, VersionNumber(1))?, BTreeSet::from([old, other]));
            // And back again.
            add(conn, repository, &[old])?;
            assert_eq!(set(conn, repository, VersionNumber(3))?, BTreeSet::from([old, other]));
            // A unit of another repository is nobody's rival.
            let elsewhere = new_repository(conn, "b");
            assert_eq!(add(conn, elsewhere, &[new])?.expect("a new version").removed, 0);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn two_staged_units_cannot_have_one_place(db: TestDatabase) {
        for mode in [Mode::Additive, Mode::Mirror] {
            let error = db
                .write(move |conn| {
                    let repository = new_repository(conn, "a");
                    let one = unit_at(conn, "1", Some("x"));
                    let two = unit_at(conn, "2", Some("x"));
                    // One of them is in the version before already.
                    add(conn, repository, &[one])?;
                    sync(conn, repository, &Completion::new(mode), &[one, two])
                })
                .await
                .expect_err("two at one place");
            let DbError::Version(VersionError::DuplicateContent { first, second, pairs }) = error
            else {
                panic!("{error}")
            };
            assert_eq!(pairs, 1);
            let name = |unit: &Unit| unit.metadata.replace(' ', "");
            assert_eq!(name(&first), r#"{"name":"1"}"#);
            assert_eq!(name(&second), r#"{"name":"2"}"#);
            assert_eq!(first.type_name, "file.file");
        }
    }

    async fn one_path_cannot_have_two_contents(db: TestDatabase) {
        db.write(|conn| {
            let one = unit_with(conn, "1", &["a/b"], Some("bytes"));
            let same = unit_with(conn, "2", &["a/b"], Some("bytes"));
            let other = unit_with(conn, "3", &["a/b"], Some("other bytes"));
            let unknown = unit_with(conn, "4", &["a/b"], None);

            let repository = new_repository(conn, "equal");
            assert!(add(conn, repository, &[one, same])?.is_some());
            assert!(add(conn, repository, &[other]).is_err());

            for (name, units) in [("staged", [one, other]), ("unknown", [one, unknown])] {
                let repository = new_repository(conn, name);
                let message = conflict(add(conn, repository, &units));
                assert_eq!(message, "Paths conflict in the repository version: `a/b` and `a/b`");
            }

            let repository = new_repository(conn, "allowed");
            let how = Completion { conflicting_paths: true, ..Completion::new(Mode::Additive) };
            assert!(sync(conn, repository, &how, &[one, other])?.is_some());

            // Mirroring the other unit removes the first one.
            let repository = new_repository(conn, "mirrored");
            mirror(conn, repository, &[one])?;
            assert!(mirror(conn, repository, &[other])?.is_some());
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn bytes_not_stored_are_compared_by_what_upstream_says(db: TestDatabase) {
        db.write(|conn| {
            let one = unit_with(conn, "1", &["a"], Some("bytes"));
            let same = unit_with(conn, "2", &["a"], None);
            let source = |bytes: &str| NewRemoteArtifact {
                content: same,
                relative_path: RelativePath::new("a").expect("safe"),
                remote: RemoteId::new(),
                position: 0,
                url: "http://host/a".parse().expect("valid"),
                expected: Expected { size: None, digests: Sha256::of(bytes.as_bytes()).into() },
            };
            let repository = new_repository(conn, "a");
            remote_artifact::upsert(conn, &[source("bytes")])?;
            assert!(add(conn, repository, &[one, same])?.is_some());
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_file_cannot_be_a_directory(db: TestDatabase) {
        db.write(|conn| {
            let file = unit_with(conn, "file", &["a/b"], Some("1"));
            let deeper = unit_with(conn, "deeper", &["a/b/c/d"], Some("2"));
            let beside = unit_with(conn, "beside", &["a/b-c", "a/b0", "a/b.d/e"], Some("3"));

            let repository = new_repository(conn, "staged");
            conflict(add(conn, repository, &[file, beside, deeper]));
            for (name, first, second) in [("under", file, deeper), ("over", deeper, file)] {
                let repository = new_repository(conn, name);
                add(conn, repository, &[first, beside])?;
                let message = conflict(add(conn, repository, &[second]));
                assert!(message.contains("`a/b`") && message.contains("`a/b/c/d`"), "{message}");
                let how = Completion { remove: vec![first], ..Completion::new(Mode::Additive) };
                assert!(sync(conn, repository, &how, &[second])?.is_some());
            }
            Ok(())
        })
        .await
        .expect("done");
    }
}
