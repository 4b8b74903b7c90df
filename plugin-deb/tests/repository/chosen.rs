//! Which packages are mirrored when options choose among them.

use plugin_deb::compression::Compression;
use pulp_models::{both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, package};

both_databases! {
    async fn packages_come_with_what_they_need_and_their_sources(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let with = |name: &str, version: &str, fields: &str| {
            let stanza = package(&lab.upstream, name, version, "amd64");
            stanza.replacen("Description:", &format!("{fields}Description:"), 1)
        };
        let text = [
            with("app", "1.0", "Depends: lib (>= 2), mta, gone\n"),
            with("lib", "1.0", ""),
            with("lib", "2.0", "Source: libsource (2)\n"),
            with("mailer", "1.0", "Provides: mta\n"),
            with("other", "1.0", ""),
        ]
        .concat();
        let source = |name: &str| {
            format!(
                "Package: {name}\nVersion: 2\nDirectory: pool\nChecksums-Sha256:\n \
                 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 {name}.dsc\n\n"
            )
        };
        let sources = source("libsource") + &source("unrelated");
        let dist = Dist::stable()
            .packages(&text)
            .file("main/source/Sources", &sources, &[Compression::Gz, Compression::Xz]);
        dist.put(&lab.upstream, None);
        let options = json!({ "filters": ["app"], "follow": "depends", "sources": true });
        let summary = lab.sync(How::with(&options)).await.expect("synced");
        assert_eq!(lab.packages().await, ["app 1.0 amd64", "lib 2.0 amd64", "mailer 1.0 amd64"]);
        let sources = lab.units(Some("deb.source_package")).await;
        assert!(sources.len() == 1 && sources[0].contains("libsource"), "{sources:?}");
        let warning = summary.warnings.last().expect("one");
        assert_eq!(warning, "Nothing upstream meets: `app` 1.0 needs `gone`");
        let error = lab.publish_fails(json!({ "layout": "verbatim" })).await;
        assert!(error.contains("the indices of `stable` list packages that the filters left out"), "{error}");
        // Of indices that nobody will be served, one compression is enough.
        let asked = lab.upstream.requests();
        assert!(!asked.iter().any(|request| request.path.ends_with("Packages.xz")), "{asked:?}");
    }

    async fn only_the_newest_versions_are_mirrored_if_so_many_are_wanted(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text: String = ["1.9", "1.10", "1.10~rc1", "1.2"]
            .map(|version| package(&lab.upstream, "app", version, "amd64"))
            .concat();
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::with(&json!({ "newest": 2 }))).await.expect("synced");
        assert_eq!(lab.packages().await, ["app 1.10 amd64", "app 1.10~rc1 amd64"]);
        lab.sync(How::with(&json!({ "newest": 1 }))).await.expect("synced");
        assert_eq!(lab.packages().await, ["app 1.10 amd64"]);
        lab.sync(How::plain()).await.expect("synced");
        assert_eq!(lab.packages().await.len(), 4);
        let error = lab.failure(How::with(&json!({ "newest": 0 }))).await;
        assert!(error.contains("nonzero"), "{error}");
    }

    async fn patches_between_indices_are_mirrored_if_they_are_wanted(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let directory = "main/binary-amd64/Packages.diff";
        let digest = |text: &str| pulp_models::Sha256::of(text.as_bytes());
        let list = format!(
            "SHA256-Current: {0} 1\nSHA256-Download:\n {0} 5 one.gz\n {0} 5 gone.gz\n",
            digest("patch")
        );
        lab.upstream.put(&format!("dists/stable/{directory}/one.gz"), "patch");
        Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file(&format!("{directory}/Index"), &list, &[Compression::Plain])
            .put(&lab.upstream, None);
        let how = How::with(&json!({ "metadata": ["diffs"] }));
        let summary = lab.sync(how).await.expect("synced");
        let warning = summary.warnings.last().expect("one");
        assert!(warning.contains("Index` lists 1 patches"), "{warning}");
        let paths = lab.files().await;
        assert_eq!(paths[&format!("dists/stable/{directory}/one.gz")], Some(digest("patch")));
        assert!(paths.contains_key(&format!("dists/stable/{directory}/Index")));
        lab.sync(How::plain()).await.expect("synced");
        assert!(!lab.files().await.contains_key(&format!("dists/stable/{directory}/Index")));
    }
}
