//! What versions promise, on both databases; the arithmetic of sets against a model in
//! [`mod@model`].

mod concurrency;
mod conflicts;
mod deletion;
mod files;
mod model;
mod plans;

use std::collections::BTreeSet;

use super::*;
use crate::{
    ContentId, Key, RelativePath, Sha256, both_databases,
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    repository::NewRepository,
    testing::TestDatabase,
};

type Outcome = Result<Option<VersionSummary>, DbError>;

fn new_repository(conn: &mut Connection, name: &str) -> RepositoryId {
    repository::create(conn, &NewRepository::new(name, "file")).expect("created").id
}

/// Writes a unit named `name` that claims `place`.
fn unit_at(conn: &mut Connection, name: &str, place: Option<&str>) -> ContentId {
    let natural_key = Key::of("file.file").field(name).finish();
    let new = NewContent {
        type_name: "file.file".into(),
        natural_key,
        repo_key: place.map(|place| Key::of("file.file").field(place).finish()),
        metadata: format!(r#"{{"name":"{name}"}}"#),
        raw: None,
    };
    content::insert(conn, &[new]).expect("written")[&natural_key].0
}

fn unit(conn: &mut Connection, name: &str) -> ContentId {
    unit_at(conn, name, None)
}

/// Writes a unit that has `files`, each with `bytes` if there are any.
fn unit_with(conn: &mut Connection, name: &str, files: &[&str], bytes: Option<&str>) -> ContentId {
    let id = unit(conn, name);
    let artifact = bytes.map(|bytes| Sha256::of(bytes.as_bytes()));
    let rows: Vec<NewContentArtifact> = files
        .iter()
        .map(|path| NewContentArtifact {
            content: id,
            relative_path: RelativePath::new(path).expect("safe"),
            artifact,
        })
        .collect();
    content_artifact::upsert(conn, &rows).expect("written");
    id
}

/// Stages `units` and completes the next version.
fn sync(
    conn: &mut Connection,
    repository: RepositoryId,
    how: &Completion,
    units: &[ContentId],
) -> Outcome {
    let number = begin(conn, repository)?;
    stage_content(conn, repository, number, units)?;
    complete_version(conn, repository, number, how)
}

fn mirror(conn: &mut Connection, repository: RepositoryId, units: &[ContentId]) -> Outcome {
    sync(conn, repository, &Completion::new(Mode::Mirror), units)
}

fn add(conn: &mut Connection, repository: RepositoryId, units: &[ContentId]) -> Outcome {
    sync(conn, repository, &Completion::new(Mode::Additive), units)
}

/// The units of a version, read in small pages.
fn set(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
) -> Result<BTreeSet<ContentId>, DbError> {
    let mut all = BTreeSet::new();
    loop {
        let page = ids(conn, repository, number, all.last().copied(), 3)?;
        if page.is_empty() {
            return Ok(all);
        }
        assert!(page.is_sorted());
        all.extend(page);
    }
}

both_databases! {
    async fn a_new_repository_has_the_empty_version_0(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            assert_eq!(latest(conn, repository)?, VersionNumber(0));
            assert_eq!(list(conn, repository)?.len(), 1);
            assert!(set(conn, repository, VersionNumber(0))?.is_empty());
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn nothing_changed_makes_no_version(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let units = [unit(conn, "1"), unit(conn, "2")];
            assert_eq!(mirror(conn, repository, &[])?, None);
            let first = mirror(conn, repository, &units)?.expect("two units more");
            assert_eq!(first, VersionSummary {
                number: VersionNumber(1), added: 2, removed: 0, present: 2,
            });
            assert_eq!(mirror(conn, repository, &units)?, None);
            assert_eq!(add(conn, repository, &units[..1])?, None);
            assert_eq!(add(conn, repository, &[])?, None);
            assert_eq!(latest(conn, repository)?, VersionNumber(1));
            let counts = get(conn, repository, VersionNumber(1))?.counts;
            assert_eq!(counts.present["file.file"], 2);
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn what_an_interrupted_sync_staged_is_in_no_version(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let (one, two) = (unit(conn, "1"), unit(conn, "2"));
            let number = begin(conn, repository)?;
            stage_content(conn, repository, number, &[one])?;
            assert!(set(conn, repository, VersionNumber(0))?.is_empty());
            // The next one begins anew.
            mirror(conn, repository, &[two])?;
            assert_eq!(set(conn, repository, number)?, BTreeSet::from([two]));
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_number_that_is_not_due_is_refused(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let how = Completion::new(Mode::Mirror);
            let error = complete_version(conn, repository, VersionNumber(2), &how)
                .expect_err("version 1 is due");
            assert_eq!(
                error.to_string(),
                "Version 2 of repository `a` cannot be completed: the next is 1"
            );
            let error = get(conn, repository, VersionNumber(7)).expect_err("no such version");
            assert_eq!(error.to_string(), "Repository `a` has no version 7");
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_version_can_start_from_an_older_one(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let one = unit_at(conn, "1", Some("x"));
            let two = unit_at(conn, "2", Some("y"));
            let three = unit_at(conn, "3", Some("z"));
            let new = unit_at(conn, "4", Some("x"));
            mirror(conn, repository, &[one, two, three])?;
            mirror(conn, repository, &[])?;
            let how = Completion {
                base: Some(VersionNumber(1)),
                remove: vec![two, new],
                ..Completion::new(Mode::Additive)
            };
            sync(conn, repository, &how, &[new])?;
            // `new` took the place of `one`, and staging it won over removing it.
            assert_eq!(set(conn, repository, VersionNumber(3))?, BTreeSet::from([three, new]));
            Ok(())
        })
        .await
        .expect("done");
    }

    async fn a_place_is_found_as_each_version_has_it(db: TestDatabase) {
        db.write(|conn| {
            let (ours, theirs) = (new_repository(conn, "ours"), new_repository(conn, "theirs"));
            let old = unit_at(conn, "old", Some("place"));
            let new = unit_at(conn, "new", Some("place"));
            let one = add(conn, ours, &[old])?.expect("changed").number;
            let two = add(conn, ours, &[new])?.expect("changed").number;
            let place = Key::of("file.file").field("place").finish();
            let at = |conn: &mut Connection, repository, number| {
                at_repo_key(conn, repository, number, &place).map(|unit| unit.map(|unit| unit.id))
            };
            assert_eq!(at(conn, ours, one)?, Some(old));
            assert_eq!(at(conn, ours, two)?, Some(new));
            assert_eq!(at(conn, theirs, VersionNumber(0))?, None);
            let elsewhere = Key::of("file.file").field("elsewhere").finish();
            assert_eq!(at_repo_key(conn, ours, two, &elsewhere)?, None);
            Ok(())
        })
        .await
        .expect("read");
    }

    async fn the_content_of_a_version_is_read_in_pages(db: TestDatabase) {
        db.write(|conn| {
            let repository = new_repository(conn, "a");
            let units: Vec<_> = (0..5).map(|number| unit(conn, &number.to_string())).collect();
            mirror(conn, repository, &units)?;
            mirror(conn, repository, &units[1..])?;
            let (one, two) = (VersionNumber(1), VersionNumber(2));
            let first = page(conn, repository, one, None, Columns::All, None, 2)?;
            assert_eq!(first[0].id, units[0]);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&first[0].metadata).expect("JSON"),
                serde_json::json!({"name": "0"}));
            let last = page(conn, repository, one, None, Columns::Keys, Some(units[2]), 9)?;
            let ids: Vec<_> = last.iter().map(|unit| unit.id).collect();
            assert_eq!(ids, units[3..]);
            assert!(last[0].metadata.is_empty());
            let other = Some("file.other");
            assert!(page(conn, repository, one, other, Columns::Metadata, None, 9)?.is_empty());
            assert!(contains(conn, repository, one, units[0])?);
            assert!(!contains(conn, repository, two, units[0])?);
            assert_eq!(diff(conn, repository, one, two, None, 9)?, [(units[0], Change::Removed)]);
            assert_eq!(diff(conn, repository, two, one, None, 9)?, [(units[0], Change::Added)]);
            Ok(())
        })
        .await
        .expect("done");
    }
}

#[tokio::test]
async fn completing_a_version_writes_in_proportion_to_what_changed() {
    let db = TestDatabase::sqlite().await;
    let changes = |conn: &mut Connection| {
        use diesel::{RunQueryDsl as _, dsl::sql, sql_types::BigInt};
        on!(conn, c => diesel::select(sql::<BigInt>("total_changes()")).get_result::<i64>(c))
            .expect("counted")
    };
    db.write(move |conn| {
        let repository = new_repository(conn, "a");
        let mut units: Vec<_> = (0..2_000)
            .map(|number| unit_at(conn, &number.to_string(), Some(&number.to_string())))
            .collect();
        mirror(conn, repository, &units)?;
        let new: Vec<_> = (0..7)
            .map(|number| unit_at(conn, &format!("new {number}"), Some(&number.to_string())))
            .collect();

        let before = changes(conn);
        let summary = add(conn, repository, &new)?.expect("a new version");
        assert_eq!((summary.added, summary.removed), (7, 7));
        // Staged, added and removed 7 each, staged ones deleted; the version and the repository.
        assert_eq!(changes(conn) - before, 4 * 7 + 2);

        // A mirror stages everything it saw, and then changes what differs.
        units.drain(..7);
        units.extend(new);
        let number = begin(conn, repository)?;
        units.pop();
        stage_content(conn, repository, number, &units)?;
        let before = changes(conn);
        complete_version(conn, repository, number, &Completion::new(Mode::Mirror))?;
        let staged = i64::try_from(units.len()).expect("few");
        assert_eq!(changes(conn) - before, 1 + 2 + staged);
        Ok(())
    })
    .await
    .expect("done");
}
