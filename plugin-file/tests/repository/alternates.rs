//! Alternate content sources: asked first, never trusted, never needed.

use pulp_models::{Connection, both_databases, remote::Policy, testing::TestDatabase};
use pulp_stages::testing::{Fault, Upstream};
use serde_json::json;

use crate::kit::{Lab, manifest};

/// An upstream that lists these files and has them, but for those whose bytes are to be had nowhere.
async fn upstream(files: &[(&str, &[u8])]) -> Upstream {
    let mut upstream = Upstream::start().await.file("PULP_MANIFEST", manifest(files));
    for (path, bytes) in files {
        upstream = upstream.file(path, bytes.to_vec());
    }
    upstream
}

/// Requests for files, manifests excluded.
fn files_asked(upstream: &Upstream) -> Vec<String> {
    let mut paths: Vec<String> =
        upstream.requests().into_iter().map(|request| request.path).collect();
    paths.retain(|path| !path.ends_with("PULP_MANIFEST"));
    paths.sort();
    paths
}

const FILES: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"22"), ("c", b"333")];

both_databases! {
    async fn each_file_is_asked_for_once_and_first_where_it_is_near(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let origin = upstream(&FILES).await;
        // Other paths, for only digests count; and not everything.
        let near = Upstream::start()
            .await
            .file("x/PULP_MANIFEST", manifest(&[("one", b"1")]))
            .file("x/one", "1")
            .file("y/PULP_MANIFEST", manifest(&[("two", b"22"), ("other", b"?")]))
            .file("y/two", "22")
            .file("y/other", "?");
        let remote = lab.remote("near", near.url(""), Policy::Immediate).await;
        lab.source("near", &remote, &["x/PULP_MANIFEST", "y/PULP_MANIFEST"]).await;
        let refreshed = lab.refresh("near").await.expect("refreshed");
        assert_eq!((refreshed.files, refreshed.requests), (3, 2), "{refreshed:?}");
        assert_eq!(files_asked(&near), [""; 0], "a refresh reads lists only");

        let repository = lab.repository("mirror", json!({})).await;
        let remote = lab.remote("origin", origin.url("PULP_MANIFEST"), Policy::Immediate).await;
        let done = lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!((done.added, done.requests), (3, 4), "{done:?}");
        assert_eq!(files_asked(&near), ["x/one", "y/two"]);
        assert_eq!(files_asked(&origin), ["c"]);
        for (path, bytes) in FILES {
            assert_eq!(lab.bytes(&repository, path).await, bytes);
        }
        // What is remembered is where the origin has them.
        for (path, _) in FILES {
            let sources = lab.sources(&repository, path).await;
            assert_eq!(sources, [(remote.id, origin.url(path))]);
        }
    }

    async fn what_a_source_does_wrong_the_origin_makes_good(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let (origin, near) = (upstream(&FILES).await, upstream(&FILES).await);
        let remote = lab.remote("near", near.url("PULP_MANIFEST"), Policy::Immediate).await;
        lab.source("near", &remote, &[]).await;
        lab.refresh("near").await.expect("refreshed");
        near.script("a", [Fault::FlipLastByte]);
        near.remove("b");
        let repository = lab.repository("mirror", json!({})).await;
        let remote = lab.remote("origin", origin.url("PULP_MANIFEST"), Policy::Immediate).await;
        lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!(files_asked(&near), ["a", "b", "c"]);
        assert_eq!(files_asked(&origin), ["a", "b"]);
        assert_eq!(lab.bytes(&repository, "a").await, b"1");
    }

    async fn a_source_that_is_down_is_soon_left_alone(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let names: Vec<String> = (0..30).map(|number| format!("file-{number:02}")).collect();
        let files: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        let (origin, near) = (upstream(&files).await, upstream(&files).await);
        let remote = lab.remote_limited("near", near.url("PULP_MANIFEST"), 1).await;
        lab.source("near", &remote, &[]).await;
        lab.refresh("near").await.expect("refreshed");
        for name in &names {
            near.remove(name);
        }
        let repository = lab.repository("mirror", json!({})).await;
        let remote = lab.remote("origin", origin.url("PULP_MANIFEST"), Policy::Immediate).await;
        let done = lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!(done.added, 30);
        assert_eq!((files_asked(&origin).len(), files_asked(&near).len()), (30, 5));
        assert_eq!(done.warnings.len(), 1, "{:?}", done.warnings);
        assert!(done.warnings[0].contains("`near` failed 5 times"), "{:?}", done.warnings);
    }

    async fn each_server_gets_its_own_credentials_only(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let origin = upstream(&FILES).await.basic_auth("origin", "o-secret");
        let near = upstream(&FILES).await.basic_auth("near", "n-secret");
        let place = near.url("PULP_MANIFEST");
        let remote = lab.remote_with_login("near", place, "near", "n-secret").await;
        lab.source("near", &remote, &[]).await;
        lab.refresh("near").await.expect("refreshed");
        near.script("b", [Fault::FlipLastByte]);
        let repository = lab.repository("mirror", json!({})).await;
        let place = origin.url("PULP_MANIFEST");
        let remote = lab.remote_with_login("origin", place, "origin", "o-secret").await;
        lab.sync(&repository, &remote, false).await.expect("synchronised");
        // Each accepts only its own, so that these counts are the proof.
        assert_eq!(files_asked(&near), ["a", "b", "c"]);
        assert_eq!(files_asked(&origin), ["b"]);
    }

    async fn disabled_and_on_demand_ask_nobody(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let (origin, near) = (upstream(&FILES).await, upstream(&FILES).await);
        let remote = lab.remote("near", near.url("PULP_MANIFEST"), Policy::Immediate).await;
        let mut source = lab.source("near", &remote, &[]).await;
        lab.refresh("near").await.expect("refreshed");
        let place = origin.url("PULP_MANIFEST");
        let lazy = lab.remote("lazy", place.clone(), Policy::OnDemand).await;
        let repository = lab.repository("lazy", json!({})).await;
        lab.sync(&repository, &lazy, false).await.expect("synchronised");
        assert!(files_asked(&near).is_empty() && files_asked(&origin).is_empty());

        source.enabled = false;
        let disable = move |connection: &mut Connection| {
            pulp_models::alternate_content_source::update(connection, &source)
        };
        lab.installation.db.write(disable).await.expect("disabled");
        let eager = lab.remote("eager", place, Policy::Immediate).await;
        let repository = lab.repository("eager", json!({})).await;
        lab.sync(&repository, &eager, false).await.expect("synchronised");
        assert!(files_asked(&near).is_empty());
        assert_eq!(files_asked(&origin), ["a", "b", "c"]);
    }

    async fn a_refresh_forgets_what_is_gone_unless_it_fails(database: TestDatabase) {
        let lab = Lab::new(database).await;
        let (origin, near) = (upstream(&FILES).await, upstream(&FILES).await);
        let remote = lab.remote("near", near.url("PULP_MANIFEST"), Policy::Immediate).await;
        lab.source("near", &remote, &[]).await;
        lab.refresh("near").await.expect("refreshed");
        near.put("PULP_MANIFEST", "not a manifest at all\n");
        lab.refresh("near").await.expect_err("unreadable");
        let place = origin.url("PULP_MANIFEST");
        let remote = lab.remote("origin", place, Policy::Immediate).await;
        let repository = lab.repository("first", json!({})).await;
        origin.put("PULP_MANIFEST", manifest(&FILES[..1]));
        lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!(files_asked(&near), ["a"], "what the failed refresh did not read is kept");

        near.put("PULP_MANIFEST", manifest(&FILES[2..]));
        let refreshed = lab.refresh("near").await.expect("refreshed");
        assert_eq!(refreshed.files, 1);
        origin.put("PULP_MANIFEST", manifest(&FILES));
        lab.sync(&repository, &remote, false).await.expect("synchronised");
        assert_eq!(files_asked(&near), ["a", "c"]);
        assert_eq!(files_asked(&origin), ["b"]);
    }
}
