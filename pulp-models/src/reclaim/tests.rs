//! Whose bytes are given up.

use super::*;
use crate::{
    Expected, both_databases,
    fixture::{Fixture, expected},
    testing::TestDatabase,
};

fn of(repositories: &[RepositoryId]) -> Reclaim {
    Reclaim {
        repositories: repositories.to_vec(),
        keep: Vec::new(),
        keep_types: Vec::new(),
        patience: Duration::from_secs(5),
    }
}

both_databases! {
    async fn only_bytes_that_can_be_had_again_are_given_up(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let (mine, other) = (fixture.repository("mine").await, fixture.repository("other").await);
        let mut units = Vec::new();
        for name in ["again", "uploaded", "no digest", "in both", "shared bytes", "kept"] {
            let unit = fixture.unit(name, Some(name)).await;
            fixture.member(mine, unit, 1, (name == "kept").then_some(3)).await;
            match name {
                "uploaded" => {}
                "no digest" => fixture.source(unit, name, Expected::default()).await,
                _ => fixture.source(unit, name, expected(name)).await,
            }
            units.push(unit);
        }
        fixture.member(other, units[3], 1, None).await;
        fixture.unit("elsewhere", Some("shared bytes")).await;
        let what = Reclaim { keep: vec![(mine, VersionNumber(2))], ..of(&[mine]) };
        let nothing = reclaim(&db, &fixture.store, &what, |_| {}).await.expect("reclaimed");
        assert_eq!(nothing, Reclaimed::default(), "version 2 has all of it");
        // In version 3 `kept` is no more, and of version 0 there is nothing to keep.
        let what = Reclaim { keep: vec![(mine, VersionNumber(0))], ..of(&[mine]) };
        let sum = reclaim(&db, &fixture.store, &what, |_| {}).await.expect("reclaimed");
        assert_eq!(sum, Reclaimed { artifacts: 2, bytes: 5 + 4 });
        for (at, stored) in [(0, false), (1, true), (2, true), (3, true), (4, false), (5, false)] {
            assert_eq!(fixture.artifact_of(units[at]).await.is_some(), stored, "{at}");
        }
        for (body, stored) in [("again", false), ("shared bytes", true), ("in both", true)] {
            let sha256 = Sha256::of(body.as_bytes());
            assert_eq!(fixture.store.exists(&sha256).await.expect("looked"), stored, "{body}");
        }
        let both = reclaim(&db, &fixture.store, &of(&[mine, other]), |_| {}).await;
        assert_eq!(both.expect("reclaimed"), Reclaimed { artifacts: 1, bytes: 7 });
    }

    async fn protected_types_keep_their_bytes(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let mine = fixture.repository("mine").await;
        let unit = fixture.unit("x", Some("x")).await;
        fixture.member(mine, unit, 1, None).await;
        fixture.source(unit, "x", expected("x")).await;
        let what = Reclaim { keep_types: vec!["file.file".to_owned()], ..of(&[mine]) };
        reclaim(&db, &fixture.store, &what, |_| {}).await.expect("reclaimed");
        assert!(fixture.artifact_of(unit).await.is_some());
        let what = Reclaim { keep_types: vec!["file.other".to_owned()], ..of(&[mine]) };
        reclaim(&db, &fixture.store, &what, |_| {}).await.expect("reclaimed");
        assert!(fixture.artifact_of(unit).await.is_none());
    }
}
