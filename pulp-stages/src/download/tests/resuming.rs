//! Going on where a transfer stopped: sound, or not at all.

use pulp_models::Expected;

use super::{Lab, body, expected, noise, settings};
use crate::testing::{Fault, Upstream, ValidatorKind};

/// Fetches `file` after `faults`; yields how many bytes the server sent and the ranges it was asked
/// for.
async fn check(
    file: &bytes::Bytes,
    validators: ValidatorKind,
    faults: Vec<Fault>,
    known: Expected,
) -> (bytes::Bytes, u64, Vec<String>) {
    let lab = Lab::new().await;
    let upstream =
        Upstream::start().await.file("f", file.clone()).validators(validators).fault("f", faults);
    let downloaded = lab.fetch(&upstream.url("f"), &settings(), known).await.expect("it came");
    let ranges =
        upstream.requests().iter().map(|r| r.header("range").unwrap_or("all").to_owned()).collect();
    (body(&downloaded), upstream.sent(), ranges)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_and_no_byte_is_sent_twice() {
    let file = noise(2_000_000);
    let cuts = vec![Fault::CutAfter(1_500_000), Fault::CutAfter(100_000)];
    let known = expected(&file);
    let (got, sent, ranges) = check(&file, ValidatorKind::Strong, cuts, known).await;
    assert_eq!(got, file);
    assert_eq!(sent, 2_000_000);
    assert_eq!(ranges, ["all", "bytes=1500000-", "bytes=1600000-"]);
}

#[tokio::test]
async fn a_strong_etag_or_an_old_date_will_do_when_no_digest_is_known() {
    let file = noise(10_000);
    for validators in [ValidatorKind::Strong, ValidatorKind::Date] {
        let faults = vec![Fault::HalfBody];
        let (got, sent, _) = check(&file, validators, faults, Expected::default()).await;
        assert_eq!((got, sent), (file.clone(), 10_000));
    }
}

#[tokio::test]
async fn without_anything_to_tell_it_starts_again() {
    let file = noise(10_000);
    for validators in [ValidatorKind::Weak, ValidatorKind::None] {
        let faults = vec![Fault::HalfBody];
        let (got, sent, ranges) = check(&file, validators, faults, Expected::default()).await;
        assert_eq!((got, sent), (file.clone(), 15_000));
        assert_eq!(ranges, ["all", "all"]);
    }
}

#[tokio::test]
async fn a_known_digest_makes_up_for_missing_validators() {
    let file = noise(10_000);
    let known = expected(&file);
    let (got, sent, _) = check(&file, ValidatorKind::None, vec![Fault::HalfBody], known).await;
    assert_eq!((got, sent), (file, 10_000));
}

#[tokio::test]
async fn a_file_that_changed_in_between_comes_whole() {
    let (old, new) = (noise(10_000), noise(12_000).slice(1_000..));
    let faults = vec![Fault::HalfBody, Fault::Becomes(new.clone())];
    let known = expected(&new);
    let sizes = Expected { size: None, ..known };
    let (got, sent, ranges) = check(&old, ValidatorKind::Strong, faults, sizes).await;
    assert_eq!(got, new);
    assert_eq!(sent, 5_000 + 11_000);
    assert_eq!(ranges, ["all", "bytes=5000-"]);
}

#[tokio::test]
async fn a_range_of_another_file_is_not_taken() {
    let file = noise(10_000);
    let faults = vec![Fault::HalfBody, Fault::ETag("\"other\"".into())];
    let known = expected(&file);
    let (got, _, ranges) = check(&file, ValidatorKind::Strong, faults, known).await;
    assert_eq!(got, file);
    assert_eq!(ranges, ["all", "bytes=5000-", "all"]);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_costs_bytes_but_not_correctness() {
    let file = noise(10_000);
    let faults = vec![Fault::HalfBody, Fault::IgnoreRange];
    let known = expected(&file);
    let (got, sent, _) = check(&file, ValidatorKind::Strong, faults, known).await;
    assert_eq!((got, sent), (file, 15_000));
}

#[tokio::test]
async fn a_failed_attempt_in_between_does_not_lose_the_beginning() {
    let file = noise(10_000);
    let faults = vec![Fault::HalfBody, Fault::Status(503), Fault::Disconnect];
    let known = expected(&file);
    let (got, sent, ranges) = check(&file, ValidatorKind::Strong, faults, known).await;
    assert_eq!((got, sent), (file, 10_000));
    assert_eq!(ranges, ["all", "bytes=5000-", "bytes=5000-", "bytes=5000-"]);
}

#[tokio::test]
async fn a_length_that_claims_too_much_is_no_reason_to_ask_for_more() {
    let file = noise(10_000);
    let known = Expected { size: None, ..expected(&file) };
    let faults = vec![Fault::ContentLength(20_000)];
    let (got, sent, _) = check(&file, ValidatorKind::Strong, faults, known).await;
    assert_eq!((got, sent), (file, 20_000));
}

#[tokio::test]
async fn a_length_that_claims_too_little_is_a_mismatch_and_tried_again() {
    let file = noise(10_000);
    let faults = vec![Fault::ContentLength(9_000)];
    let known = expected(&file);
    let (got, _, ranges) = check(&file, ValidatorKind::Strong, faults, known).await;
    assert_eq!(got, file);
    assert_eq!(ranges, ["all", "all"]);
}

#[tokio::test]
async fn chunked_bodies_of_unknown_size_are_taken() {
    let file = noise(10_000);
    let (got, sent, _) =
        check(&file, ValidatorKind::None, vec![Fault::Chunked], Expected::default()).await;
    assert_eq!((got, sent), (file, 10_000));
}
