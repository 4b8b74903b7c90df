//! What can be wrong upstream: each with an error or a warning that names it.

use plugin_deb::compression::Compression;
use pulp_models::{both_databases, testing::TestDatabase};
use serde_json::json;

use crate::kit::{Dist, How, Lab, compress, key, package};

const INDEX: &str = "dists/stable/main/binary-amd64/Packages";

both_databases! {
    async fn a_wrong_signature_is_refused_and_the_key_named(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let (trusted, other) = (key(), key());
        let dist = Dist::stable().packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        dist.put(&lab.upstream, Some(&other));
        let public = trusted.public_armored().expect("armoured");
        let how = || How::with(&json!({ "keyrings": [public] }));
        let error = lab.failure(how()).await;
        assert!(error.contains("InRelease") && error.contains(&other.fingerprint()), "{error}");
        dist.put(&lab.upstream, Some(&trusted));
        let text = dist.release().replace("Origin: Test", "Origin: Evil");
        lab.upstream.put("dists/stable/Release", text);
        let summary = lab.sync(how()).await.expect("InRelease is good");
        assert!(summary.warnings[0].contains("`dists/stable/Release` differs"), "{:?}", summary.warnings);
        assert!(!lab.files().await.contains_key("dists/stable/Release"));
        lab.upstream.remove("dists/stable/InRelease");
        let error = lab.failure(how()).await;
        assert!(error.contains("does not match the text"), "{error}");
        lab.upstream.remove("dists/stable/Release.gpg");
        let error = lab.failure(how()).await;
        assert!(error.contains("There is no signature"), "{error}");
    }

    async fn no_keyring_is_a_warning_and_no_release_file_an_error(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("Neither `InRelease` nor `Release` is there"), "{error}");
        let dist = Dist::stable().packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        dist.put(&lab.upstream, None);
        let summary = lab.sync(How::plain()).await.expect("synced");
        assert!(summary.warnings[0].contains("No keyring"), "{:?}", summary.warnings);
    }

    async fn time_does_not_go_backwards(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        let dated = |date: &str| {
            let mut dist = Dist::stable().packages(&text);
            dist.head = dist.head.replace("Sat, 11 Jul 2026 10:16:37 UTC", date);
            dist
        };
        dated("Sat, 11 Jul 2026 10:16:37 UTC").put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
        dated("Fri, 10 Jul 2026 10:16:37 UTC").put(&lab.upstream, None);
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("is of 2026-07-10, the last one was of 2026-07-11"), "{error}");
        lab.sync(How::with(&json!({ "allow_downgrade": true }))).await.expect("allowed");
        let mut old = dated("Sat, 11 Jul 2026 10:16:37 UTC");
        old.head.push_str("Valid-Until: Sun, 12 Jul 2020 10:16:37 UTC\n");
        old.put(&lab.upstream, None);
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("was valid until 2020-07-12"), "{error}");
        lab.sync(How::with(&json!({ "allow_expired": true }))).await.expect("allowed");
    }

    async fn an_index_that_is_wrong_in_one_compression_is_taken_in_another(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.upstream.put(&format!("{INDEX}.gz"), "wrong");
        let summary = lab.sync(How::plain()).await.expect("xz is right");
        let warning = summary.warnings.iter().find(|text| text.contains("Packages.gz"));
        assert!(warning.is_some_and(|text| text.contains("Size mismatch")), "{:?}", summary.warnings);
        assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
        let text = package(&lab.upstream, "hello", "2.0", "amd64");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.upstream.put(&format!("{INDEX}.gz"), "wrong");
        lab.upstream.remove(&format!("{INDEX}.xz"));
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("main/binary-amd64/Packages`: It cannot be had in any compression"), "{error}");
        assert!(error.contains("Size mismatch") && error.contains("404"), "{error}");
    }

    async fn a_missing_index_is_an_error_unless_ignored_and_optional_files_a_warning(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let gz = &[Compression::Gz];
        let mut dist = Dist::stable()
            .packages(&package(&lab.upstream, "hello", "1.0", "amd64"))
            .file("main/binary-arm64/Packages", "", gz)
            .file("main/i18n/Translation-en", "", gz);
        dist.absent.push("main/binary-arm64/Packages.gz".to_owned());
        dist.absent.push("main/i18n/Translation-en.gz".to_owned());
        dist.put(&lab.upstream, None);
        let error = lab.failure(How::plain()).await;
        assert!(error.contains("main/binary-arm64/Packages`: It cannot be had in any compression"), "{error}");
        let ignore = json!({ "ignore_missing_package_indices": true });
        let summary = lab.sync(How::with(&ignore)).await.expect("ignored");
        let warning = &summary.warnings[1];
        assert!(
            warning.contains("`dists/stable/main/binary-arm64/Packages`") && warning.contains("Translation-en"),
            "{warning}"
        );
    }

    async fn truncated_and_inflating_indices_are_refused(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64").repeat(100);
        let mut cut = compress(Compression::Xz, text.as_bytes());
        cut.truncate(cut.len() / 2);
        let bomb = compress(Compression::Gz, &vec![b'\n'; 80 << 20]);
        for (suffix, bytes, reason) in
            [(".xz", cut, "Failed to decompress"), (".gz", bomb, "decompresses to more than")]
        {
            let mut dist = Dist::stable();
            dist.files.push((format!("main/binary-amd64/Packages{suffix}"), bytes));
            dist.put(&lab.upstream, None);
            let error = lab.failure(How::plain()).await;
            assert!(error.contains(reason) && error.contains(INDEX), "{error}");
        }
        assert_eq!(lab.units(None).await.len(), 0, "nothing became visible");
    }

    async fn bad_stanzas_are_left_out_and_named(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let good = package(&lab.upstream, "hello", "1.0", "amd64");
        let change = |from: &str, to: &str| good.replace("hello", "other").replacen(from, to, 1);
        let text = [
            good.clone(),
            change("Filename", "X-Filename"),
            change("pool/", "../pool/"),
            change("Size: ", "Size: x"),
            "no field\n\n".to_owned(),
            good.replace("Jörg", "J\u{e4}rg"),
            good.clone(),
        ]
        .concat()
        .replace('ä', "a");
        let mut dist = Dist::stable().packages("");
        dist.files.clear();
        // Latin-1, as old repositories have it.
        let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
        dist.files.push(("main/binary-amd64/Packages".to_owned(), bytes));
        dist.absent.clear();
        dist.put(&lab.upstream, None);
        let summary = lab.sync(How::plain()).await.expect("synced");
        assert_eq!(lab.packages().await, ["hello 1.0 amd64"]);
        let named = |line: &str, what: &str| {
            let found = summary.warnings.iter().any(|text| {
                text.contains(INDEX) && text.contains(line) && text.contains(what)
            });
            assert!(found, "`{what}` in {line}: {:?}", summary.warnings);
        };
        named("line 13 ", "`other`) has no `Filename`");
        named("line 25 ", "it has a `.` or `..` segment");
        named("line 37 ", "invalid `Size`");
        assert!(summary.warnings.iter().any(|text| text.contains("Line 49 is no field: `no field`")));
        assert!(summary.warnings.iter().any(|text| text.contains("listed twice")));
        assert_eq!(summary.warnings.len(), 6, "{:?}", summary.warnings);
    }

    async fn a_package_whose_size_lies_fails_by_name_and_leaves_nothing_visible(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        lab.upstream.put("pool/hello_1.0_amd64.deb", "longer than it was said to be");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        let error = lab.failure(How::plain().immediate()).await;
        assert!(error.contains("pool/hello_1.0_amd64.deb") && error.contains("Size mismatch"), "{error}");
        assert_eq!(lab.units(None).await.len(), 0);
    }

    async fn what_was_asked_for_and_is_not_there_is_said(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let dist = Dist::stable().packages(&package(&lab.upstream, "hello", "1.0", "amd64"));
        dist.put(&lab.upstream, None);
        let error = lab.failure(How::with(&json!({ "components": ["contrib"] }))).await;
        assert!(error.contains("lists no packages"), "{error}");
        let error = lab.failure(How::with(&json!({ "distributions": [] }))).await;
        assert!(error.contains("no distribution is chosen"), "{error}");
        let error = lab.failure(How::with(&json!({ "distributions": ["../x"] }))).await;
        assert!(error.contains("`../x` is no path"), "{error}");
    }
}
