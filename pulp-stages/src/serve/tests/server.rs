//! Connections: limits, TLS, and the end.

use std::{path::Path, time::Duration};

use pulp_models::remote::Policy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::kit::{Bench, PATIENCE, pattern};
use crate::{
    serve::{ServeSettings, ServerSettings, Tls, TlsError},
    testing::{Fault, Upstream},
};

async fn with(server: ServerSettings) -> Bench {
    Bench::with(ServeSettings::default(), server).await
}

#[tokio::test]
async fn a_silent_client_makes_room_for_others() {
    let server = ServerSettings {
        max_connections: 1,
        header_timeout: Duration::from_millis(200),
        ..ServerSettings::default()
    };
    let bench = with(server).await;
    let mut silent = TcpStream::connect(bench.address).await.expect("connects");
    silent.write_all(b"GET /healthz HT").await.expect("sent");
    let answer = timeout(PATIENCE, bench.raw("/healthz")).await.expect("in time");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the silent one was closed");
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hinder_others() {
    let bytes = pattern(8_000_000);
    let server =
        ServerSettings { stall_window: Duration::from_secs(1), ..ServerSettings::default() };
    let bench = with(server).await;
    let unit = bench.stored("f", bytes.clone()).await;
    bench.serve_units(&[unit]).await;
    let mut lazy = TcpStream::connect(bench.address).await.expect("connects");
    lazy.write_all(b"GET /pulp/content/files/f HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(bench.get("files/f").await.expect(200).body == bytes);
    // It is cut off after a while: what it then reads ends before the file does.
    let cut = async {
        while bench.app.inner.metrics.closed.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, cut).await.expect("it is not waited for");
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, lazy.read_to_end(&mut received)).await.expect("closed");
    assert!(received.len() < bytes.len());
}

#[tokio::test]
async fn nothing_is_said_of_the_length_of_what_a_client_has() {
    let bench = Bench::start().await;
    let unit = bench.stored("f", "known").await;
    bench.serve_units(&[unit]).await;
    for method in ["GET", "HEAD"] {
        let request = format!(
            "{method} /pulp/content/files/f HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\
             Connection: close\r\n\r\n"
        );
        let mut socket = TcpStream::connect(bench.address).await.expect("connects");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 304"), "{answer}");
        assert!(!answer.contains("content-length"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn large_files_come_whole_however_they_are_asked_for() {
    let bytes = pattern(3_000_000);
    let bench = Bench::start().await;
    let units = [bench.stored("f", bytes.clone()).await, bench.stored("g", "small").await];
    bench.serve_units(&units).await;

    // All requests before the first answer, files of both kinds in turn.
    let get = |path, more: &str| {
        format!("GET /pulp/content/files/{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
    };
    let requests = [
        get("f", ""),
        get("g", ""),
        get("f", "Range: bytes=100000-1999999\r\n"),
        get("f", "Connection: close\r\n"),
    ];
    let mut socket = TcpStream::connect(bench.address).await.expect("connects");
    socket.write_all(requests.concat().as_bytes()).await.expect("sent");
    let mut answers = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answers)).await;
    read.expect("in time").expect("read");
    let mut rest = &answers[..];
    for body in [&bytes[..], b"small", &bytes[100_000..2_000_000], &bytes] {
        let head = rest.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        assert!(rest[head..].starts_with(body));
        rest = &rest[head + body.len()..];
    }
    assert!(rest.is_empty());

    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build();
    let url = format!("http://{}/pulp/content/files/f", bench.address);
    let answer = client.expect("a client").get(url).timeout(PATIENCE).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert!(answer.bytes().await.expect("read") == bytes);
}

#[tokio::test]
async fn the_server_ends_in_time_and_cuts_what_is_left() {
    let bytes = pattern(3_000_000);
    let upstream = Upstream::start().await.file("f", bytes.clone()).fault("f", [Fault::StallBody]);
    let server =
        ServerSettings { shutdown_grace: Duration::from_millis(300), ..ServerSettings::default() };
    let bench = with(server).await;
    let remote = bench.remote(Policy::OnDemand).await;
    let unit = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
    bench.serve_units(&[unit]).await;
    let mut stuck = bench.open("files/f").await;
    assert!(stuck.chunk().await.expect("some bytes").is_some());

    let begin = Instant::now();
    bench.shutdown.cancel();
    timeout(PATIENCE, bench.server).await.expect("in time").expect("no panic");
    assert!(begin.elapsed() < Duration::from_secs(5));
    while let Ok(Some(_)) = stuck.chunk().await {}
    assert!(stuck.chunk().await.is_err() || stuck.content_length().is_some());
    assert_eq!(bench.app.inner.fills.count(), 0);
    assert!(TcpStream::connect(bench.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let bench = Bench::start().await;
    // Leaves a connection open for more requests.
    bench.get("").await.expect(200);
    let begin = Instant::now();
    bench.shutdown.cancel();
    timeout(PATIENCE, bench.server).await.expect("in time").expect("no panic");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn tls_is_served_from_pem_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let tls = Tls::load(&cert, &key).expect("loads");
    let bench = with(ServerSettings { tls: Some(tls), ..ServerSettings::default() }).await;
    let bytes = pattern(3_000_000);
    let unit = bench.stored("f", bytes.clone()).await;
    bench.serve_units(&[unit]).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    for (protocol, version) in [("h2", http::Version::HTTP_2), ("http/1.1", http::Version::HTTP_11)]
    {
        config.alpn_protocols = vec![protocol.into()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config.clone())
            .resolve("localhost", bench.address)
            .no_proxy()
            .build()
            .expect("a client");
        let url = format!("https://localhost:{}/pulp/content/files/f", bench.address.port());
        let answer = client.get(url).timeout(PATIENCE).send().await.expect("an answer");
        assert_eq!(answer.version(), version);
        assert!(answer.bytes().await.expect("read") == bytes, "{protocol}");
    }

    let missing = Tls::load(Path::new("/nowhere/cert.pem"), &key);
    assert!(matches!(missing, Err(TlsError::Read { .. })));
    assert!(matches!(Tls::load(&key, &key), Err(TlsError::Certificate { .. })));
    assert!(matches!(Tls::load(&cert, &cert), Err(TlsError::Key { .. })));
}
