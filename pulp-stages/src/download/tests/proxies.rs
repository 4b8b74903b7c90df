//! Proxies: the remote's own, and those of the environment.

use pulp_models::{ProxyUrl, RemoteSettings};

use super::{Lab, expected, settings, told};
use crate::{
    download::proxy,
    testing::{Authority, ForwardProxy, Upstream},
};

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

/// Which proxy the environment `variables` choose for `url`, as the client library tells it.
fn chosen(variables: &[(&str, &str)]) -> String {
    let look_up = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(found.1.to_owned())
    };
    match proxy::of(&RemoteSettings::default(), look_up) {
        Ok(proxies) => format!("{} proxies", proxies.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_environment_names_proxies_per_scheme() {
    assert_eq!(chosen(&[]), "0 proxies");
    assert_eq!(chosen(&[("http_proxy", "")]), "0 proxies");
    assert_eq!(chosen(&[("HTTP_PROXY", "proxy:3128"), ("https_proxy", "http://b")]), "2 proxies");
    assert_eq!(chosen(&[("ALL_PROXY", "socks5h://proxy:1080"), ("NO_PROXY", "*")]), "1 proxies");
    insta::assert_snapshot!(chosen(&[("https_proxy", "http://me:hunter2@:80")]), @"Invalid `https_proxy`: empty host");
}
