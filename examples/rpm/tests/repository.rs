//! The conformance kit on RPM repositories, and what is special about them.

use std::io::Write as _;

use bytes::Bytes;
use pulp_models::{Sha256, remote::Policy};
use pulp_rpm::Rpm;
use pulp_stages::testing::{Blueprint, Lab, Sample, TestDatabase, report};

/// A repository as `createrepo_c` writes it, reduced to what counts.
struct Repository;

impl Blueprint for Repository {
    type Plugin = Rpm;
    const PLUGIN: Rpm = Rpm;

    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
        let primary = gz(&primary(samples));
        let path = format!("repodata/{}-primary.xml.gz", Sha256::of(&primary));
        let repomd = repomd(&path, &primary);
        vec![("repodata/repomd.xml".to_owned(), repomd.into()), (path, primary.into())]
    }

    fn path(sample: &Sample) -> String {
        format!("Packages/{}-1-1.noarch.rpm", sample.name)
    }
}

pulp_stages::conformance!(Repository);

fn primary(samples: &[Sample]) -> String {
    let package = |sample: &Sample| {
        format!(
            "<package type=\"rpm\"><name>{}</name><arch>noarch</arch>\
             <version epoch=\"0\" ver=\"1\" rel=\"1\"/>\
             <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\
             <size package=\"{}\" installed=\"1\" archive=\"1\"/><location href=\"{}\"/>\
             <format><rpm:license>MIT &amp; others</rpm:license><file>/name</file></format>\
             </package>\n",
            sample.name,
            sample.sha256(),
            sample.size(),
            Repository::path(sample),
        )
    };
    let packages: String = samples.iter().map(package).collect();
    format!("<metadata packages=\"{}\">\n{packages}</metadata>\n", samples.len())
}

fn repomd(path: &str, primary: &[u8]) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<repomd><revision>1</revision><data type=\"primary\">\
         <checksum type=\"sha256\">{}</checksum><location href=\"{path}\"/>\
         <size>{}</size></data></repomd>\n",
        Sha256::of(primary),
        primary.len(),
    )
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("written");
    encoder.finish().expect("ended")
}

async fn synced(files: &[(&str, Vec<u8>)]) -> Result<Vec<String>, String> {
    let lab = Lab::new(Rpm, TestDatabase::sqlite().await).await;
    for (path, bytes) in files {
        lab.upstream.put(path, bytes.clone());
    }
    let remote = lab.remote(lab.upstream.url(""), Policy::OnDemand, serde_json::Value::Null).await;
    lab.sync(remote, true).await.map_err(|error| report(&error))?;
    Ok(lab.files().await.into_keys().collect())
}

#[tokio::test]
async fn metadata_may_be_compressed_by_zstd_or_not_at_all() {
    let text = primary(&[Sample::new("one")]);
    let zst = zstd::encode_all(text.as_bytes(), 1).expect("compressed");
    for (path, bytes) in [("repodata/p.xml", text.into_bytes()), ("repodata/p.xml.zst", zst)] {
        let repomd = repomd(path, &bytes).into_bytes();
        let files = synced(&[("repodata/repomd.xml", repomd), (path, bytes)]).await;
        let expected = ["Packages/one-1-1.noarch.rpm", path, "repodata/repomd.xml"];
        assert_eq!(files.expect("synced"), expected);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_with_its_name() {
    let good = primary(&[Sample::new("one")]);
    for (text, problem) in [
        (good.replace("href=\"Packages/", "href=\"../"), "it has a `.` or `..` segment"),
        (good.replace("size package=\"", "size package=\"x"), "`size@package` cannot be `x"),
        (good.replace("<name>one</name>", ""), "`name` is missing"),
        (good.replace("</package>", ""), "p.xml"),
    ] {
        let repomd = repomd("repodata/p.xml", text.as_bytes()).into_bytes();
        let files = [("repodata/repomd.xml", repomd), ("repodata/p.xml", text.into_bytes())];
        let error = synced(&files).await.expect_err("refused");
        assert!(error.contains("repodata/p.xml") && error.contains(problem), "{error}");
    }
    let error = synced(&[("repodata/repomd.xml", b"<repomd/>".to_vec())]).await;
    assert!(error.expect_err("refused").contains("primary"));
}
