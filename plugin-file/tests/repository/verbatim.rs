//! Publishing upstream's own list.

use pulp_models::{Sha256, both_databases, remote::Policy, testing::TestDatabase};
use pulp_stages::testing::Upstream;
use serde_json::json;

use crate::kit::{Lab, manifest};

both_databases! {
    async fn a_mirror_publishes_upstreams_list_byte_for_byte(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let list = format!("# signed by nobody\n\n{}", manifest(&[("b", b"2"), ("a", b"1")]));
        let upstream = Upstream::start()
            .await
            .file("PULP_MANIFEST", list.clone())
            .file("a", "1")
            .file("b", "2");
        let remote = lab.remote("up", upstream.url("PULP_MANIFEST"), Policy::Immediate).await;
        let verbatim = lab.repository("verbatim", json!({"verbatim_manifest": true})).await;
        let done = lab.sync(&verbatim, &remote, true).await.expect("synchronised");
        assert_eq!((done.version, done.added), (Some(1), 3));
        assert_eq!(lab.bytes(&verbatim, "PULP_MANIFEST").await, list.as_bytes());
        assert_eq!(lab.present(&verbatim).await["file.upstream_list"], 1);
        let again = lab.sync(&verbatim, &remote, true).await.expect("synchronised");
        assert!(again.unchanged && again.version.is_none(), "{again:?}");

        let plain = lab.repository("plain", json!({})).await;
        let done = lab.sync(&plain, &remote, true).await.expect("synchronised");
        assert_eq!(done.added, 2);
        assert_ne!(lab.bytes(&plain, "PULP_MANIFEST").await, list.as_bytes());
    }

    async fn a_list_keeps_its_own_name(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let list = format!("{}  a\n", Sha256::of(b"1"));
        let upstream = Upstream::start().await.file("SHA256SUMS", list.clone()).file("a", "1");
        let remote = lab.remote("up", upstream.url("SHA256SUMS"), Policy::OnDemand).await;
        let repository = lab.repository("sums", json!({"verbatim_manifest": true})).await;
        lab.sync(&repository, &remote, true).await.expect("synchronised");
        assert_eq!(lab.bytes(&repository, "SHA256SUMS").await, list.as_bytes());
        assert!(!lab.served(&repository).await.contains_key("PULP_MANIFEST"));
    }

    async fn a_list_leaves_once_it_is_no_longer_true(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let upstream = Upstream::start()
            .await
            .file("PULP_MANIFEST", manifest(&[("a", b"1")]))
            .file("a", "1");
        let remote = lab.remote("up", upstream.url("PULP_MANIFEST"), Policy::Immediate).await;
        let repository = lab.repository("own", json!({"verbatim_manifest": true})).await;
        lab.sync(&repository, &remote, true).await.expect("synchronised");
        let local = lab.local("b", b"2");
        lab.command(&["upload", "--repository", "own", &local]).await.expect("uploaded");
        assert!(!lab.present(&repository).await.contains_key("file.upstream_list"));
        let both = manifest(&[("a", b"1"), ("b", b"2")]);
        assert_eq!(lab.bytes(&repository, "PULP_MANIFEST").await, both.as_bytes());

        // The next mirror sync brings it back, together with what upstream has.
        let done = lab.sync(&repository, &remote, true).await.expect("synchronised");
        assert_eq!((done.added, done.removed), (1, 1), "{done:?}");
        // A changed upstream brings another one.
        upstream.put("PULP_MANIFEST", "# nothing left\n");
        let done = lab.sync(&repository, &remote, true).await.expect("synchronised");
        assert_eq!((done.added, done.removed), (1, 2), "{done:?}");
        assert_eq!(lab.bytes(&repository, "PULP_MANIFEST").await, b"# nothing left\n");
        // An additive sync cannot promise that the list is all there is.
        let done = lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!((done.added, done.removed, done.present), (0, 1, 0), "{done:?}");
    }
}
