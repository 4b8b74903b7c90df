//! What becomes of units whose files upstream doesn't give, as a remote's `on_broken` says.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pulp_models::{
    Expected, RelativePath, RemoteUrl, Sha256, remote_settings::OnBroken, store::Verified,
};
use pulp_stages::{
    DeclarativeArtifact, DeclarativeContent, ResolutionError, StageError,
    download::DownloadError,
    stages::{ArtifactDownloader, Fetch},
};

use crate::kit::{self, Number, Unit, feed, line};

/// Files whose path is a status are answered with that; all others are there.
struct Upstream;

#[async_trait]
impl Fetch for Upstream {
    async fn fetch(&self, artifact: &DeclarativeArtifact) -> Result<Verified, StageError> {
        let Ok(status) = artifact.relative_path.file_name().parse::<StatusCode>() else {
            return Ok(Verified::from_bytes(Bytes::from_static(b"bytes")));
        };
        let url = Box::new(artifact.urls[0].clone());
        let error = DownloadError::Status { url, status, redirected_from: None };
        let source = Box::new(error);
        Err(DownloadError::GaveUp { attempts: 4, urls: 1, source }.into())
    }
}

fn unit(number: u64, paths: &[&str], expected: &Expected) -> Unit {
    let url: RemoteUrl = "http://host/".parse().expect("a URL");
    let artifacts = paths.iter().map(|path| {
        let path = RelativePath::new(path).expect("a safe path");
        DeclarativeArtifact::new(path, vec![url.clone()], expected.clone()).expect("has a URL")
    });
    DeclarativeContent::new(Number(number), artifacts.collect())
}

struct Outcome {
    /// Units that came through.
    kept: Vec<u64>,
    told: Vec<String>,
    /// Of the second unit.
    resolution: Option<ResolutionError>,
}

/// Runs three units, of which the second has a file that is not to be had.
async fn run(
    on_broken: OnBroken,
    status: &'static str,
    expected: Expected,
) -> Result<Outcome, String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let resolution = Arc::new(Mutex::new(None));
    let (sink, slot) = (Arc::clone(&told), Arc::clone(&resolution));
    let report = move |text| sink.lock().expect("not poisoned").push(text);
    let first = feed(move |output| async move {
        output.put(unit(1, &["a"], &expected)).await?;
        let mut broken = unit(2, &["b", status], &expected);
        let handle = broken.resolution();
        output.put(broken).await?;
        output.put(unit(3, &["c"], &expected)).await?;
        *slot.lock().expect("not poisoned") = handle.await.err();
        Ok(())
    });
    let downloader = ArtifactDownloader::new(Arc::new(Upstream)).on_broken(on_broken, report);
    let (line, seen) = line(first).stage(downloader).collect();
    kit::run(line, 10).await.map_err(|error| error.to_string())?;
    let mut kept = seen.numbers();
    kept.sort_unstable();
    let told = std::mem::take(&mut *told.lock().expect("not poisoned"));
    let resolution = resolution.lock().expect("not poisoned").take();
    Ok(Outcome { kept, told, resolution })
}

fn known() -> Expected {
    Expected { size: None, digests: Sha256::of(b"bytes").into() }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_fails_the_run_unless_told_otherwise() {
    let error = run(OnBroken::Fail, "404", known()).await.err().expect("fails");
    assert_eq!(error, "Stage `ArtifactDownloader` failed on `test.number` `b`");
}

#[tokio::test(start_paused = true)]
async fn a_unit_without_its_file_is_left_out_and_whoever_awaits_it_learns_of_it() {
    let outcome = run(OnBroken::Skip, "404", known()).await.expect("goes on");
    assert_eq!(outcome.kept, [1, 3]);
    insta::assert_snapshot!(outcome.told.join("\n"), @"`404` is left out: Gave up after 4 attempts on 1 URL: `http://host/` answered 404 Not Found");
    assert!(matches!(outcome.resolution, Some(ResolutionError::Dropped { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_digest_is_known_is_deferred_and_its_unit_kept() {
    let outcome = run(OnBroken::Defer, "410", known()).await.expect("goes on");
    assert_eq!((outcome.kept, outcome.resolution), (vec![1, 2, 3], None));
    assert!(outcome.told[0].contains("left to the first request"), "{:?}", outcome.told);
    // What cannot be verified later cannot be left for later.
    let outcome = run(OnBroken::Defer, "410", Expected::default()).await.expect("goes on");
    assert_eq!((outcome.kept, outcome.told.len()), (vec![1, 3], 1));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_fails_itself_fails_the_run_in_any_case() {
    for (on_broken, status) in [(OnBroken::Skip, "503"), (OnBroken::Defer, "401")] {
        assert!(run(on_broken, status, known()).await.is_err(), "{status}");
    }
}
