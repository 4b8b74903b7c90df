//! How often a server is asked, and what is kept of its failures.

use std::time::Duration;

use pulp_models::RemoteSettings;
use tokio::time::Instant;

use super::{super::DownloadRequest, Lab, body, bounded, expected, noise, settings, told};
use crate::testing::{Fault, Upstream};

#[tokio::test]
async fn a_server_that_fails_thrice_is_asked_exactly_four_times() {
    let (lab, file) = (Lab::new().await, noise(300_000));
    let upstream = Upstream::start()
        .await
        .file("a/b", file.clone())
        .fault("a/b", [Fault::HalfBody, Fault::FlipLastByte, Fault::Status(429)]);
    let url = upstream.url("a/b");
    let downloaded = lab.fetch(&url, &settings(), expected(&file)).await.expect("it came");
    assert_eq!(body(&downloaded), file);
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn zero_retries_mean_one_request() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "file").fault("f", [Fault::FlipLastByte]);
    let settings = RemoteSettings { max_retries: Some(0), ..settings() };
    let error =
        lab.fetch(&upstream.url("f"), &settings, expected(b"file")).await.expect_err("wrong bytes");
    insta::assert_snapshot!(
        told(&error),
        @"`http://HOST/f` is not the expected file: Digest mismatch: expected sha256 3b9c358f36f0a31b6ad3e14f309c7cf198ac9246e8316f9ce543d5b19ac02b80, got 03d9f8d761c6098ab20c2007a9082f286052e589ea814b0c95aa12c85ad65023"
    );
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn attempts_end_with_an_error_that_names_the_last_failure() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x").fault("f", vec![Fault::Status(503); 9]);
    let url = upstream.url("f");
    let error = lab.fetch(&url, &settings(), expected(b"x")).await.expect_err("it is down");
    insta::assert_snapshot!(told(&error), @"Gave up after 4 attempts on 1 URL: `http://HOST/f` answered 503 Service Unavailable");
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"the upstream has a problem: try again later");
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn other_client_errors_end_it_at_once() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await;
    for (path, status) in [("a", 403), ("b", 410), ("c", 400)] {
        upstream.put(path, "x");
        upstream.script(path, [Fault::Status(status)]);
        let error = lab.fetch(&upstream.url(path), &settings(), expected(b"x")).await;
        assert_eq!(error.expect_err("refused").status().map(|s| s.as_u16()), Some(status));
        assert_eq!(upstream.requests_for(path).len(), 1);
    }
    let missing = lab.fetch(&upstream.url("none"), &settings(), expected(b"x")).await;
    insta::assert_snapshot!(told(&missing.expect_err("not there")), @"`http://HOST/none` answered 404 Not Found");
}

#[tokio::test]
async fn a_connection_cut_before_the_answer_is_tried_again() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x").fault("f", [Fault::Disconnect]);
    lab.fetch(&upstream.url("f"), &settings(), expected(b"x")).await.expect("it came");
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_cause() {
    let lab = Lab::new().await;
    let url = Upstream::start().await.url("f");
    let error = lab.fetch(&url, &settings(), expected(b"x")).await.expect_err("nobody is there");
    insta::assert_snapshot!(told(&error), @"Gave up after 4 attempts on 1 URL: Failed to connect to `http://HOST/f`: Connection refused (os error 111)");
}

#[tokio::test]
async fn the_next_url_is_asked_when_one_is_used_up_or_hopeless() {
    let (lab, file) = (Lab::new().await, noise(5_000));
    let gone = Upstream::start().await;
    let broken =
        Upstream::start().await.file("f", file.clone()).fault("f", vec![Fault::HalfBody; 9]);
    let good = Upstream::start().await.file("f", file.clone());
    let mut request = DownloadRequest::new(gone.url("f")).expecting(expected(&file));
    request.urls.extend([broken.url("f"), good.url("f")]);
    let settings = RemoteSettings { max_retries: Some(1), ..settings() };
    let downloader = lab.downloader(&gone.url(""), &settings);
    let downloaded = bounded(downloader.fetch(&request)).await.expect("the third has it");
    assert_eq!(downloaded.url, good.url("f"));
    let asked = [&gone, &broken, &good].map(|upstream| upstream.requests().len());
    assert_eq!(asked, [1, 2, 1]);
    // A file of two halves from two mirrors would be a guess: the last one sent all of it.
    assert_eq!(good.sent(), file.len() as u64);
}

