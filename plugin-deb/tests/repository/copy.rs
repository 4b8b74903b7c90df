//! Packages that go from one repository into another.

use pulp_models::{
    Sha256, both_databases,
    repository::{self, NewRepository},
    testing::TestDatabase,
};
use pulp_stages::repository_settings::RepositorySettings;
use serde_json::{Value, json};

use crate::kit::{Dist, How, Lab, REPOSITORY, package};

/// Three packages that need each other, in versions 1 and 2 of the repository.
async fn two_versions(lab: &Lab) {
    for version in ["1.0", "2.0"] {
        let of = |name: &str| package(&lab.upstream, name, version, "amd64");
        let hello = of("hello").replace("Filename", "Depends: libhello | none\nFilename");
        let text = hello + &of("libhello") + &of("other");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::plain()).await.expect("synced");
    }
}

async fn empty(lab: &Lab, name: &'static str) {
    let options = RepositorySettings::default().to_value().expect("settings");
    let new = NewRepository { options, ..NewRepository::new(name, "deb") };
    let create = move |connection: &mut _| repository::create(connection, &new);
    lab.installation.db.write(create).await.expect("a repository");
}

async fn copy(lab: &Lab, more: &[&str]) -> Value {
    lab.command(&[&["copy", "--to", "mine"][..], more].concat()).await.expect("copied")
}

both_databases! {
    async fn packages_are_copied_with_what_they_need(db: TestDatabase) {
        let lab = Lab::new(db).await;
        two_versions(&lab).await;
        empty(&lab, "mine").await;
        let arguments = ["--from", REPOSITORY, "--filter", "hello", "--follow", "depends"];
        let copied = copy(&lab, &arguments).await;
        // And the note that these were not mirrored.
        assert_eq!(copied["added"], json!(3), "{copied}");
        let packages = lab.packages_of("mine").await;
        assert_eq!(packages, ["hello 2.0 amd64", "libhello 2.0 amd64"]);
        assert!(copy(&lab, &arguments).await["version"].is_null(), "the same again changes nothing");
        let files = lab.publish_of("mine", json!({ "signing_key": "none" })).await;
        let index = String::from_utf8_lossy(&files["dists/stable/main/binary-amd64/Packages"]);
        assert!(index.contains("Package: libhello") && !index.contains("other"), "{index}");
    }

    async fn repositories_are_merged_all_or_the_newest(db: TestDatabase) {
        let lab = Lab::new(db).await;
        two_versions(&lab).await;
        empty(&lab, "mine").await;
        let both = ["--from", "repository:1", "--from", "repository:2", "--distribution", "merged", "--filter", "hello"];
        copy(&lab, &[&both[..], &["--newest", "1"]].concat()).await;
        assert_eq!(lab.packages_of("mine").await, ["hello 2.0 amd64"]);
        copy(&lab, &both).await;
        assert_eq!(lab.packages_of("mine").await, ["hello 1.0 amd64", "hello 2.0 amd64"]);
        let files = lab.publish_of("mine", json!({ "signing_key": "none" })).await;
        assert!(files.contains_key("dists/merged/main/binary-amd64/Packages"));
    }

    async fn different_files_at_one_path_are_both_published(db: TestDatabase) {
        let lab = Lab::new(db).await;
        let text = package(&lab.upstream, "hello", "1.0", "amd64");
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::plain().immediate()).await.expect("synced");
        empty(&lab, "mine").await;
        copy(&lab, &["--from", REPOSITORY, "--distribution", "one"]).await;
        let body = b"rebuilt elsewhere";
        lab.upstream.put("pool/hello_1.0_amd64.deb", &body[..]);
        let (_, rest) = text.split_once("Size: ").expect("a size");
        let (_, rest) = rest.split_once("Description").expect("a description");
        let head = text.split("Size: ").next().expect("a head");
        let digest = Sha256::of(body);
        let text = format!("{head}Size: {}\nSHA256: {digest}\nDescription{rest}", body.len());
        Dist::stable().packages(&text).put(&lab.upstream, None);
        lab.sync(How::plain().immediate()).await.expect("synced");
        copy(&lab, &["--from", REPOSITORY, "--distribution", "two"]).await;
        let files = lab.publish_of("mine", json!({ "signing_key": "none" })).await;
        for (distribution, bytes) in [("one", &b"hello 1.0 amd64"[..]), ("two", body)] {
            let index = &files[&format!("dists/{distribution}/main/binary-amd64/Packages")];
            let index = String::from_utf8_lossy(index);
            let path = index.lines().find_map(|line| line.strip_prefix("Filename: "));
            assert_eq!(files[path.expect("a path")], bytes, "{index}");
        }
    }

    async fn sources_that_are_not_there_are_named(db: TestDatabase) {
        let lab = Lab::new(db).await;
        empty(&lab, "mine").await;
        for (from, message) in [("none", "`none`"), ("mine:7", "7")] {
            let error = lab.command(&["copy", "--from", from, "--to", "mine"]).await;
            let error = error.expect_err("it cannot succeed");
            assert!(error.contains(message), "{error}");
        }
    }
}
