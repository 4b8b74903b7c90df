//! Silence and slowness. Timeouts are short; nothing waits for longer.

use std::time::Duration;

use pulp_models::RemoteSettings;
use tokio::net::TcpListener;

use super::{DownloadRequest, Lab, body, bounded, expected, noise, settings, told};
use crate::testing::{Fault, Upstream};

fn impatient() -> RemoteSettings {
    RemoteSettings { idle_timeout: Some(Duration::from_millis(150)), ..settings() }
}

#[tokio::test]
async fn silence_before_and_inside_the_body_names_the_setting() {
    let (lab, file) = (Lab::new().await, noise(1_000));
    let upstream = Upstream::start()
        .await
        .file("head", file.clone())
        .fault("head", [Fault::StallHead])
        .file("body", file.clone())
        .fault("body", [Fault::StallBody]);
    let once = RemoteSettings { max_retries: Some(0), ..impatient() };
    let head = lab.fetch(&upstream.url("head"), &once, expected(&file)).await;
    let body = lab.fetch(&upstream.url("body"), &once, expected(&file)).await;
    let (head, body) = (head.expect_err("silence"), body.expect_err("silence"));
    insta::assert_snapshot!(told(&head), @"`http://HOST/head` was silent for 0.15 s after 0 bytes");
    insta::assert_snapshot!(head.hint().unwrap_or_default(), @"raise `idle_timeout` if the upstream is only slow");
    insta::assert_snapshot!(told(&body), @"`http://HOST/body` was silent for 0.15 s after 500 bytes");
}

#[tokio::test]
async fn silence_is_tried_again_and_resumed() {
    let (lab, file) = (Lab::new().await, noise(1_000));
    let upstream = Upstream::start()
        .await
        .file("f", file.clone())
        .fault("f", [Fault::StallHead, Fault::StallBody]);
    let downloaded =
        lab.fetch(&upstream.url("f"), &impatient(), expected(&file)).await.expect("it came");
    assert_eq!(body(&downloaded), file);
    assert_eq!(upstream.sent(), 1_000);
}

#[tokio::test]
async fn a_transfer_may_take_long_if_it_is_never_silent() {
    let (lab, file) = (Lab::new().await, noise(1_000));
    let drip = Fault::Drip(100, Duration::from_millis(30));
    let upstream = Upstream::start().await.file("f", file.clone()).fault("f", [drip]);
    // Ten pieces take at least 270 ms.
    let settings = RemoteSettings { idle_timeout: Some(Duration::from_millis(250)), ..settings() };
    lab.fetch(&upstream.url("f"), &settings, expected(&file)).await.expect("it came");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_trickle_is_broken_off() {
    let (lab, file) = (Lab::new().await, noise(100_000));
    let drip = Fault::Drip(1, Duration::from_millis(5));
    let upstream = Upstream::start().await.file("f", file.clone()).fault("f", [drip]);
    let settings = RemoteSettings {
        max_retries: Some(0),
        minimum_rate: Some(50_000),
        minimum_rate_window: Some(Duration::from_millis(60)),
        ..settings()
    };
    let error = lab.fetch(&upstream.url("f"), &settings, expected(&file)).await;
    let error = error.expect_err("too slow");
    assert!(told(&error).ends_with("at least 50000 expected"), "{}", told(&error));
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"lower `minimum_rate`, or set it to 0, to put up with it");
}

#[tokio::test]
async fn a_server_that_does_not_finish_the_handshake_is_left() {
    let lab = Lab::new().await;
    // Listens and never accepts: TCP connects, TLS does not.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = format!("https://{address}/f").parse().expect("valid");
    let settings = RemoteSettings {
        connect_timeout: Some(Duration::from_millis(100)),
        max_retries: Some(1),
        ..settings()
    };
    let error = lab.fetch(&url, &settings, expected(b"x")).await.expect_err("no handshake");
    insta::assert_snapshot!(told(&error), @"Gave up after 2 attempts on 1 URL: Failed to connect to `https://HOST/f` within 0.1 s");
    insta::assert_snapshot!(error.hint().unwrap_or_default(), @"raise `connect_timeout` if the upstream is only slow");
}

#[tokio::test]
async fn bytes_per_second_are_kept_to() {
    let (lab, file) = (Lab::new().await, noise(40_000));
    let drip = Fault::Drip(10_000, Duration::ZERO);
    let upstream = Upstream::start().await.file("f", file.clone()).fault("f", [drip]);
    let settings =
        RemoteSettings { bytes_per_second: std::num::NonZeroU64::new(200_000), ..settings() };
    let begin = tokio::time::Instant::now();
    let downloader = lab.downloader(&upstream.url("f"), &settings);
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(&file));
    // However the pieces are cut: the second file waits for all of the first one.
    bounded(downloader.fetch(&request)).await.expect("it came");
    bounded(downloader.fetch(&request)).await.expect("it came");
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_cancelled_download_gives_its_place_back_and_leaves_no_file() {
    let (lab, file) = (Lab::new().await, noise(3_000_000));
    let upstream = Upstream::start()
        .await
        .file("stalled", file.clone())
        .fault("stalled", [Fault::StallBody])
        .file("f", "x");
    let one = RemoteSettings { download_concurrency: std::num::NonZeroU32::new(1), ..settings() };
    let downloader = lab.downloader(&upstream.url(""), &one);
    let request = DownloadRequest::new(upstream.url("stalled")).expecting(expected(&file));
    let half_came = async {
        while downloader.statistics().bytes < 1_500_000 {
            tokio::task::yield_now().await;
        }
    };
    bounded(async {
        tokio::select! {
            _ = downloader.fetch(&request) => panic!("it stalls"),
            () = half_came => {}
        }
    })
    .await;
    let request = DownloadRequest::new(upstream.url("f"));
    bounded(downloader.fetch(&request)).await.expect("the place is free");
    // A write that was under way on the blocking pool ends first.
    bounded(async {
        while lab.temporary_files() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_future_of_a_download_is_small_enough_to_have_thousands() {
    let lab = Lab::new().await;
    let url = "http://host/".parse().expect("valid");
    let (downloader, request) = (lab.downloader(&url, &settings()), DownloadRequest::default());
    let size = std::mem::size_of_val(&downloader.fetch(&request));
    assert!(size < 8 * 1024, "{size} bytes");
}
