//! Bytes that are fetched when somebody asks for them.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use pulp_models::{
    Digests, Expected, RemoteId, RemoteUrl, Sha256,
    remote::{self, Policy},
    store::WITHHELD,
};
use reqwest::Method;

use super::kit::{Bench, expectation, pattern};
use crate::{
    serve::{ServeSettings, ServerSettings},
    testing::{Fault, Upstream},
};

/// Large enough that readers follow a file and not memory.
const LARGE: usize = 3_000_000;
const SMALL: usize = 1000;

/// Upstream has `bytes` at `f`, and so has the bench, on demand.
async fn with(
    bytes: &[u8],
    policy: Policy,
    faults: impl IntoIterator<Item = Fault>,
) -> (Bench, Upstream) {
    let upstream = Upstream::start().await.file("f", bytes.to_vec()).fault("f", faults);
    let bench = Bench::start().await;
    let remote = bench.remote(policy).await;
    let unit = bench.on_demand("f", bytes, &[(remote, upstream.url("f"))]).await;
    bench.serve_units(&[unit]).await;
    (bench, upstream)
}

#[tokio::test]
async fn a_file_is_fetched_at_the_first_request_and_kept() {
    for size in [0, 1, SMALL, 64 * 1024, 64 * 1024 + 1, LARGE] {
        let bytes = pattern(size);
        let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
        let first = bench.get("files/f").await.expect(200);
        assert!(first.body == bytes, "{size}");
        assert_eq!(first.header("content-length"), size.to_string());
        bench.until_stored(&bytes).await;
        upstream.remove("f");
        let second = bench.get("files/f").await.expect(200);
        assert!(second.body == bytes, "{size}");
        assert_eq!(second.header("etag"), first.header("etag"));
        assert_eq!(upstream.requests().len(), 1, "{size}");
        assert_eq!(bench.temporary_files(), 0);
    }
}

#[tokio::test]
async fn twenty_clients_cost_one_upstream_request() {
    for size in [SMALL, LARGE] {
        let bytes = pattern(size);
        let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
        let answers = join_all((0..20).map(|_| bench.get("files/f"))).await;
        for answer in answers {
            assert!(answer.expect(200).body == bytes);
        }
        assert_eq!(upstream.requests_for("f").len(), 1);
    }
}

#[tokio::test]
async fn ranges_are_served_from_the_growing_file() {
    let bytes = pattern(LARGE);
    let upstream = Upstream::start().await.file("f", bytes.clone());
    let pause = Duration::from_millis(5);
    for range in [0..1, 5..70_000, 600_000..1_400_000, LARGE - 1..LARGE, 65_536..65_536 * 2] {
        upstream.script("f", [Fault::Drip(256 * 1024, pause)]);
        let bench = Bench::start().await;
        let remote = bench.remote(Policy::OnDemand).await;
        let unit = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
        bench.serve_units(&[unit]).await;
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let partial = [("range", header.as_str())];
        let (whole, part) = tokio::join!(bench.get("files/f"), bench.get_with("files/f", &partial));
        assert!(whole.expect(200).body == bytes);
        let part = part.expect(206);
        let shown = format!("bytes {}-{}/{LARGE}", range.start, range.end - 1);
        assert_eq!(part.header("content-range"), shown);
        assert!(part.body == bytes[range], "{header}");
    }
    assert_eq!(upstream.requests_for("f").len(), 5);
}

#[tokio::test]
async fn a_range_alone_stores_the_whole_file() {
    let bytes = pattern(LARGE);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
    let part = bench.get_with("files/f", &[("range", "bytes=-10")]).await.expect(206);
    assert_eq!(part.body, &bytes[LARGE - 10..]);
    bench.until_stored(&bytes).await;
    bench.get_with("files/f", &[("range", "bytes=3000000-")]).await.expect(416);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn wrong_bytes_never_arrive_as_a_complete_response() {
    let bytes = pattern(LARGE);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, [Fault::FlipLastByte]).await;
    let answer = bench.get("files/f").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.whole, "the connection is cut");
    assert!(answer.body.len() as u64 <= LARGE as u64 - WITHHELD);
    bench.until_idle().await;
    assert!(!bench.is_stored(&bytes).await);
    bench.until_no_temporary_files().await;

    // The source would be good again, but is left alone.
    let refused = bench.get("files/f").await.expect(502);
    assert!(refused.text().contains("gave wrong bytes"), "{}", refused.text());
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((290..=300).contains(&wait), "{wait}");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_range_of_wrong_bytes_is_cut_too() {
    let bytes = pattern(LARGE);
    let (bench, _upstream) = with(&bytes, Policy::OnDemand, [Fault::FlipLastByte]).await;
    let answer = bench.get_with("files/f", &[("range", "bytes=0-199999")]).await;
    assert_eq!(answer.status, 206);
    assert!(!answer.whole && answer.body.len() as u64 <= 200_000 - WITHHELD);
}

