//! What a client may cost: connections, heads, time, streams; and requests that try to be two.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::kit::{Bench, PATIENCE};
use crate::serve::{ServeSettings, ServerSettings};

async fn with(server: ServerSettings) -> Bench {
    Bench::with(ServeSettings::default(), server).await
}

/// Everything that the server says to these bytes until it closes the connection.
async fn say(bench: &Bench, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(bench.address).await.expect("connects");
    // The server may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_refused_until_it_closes_one() {
    let bench = with(ServerSettings { max_connections_per_client: 2, ..Default::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(bench.address).await.expect("connects");
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        socket.read_u8().await.expect("an answer begins");
        held.push(socket);
    }
    assert_eq!(say(&bench, b"").await, "", "closed without a word");
    drop(held.pop());
    let again = async {
        while !say(&bench, b"GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200") {}
    };
    timeout(PATIENCE, again).await.expect("there is a place again");
}

#[tokio::test]
async fn heads_beyond_the_limit_are_refused() {
    let bench = with(ServerSettings { max_head: 8192, ..Default::default() }).await;
    let long = "x".repeat(10_000);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /healthz?{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(1000)),
    ] {
        let answer = say(&bench, request.as_bytes()).await;
        let status = answer.get(..12).unwrap_or_default();
        assert!(["HTTP/1.1 431", "HTTP/1.1 414"].contains(&status), "{answer}");
    }
    assert!(bench.raw("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_without_a_next_request_is_closed() {
    let header_timeout = Duration::from_millis(200);
    let bench = with(ServerSettings { header_timeout, ..Default::default() }).await;
    let answer = say(&bench, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    // Nor does half a head help.
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHo";
    let answer = say(&bench, request).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

#[tokio::test]
async fn one_request_is_never_two() {
    let bench = Bench::start().await;
    let smuggled = "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let chunked = format!("0\r\n\r\n{smuggled}");
    for (head, body) in [
        ("Content-Length: 5\r\nContent-Length: 6", smuggled),
        ("Content-Length: 5, 6", smuggled),
        ("Content-Length: +5", smuggled),
        ("Content-Length: -1", smuggled),
        ("Content-Length: 0x5", smuggled),
        ("Transfer-Encoding: identity", smuggled),
        ("Transfer-Encoding: chunked, identity", &chunked),
        ("Transfer-Encoding: xchunked", &chunked),
        ("Transfer-Encoding : chunked\r\nContent-Length: 3", &chunked),
        ("X: a\r\n folded: b\r\nContent-Length: 3", smuggled),
        ("X\0Y: a", smuggled),
        ("Content-Length: 99999999999999999999", smuggled),
    ] {
        let request = format!("POST /healthz HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}");
        let answer = say(&bench, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
        assert!(!answer.contains("versions"), "{head}: {answer}");
    }
    // With both, the length counts for nothing, and what follows the chunks is a request of its own
    // for whoever obeys RFC 9112 §6.3; nothing of it is taken for the length's body.
    let both = format!(
        "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
    );
    let answer = say(&bench, both.as_bytes()).await;
    assert!(answer.matches("HTTP/1.1 ").count() <= 2, "{answer}");
}

#[tokio::test]
async fn odd_methods_and_targets_are_answered_and_change_nothing() {
    let bench = Bench::start().await;
    let unit = bench.stored("f", "bytes").await;
    bench.serve_units(&[unit]).await;
    for (line, status) in [
        ("BREW /pulp/content/files/f HTTP/1.1", "405"),
        ("PUT /pulp/content/files/f HTTP/1.1", "405"),
        ("DELETE /pulp/content/files/f HTTP/1.1", "405"),
        ("TRACE /pulp/content/files/f HTTP/1.1", "405"),
        ("OPTIONS * HTTP/1.1", "404"),
        ("CONNECT elsewhere:443 HTTP/1.1", "404"),
        ("GET http://elsewhere/pulp/content/files/f HTTP/1.1", "200"),
        ("GET /pulp/content/files/../files/f HTTP/1.1", "400"),
        ("GET /pulp/content/files/%2e%2e/files/f HTTP/1.1", "400"),
        ("GET /pulp/content/files%2Ff HTTP/1.1", "400"),
        ("GET /pulp/content/..%5cfiles HTTP/1.1", "404"),
        ("GET //pulp/content/files/f HTTP/1.1", "404"),
        ("GET /../../etc/passwd HTTP/1.1", "404"),
        ("GET /pulp/content/%00 HTTP/1.1", "400"),
    ] {
        let request = format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = say(&bench, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
    }
    bench.get("files/f").await.expect(200);
}

#[tokio::test]
async fn no_answer_repeats_the_host_that_a_client_names() {
    let bench = Bench::start().await;
    let unit = bench.stored("d/f", "bytes").await;
    bench.serve_units(&[unit]).await;
    for (line, headers) in [
        ("GET /pulp/content/files/d HTTP/1.1", "Host: evil.example\r\n"),
        ("GET http://evil.example/pulp/content/files/d HTTP/1.1", "Host: evil.example\r\n"),
        (
            "GET /pulp/content/files/d HTTP/1.1",
            "Host: x\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n",
        ),
        ("GET /pulp/content HTTP/1.1", "Host: evil.example\r\n"),
    ] {
        let request = format!("{line}\r\n{headers}Connection: close\r\n\r\n");
        let answer = say(&bench, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 30"), "{line}: {answer}");
        assert!(!answer.contains("evil"), "{line}: {answer}");
        assert!(answer.to_lowercase().contains("\r\nlocation: /pulp/content/"), "{answer}");
    }
}

#[tokio::test]
async fn a_url_of_ones_own_is_made_of_a_host_and_nothing_else() {
    let bench = Bench::start().await;
    for (host, url) in [
        ("mirror.example:8080", Some("http://mirror.example:8080/v2/token")),
        ("[::1]:80", Some("http://[::1]:80/v2/token")),
        ("mirror.example@evil.example", None),
        ("user:password@mirror.example", None),
        ("evil.example/path", None),
        ("a b", None),
        ("", None),
    ] {
        let request = http::Request::get("/v2/").header("host", host).body(()).expect("a request");
        let made = bench.app.absolute_url(&request.into_parts().0, "/v2/token");
        assert_eq!(made.as_deref(), url, "{host}");
    }
}

/// An HTTP/2 frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_end_their_connection() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let bench = Bench::start().await;
    let mut socket = TcpStream::connect(bench.address).await.expect("connects");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, b""));
    // GET, http, / from HPACK's static table, and `:authority: x`; END_STREAM and END_HEADERS.
    let head = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
    for stream in 0..5000 {
        bytes.extend(frame(HEADERS, 5, 2 * stream + 1, &head));
        bytes.extend(frame(RESET, 0, 2 * stream + 1, &8_u32.to_be_bytes()));
    }
    let (mut reader, mut writer) = socket.split();
    let mut answer = Vec::new();
    let exchange = async {
        let _ = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut answer));
    };
    timeout(PATIENCE, exchange).await.expect("the server ends the connection");
    let mut frames = Vec::new();
    let mut rest = &answer[..];
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        frames.push(rest[3]);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    assert_eq!(frames.last(), Some(&GOAWAY), "{frames:?}");
    assert!(frames.len() < 5000, "not every stream was served");
    assert!(bench.raw("/healthz").await.starts_with("HTTP/1.1 200"));
}
