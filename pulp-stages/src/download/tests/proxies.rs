//! Proxies: the remote's own, and those of the environment.

use pulp_models::{ProxyUrl, RemoteSettings};

use super::{
    super::{DownloadRequest, Downloader, SettingsError},
    Lab, bounded, expected, settings, told,
};
use crate::testing::{Authority, ForwardProxy, Upstream};

fn via(proxy: ProxyUrl) -> RemoteSettings {
    RemoteSettings { proxy_url: Some(proxy), ..settings() }
}

#[tokio::test]
async fn plain_requests_are_forwarded_and_tls_is_tunnelled() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let plain = Upstream::start().await.file("f", "x");
    let tls = Upstream::start_tls(&authority).await.file("f", "x");
    let proxy = ForwardProxy::start().await;
    let settings = RemoteSettings { ca_cert: Some(authority.ca_cert()), ..via(proxy.url()) };
    lab.fetch(&plain.url("f"), &settings, expected(b"x")).await.expect("it came");
    assert_eq!((proxy.forwarded(), proxy.tunnels()), (1, 0));
    lab.fetch(&tls.url("f"), &settings, expected(b"x")).await.expect("it came");
    assert_eq!((proxy.forwarded(), proxy.tunnels()), (1, 1));
    assert_eq!(tls.requests()[0].version, http::Version::HTTP_2);
}

#[tokio::test]
async fn a_proxy_may_itself_speak_tls() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let upstream = Upstream::start_tls(&authority).await.file("f", "x");
    let proxy = ForwardProxy::start_tls(&authority).await;
    let settings = RemoteSettings { ca_cert: Some(authority.ca_cert()), ..via(proxy.url()) };
    lab.fetch(&upstream.url("f"), &settings, expected(b"x")).await.expect("it came");
    assert_eq!(proxy.tunnels(), 1);
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_gets_them_and_the_upstream_does_not() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let plain = Upstream::start().await.file("f", "x");
    let tls = Upstream::start_tls(&authority).await.file("f", "x");
    let proxy = ForwardProxy::start_with_auth("me", "hunter2").await;
    let right = RemoteSettings {
        proxy_username: Some("me".into()),
        proxy_password: Some("hunter2".into()),
        ca_cert: Some(authority.ca_cert()),
        ..via(proxy.url())
    };
    for upstream in [&plain, &tls] {
        lab.fetch(&upstream.url("f"), &right, expected(b"x")).await.expect("it came");
        assert!(!upstream.requests()[0].headers.contains_key("proxy-authorization"));
    }
    let text = proxy.url().expose().to_string().replace("//", "//me:hunter2@");
    let in_the_url = via(text.parse().expect("valid"));
    lab.fetch(&plain.url("f"), &in_the_url, expected(b"x")).await.expect("it came");

    let wrong = RemoteSettings { proxy_password: Some("wrong".into()), ..right };
    for upstream in [&plain, &tls] {
        let refused = proxy.refused();
        let error = lab.fetch(&upstream.url("f"), &wrong, expected(b"x")).await;
        let error = error.expect_err("refused");
        let text = told(&error).replace("https", "http");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @"The proxy refused the request for `http://HOST/f`: 407 Proxy Authentication Required");
            insta::assert_snapshot!(error.hint().unwrap_or_default(), @"check `proxy_username` and `proxy_password`");
        }
        assert_eq!(proxy.refused(), refused + 1, "407 is not tried again");
    }
}

/// A downloader of `upstream` in a process with these environment `variables`.
fn downloader(
    lab: &Lab,
    upstream: &Upstream,
    settings: &RemoteSettings,
    variables: &[(&str, &str)],
) -> Result<Downloader, SettingsError> {
    Downloader::in_environment(&upstream.url(""), settings, lab.store.clone(), |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(found.1.to_owned())
    })
}

#[tokio::test]
async fn the_environment_decides_unless_the_remote_does() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let (proxy, other) = (ForwardProxy::start().await, ForwardProxy::start().await);
    let (url, request) = (proxy.url().to_string(), DownloadRequest::new(upstream.url("f")));
    let own = via(other.url());
    for (variables, settings, passes) in [
        (vec![("http_proxy", url.as_str())], &settings(), true),
        (vec![("ALL_PROXY", &url)], &settings(), true),
        (vec![("https_proxy", &url)], &settings(), false),
        (vec![("http_proxy", &url), ("NO_PROXY", "example.org,127.0.0.0/8")], &settings(), false),
        (vec![("http_proxy", &url), ("no_proxy", "example.org")], &settings(), true),
        (vec![("http_proxy", &url)], &own, false),
        (vec![("http_proxy", "")], &settings(), false),
    ] {
        let before = proxy.forwarded();
        let downloader = downloader(&lab, &upstream, settings, &variables).expect("valid");
        bounded(downloader.fetch(&request)).await.expect("it came");
        assert_eq!(proxy.forwarded() - before, usize::from(passes), "{variables:?}");
    }
    assert_eq!(other.forwarded(), 1);
}

#[tokio::test]
async fn a_useless_variable_is_named_without_its_secrets() {
    let (lab, upstream) = (Lab::new().await, Upstream::start().await);
    let variables = [("https_proxy", "http://me:hunter2@:80")];
    let error = downloader(&lab, &upstream, &settings(), &variables).expect_err("no host");
    insta::assert_snapshot!(error, @"Invalid `https_proxy`: empty host");
}
