//! Publications of both kinds.

use plugin_deb::{
    compression::{Bound, Compression},
    openpgp::Keyring,
    release::Release,
};
use pulp_models::{RelativePath, Timestamp, both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, key, package};

both_databases! {
    async fn a_structured_publication_holds_upstreams_stanzas_signed_by_us(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let doc = package(&lab.upstream, "doc", "1.0", "all");
        let amd64 = package(&lab.upstream, "hello", "1.0", "amd64") + &doc;
        let arm64 = package(&lab.upstream, "hello", "1.0", "arm64") + &doc;
        let xz = &[Compression::Xz];
        let mut dist = Dist::stable()
            .file("main/binary-amd64/Packages", &amd64, xz)
            .file("main/binary-arm64/Packages", &arm64, xz);
        dist.head.push_str("NotAutomatic: yes\nSigned-By: 0123\n");
        dist.put(&lab.upstream, Some(&key()));
        lab.sync(How::plain()).await.expect("synced");
        let options = json!({
            "layout": "structured", "date": Timestamp::now().as_seconds(), "valid_for": 7,
            "compressions": ["gz", "zst"],
        });
        let files = lab.publish(options.clone()).await;

        let keyring = Keyring::parse(&files["key.asc"]).expect("a keyring");
        let now = Timestamp::now().as_seconds();
        let verified =
            keyring.verify_cleartext(&files["dists/stable/InRelease"], now).expect("signed");
        let release_text = &files["dists/stable/Release"];
        assert_eq!(&verified.text, release_text);
        keyring
            .verify_detached(release_text, &files["dists/stable/Release.gpg"], now)
            .expect("signed");
        let release = Release::parse(release_text).expect("a release file");
        assert_eq!(release.fields.not_automatic.as_deref(), Some("yes"));
        assert!(release.valid_until.is_some() && release.all_in_each_architecture);
        assert!(!String::from_utf8_lossy(release_text).contains("Signed-By"));

        for (path, expected) in &release.files {
            let bytes = &files[&format!("dists/stable/{path}")];
            assert_eq!(expected.size, Some(bytes.len() as u64), "{path}");
            let listed = RelativePath::new(&format!("dists/stable/{path}")).expect("a path");
            for hashed in plugin_deb::selection::all_by_hash(&listed, expected) {
                assert_eq!(&files[hashed.as_str()], bytes, "{hashed}");
            }
        }
        let sorted = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).into_owned();
            let mut stanzas: Vec<_> = text.split("\n\n").map(str::to_owned).collect();
            stanzas.sort();
            stanzas
        };
        for (name, upstream) in [("amd64", &amd64), ("arm64", &arm64)] {
            let plain = &files[&format!("dists/stable/main/binary-{name}/Packages")];
            assert_eq!(sorted(plain), sorted(upstream.as_bytes()));
            let zst = &files[&format!("dists/stable/main/binary-{name}/Packages.zst")];
            let mut found = Vec::new();
            let bound = Bound::Exactly(plain.len() as u64);
            let mut decoder = Compression::Zst.decoder(&zst[..], bound).expect("valid");
            std::io::Read::read_to_end(&mut decoder, &mut found).expect("valid");
            assert!(found == *plain);
        }
        assert_eq!(lab.publish(options).await, files, "the same again, byte for byte");
    }

    async fn a_flat_repository_is_published_structured(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64")
            + &package(&lab.upstream, "doc", "1.0", "all");
        let flat = Dist {
            directory: String::new(),
            head: "Codename: myflat\n".to_owned(),
            ..Dist::stable()
        };
        flat.file("Packages", &text, &[Compression::Gz]).put(&lab.upstream, None);
        lab.sync(How::with(&json!({ "distributions": ["./"] }))).await.expect("synced");
        let files = lab.publish(json!({ "layout": "structured", "signing_key": "none" })).await;
        let release = Release::parse(&files["dists/myflat/Release"]).expect("a release file");
        assert_eq!(release.fields.components, ["main"]);
        assert_eq!(release.fields.architectures, ["amd64"]);
        assert!(!files.contains_key("dists/myflat/InRelease") && !files.contains_key("key.asc"));
        let packages = &files["dists/myflat/main/binary-amd64/Packages"];
        assert_eq!(String::from_utf8_lossy(packages).matches("Package: ").count(), 2);
        assert!(!files.contains_key("Packages.gz"), "upstream's own index is not published");
    }

    async fn a_distribution_says_of_itself_what_the_user_wants(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        let own = json!({
            "origin": "Us", "label": "Ours", "suite": "testing", "codename": "",
            "release_version": "1.2", "release_description": "what we use", "date": 1_800_000_000,
        });
        let files = lab.publish(own.clone()).await;
        let release = Release::parse(&files["dists/stable/Release"]).expect("a release file");
        let fields = release.fields;
        let found = [fields.origin, fields.label, fields.suite, fields.codename];
        assert_eq!(
            found.map(Option::unwrap_or_default),
            ["Us", "Ours", "testing", "test"],
            "an empty one is upstream's"
        );
        let found = [fields.version, fields.description].map(Option::unwrap_or_default);
        assert_eq!(found, ["1.2", "what we use"]);
        let index = String::from_utf8_lossy(&files["dists/stable/main/binary-amd64/Release"]);
        assert!(index.contains("Origin: Us\n") && index.contains("Archive: testing\n"), "{index}");
        let again = lab.publish(own.clone()).await;
        assert!(files == again, "the same again, byte for byte");
        let mut verbatim = own;
        verbatim["layout"] = json!("verbatim");
        let error = lab.publish_fails(verbatim).await;
        assert!(error.contains("upstream has signed what it says of itself"), "{error}");
    }

    async fn one_name_is_not_given_to_several_distributions(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        for name in ["stable", "testing"] {
            let directory = format!("dists/{name}/");
            Dist { directory, ..Dist::stable().packages(&text) }.put(&lab.upstream, None);
        }
        let how = How::with(&json!({ "distributions": ["stable", "testing"] }));
        lab.sync(how).await.expect("synced");
        lab.publish(json!({ "origin": "Us" })).await;
        let error = lab.publish_fails(json!({ "codename": "ours" })).await;
        assert!(error.contains("not `stable` and `testing`"), "{error}");
    }

    async fn installer_packages_and_sources_have_indices_of_their_own(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let source = "Package: hello\nVersion: 1.0\nDirectory: pool\nChecksums-Sha256:\n \
                      ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 hello_1.0.dsc\n";
        let udeb = package(&lab.upstream, "netcfg", "1.0", "amd64");
        let gz = &[Compression::Gz];
        Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file("main/source/Sources", source, gz)
            .file("main/debian-installer/binary-amd64/Packages", &udeb, gz)
            .put(&lab.upstream, None);
        let how = How::with(&json!({ "sources": true, "udebs": true }));
        lab.sync(how).await.expect("synced");
        let files = lab.publish(json!({ "layout": "structured" })).await;
        let text = |path: &str| String::from_utf8_lossy(&files[path]).into_owned();
        assert_eq!(text("dists/stable/main/source/Sources"), format!("{source}\n"));
        assert_eq!(text("dists/stable/main/debian-installer/binary-amd64/Packages"), udeb);
        assert!(!text("dists/stable/main/binary-amd64/Packages").contains("netcfg"));
        assert_eq!(text("dists/stable/main/binary-arm64/Packages"), "");
    }

    async fn what_was_filtered_is_published_structured_only(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64")
            + &package(&lab.upstream, "other", "1.0", "amd64");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::with(&json!({ "filters": ["hel*, $Version (>= 1)"] }))).await.expect("synced");
        assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
        let files = lab.publish(json!({})).await;
        let packages = String::from_utf8_lossy(&files["dists/stable/main/binary-amd64/Packages"]);
        assert!(packages.contains("hello") && !packages.contains("other"));
        let error = lab.publish_fails(json!({ "layout": "verbatim" })).await;
        assert!(error.contains("the indices of `stable` list packages that the filters left out"), "{error}");
        lab.sync(How::plain()).await.expect("synced");
        assert_eq!(lab.packages().await.len(), 2, "without the filter all of it");
    }
}
