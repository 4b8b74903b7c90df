//! What a sync makes of an upstream in order.

use plugin_deb::compression::Compression;
use pulp_models::{both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, key, package};

both_databases! {
    async fn a_signed_distribution_is_mirrored_and_an_unchanged_one_costs_a_request(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let key = key();
        let text = package(&lab.upstream, "hello", "1.0", "amd64")
            + &package(&lab.upstream, "doc", "2.0", "all");
        Dist::stable().packages(&text).put(&lab.upstream, Some(&key));
        let public = key.public_armored().expect("armoured");
        let how = || How::with(&json!({ "keyrings": [public] }));

        let first = lab.sync(how()).await.expect("synced");
        assert_eq!((first.version, first.warnings), (Some(1), vec![]));
        assert_eq!(lab.packages().await, ["doc 2.0 all", "hello 1.0 amd64"]);
        let paths = lab.files().await;
        for name in ["InRelease", "Release", "Release.gpg", "main/binary-amd64/Packages.gz"] {
            assert!(paths[&format!("dists/stable/{name}")].is_some(), "{name} is stored");
        }
        assert!(!paths.contains_key("dists/stable/main/binary-amd64/Packages"));
        assert_eq!(paths["pool/hello_1.0_amd64.deb"], None, "left to the first request");
        let releases = lab.units(Some("deb.release_file")).await;
        assert!(releases[0].contains(&key.fingerprint()), "{releases:?}");

        lab.upstream.clear_log();
        let again = lab.sync(how()).await.expect("synced");
        assert!(again.unchanged && again.version.is_none());
        assert_eq!(lab.upstream.requests().len(), 1);

        let forced = lab.sync(How { optimize: false, ..how() }).await.expect("synced");
        assert_eq!(forced.version, None, "everything is parsed again and nothing differs");

        let now = lab.sync(how().immediate()).await.expect("synced");
        assert_eq!(now.version, None);
        assert!(lab.files().await["pool/hello_1.0_amd64.deb"].is_some());
    }

    async fn a_changed_distribution_replaces_metadata_and_in_mirror_mode_packages(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let old = package(&lab.upstream, "hello", "1.0", "amd64");
        let new = package(&lab.upstream, "hello", "2.0", "amd64");
        Dist::stable().packages(&old).put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        Dist::stable().packages(&new).put(&lab.upstream, None);
        let additive = lab.sync(How { mirror: false, ..How::plain() }).await.expect("synced");
        assert_eq!(additive.version, Some(2));
        assert_eq!(lab.packages().await, ["hello 1.0 amd64", "hello 2.0 amd64"]);
        assert_eq!(lab.units(Some("deb.release_file")).await.len(), 1, "the new one only");
        assert_eq!(lab.units(Some("deb.index_file")).await.len(), 1, "the new one only");
        let mirror = lab.sync(How::plain()).await.expect("synced");
        assert_eq!((mirror.version, mirror.removed), (Some(3), 1));
        assert_eq!(lab.packages().await, ["hello 2.0 amd64"]);
    }

    async fn packages_of_architecture_all_are_one_unit_each(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let all = package(&lab.upstream, "doc", "1.0", "all");
        let amd64 = package(&lab.upstream, "hello", "1.0", "amd64") + &all;
        let arm64 = package(&lab.upstream, "hello", "1.0", "arm64") + &all;
        let mut dist = Dist::stable()
            .file("main/binary-amd64/Packages", &amd64, &[Compression::Xz])
            .file("main/binary-arm64/Packages", &arm64, &[Compression::Xz])
            .file("main/binary-all/Packages", &all, &[Compression::Xz]);
        dist.head = dist.head.replace("Architectures:", "Architectures: all");
        for head in [dist.head.clone(), dist.head.clone() + "No-Support-for-Architecture-all: Packages\n"] {
            dist.head = head;
            dist.put(&lab.upstream, None);
            let summary = lab.sync(How::plain()).await.expect("synced");
            assert_eq!(summary.warnings.len(), 1, "about the keyring: {:?}", summary.warnings);
            assert_eq!(lab.packages().await, ["doc 1.0 all", "hello 1.0 amd64", "hello 1.0 arm64"]);
        }
        let one = How::with(&json!({ "architectures": ["arm64"] }));
        lab.sync(one).await.expect("synced");
        assert_eq!(lab.packages().await, ["doc 1.0 all", "hello 1.0 arm64"]);
    }

    async fn sources_udebs_and_other_files_are_mirrored_when_asked_for(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let source = "Package: hello\nVersion: 1.0\nDirectory: pool\nChecksums-Sha256:\n \
                      ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 hello_1.0.dsc\n";
        lab.upstream.put("pool/hello_1.0.dsc", "abc");
        let udeb = package(&lab.upstream, "netcfg", "1.0", "amd64");
        let gz = &[Compression::Gz];
        let dist = Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file("main/source/Sources", source, gz)
            .file("main/debian-installer/binary-amd64/Packages", &udeb, gz)
            .file("main/i18n/Translation-de", "Package: hello\n", &[Compression::Bz2])
            .file("main/Contents-amd64", "bin/hello devel/hello\n", gz);
        dist.put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        let count = lab.units(None).await.len();
        assert_eq!(count, 5, "release, packages, translation, hello, a list of files on demand");
        let list = "dists/stable/main/Contents-amd64.gz";
        assert_eq!(lab.files().await[list], None, "nobody asked for its bytes");
        let all = json!({ "sources": true, "udebs": true, "metadata": ["contents"] });
        lab.sync(How::with(&all).immediate()).await.expect("synced");
        assert_eq!(lab.units(Some("deb.source_package")).await.len(), 1);
        assert_eq!(lab.units(Some("deb.installer_package")).await.len(), 1);
        let paths = lab.files().await;
        assert!(paths["pool/hello_1.0.dsc"].is_some());
        assert!(paths[list].is_some());
    }

    async fn flat_repositories_are_mirrored_again_and_again(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64")
            + &package(&lab.upstream, "hello", "1.0", "arm64");
        let flat = Dist {
            directory: String::new(),
            head: "Codename: flat\n".to_owned(),
            ..Dist::stable()
        };
        flat.file("Packages", &text, &[Compression::Gz]).put(&lab.upstream, None);
        let options = json!({ "distributions": ["./"], "architectures": ["amd64"] });
        for mirror in [false, true] {
            let how = || How { mirror, ..How::with(&options) };
            let first = lab.sync(How { optimize: false, ..how() }).await.expect("synced");
            assert_eq!(first.version.is_some(), !mirror);
            assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
            assert!(lab.sync(how()).await.expect("synced").unchanged || mirror != first.unchanged);
            assert!(lab.sync(how()).await.expect("synced").unchanged);
        }
        assert!(lab.files().await["Packages.gz"].is_some());
    }

    async fn indices_are_fetched_by_hash_where_upstream_offers_it(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let mut dist = Dist::stable();
        dist.head.push_str("Acquire-By-Hash: yes\n");
        let dist = dist.packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        dist.put(&lab.upstream, None);
        for (path, bytes) in &dist.files {
            let digest = pulp_models::Sha256::of(bytes);
            let directory = "dists/stable/main/binary-amd64";
            lab.upstream.put(&format!("{directory}/by-hash/SHA256/{digest}"), bytes.clone());
            // The mirror pulse: at the canonical path lies the next version already.
            lab.upstream.put(&format!("dists/stable/{path}"), "changed");
        }
        let summary = lab.sync(How::plain()).await.expect("synced");
        assert_eq!(summary.warnings.len(), 1, "{:?}", summary.warnings);
        assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
        let files = lab.publish(json!({})).await;
        assert_eq!(files.keys().filter(|path| path.contains("/by-hash/SHA256/")).count(), 2);
    }

    async fn the_files_of_the_installer_are_mirrored_by_their_list(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let directory = "main/installer-amd64/current/images";
        let kernel = pulp_models::Sha256::of(b"kernel");
        let sums = format!("{kernel}  ./netboot/linux\n{kernel}  ../../evil\nnonsense\n");
        lab.upstream.put(&format!("dists/stable/{directory}/netboot/linux"), "kernel");
        Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file(&format!("{directory}/SHA256SUMS"), &sums, &[Compression::Plain])
            .file(&format!("{directory}/MD5SUMS"), "x", &[Compression::Plain])
            .put(&lab.upstream, None);
        let how = How::with(&json!({ "installer": true, "architectures": ["amd64"] }));
        let summary = lab.sync(how.immediate()).await.expect("synced");
        let list = format!("dists/stable/{directory}/SHA256SUMS");
        let about = |line: u32| summary.warnings.iter().any(|text| {
            text.contains(&list) && text.contains(&format!("line {line}:"))
        });
        assert!(about(2) && about(3), "{:?}", summary.warnings);
        let paths = lab.files().await;
        assert_eq!(paths[&format!("dists/stable/{directory}/netboot/linux")], Some(kernel));
        assert!(paths.contains_key(&list));
        assert!(paths.contains_key(&format!("dists/stable/{directory}/MD5SUMS")));
    }
}