#[tokio::test]
async fn retry_after_holds_back_every_request_to_that_host() {
    let lab = Lab::new().await;
    let upstream = Upstream::start()
        .await
        .file("a", "a")
        .file("b", "b")
        .fault("a", [Fault::RetryAfter(429, "1".into())]);
    let downloader = lab.downloader(&upstream.url(""), &settings());
    let begin = Instant::now();
    let first = DownloadRequest::new(upstream.url("a")).expecting(expected(b"a"));
    let second = DownloadRequest::new(upstream.url("b")).expecting(expected(b"b"));
    bounded(async {
        let a = downloader.fetch(&first);
        let b = async {
            while upstream.requests().is_empty() {
                tokio::task::yield_now().await;
            }
            // The answer to the first one takes a moment to arrive.
            while downloader.statistics().retries == 0 {
                tokio::task::yield_now().await;
            }
            downloader.fetch(&second).await
        };
        let (a, b) = tokio::join!(a, b);
        a.and(b).expect("both came");
    })
    .await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_pause_beyond_the_limit_is_an_error_that_says_so() {
    let lab = Lab::new().await;
    let upstream =
        Upstream::start().await.file("f", "x").fault("f", [Fault::RetryAfter(503, "86400".into())]);
    let error = lab.fetch(&upstream.url("f"), &settings(), expected(b"x")).await;
    insta::assert_snapshot!(told(&error.expect_err("too long")), @"`http://HOST/f` asks to wait for 86400 s, at most 300 s allowed");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn after_wrong_bytes_caches_are_told_to_ask_the_origin() {
    let (lab, file) = (Lab::new().await, noise(1_000));
    let upstream =
        Upstream::start().await.file("f", file.clone()).fault("f", [Fault::FlipLastByte]);
    lab.fetch(&upstream.url("f"), &settings(), expected(&file)).await.expect("it came");
    let asked: Vec<_> = upstream
        .requests()
        .iter()
        .map(|request| request.header("cache-control").map(str::to_owned))
        .collect();
    assert_eq!(asked, [None, Some("no-cache".to_owned())]);
}

#[tokio::test]
async fn a_wrong_length_is_refused_before_the_body_comes() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", noise(1_000_000));
    let settings = RemoteSettings { max_retries: Some(0), ..settings() };
    let error = lab.fetch(&upstream.url("f"), &settings, expected(b"short")).await;
    insta::assert_snapshot!(told(&error.expect_err("too long")), @"`http://HOST/f` is not the expected file: Size mismatch: expected 5 bytes, got 1000000");
}

#[tokio::test]
async fn an_endless_body_is_broken_off_where_it_should_have_ended_or_at_the_limit() {
    let lab = Lab::new().await;
    let endless = vec![Fault::Endless; 2];
    let upstream = Upstream::start().await.file("f", "head").fault("f", endless);
    let settings = RemoteSettings { max_retries: Some(0), ..settings() };
    let error = lab.fetch(&upstream.url("f"), &settings, expected(b"head")).await;
    assert!(told(&error.expect_err("endless")).contains("Size mismatch: expected 4 bytes"));

    let request =
        DownloadRequest { limit: Some(100_000), ..DownloadRequest::new(upstream.url("f")) };
    let downloader = lab.downloader(&upstream.url(""), &settings);
    let error = bounded(downloader.fetch(&request)).await.expect_err("endless");
    insta::assert_snapshot!(told(&error), @"`http://HOST/f` is larger than the limit of 100000 bytes");
    assert_eq!(lab.temporary_files(), 0);
}

#[tokio::test]
async fn one_download_at_a_time_is_one_connection_and_many_are_at_most_as_many() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x");
    let one = RemoteSettings { download_concurrency: std::num::NonZeroU32::new(1), ..settings() };
    let downloader = lab.downloader(&upstream.url(""), &one);
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(b"x"));
    let all = (0..50).map(|_| downloader.fetch(&request));
    for downloaded in bounded(futures::future::join_all(all)).await {
        downloaded.expect("it came");
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(downloader.statistics().requests, 50);
    assert_eq!(downloader.statistics().bytes, 50);
}
