//! What a structured publication has beside its packages, and where it has those.

use plugin_deb::{compression::Compression, release::Release};
use pulp_models::{both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, package};

const GZ: &[Compression] = &[Compression::Gz];

const LIST: &str =
    "usr/bin/hello utils/hello\nusr/share/both utils/other,hello\nusr/bin/other utils/other\n";

/// A distribution with everything that a client may ask for; the plain files are not there.
fn full(lab: &Lab) -> Dist {
    let both = &[Compression::Plain, Compression::Gz];
    let mut dist = Dist::stable()
        .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
        .file("main/i18n/Translation-en", "Package: hello\n", both)
        .file("main/Contents-amd64", LIST, both)
        .file("main/Contents-all", "usr/share/doc/x doc/x\n", both)
        .file("main/cnf/Commands-amd64", "hello\n", both)
        .file("main/binary-amd64/Packages.diff/Index", "x", &[Compression::Plain])
        .file("main/binary-amd64/Release", "Archive: theirs\n", &[Compression::Plain]);
    let plain = ["i18n/Translation-en", "Contents-amd64", "Contents-all", "cnf/Commands-amd64"];
    dist.absent.extend(plain.map(|name| format!("main/{name}")));
    dist
}

fn everything() -> How {
    How::with(&json!({ "metadata": ["translations", "contents", "commands", "diffs"] }))
}

both_databases! {
    async fn upstreams_optional_files_are_listed_and_served_as_they_are(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let dist = full(&lab);
        dist.put(&lab.upstream, None);
        lab.sync(everything()).await.expect("synced");
        let files = lab.publish(json!({ "layout": "structured" })).await;
        let release = Release::parse(&files["dists/stable/Release"]).expect("a release file");
        for name in ["i18n/Translation-en", "Contents-amd64", "Contents-all", "cnf/Commands-amd64"] {
            let path = format!("main/{name}.gz");
            let upstream = dist.files.iter().find(|(known, _)| *known == path).expect("listed");
            assert_eq!(files[&format!("dists/stable/{path}")], upstream.1, "{path}");
            let listed = release.file(&path).expect("listed");
            assert_eq!(listed.size, Some(upstream.1.len() as u64), "{path}");
            let hashed = plugin_deb::selection::by_hash(
                &pulp_models::RelativePath::new(&format!("dists/stable/{path}")).expect("a path"),
                listed,
            );
            assert_eq!(files[hashed.expect("a digest").as_str()], upstream.1, "{path}");
            assert!(release.file(&format!("main/{name}")).is_some(), "the plain one counts for apt");
        }
        assert!(release.file("main/binary-amd64/Packages.diff/Index").is_none(), "of other files");
        assert!(release.fields.architectures.contains(&"all".to_owned()), "for `Contents-all`");
        let own = String::from_utf8_lossy(&files["dists/stable/main/binary-amd64/Release"]);
        assert!(own.contains("Archive: stable\n") && own.contains("Architecture: amd64\n"), "{own}");
        assert!(release.file("main/binary-amd64/Release").is_some());
    }

    async fn what_nobody_asked_for_is_left_to_the_first_client_that_does(db: TestDatabase) {
        let lab = Lab::new(db).await;
        full(&lab).put(&lab.upstream, None);
        let how = How::with(&json!({ "metadata": ["translations"], "languages": ["de"] }));
        lab.sync(how.immediate()).await.expect("synced");
        let paths = lab.files().await;
        for name in ["i18n/Translation-en", "Contents-amd64", "Contents-all", "cnf/Commands-amd64"] {
            let path = |suffix: &str| format!("dists/stable/main/{name}{suffix}");
            assert_eq!(paths.get(&path(".gz")), Some(&None), "{name} is there, without bytes");
            assert_eq!(paths.get(&path("")), None, "{name} is not there uncompressed");
        }
        assert!(paths.keys().all(|path| !path.contains(".diff/")), "apt does without");
        let files = lab.publish(json!({ "layout": "structured" })).await;
        let release = Release::parse(&files["dists/stable/Release"]).expect("a release file");
        assert!(release.files.keys().all(|path| !path.as_str().contains("Contents")));
    }

    async fn of_filtered_packages_lists_of_files_are_filtered_too(db: TestDatabase) {
        let lab = Lab::new(db).await;
        full(&lab).put(&lab.upstream, None);
        let how = everything();
        let mut options = how.options.clone();
        options["filters"] = json!(["hello"]);
        lab.sync(How { options, ..how }).await.expect("synced");
        let files = lab.publish(json!({})).await;
        let release = Release::parse(&files["dists/stable/Release"]).expect("a release file");
        assert!(release.file("main/i18n/Translation-en.gz").is_some());
        assert_eq!(files.keys().find(|path| path.contains("cnf/")), None);
        let list = String::from_utf8_lossy(&files["dists/stable/main/Contents-amd64"]);
        assert_eq!(list, "usr/bin/hello utils/hello\nusr/share/both hello\n");
        for name in ["Contents-amd64.gz", "Contents-amd64.xz", "Contents-all.gz"] {
            let path = format!("main/{name}");
            let bytes = &files[&format!("dists/stable/{path}")];
            let listed = release.file(&path).expect("listed");
            assert_eq!(listed.size, Some(bytes.len() as u64), "{name}");
        }
        assert!(files["dists/stable/main/Contents-all"].is_empty(), "its package is left out");
        assert!(release.fields.architectures.contains(&"all".to_owned()), "for `Contents-all`");
    }

    async fn every_listed_file_of_a_structured_publication_is_there(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        Dist::stable().file("main/binary-amd64/Packages", &text, GZ).put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        let files = lab.publish(json!({ "layout": "structured" })).await;
        let release = Release::parse(&files["dists/stable/Release"]).expect("a release file");
        for path in release.files.keys() {
            assert!(files.contains_key(&format!("dists/stable/{path}")), "{path}");
        }
    }
}
