//! Who gets to see credentials, and where nobody is sent.

use pulp_models::{Expected, RemoteSettings, RemoteUrl, remote_settings::Header};

use super::{super::DownloadRequest, Lab, body, bounded, expected, settings, told};
use crate::testing::{Fault, Upstream};

fn with_credentials() -> RemoteSettings {
    RemoteSettings {
        username: Some("me".into()),
        password: Some("hunter2".into()),
        headers: vec![Header::new("X-Token", "hunter2")],
        ..settings()
    }
}

#[tokio::test]
async fn credentials_and_custom_headers_stay_at_the_origin() {
    let lab = Lab::new().await;
    let elsewhere = Upstream::start().await.file("blob", "x");
    let upstream = Upstream::start()
        .await
        .basic_auth("me", "hunter2")
        .fault("near", [Fault::Redirect(302, "/far?sig=1".into())])
        .fault("far", [Fault::Redirect(307, elsewhere.url("blob").expose().to_string())]);
    let url = upstream.url("near");
    let downloaded = lab.fetch(&url, &with_credentials(), expected(b"x")).await.expect("it came");
    assert_eq!(downloaded.final_url, elsewhere.url("blob"));
    assert_eq!(downloaded.url, url);
    for request in upstream.requests() {
        assert_eq!(request.header("x-token"), Some("hunter2"));
        assert!(request.headers.contains_key("authorization"));
    }
    assert_eq!(upstream.requests().len(), 2);
    let foreign = &elsewhere.requests()[0];
    assert!(!format!("{:?}", foreign.headers).contains("hunter2"));
    assert!(!foreign.headers.contains_key("authorization"));
    assert!(foreign.header("user-agent").is_some_and(|agent| agent.starts_with("pulp/")));
}

#[tokio::test]
async fn a_url_from_an_index_that_points_elsewhere_gets_no_credentials() {
    let lab = Lab::new().await;
    let (home, elsewhere) = (Upstream::start().await, Upstream::start().await.file("f", "x"));
    let downloader = lab.downloader(&home.url(""), &with_credentials());
    let request = DownloadRequest::new(elsewhere.url("f")).expecting(expected(b"x"));
    bounded(downloader.fetch(&request)).await.expect("it came");
    assert!(!elsewhere.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn credentials_in_a_url_are_used_there_and_never_printed() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x").basic_auth("me", "p@ss");
    let text = upstream.url("f").expose().to_string().replace("//", "//me:p%40ss@");
    let url: RemoteUrl = text.parse().expect("valid");
    let downloaded = lab.fetch(&url, &settings(), expected(b"x")).await.expect("it came");
    assert!(!format!("{downloaded:?}").contains("p%40ss"));
    let wrong: RemoteUrl = text.replace("p%40ss", "hunter2").parse().expect("valid");
    let error = lab.fetch(&wrong, &settings(), expected(b"x")).await.expect_err("refused");
    insta::assert_snapshot!(told(&error), @"`http://HOST/f` answered 401 Unauthorized");
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"check `username` and `password`");
}

#[tokio::test]
async fn a_refusal_after_a_redirect_says_where_it_came_from() {
    let lab = Lab::new().await;
    let elsewhere = Upstream::start().await.file("f", "x").basic_auth("me", "hunter2");
    let upstream = Upstream::start()
        .await
        .fault("f", [Fault::Redirect(301, elsewhere.url("f").expose().to_string())]);
    let error = lab.fetch(&upstream.url("f"), &with_credentials(), expected(b"x")).await;
    let error = error.expect_err("refused");
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"credentials are not sent to where a redirect leads; use the final URL if you trust it");
}

#[tokio::test]
async fn loops_chains_and_other_schemes_end_at_once() {
    let lab = Lab::new().await;
    let upstream = Upstream::start()
        .await
        .fault("a", [Fault::Redirect(302, "b".into())])
        .fault("b", [Fault::Redirect(302, "a".into())])
        .fault("local", [Fault::Redirect(302, "file:///etc/passwd".into())]);
    for step in 0..12 {
        upstream.script(&format!("c{step}"), [Fault::Redirect(302, format!("c{}", step + 1))]);
    }
    let allowed = RemoteSettings { allowed_file_paths: vec!["/etc".into()], ..settings() };
    for (start, requests, problem) in
        [("a", 2, "closes a loop"), ("c0", 11, "the eleventh"), ("local", 1, "neither")]
    {
        upstream.clear_log();
        let error = lab.fetch(&upstream.url(start), &allowed, Expected::default()).await;
        let text = told(&error.expect_err("refused"));
        assert!(text.contains(problem), "{text}");
        assert_eq!(upstream.requests().len(), requests, "{text}");
    }
}

#[tokio::test]
async fn a_resumed_transfer_is_resumed_behind_its_redirect() {
    let (lab, file) = (Lab::new().await, super::noise(10_000));
    let elsewhere = Upstream::start().await.file("f", file.clone()).fault("f", [Fault::HalfBody]);
    let target = elsewhere.url("f").expose().to_string();
    let upstream = Upstream::start().await.fault("f", vec![Fault::Redirect(302, target); 2]);
    let downloaded =
        lab.fetch(&upstream.url("f"), &settings(), expected(&file)).await.expect("it came");
    assert_eq!(body(&downloaded), file);
    assert_eq!(elsewhere.sent(), 10_000);
}