#[tokio::test]
async fn a_small_wrong_file_is_an_error_with_a_status() {
    let bytes = pattern(SMALL);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, [Fault::FlipLastByte]).await;
    let answer = bench.get("files/f").await.expect(502);
    assert!(answer.text().contains("Digest mismatch"), "{}", answer.text());
    upstream.put("f", pattern(SMALL + 1));
    bench.get("files/f").await.expect(502);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn after_the_cool_down_a_source_is_asked_again() {
    let settings = ServeSettings { source_cool_down: Duration::ZERO, ..ServeSettings::default() };
    let bench = Bench::with(settings, ServerSettings::default()).await;
    let bytes = pattern(LARGE);
    let upstream =
        Upstream::start().await.file("f", bytes.clone()).fault("f", [Fault::FlipLastByte]);
    let remote = bench.remote(Policy::OnDemand).await;
    let unit = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
    bench.serve_units(&[unit]).await;
    assert!(!bench.get("files/f").await.whole);
    bench.until_idle().await;
    assert!(bench.get("files/f").await.expect(200).body == bytes);
}

/// A bench whose file has two sources, of which the first gives wrong bytes.
async fn with_two_sources(bytes: &[u8]) -> (Bench, Upstream) {
    let upstream = Upstream::start().await.file("bad", bytes.to_vec()).file("good", bytes.to_vec());
    upstream.script("bad", vec![Fault::FlipLastByte; 9]);
    let bench = Bench::start().await;
    let remote = bench.remote(Policy::OnDemand).await;
    let sources = [(remote, upstream.url("bad")), (remote, upstream.url("good"))];
    let unit = bench.on_demand("f", bytes, &sources).await;
    bench.serve_units(&[unit]).await;
    (bench, upstream)
}

#[tokio::test]
async fn whoever_has_received_nothing_gets_the_next_source_without_noticing() {
    let bytes = pattern(SMALL);
    let (bench, upstream) = with_two_sources(&bytes).await;
    assert_eq!(bench.get("files/f").await.expect(200).body, bytes);
    assert_eq!(upstream.requests_for("bad").len(), 1);

    let bytes = pattern(LARGE);
    let (bench, _upstream) = with_two_sources(&bytes).await;
    let end = bench.get_with("files/f", &[("range", "bytes=-1000")]).await.expect(206);
    assert_eq!(end.body, &bytes[LARGE - 1000..]);
}

#[tokio::test]
async fn whoever_has_received_something_is_cut_and_the_next_request_succeeds() {
    let bytes = pattern(LARGE);
    let (bench, upstream) = with_two_sources(&bytes).await;
    assert!(!bench.get("files/f").await.whole);
    assert!(bench.get("files/f").await.expect(200).body == bytes);
    assert_eq!(upstream.requests_for("bad").len(), 1);
    assert_eq!(upstream.requests_for("good").len(), 1, "the fill had gone on to it");
}

#[tokio::test]
async fn a_fill_survives_its_clients() {
    let bytes = pattern(LARGE);
    let drip = Fault::Drip(256 * 1024, Duration::from_millis(10));
    let (bench, upstream) = with(&bytes, Policy::OnDemand, [drip]).await;
    let mut response = bench.open("files/f").await;
    assert!(response.chunk().await.expect("some bytes").is_some());
    drop(response);
    bench.until_stored(&bytes).await;
    assert!(bench.get("files/f").await.expect(200).body == bytes);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let bytes = pattern(LARGE);
    let upstream = Upstream::start().await.file("f", bytes.clone()).fault("f", [Fault::HalfBody]);
    let bench = Bench::start().await;
    let remote = bench.remote_with(Policy::OnDemand, 1).await;
    let unit = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
    bench.serve_units(&[unit]).await;
    assert!(bench.get("files/f").await.expect(200).body == bytes);
    let requests = upstream.requests_for("f");
    assert_eq!(requests.len(), 2);
    assert!(requests[1].header("range").is_some());
}

#[tokio::test]
async fn streamed_files_are_verified_and_not_kept() {
    let bytes = pattern(LARGE);
    let (bench, upstream) = with(&bytes, Policy::Streamed, []).await;
    for round in 1..=2 {
        assert!(bench.get("files/f").await.expect(200).body == bytes);
        bench.until_no_temporary_files().await;
        assert!(!bench.is_stored(&bytes).await);
        assert_eq!(upstream.requests().len(), round);
    }
    upstream.script("f", [Fault::FlipLastByte]);
    assert!(!bench.get("files/f").await.whole);
}

#[tokio::test]
async fn a_streamed_transfer_ends_with_its_last_client() {
    let bytes = pattern(LARGE);
    let (bench, _upstream) = with(&bytes, Policy::Streamed, [Fault::StallBody]).await;
    let mut response = bench.open("files/f").await;
    assert!(response.chunk().await.expect("some bytes").is_some());
    assert_eq!(bench.app.inner.fills.count(), 1);
    drop(response);
    bench.until_idle().await;
    bench.until_no_temporary_files().await;
    // Nothing is left that the next client would wait for.
    assert!(bench.get("files/f").await.expect(200).body == bytes);
}

