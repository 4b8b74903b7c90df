//! What cleanup deletes, and what it must not.

use super::*;
use crate::{
    DbError, PublicationId, both_databases,
    fixture::{Fixture, path},
    publication::{self, NewPublication, Published, PublishedArtifact},
    testing::TestDatabase,
};

const PATIENCE: Duration = Duration::from_millis(50);

fn all() -> CleanUp {
    CleanUp { created_before: Timestamp::now().plus_seconds(60), patience: PATIENCE }
}

async fn stage(db: &Db, unit: ContentId, of: crate::RepositoryId) {
    db.write(move |conn| {
        on!(conn, c => diesel::insert_into(incomplete_version_content::table)
            .values((
                incomplete_version_content::repository_id.eq(of),
                incomplete_version_content::number.eq(4_i64),
                incomplete_version_content::content_id.eq(unit),
            ))
            .execute(c))?;
        Ok(())
    })
    .await
    .expect("written");
}

async fn publish(db: &Db, of: crate::RepositoryId, sha256: Sha256) -> PublicationId {
    db.write(move |conn| {
        let new = NewPublication {
            repository: of,
            version: crate::VersionNumber(1),
            plugin: "file".to_owned(),
            options: serde_json::json!({}),
            checkpoint: false,
        };
        let id = publication::create(conn, &new)?;
        let published = Published::Metadata { sha256, size: 8 };
        let relative_path = path("PULP_MANIFEST");
        publication::add(conn, id, &[PublishedArtifact { relative_path, published }])?;
        Ok::<_, DbError>(id)
    })
    .await
    .expect("written")
}

both_databases! {
    async fn only_what_nothing_needs_is_deleted(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let repository = fixture.repository("mine").await;
        let current = fixture.unit("current", Some("current")).await;
        fixture.member(repository, current, 1, None).await;
        let former = fixture.unit("former", Some("former")).await;
        fixture.member(repository, former, 1, Some(2)).await;
        let staged = fixture.unit("staged", Some("staged")).await;
        stage(&db, staged, repository).await;
        let orphan = fixture.unit("orphan", Some("orphan")).await;
        let sharing = fixture.unit("shares its bytes", Some("current")).await;
        let on_demand = fixture.unit("without bytes", None).await;
        let manifest = fixture.artifact("manifest").await;
        publish(&db, repository, manifest).await;
        let upload = fixture.artifact("an upload").await;

        let mut reports = Vec::new();
        let report = |sum: &CleanedUp| reports.push(*sum);
        let sum = clean_up(&db, &fixture.store, &all(), report).await.expect("cleaned up");
        assert_eq!(sum, CleanedUp { content: 3, artifacts: 2, bytes: 6 + 9 });
        assert_eq!(reports.last(), Some(&sum));
        for gone in [orphan, sharing, on_demand] {
            assert!(!fixture.has(gone).await);
        }
        for kept in [current, former, staged] {
            let sha256 = fixture.artifact_of(kept).await.expect("kept");
            assert!(fixture.store.exists(&sha256).await.expect("looked"));
        }
        assert!(fixture.store.exists(&manifest).await.expect("looked"));
        for gone in [upload, Sha256::of(b"orphan")] {
            assert!(!fixture.store.exists(&gone).await.expect("looked"));
        }
        let again = clean_up(&db, &fixture.store, &all(), |_| {}).await.expect("cleaned up");
        assert_eq!(again, CleanedUp::default());
    }

    async fn what_is_new_is_left_alone(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let before = Timestamp::now();
        let unit = fixture.unit("new", Some("new")).await;
        let what = CleanUp { created_before: before, patience: PATIENCE };
        let sum = clean_up(&db, &fixture.store, &what, |_| {}).await.expect("cleaned up");
        assert_eq!(sum, CleanedUp::default());
        assert!(fixture.has(unit).await);
    }

    async fn nothing_is_deleted_while_a_sync_is_under_way(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let unit = fixture.unit("orphan", Some("orphan")).await;
        let sync = fixture.store.shared(PATIENCE).await.expect("free");
        let busy = clean_up(&db, &fixture.store, &all(), |_| {}).await;
        let busy = busy.expect_err("in use").to_string();
        assert!(busy.contains("in use"), "{busy}");
        assert!(fixture.has(unit).await);
        drop(sync);
        clean_up(&db, &fixture.store, &all(), |_| {}).await.expect("cleaned up");
        assert!(!fixture.has(unit).await);
    }

    async fn an_orphan_that_is_used_before_its_turn_stays(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let repository = fixture.repository("mine").await;
        let (used, unused) = (fixture.unit("a", None).await, fixture.unit("b", None).await);
        let (needed, free) = (fixture.artifact("x").await, fixture.artifact("y").await);
        let time = Timestamp::now().plus_seconds(60);
        let found = db.read(move |conn| orphaned_content(conn, ContentId(Uuid::nil()), time)).await;
        assert_eq!(found.expect("read"), (vec![used, unused], None));
        let found = db.read(move |conn| orphaned_artifacts(conn, None, time)).await;
        let mut both = vec![needed, free];
        both.sort_unstable();
        assert_eq!(found.expect("read"), (both.clone(), None));
        // Between the look and the turn:
        fixture.member(repository, used, 1, None).await;
        fixture.unit("c", Some("x")).await;
        let count = db.write(move |conn| delete_content(conn, &[used, unused])).await;
        assert_eq!(count.expect("written"), 1);
        assert!(fixture.has(used).await && !fixture.has(unused).await);
        let deleted = db.write(move |conn| delete_artifacts(conn, &both)).await;
        assert_eq!(deleted.expect("written"), [(free, 1)]);
    }
}

#[test]
fn an_id_is_not_before_the_time_it_was_made() {
    let before = Timestamp::now();
    let id = ContentId::new();
    let after = Timestamp::now().plus_seconds(1);
    assert!(first_id(before) <= id && id < first_id(after));
}
