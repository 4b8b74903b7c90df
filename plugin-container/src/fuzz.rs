//! Fuzz targets of what registries and their clients send; see [`pulp_stages::testing::fuzz()`].

use bytes::Bytes;
use pulp_stages::testing::fuzz;

use crate::{
    auth::{challenge::Challenge, credentials::DockerConfig},
    digest::Digest,
    filter::TagPattern,
    links::next_page,
    manifest::{Manifest, Platform},
    reference::{Reference, RepositoryName, Tag},
};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn manifests() {
    let descriptor = |kind: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{DIGEST}","size":7}}"#
        )
    };
    let config = descriptor("config.v1+json");
    let layer = descriptor("layer.v1.tar+gzip");
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{layer}],"subject":{config},"annotations":{{"a":"b"}}}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}],"mediaType":"application/vnd.oci.image.index.v1+json"}}"#,
        descriptor("manifest.v1+json").replace(
            "\"size\"",
            r#""platform":{"os":"linux","architecture":"arm","variant":"v7"},"size""#
        )
    );
    let schema1 = r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[{"blobSum":"x"}],"history":[{"v1Compatibility":"{}"}],"signatures":[{"header":{},"signature":"AA","protected":"eyJmb3JtYXRMZW5ndGgiOjEsImZvcm1hdFRhaWwiOiJmUSJ9"}]}"#;
    fuzz(&[image.as_bytes(), index.as_bytes(), schema1.as_bytes()], |bytes| {
        let raw = Bytes::copy_from_slice(bytes);
        if let Ok(manifest) = Manifest::parse(raw.clone(), None, None, 4 << 20) {
            manifest.blobs(true).for_each(drop);
            manifest.compressed_image_size();
        }
        let pushed = Some("application/vnd.docker.distribution.manifest.v1+prettyjws");
        let _ = Manifest::parse_pushed(raw, pushed, None, 4 << 20);
    });
}

#[test]
fn challenges() {
    let seeds: [&[u8]; 3] = [
        b"Bearer realm=\"https://auth/token\",service=\"r\",scope=\"repository:a/b:pull,push\"",
        b"Basic realm=\"a \\\"quoted\\\" one\", Negotiate, Bearer realm=x",
        b"Digest abc==, , =",
    ];
    fuzz(&seeds, |bytes| {
        for challenge in Challenge::parse_all(bytes.split(|byte| *byte == b'\n')) {
            let _ = challenge.parameter("realm");
        }
    });
}

#[test]
fn credential_files() {
    let seeds: [&[u8]; 2] = [
        br#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"h:5000/a":{"username":"u"}}}"#,
        br#"{"auths":{"x":{"identitytoken":"t"}},"credsStore":"y"}"#,
    ];
    fuzz(&seeds, |bytes| {
        if let Ok(config) = DockerConfig::parse(bytes) {
            let _ = config.credentials("registry-1.docker.io", "library/debian");
        }
    });
}

#[test]
fn links() {
    let page = "http://host/v2/a/tags/list?n=5".parse().expect("valid");
    let seeds: [&[u8]; 2] =
        [b"</v2/a/tags/list?last=b&n=5>; rel=\"next\"", b"<a>; x=y; rel=prev, <?b>;rel=next"];
    fuzz(&seeds, |bytes| drop(next_page(&page, String::from_utf8_lossy(bytes).lines())));
}

#[test]
fn names_tags_and_patterns() {
    let seeds: [&[u8]; 5] = [
        b"library/debian",
        b"v1.2.3-rc.1",
        DIGEST.as_bytes(),
        b"regex:^v[0-9]+(a|b)*$",
        b"linux/arm64/v8",
    ];
    let tag: Tag = "v1.2.3".parse().expect("valid");
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = text.parse::<RepositoryName>();
        let _ = (text.parse::<Reference>(), text.parse::<Digest>(), text.parse::<Platform>());
        for form in [text.to_string(), format!("semver:{text}")] {
            let _ = form.parse::<TagPattern>().map(|pattern| pattern.matches(&tag));
        }
    });
}
