//! `pulp file upload`.

use pulp_models::{both_databases, remote::Policy, testing::TestDatabase};
use pulp_stages::testing::{Upstream, report};
use serde_json::{Value, json};

use crate::kit::{Lab, manifest};

both_databases! {
    async fn local_files_become_a_published_version(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let repository = lab.repository("own", json!({})).await;
        // On both sides of what the store keeps in memory.
        let (small, large) = (b"small".as_slice(), vec![7_u8; 1_300_000]);
        let (a, b) = (lab.local("a, b.txt", small), lab.local("large.img", &large));
        let done = lab
            .command(&["upload", "--repository", "own", "--prefix", "dir/sub", &a, &b])
            .await
            .expect("uploaded");
        assert_eq!((&done["version"], &done["added"]), (&json!(1), &json!(2)), "{done}");
        assert!(done["publication"].is_string(), "{done}");
        assert_eq!(lab.bytes(&repository, "dir/sub/a, b.txt").await, small);
        assert_eq!(lab.bytes(&repository, "dir/sub/large.img").await, large);
        let list = lab.bytes(&repository, "PULP_MANIFEST").await;
        let files = [("dir/sub/a, b.txt", small), ("dir/sub/large.img", &large[..])];
        assert_eq!(String::from_utf8_lossy(&list), manifest(&files));
    }

    async fn the_same_bytes_make_no_version_and_others_take_their_place(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let repository = lab.repository("own", json!({})).await;
        let first = lab.local("first", b"one");
        let second = lab.local("second", b"two");
        let upload = async |file: &str| {
            let words = ["upload", "--repository", "own", "--relative-path", "at/path", file];
            let done = lab.command(&words).await.expect("uploaded");
            (done["version"].clone(), done["added"].clone(), done["removed"].clone())
        };
        assert_eq!(upload(&first).await, (json!(1), json!(1), json!(0)));
        assert_eq!(upload(&first).await, (Value::Null, json!(0), json!(0)));
        assert_eq!(upload(&second).await, (json!(2), json!(1), json!(1)));
        assert_eq!(lab.bytes(&repository, "at/path").await, b"two");
    }

    async fn an_upload_brings_the_bytes_of_a_file_that_was_on_demand(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let repository = lab.repository("mixed", json!({})).await;
        let upstream = Upstream::start().await.file("PULP_MANIFEST", manifest(&[("a", b"bytes")]));
        let remote = lab.remote("up", upstream.url("PULP_MANIFEST"), Policy::OnDemand).await;
        lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert!(!lab.served(&repository).await.contains_key("a"), "nobody fetched it");
        let local = lab.local("a", b"bytes");
        let done = lab.command(&["upload", "--repository", "mixed", &local]).await.expect("done");
        assert_eq!(done["version"], Value::Null, "{done}");
        assert_eq!(lab.bytes(&repository, "a").await, b"bytes");
    }

    async fn what_cannot_be_uploaded_is_named_and_changes_nothing(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let repository = lab.repository("own", json!({})).await;
        let (good, other) = (lab.local("x/name", b"1"), lab.local("y/name", b"2"));
        let missing = format!("{good}.missing");
        for (words, said) in [
            (vec![good.as_str(), &missing], "name.missing"),
            (vec![&good, &other], "would both lie at `name`"),
            (vec!["--relative-path", "a", &good, &other], "`--prefix`"),
            (vec!["--relative-path", "../a", &good], "../a"),
        ] {
            let words = [vec!["upload", "--repository", "own"], words].concat();
            let error = lab.command(&words).await.expect_err("refused");
            assert!(report(&error).contains(said), "{}", report(&error));
        }
        assert!(lab.present(&repository).await.is_empty());
        let error = lab.command(&["upload", "--repository", "no", &good]).await.expect_err("none");
        assert!(report(&error).contains("`no`"), "{}", report(&error));
    }
}
