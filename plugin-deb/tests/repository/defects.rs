//! Where other mirrors of apt repositories are known to go wrong.

use plugin_deb::compression::Compression;
use pulp_models::{Sha256, both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, key, package};

/// A source package of one file upstream, and its stanza.
fn source(lab: &Lab, version: &str, file: &str) -> String {
    lab.upstream.put(&format!("pool/{file}"), "source");
    let digest = Sha256::of(b"source");
    format!(
        "Package: hello\nVersion: {version}\nDirectory: pool\nPriority: optional\nSection: misc\n\
         X-Unknown: kept\nChecksums-Sha256:\n {digest} 6 {file}\n\n"
    )
}

both_databases! {
    async fn sources_that_are_read_again_are_the_same_units(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let put = |sources: &str| {
            Dist::stable()
                .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
                .file("main/source/Sources", sources, &[Compression::Gz])
                .put(&lab.upstream, None);
        };
        let how = || How {
            mirror: false,
            optimize: false,
            ..How::with(&json!({ "sources": true }))
        };
        let first = source(&lab, "1.0", "hello_1.0.dsc");
        put(&first);
        assert_eq!(lab.sync(how()).await.expect("synced").version, Some(1));
        assert_eq!(lab.sync(how()).await.expect("synced again").version, None);
        put(&(first + &source(&lab, "2.0", "hello_2.0.dsc")));
        let grown = lab.sync(how()).await.expect("synced with a second one");
        assert_eq!((grown.version, grown.warnings.len()), (Some(2), 1), "{:?}", grown.warnings);
        assert_eq!(lab.units(Some("deb.source_package")).await.len(), 2);
        assert_eq!(lab.units(Some("deb.index_file")).await.len(), 2, "of packages, of sources");
        let files = lab.publish(json!({ "layout": "structured" })).await;
        let served = String::from_utf8_lossy(&files["dists/stable/main/source/Sources"]);
        for kept in ["Priority: optional", "Section: misc", "X-Unknown: kept"] {
            assert_eq!(served.matches(kept).count(), 2, "{served}");
        }
    }

    async fn a_point_release_replaces_the_fields_of_the_last_one(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        for (mirror, version) in [(false, "12.1"), (false, "12.2"), (true, "12.3"), (true, "12.4")] {
            let mut dist = Dist::stable().packages(&text);
            dist.head = format!("Version: {version}\n{}", dist.head);
            dist.put(&lab.upstream, None);
            lab.sync(How { mirror, ..How::plain() }).await.expect("synced");
            assert_eq!(lab.units(Some("deb.release_file")).await.len(), 1);
            let files = lab.publish(json!({ "layout": "structured" })).await;
            let release = String::from_utf8_lossy(&files["dists/stable/Release"]);
            for field in ["Origin: Test", "Codename: test", &format!("Version: {version}")] {
                assert!(release.lines().any(|line| line == field), "{field}: {release}");
            }
        }
    }

    async fn packages_with_few_fields_and_weak_digests_are_mirrored(db: TestDatabase) {
        let lab = Lab::new(db).await;
        lab.upstream.put("pool/old.deb", "abc");
        lab.upstream.put("pool/bare.bin", "abc");
        let old = "Package: old\nVersion: 1\nArchitecture: amd64\nFilename: pool/old.deb\nSize: 3\n\
                   MD5sum: 900150983cd24fb0d6963f7d28e17f72\n\n";
        let bare = "Package: bare\nVersion: 1\nArchitecture: amd64\nFilename: pool/bare.bin\n\
                    Size: 3\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\n";
        Dist::stable().packages(&[old, bare].concat()).put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        assert_eq!(lab.packages().await, ["bare 1 amd64", "old 1 amd64"]);
        let paths = lab.files().await;
        assert_eq!(paths["pool/bare.bin"], None, "left to the first request");
        assert_eq!(paths["pool/old.deb"], Some(Sha256::of(b"abc")), "it could not be checked later");
        let wrong = old.replace("9001", "0000");
        Dist::stable().packages(&wrong).put(&lab.upstream, None);
        let error = lab.failure(How::plain().immediate()).await;
        assert!(error.contains("pool/old.deb") && error.contains("mismatch"), "{error}");
    }

    async fn packages_of_architecture_all_survive_without_an_index_of_their_own(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64")
            + &package(&lab.upstream, "doc", "1.0", "all");
        let mut dist = Dist::stable().packages(&text);
        dist.head = dist.head.replace("Architectures:", "Architectures: all");
        dist.head += "No-Support-for-Architecture-all: Packages\n";
        dist.put(&lab.upstream, None);
        let how = How::with(&json!({ "architectures": ["amd64"] }));
        lab.sync(how).await.expect("synced");
        assert_eq!(lab.packages().await, ["doc 1.0 all", "hello 1.0 amd64"]);
    }

    async fn an_index_of_architecture_all_is_needed_where_clients_read_it(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let all = package(&lab.upstream, "doc", "1.0", "all");
        let mut dist = Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file("main/binary-all/Packages", &all, &[Compression::Gz]);
        dist.head = dist.head.replace("Architectures:", "Architectures: all");
        dist.absent.push("main/binary-all/Packages.gz".to_owned());
        dist.put(&lab.upstream, None);
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("main/binary-all/Packages`: It cannot be had"), "{error}");
        dist.head += "No-Support-for-Architecture-all: Packages\n";
        dist.put(&lab.upstream, None);
        let summary = lab.sync(How::plain()).await.expect("nobody reads it");
        let warning = summary.warnings.last().expect("one");
        assert!(warning.contains("binary-all/Packages`"), "{warning}");
    }

    async fn names_of_files_are_encoded_in_urls_once(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let name = "hello_1%3a1.0+b1~x#?ü_amd64.deb";
        let stanza = package(&lab.upstream, "hello", "1.0", "amd64");
        let stanza = stanza.replace("pool/hello_1.0_amd64.deb", &format!("pool/{name}"));
        lab.upstream.put(&format!("pool/{name}"), "hello 1.0 amd64");
        let sources = source(&lab, "1.0", "hello_1%3a.dsc");
        Dist::stable()
            .packages(&stanza)
            .file("main/source/Sources", &sources, &[Compression::Gz])
            .put(&lab.upstream, None);
        let how = How::with(&json!({ "sources": true })).immediate();
        lab.sync(how).await.expect("synced");
        let paths = lab.files().await;
        assert_eq!(paths[&format!("pool/{name}")], Some(Sha256::of(b"hello 1.0 amd64")));
        assert_eq!(paths["pool/hello_1%3a.dsc"], Some(Sha256::of(b"source")));
    }

    async fn one_good_signature_is_enough_and_the_others_are_reported(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let (trusted, other) = (key(), key());
        let dist = Dist::stable().packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        dist.put(&lab.upstream, None);
        let signature = |key: &plugin_deb::openpgp::SigningKey| {
            let files = dist.release_files(Some(key));
            let found = files.into_iter().find(|(path, _)| path.ends_with("Release.gpg"));
            String::from_utf8(found.expect("signed").1).expect("armoured")
        };
        let both = signature(&other) + &signature(&trusted);
        lab.upstream.put("dists/stable/Release.gpg", both);
        let public = trusted.public_armored().expect("armoured");
        let summary = lab.sync(How::with(&json!({ "keyrings": [public] }))).await.expect("synced");
        assert_eq!(summary.warnings.len(), 1, "{:?}", summary.warnings);
        let warning = &summary.warnings[0];
        assert!(warning.contains(&other.fingerprint()), "{warning}");
        assert!(warning.contains("the key is not in the keyring"), "{warning}");
        let releases = lab.units(Some("deb.release_file")).await;
        assert!(releases[0].contains(&trusted.fingerprint()), "{releases:?}");
        assert!(!releases[0].contains(&other.fingerprint()), "{releases:?}");
    }
}
