//! Bytes that are in the store.

use std::time::Duration;

use reqwest::Method;

use super::kit::{Bench, pattern};

const SIZE: usize = 700_000;

async fn with_file() -> (Bench, Vec<u8>) {
    let bench = Bench::start().await;
    let bytes = pattern(SIZE);
    let unit = bench.stored("a/data.json", bytes.clone()).await;
    bench.serve_units(&[unit]).await;
    (bench, bytes)
}

#[tokio::test]
async fn a_stored_file_comes_whole_with_its_headers() {
    let (bench, bytes) = with_file().await;
    let answer = bench.get("files/a/data.json").await.expect(200);
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("content-length"), SIZE.to_string());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert!(answer.header("etag").starts_with("\"sha256:"), "{:?}", answer.headers);
    assert!(httpdate::parse_http_date(answer.header("last-modified")).is_ok());

    let head = bench.ask(Method::HEAD, "files/a/data.json", &[]).await.expect(200);
    assert!(head.body.is_empty());
    let of_the_file = |mut headers: http::HeaderMap| {
        headers.remove("date");
        headers.remove("x-request-id");
        headers
    };
    assert_eq!(of_the_file(head.headers), of_the_file(answer.headers));
}

#[tokio::test]
async fn ranges_of_a_stored_file_are_exact() {
    let (bench, bytes) = with_file().await;
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-399999", 100..400_000),
        ("bytes=262143-262144", 262_143..262_145),
        ("bytes=699999-", 699_999..SIZE),
        ("bytes=-10", SIZE - 10..SIZE),
        ("bytes=650000-9999999", 650_000..SIZE),
    ] {
        let answer = bench.get_with("files/a/data.json", &[("range", range)]).await.expect(206);
        let shown = format!("bytes {}-{}/{SIZE}", expected.start, expected.end - 1);
        assert_eq!(answer.header("content-range"), shown);
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert!(answer.body == bytes[expected], "{range}");
    }
    for range in ["bytes=700000-", "bytes=5-2", "bytes=x"] {
        let answer = bench.get_with("files/a/data.json", &[("range", range)]).await.expect(416);
        assert_eq!(answer.header("content-range"), format!("bytes */{SIZE}"));
    }
    let several = [("range", "bytes=0-1,5-6")];
    assert_eq!(bench.get_with("files/a/data.json", &several).await.expect(200).body.len(), SIZE);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let (bench, _) = with_file().await;
    // Until then its date says nothing.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let first = bench.get("files/a/data.json").await.expect(200);
    for (name, from) in [("if-none-match", "etag"), ("if-modified-since", "last-modified")] {
        let condition = [(name, first.header(from))];
        let answer = bench.get_with("files/a/data.json", &condition).await.expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), first.header("etag"));
    }
    let stale = [("if-none-match", "\"x\"")];
    bench.get_with("files/a/data.json", &stale).await.expect(200);
    let resumed = [("range", "bytes=5-"), ("if-range", "\"x\"")];
    bench.get_with("files/a/data.json", &resumed).await.expect(200);
    let resumed = [("range", "bytes=5-"), ("if-range", first.header("etag"))];
    bench.get_with("files/a/data.json", &resumed).await.expect(206);
}

#[tokio::test]
async fn empty_files_are_files() {
    let bench = Bench::start().await;
    let unit = bench.stored("empty", Vec::new()).await;
    bench.serve_units(&[unit]).await;
    let answer = bench.get("files/empty").await.expect(200);
    assert_eq!(answer.header("content-length"), "0");
    bench.get_with("files/empty", &[("range", "bytes=0-")]).await.expect(416);
}

#[tokio::test]
async fn an_artifact_that_vanished_is_an_error_that_says_what_to_do() {
    let (bench, bytes) = with_file().await;
    bench.get("files/a/data.json").await.expect(200);
    let sha256 = pulp_models::Sha256::of(&bytes);
    bench.installation.store.remove(&[sha256]).await.expect("removed");
    let answer = bench.get("files/a/data.json").await.expect(404);
    assert!(answer.text().contains("no remote offers it"), "{}", answer.text());
}
