//! Certificates, theirs and ours.

use pulp_models::{Expected, RemoteSettings};

use super::{Lab, expected, settings, told};
use crate::testing::{Authority, ClientIdentity, Fault, Upstream};

fn trusting(authority: &Authority) -> RemoteSettings {
    RemoteSettings { ca_cert: Some(authority.ca_cert()), ..settings() }
}

fn showing(identity: ClientIdentity, settings: RemoteSettings) -> RemoteSettings {
    RemoteSettings {
        client_cert: Some(identity.cert),
        client_key: Some(identity.key.into()),
        ..settings
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_given_and_only_then() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let upstream = Upstream::start_tls(&authority).await.file("f", "x");
    let url = upstream.url("f");
    lab.fetch(&url, &trusting(&authority), expected(b"x")).await.expect("it came");
    assert_eq!(upstream.requests()[0].version, http::Version::HTTP_2);

    for stranger in [settings(), trusting(&Authority::new())] {
        let error = lab.fetch(&url, &stranger, expected(b"x")).await.expect_err("not trusted");
        let text = told(&error);
        let beginning = "Failed to agree on TLS with `https://HOST/f`: invalid peer certificate: ";
        assert!(text.starts_with(beginning), "{text}");
    }
    let unvalidated = RemoteSettings { tls_validation: Some(false), ..settings() };
    lab.fetch(&url, &unvalidated, expected(b"x")).await.expect("it came");
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_required() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let upstream = Upstream::start_mutual_tls(&authority).await.file("f", "x");
    let url = upstream.url("f");
    let identity = authority.client("mirror");
    let with = showing(identity, trusting(&authority));
    lab.fetch(&url, &with, expected(b"x")).await.expect("it came");

    let without = lab.fetch(&url, &trusting(&authority), expected(b"x")).await;
    assert!(told(&without.expect_err("none shown")).contains("`https://HOST/f`"));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_elsewhere() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let elsewhere = Upstream::start_mutual_tls(&authority).await.file("f", "x");
    let target = elsewhere.url("f").expose().to_string();
    let upstream =
        Upstream::start_tls(&authority).await.fault("f", vec![Fault::Redirect(302, target); 4]);
    let with = showing(authority.client("mirror"), trusting(&authority));
    let error = lab.fetch(&upstream.url("f"), &with, expected(b"x")).await;
    assert!(error.is_err());
    assert_eq!(elsewhere.requests().len(), 0);
    // The same certificate opens it when it is the remote's own.
    lab.fetch(&elsewhere.url("f"), &with, expected(b"x")).await.expect("it came");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_apart_from_a_broken_line() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let url = upstream.url("f").expose().to_string().replace("http:", "https:");
    let url = url.parse().expect("valid");
    let error = lab.fetch(&url, &settings(), expected(b"x")).await.expect_err("no TLS");
    insta::assert_snapshot!(told(&error), @"Failed to agree on TLS with `https://HOST/f`: received corrupt message of type InvalidContentType");
}

#[tokio::test]
async fn a_cut_http2_stream_is_resumed() {
    let (lab, authority, file) = (Lab::new().await, Authority::new(), super::noise(300_000));
    let upstream = Upstream::start_tls(&authority)
        .await
        .file("f", file.clone())
        .fault("f", [Fault::HalfBody, Fault::Disconnect]);
    let settings = trusting(&authority);
    lab.fetch(&upstream.url("f"), &settings, expected(&file)).await.expect("it came");
    assert_eq!(upstream.sent(), 300_000);
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn tls_is_given_up_only_for_bytes_that_a_digest_vouches_for() {
    let (lab, authority) = (Lab::new().await, Authority::new());
    let plain = Upstream::start().await.file("f", "x");
    let target = plain.url("f").expose().to_string();
    let upstream =
        Upstream::start_tls(&authority).await.fault("f", vec![Fault::Redirect(302, target); 2]);
    let (url, settings) = (upstream.url("f"), trusting(&authority));
    let sized = Expected { size: Some(1), ..Expected::default() };
    let error = lab.fetch(&url, &settings, sized).await.expect_err("refused");
    insta::assert_snapshot!(told(&error), @"`https://HOST/f` redirects to `http://HOST/f`, which would give up TLS");
    assert_eq!(plain.requests().len(), 0);
    lab.fetch(&url, &settings, expected(b"x")).await.expect("it came");
}