#[tokio::test]
async fn a_file_of_unknown_size_comes_without_a_length_and_ends_only_if_it_is_right() {
    let bytes = pattern(LARGE);
    for fault in [Fault::None, Fault::Chunked, Fault::FlipLastByte] {
        let upstream = Upstream::start().await.file("f", bytes.clone()).fault("f", [fault.clone()]);
        let bench = Bench::start().await;
        let remote = bench.remote(Policy::OnDemand).await;
        let expected = Expected { size: None, digests: Digests::from(Sha256::of(&bytes)) };
        let sources = [(remote, upstream.url("f"))];
        let unit = bench.expecting("f", &bytes, &sources, expected).await;
        bench.serve_units(&[unit]).await;
        let answer = bench.get_with("files/f", &[("range", "bytes=5-9")]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, ""));
        if fault == Fault::FlipLastByte {
            assert!(!answer.whole);
            continue;
        }
        assert!(answer.expect(200).body == bytes);
        bench.until_stored(&bytes).await;
        let known = bench.get_with("files/f", &[("range", "bytes=5-9")]).await.expect(206);
        assert_eq!(known.body, &bytes[5..10]);
    }
}

#[tokio::test]
async fn without_a_digest_nothing_is_fetched() {
    let upstream = Upstream::start().await.file("f", "bytes");
    let bench = Bench::start().await;
    let remote = bench.remote(Policy::OnDemand).await;
    let expected = Expected { size: Some(5), digests: Digests::new() };
    let sources = [(remote, upstream.url("f"))];
    let unit = bench.expecting("f", b"bytes", &sources, expected).await;
    bench.serve_units(&[unit]).await;
    let answer = bench.get("files/f").await.expect(404);
    assert!(answer.text().contains("names no digest"), "{}", answer.text());
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_deleted_remote_is_named_as_the_reason() {
    let (bench, upstream) = with(&pattern(SMALL), Policy::OnDemand, []).await;
    let deleted = bench.installation.db.write(|conn| {
        let name = remote::list(conn)?.remove(0).name;
        remote::delete(conn, &name, true)
    });
    deleted.await.expect("deleted");
    let answer = bench.get("files/f").await.expect(404);
    assert!(answer.text().contains("no remote offers it any more"), "{}", answer.text());
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn upstreams_answer_is_passed_on_as_a_reason() {
    for (fault, status, text) in
        [(Fault::Status(404), 404, "404 Not Found"), (Fault::Status(500), 502, "500 Internal")]
    {
        let (bench, upstream) = with(&pattern(SMALL), Policy::OnDemand, [fault]).await;
        let answer = bench.get("files/f").await.expect(status);
        assert!(answer.text().contains(text), "{}", answer.text());
        // That was no lie: it may be asked again at once.
        bench.get("files/f").await.expect(200);
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[tokio::test]
async fn head_and_conditions_fetch_nothing() {
    let bytes = pattern(SMALL);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
    let head = bench.ask(Method::HEAD, "files/f", &[]).await.expect(200);
    assert_eq!(head.header("content-length"), SMALL.to_string());
    assert_eq!(head.header("etag"), format!("\"sha256:{}\"", Sha256::of(&bytes)));
    bench.get_with("files/f", &[("if-none-match", head.header("etag"))]).await.expect(304);
    bench.get_with("files/f", &[("range", "bytes=1000-")]).await.expect(416);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn bytes_that_other_content_has_are_linked_not_fetched() {
    let bytes = pattern(SMALL);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
    bench.stored("elsewhere", bytes.clone()).await;
    assert_eq!(bench.get("files/f").await.expect(200).body, bytes);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_artifact_that_vanished_is_fetched_again() {
    // More than is kept in memory.
    let bytes = pattern(20 << 10);
    let (bench, upstream) = with(&bytes, Policy::OnDemand, []).await;
    bench.get("files/f").await.expect(200);
    bench.until_stored(&bytes).await;
    bench.get("files/f").await.expect(200);
    bench.installation.store.remove(&[Sha256::of(&bytes)]).await.expect("removed");
    assert_eq!(bench.get("files/f").await.expect(200).body, bytes);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn sources_that_contradict_each_other_are_not_mixed() {
    let (bytes, other) = (pattern(SMALL), vec![7; SMALL]);
    let upstream = Upstream::start().await.file("f", bytes.clone()).file("other", other.clone());
    let bench = Bench::start().await;
    let remote = bench.remote(Policy::OnDemand).await;
    let unit = bench.on_demand("f", &bytes, &[(remote, upstream.url("f"))]).await;
    let second: (RemoteId, RemoteUrl) =
        (bench.remote(Policy::OnDemand).await, upstream.url("other"));
    // The same unit, said by another remote to be something else.
    let same = bench.expecting("f", &bytes, &[second], expectation(&other)).await;
    assert_eq!(unit, same);
    bench.serve_units(&[unit]).await;
    upstream.script("f", [Fault::Status(500)]);
    let served: Bytes = bench.get("files/f").await.body.into();
    assert!(served != other, "the contradicting source is left out");
}
