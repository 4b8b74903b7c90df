//! What is sent along, conditional downloads, and requests that are no downloads.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use pulp_models::{RemoteSettings, remote_settings::Header};

use super::{
    super::{DownloadRequest, HttpRequest, IfChanged, SettingsError},
    Lab, body, bounded, expected, settings, told,
};
use crate::{
    download::Downloader,
    testing::{Fault, Upstream},
};

#[tokio::test]
async fn user_agent_and_headers_are_sent_in_order() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let settings = RemoteSettings {
        user_agent: Some("mirror-team/1.0".into()),
        headers: vec![Header::new("X-Tag", "one"), Header::new("x-tag", "two")],
        ..settings()
    };
    lab.fetch(&upstream.url("f"), &settings, expected(b"x")).await.expect("it came");
    let request = &upstream.requests()[0];
    let agent = concat!("pulp/", env!("CARGO_PKG_VERSION"), " mirror-team/1.0");
    assert_eq!(request.header("user-agent"), Some(agent));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    let tags: Vec<_> = request.headers.get_all("x-tag").iter().collect();
    assert_eq!(tags, ["one", "two"]);
}

#[tokio::test]
async fn headers_of_one_request_replace_the_remotes() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let settings =
        RemoteSettings { headers: vec![Header::new("User-Agent", "mine")], ..settings() };
    let mut request = DownloadRequest::new(upstream.url("f"));
    request.headers.insert("accept", "text/plain".parse().expect("valid"));
    let downloader = lab.downloader(&upstream.url(""), &settings);
    bounded(downloader.fetch(&request)).await.expect("it came");
    let sent = &upstream.requests()[0];
    assert_eq!(sent.header("accept"), Some("text/plain"));
    assert_eq!(sent.header("user-agent"), Some("mine"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let lab = Lab::new().await;
    let url = "http://host/".parse().expect("valid");
    let refuse = |settings: RemoteSettings| -> SettingsError {
        Downloader::new(&url, &settings, lab.store.clone()).expect_err("invalid")
    };
    let header = |name: &str, value: &str| RemoteSettings {
        headers: vec![Header::new(name, value)],
        ..RemoteSettings::default()
    };
    insta::assert_snapshot!(refuse(header("a b", "x")), @"Invalid `headers`: `a b` is no name");
    insta::assert_snapshot!(refuse(header("a", "hunter\n2")), @"Invalid `headers`: the value of `a` is not allowed in HTTP");
    let no_pem = RemoteSettings { ca_cert: Some("none".into()), ..RemoteSettings::default() };
    insta::assert_snapshot!(refuse(no_pem), @"Invalid `ca_cert`: holds no certificate in PEM format");
    let no_key = RemoteSettings { client_cert: Some("x".into()), ..RemoteSettings::default() };
    insta::assert_snapshot!(refuse(no_key), @"Invalid `client_key`: is missing");
}

#[tokio::test]
async fn a_file_that_did_not_change_does_not_come_again() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "old");
    let downloader = lab.downloader(&upstream.url(""), &settings());
    let request = DownloadRequest::new(upstream.url("f"));
    let first = bounded(downloader.fetch(&request)).await.expect("it came");
    let again = bounded(downloader.fetch_if_changed(&request, &first.validators)).await;
    assert!(matches!(again, Ok(IfChanged::NotModified)));
    assert_eq!(upstream.sent(), 3);
    assert_eq!(downloader.statistics().not_modified, 1);

    upstream.put("f", "newer");
    match bounded(downloader.fetch_if_changed(&request, &first.validators)).await {
        Ok(IfChanged::Changed(second)) => assert_eq!(body(&second), "newer"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn followers_see_each_beginning() {
    let (lab, file) = (Lab::new().await, super::noise(1_000));
    let upstream =
        Upstream::start().await.file("f", file.clone()).fault("f", [Fault::FlipLastByte]);
    let downloader = lab.downloader(&upstream.url(""), &settings());
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(&file));
    let mut beginnings = 0;
    let mut follow = |_| beginnings += 1;
    bounded(downloader.fetch_followed(&request, &mut follow)).await.expect("it came");
    assert_eq!(beginnings, 2);
}

/// A token service: wants a POST, refuses the first one.
async fn token_service() -> Upstream {
    let busy = std::sync::atomic::AtomicBool::new(true);
    Upstream::start().await.file("known", "12345").handle("token", move |request| {
        let status = if busy.swap(false, std::sync::atomic::Ordering::Relaxed) { 503 } else { 200 };
        let mut response = Response::new(request.body.clone());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response
    })
}

#[tokio::test]
async fn a_plugin_asks_whatever_it_has_to() {
    let (lab, upstream) = (Lab::new().await, token_service().await);
    let downloader = lab.downloader(&upstream.url(""), &settings());
    let head = HttpRequest::new(Method::HEAD, upstream.url("known"));
    let answer = bounded(downloader.request(head)).await.expect("an answer");
    assert_eq!(answer.headers()["content-length"], "5");
    assert!(answer.validators().etag.is_some());
    drop(answer);

    let missing = HttpRequest::new(Method::HEAD, upstream.url("unknown"));
    let answer = bounded(downloader.request(missing)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    drop(answer);

    let mut post = HttpRequest::new(Method::POST, upstream.url("token"));
    post.body = Some(Bytes::from_static(b"grant_type=password"));
    let answer = bounded(downloader.request(post)).await.expect("an answer");
    assert_eq!(bounded(answer.bytes(100)).await.expect("a body"), "grant_type=password");
    assert_eq!(upstream.requests_for("token").len(), 2);
}

#[tokio::test]
async fn a_post_that_may_have_been_acted_upon_is_not_repeated() {
    let lab = Lab::new().await;
    let upstream = Upstream::start()
        .await
        .file("f", "x")
        .fault("f", vec![Fault::Disconnect; 3])
        .file("g", "x")
        .fault("g", vec![Fault::Status(500); 3]);
    let downloader = lab.downloader(&upstream.url(""), &settings());
    for path in ["f", "g"] {
        let post = HttpRequest::new(Method::POST, upstream.url(path));
        bounded(downloader.request(post)).await.expect_err("it failed");
        assert_eq!(upstream.requests_for(path).len(), 1, "{path}");
    }
    let get = HttpRequest::new(Method::GET, upstream.url("f"));
    let answer = bounded(downloader.request(get)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_is_not_read_beyond_the_limit() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "head").fault("f", [Fault::Endless]);
    let downloader = lab.downloader(&upstream.url(""), &settings());
    let get = HttpRequest::new(Method::GET, upstream.url("f"));
    let answer = bounded(downloader.request(get)).await.expect("an answer");
    let error = bounded(answer.bytes(50_000)).await.expect_err("endless");
    insta::assert_snapshot!(told(&error), @"`http://HOST/f` is larger than the limit of 50000 bytes");
}

#[tokio::test]
async fn a_dropped_answer_gives_its_place_back() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let one = RemoteSettings { download_concurrency: std::num::NonZeroU32::new(1), ..settings() };
    let downloader = lab.downloader(&upstream.url(""), &one);
    for _ in 0..3 {
        let get = HttpRequest::new(Method::GET, upstream.url("f"));
        drop(bounded(downloader.request(get)).await.expect("an answer"));
    }
    let mut answer = bounded(downloader.request(HttpRequest::new(Method::GET, upstream.url("f"))))
        .await
        .expect("an answer");
    while bounded(answer.chunk()).await.expect("a body").is_some() {}
    let request = DownloadRequest::new(upstream.url("f"));
    bounded(downloader.fetch(&request)).await.expect("a place is free though one answer lives");
}
