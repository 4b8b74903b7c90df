//! The client against a scripted transport.

use pulp_stages::download::DownloadError;

use super::*;
use crate::{manifest::ManifestError, testing::Script};

async fn tags(script: Script) -> (String, String) {
    let (registry, _) = script.registry();
    let mut refused = Vec::new();
    let tags = registry.tags(|tag| refused.push(tag.to_owned())).await.expect("listed");
    let tags: Vec<_> = tags.iter().map(Tag::as_str).collect();
    (tags.join(" "), refused.join(" "))
}

const LIST: &str = "GET /v2/lab/many/tags/list";
const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[tokio::test]
async fn paged_lists_are_followed_to_their_end() {
    let script = Script::default()
        .on(
            LIST,
            200,
            &[("link", "</v2/lab/many/tags/list?last=b>; rel=\"next\"")],
            r#"{"tags":["a","b"]}"#,
        )
        .on(
            &format!("{LIST}?last=b"),
            200,
            &[("link", "<http://internal/v2/lab/many/tags/list?last=c>; rel=\"next\"")],
            r#"{"name":"x","tags":["../c","c"]}"#,
        )
        .on(&format!("{LIST}?last=c"), 200, &[], r#"{"tags":["d"]}"#);
    assert_eq!(tags(script).await, ("a b c d".into(), "../c".into()));
}

#[tokio::test]
async fn lists_that_lead_back_to_themselves_are_errors() {
    let digest = Digest::sha256(b"subject");
    let referrers = format!("GET /v2/lab/many/referrers/{digest}");
    let typed = ("content-type", "application/vnd.oci.image.index.v1+json");
    let back = ("link", "<?page=1>; rel=next");
    let (registry, script) = Script::default()
        .on(LIST, 200, &[back], r#"{"tags":["a"]}"#)
        .on(&format!("{LIST}?page=1"), 200, &[("link", "<list>")], r#"{"tags":["b"]}"#)
        .on(&referrers, 200, &[typed, back], INDEX)
        .on(&format!("{referrers}?page=1"), 200, &[typed, back], INDEX)
        .registry();
    let error = registry.tags(|_| ()).await.expect_err("no end").to_string();
    insta::assert_snapshot!(error, @"The list at `http://host:5000/v2/lab/many/tags/list` does not end");
    assert!(script.asked().len() < 50, "{} requests", script.asked().len());
    let error = registry.referrers(&digest).await.expect_err("no end").to_string();
    assert!(error.contains("does not end"), "{error}");
}

#[tokio::test]
async fn a_null_list_is_empty_and_an_unknown_repository_an_error() {
    for body in [r#"{"tags":null}"#, r#"{"name":"x"}"#] {
        assert_eq!(tags(Script::default().on(LIST, 200, &[], body)).await.0, "");
    }
    let (registry, _) = Script::default().registry();
    assert!(registry.tags(|_| ()).await.expect_err("404").is_not_found());
    let body = r#"{"errors":[{"code":"DENIED","message":"no\nway"}]}"#;
    let (registry, _) = Script::default().on(LIST, 403, &[], body).registry();
    let error = registry.tags(|_| ()).await.expect_err("403").to_string();
    insta::assert_snapshot!(error, @"The registry answered `http://host:5000/v2/lab/many/tags/list` with status 403 Forbidden: noway");
}

#[tokio::test]
async fn a_tag_is_resolved_by_head_else_by_get() {
    let digest = Digest::sha256(INDEX.as_bytes());
    let stated: &[(&str, &str)] = &[("docker-content-digest", &digest.to_string())];
    let cases = [(200, stated, 1), (200, &[][..], 2), (405, &[][..], 2), (500, stated, 2)];
    for (status, headers, requests) in cases {
        let (registry, script) = Script::default()
            .on("HEAD /v2/lab/many/manifests/v1", status, headers, "")
            .on("GET /v2/lab/many/manifests/v1", 200, &[], INDEX)
            .registry();
        let tag = "v1".parse().expect("valid");
        assert_eq!(registry.resolve(&tag).await.expect("resolved"), digest);
        assert_eq!(script.asked().len(), requests, "{status}");
        let gone = registry.resolve(&"v2".parse().expect("valid")).await.expect_err("gone");
        assert!(gone.is_not_found());
    }
}

#[tokio::test]
async fn a_manifest_is_compared_with_its_digest() {
    let right = Digest::sha512(INDEX.as_bytes());
    let wrong = Digest::sha256(b"other");
    let (registry, _) = Script::default()
        .on(&format!("GET /v2/lab/many/manifests/{right}"), 200, &[], INDEX)
        .on(&format!("GET /v2/lab/many/manifests/{wrong}"), 200, &[], INDEX)
        .on(
            "GET /v2/lab/many/manifests/v1",
            200,
            &[("docker-content-digest", &wrong.to_string())],
            INDEX,
        )
        .registry();
    let manifest = registry.manifest(&right.into()).await.expect("fetched");
    assert_eq!(manifest.digest, right);
    for reference in [Reference::Digest(wrong), "v1".parse().expect("valid")] {
        let error = registry.manifest(&reference).await.expect_err("differs");
        assert!(matches!(
            error,
            RegistryClientError::Manifest { source: ManifestError::Digest { .. }, .. }
        ));
    }
}

#[tokio::test]
async fn referrers_are_listed_where_there_is_such_an_api() {
    let digest = Digest::sha256(b"subject");
    let path = format!("GET /v2/lab/many/referrers/{digest}");
    let page =
        INDEX.replace("[]", &format!(r#"[{{"mediaType":"x","digest":"{digest}","size":7}}]"#));
    let index = ("content-type", "application/vnd.oci.image.index.v1+json");
    let (registry, _) = Script::default()
        .on(&path, 200, &[index, ("link", "<?last=1>; rel=next")], &page)
        .on(&format!("{path}?last=1"), 200, &[index], &page)
        .registry();
    let referrers = registry.referrers(&digest).await.expect("listed").expect("has the API");
    assert_eq!(referrers.len(), 2);
    let html = Script::default().on(&path, 200, &[("content-type", "text/html")], "<html>");
    for script in [html, Script::default()] {
        let (registry, _) = script.registry();
        assert_eq!(registry.referrers(&digest).await.expect("answered"), None);
    }
}

#[test]
fn a_failure_keeps_the_advice_of_what_caused_it() {
    let url: RemoteUrl = "http://host/v2/a/tags/list".parse().expect("valid");
    let transport = |source: DownloadError| RegistryClientError::Transport {
        url: url.clone(),
        source: source.into(),
    };
    let refused =
        |status| RegistryClientError::Status { url: url.clone(), status, message: String::new() };
    for (error, advice) in [
        (transport(DownloadError::FileNotAllowed { url: url.clone().into() }), "folder"),
        (
            transport(DownloadError::Unauthorized { url: url.clone().into(), source: "no".into() }),
            "`username`",
        ),
        (refused(StatusCode::UNAUTHORIZED), "`--username`"),
        (refused(StatusCode::FORBIDDEN), "`--username`"),
    ] {
        let hint = error.at(&url).hint().expect("advice");
        assert!(hint.contains(advice), "{hint}");
    }
}

#[test]
fn the_hubs_own_repositories_are_found_below_library() {
    let check = |base: &str, name: &str, expected: &str| {
        let base = base.parse().expect("valid");
        let name = name.parse().expect("valid");
        let registry = Registry::new(&base, &name, 4096, Arc::new(Script::default()));
        let url = registry.manifest_url(&"v1".parse().expect("valid")).to_string();
        assert_eq!(url, expected);
    };
    let hub = "https://registry-1.docker.io/v2";
    check("https://docker.io", "debian", &format!("{hub}/library/debian/manifests/v1"));
    check("https://registry-1.docker.io/", "a/b", &format!("{hub}/a/b/manifests/v1"));
    check("http://h/prefix", "debian", "http://h/prefix/v2/debian/manifests/v1");
}
