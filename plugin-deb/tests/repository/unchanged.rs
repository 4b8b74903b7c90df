//! An upstream that did not change costs one or two requests, whatever its release files are; and
//! one that changes while it is read is read again.

use plugin_deb::compression::Compression;
use pulp_models::{both_databases, testing::TestDatabase};
use pulp_stages::testing::Fault;
use serde_json::{Value, json};

use crate::kit::{Dist, How, Lab, key, package};

/// Syncs twice with the same options; the second sync must find nothing new. Gives its requests.
async fn asked_again(lab: &Lab, options: &Value, mirror: bool) -> Vec<String> {
    let how = || How { mirror, ..How::with(options) };
    lab.sync(how()).await.expect("synced");
    lab.upstream.clear_log();
    let again = lab.sync(how()).await.expect("synced again");
    assert!(again.unchanged && again.version.is_none(), "{again:?}");
    assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
    lab.upstream.requests().into_iter().map(|request| request.path).collect()
}

/// A flat repository at the upstream's root.
fn flat(text: &str) -> Dist {
    let head = "Codename: flat\n".to_owned();
    let flat = Dist { directory: String::new(), head, ..Dist::stable() };
    flat.file("Packages", text, &[Compression::Gz])
}

both_databases! {
    async fn every_kind_of_release_file_tells_that_nothing_changed(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let key = key();
        let keyring = json!([key.public_armored().expect("armoured")]);
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        for (dist, name) in [(Dist::stable().packages(&text), "stable"), (flat(&text), "./")] {
            let path = |file: &str| format!("{}{file}", dist.directory);
            let signed = json!({ "distributions": [name], "keyrings": keyring });
            for mirror in [true, false] {
                dist.put(&lab.upstream, Some(&key));
                let asked = asked_again(&lab, &signed, mirror).await;
                assert_eq!(asked, [path("InRelease")]);

                lab.upstream.put(&path("InRelease"), "no release file");
                let two = [path("InRelease"), path("Release.gpg")];
                assert_eq!(asked_again(&lab, &signed, mirror).await, two, "one is bad");

                lab.upstream.remove(&path("InRelease"));
                assert_eq!(asked_again(&lab, &signed, mirror).await, two, "one is not there");

                lab.upstream.remove(&path("Release.gpg"));
                let unsigned = json!({ "distributions": [name] });
                let asked = asked_again(&lab, &unsigned, mirror).await;
                assert_eq!(asked, [path("InRelease"), path("Release")]);
            }
        }
    }

    async fn a_new_signature_of_the_same_text_is_noticed(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let (old, new) = (key(), key());
        let armoured = [&old, &new].map(|key| key.public_armored().expect("armoured"));
        let how = || How::with(&json!({ "keyrings": armoured }));
        let dist = Dist::stable().packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        for (version, key) in [(1, &old), (2, &new)] {
            dist.put(&lab.upstream, Some(key));
            lab.upstream.remove("dists/stable/InRelease");
            let summary = lab.sync(how()).await.expect("synced");
            assert_eq!(summary.version, Some(version));
            let releases = lab.units(Some("deb.release_file")).await;
            assert!(releases[0].contains(&key.fingerprint()), "{releases:?}");
        }
    }

    async fn a_release_that_changes_on_the_way_is_read_again_from_the_start(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let key = key();
        let old = package(&lab.upstream, "hello", "1.0", "amd64");
        let new = package(&lab.upstream, "hello", "2.0", "amd64");
        Dist::stable().packages(&old).put(&lab.upstream, Some(&key));
        let next = Dist::stable().packages(&new);
        // The release files are read once before upstream changes, everything else after.
        for (path, bytes) in next.release_files(Some(&key)) {
            lab.upstream.script(&path, [Fault::None, Fault::Becomes(bytes.into())]);
        }
        for (path, bytes) in &next.files {
            if !next.absent.contains(path) {
                lab.upstream.put(&format!("dists/stable/{path}"), bytes.clone());
            }
        }
        let public = key.public_armored().expect("armoured");
        let summary = lab.sync(How::with(&json!({ "keyrings": [public] }))).await.expect("synced");
        assert_eq!(summary.warnings.len(), 1, "{:?}", summary.warnings);
        assert!(summary.warnings[0].contains("`stable` changed upstream"), "{:?}", summary.warnings);
        assert_eq!(lab.packages().await, ["hello 2.0 amd64"], "of one state");
        let paths = lab.files().await;
        for (path, bytes) in next.release_files(None) {
            assert_eq!(paths[&path], Some(pulp_models::Sha256::of(&bytes)), "of the same state");
        }
    }

    async fn two_files_of_different_states_are_asked_for_again(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let key = key();
        Dist::stable().put(&lab.upstream, Some(&key));
        lab.upstream.remove("dists/stable/InRelease");
        let next = Dist::stable().packages(&package(&lab.upstream, "hello", "2.0", "amd64"));
        let mut files = next.release_files(Some(&key));
        files.retain(|(path, _)| path != "dists/stable/InRelease");
        next.put(&lab.upstream, None);
        // The signature is still the old one when it is read first.
        for (path, bytes) in files.into_iter().filter(|(path, _)| path.ends_with("Release.gpg")) {
            lab.upstream.script(&path, [Fault::None, Fault::Becomes(bytes.into())]);
        }
        let public = key.public_armored().expect("armoured");
        lab.sync(How::with(&json!({ "keyrings": [public] }))).await.expect("synced");
        assert_eq!(lab.packages().await, ["hello 2.0 amd64"]);
    }
}
