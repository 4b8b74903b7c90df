//! `ArtifactDownloader` over a stand-in for the network, in paused time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use pulp_models::{Expected, RelativePath, Sha256, store::Verified};
use pulp_stages::{
    Budget, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Pipeline, PipelineError, Stage,
    StageError,
    progress::Progress,
    stages::{ArtifactDownloader, Fetch},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Make, Number, Unit, bounded, feed, feed_units, line, stage, unit};

/// The clock of these tests: milliseconds.
const fn ticks(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).expect("a short test")
}

/// Downloads of a path `.../<ticks>` take so long; those of `.../<ticks>!` fail then.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<Traffic>>);

#[derive(Default)]
struct Traffic {
    running: usize,
    most: usize,
    fetched: Vec<String>,
}

/// A download that runs, for as long as its future lives.
struct Transfer(Network);

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.traffic(|traffic| traffic.running -= 1);
    }
}

impl Network {
    fn traffic<T>(&self, with: impl FnOnce(&mut Traffic) -> T) -> T {
        with(&mut self.0.lock().expect("not poisoned"))
    }

    fn running(&self) -> usize {
        self.traffic(|traffic| traffic.running)
    }

    fn most(&self) -> usize {
        self.traffic(|traffic| traffic.most)
    }

    fn fetched(&self) -> usize {
        self.traffic(|traffic| traffic.fetched.len())
    }

    fn downloader(&self, units: usize) -> ArtifactDownloader {
        ArtifactDownloader::new(Arc::new(self.clone())).concurrency(units)
    }
}

#[async_trait]
impl Fetch for Network {
    async fn fetch(&self, artifact: &DeclarativeArtifact) -> Result<Verified, StageError> {
        let _transfer = Transfer(self.clone());
        self.traffic(|traffic| {
            traffic.running += 1;
            traffic.most = traffic.most.max(traffic.running);
        });
        let name = artifact.relative_path.file_name();
        let time: u64 = name.trim_end_matches('!').parse()?;
        sleep(ticks(time)).await;
        if name.ends_with('!') {
            return Err(StageError::message("404 Not Found"));
        }
        self.traffic(|traffic| traffic.fetched.push(artifact.relative_path.to_string()));
        Ok(Verified::from_bytes(Bytes::from_static(b"bytes")))
    }
}

fn artifact(folder: u64, name: &str, size: Option<u64>) -> DeclarativeArtifact {
    let path = RelativePath::new(&format!("{folder}/{name}")).expect("a safe path");
    let url = "http://host/".parse().expect("a URL");
    let expected = Expected { size, digests: Sha256::of(b"bytes").into() };
    DeclarativeArtifact::new(path, vec![url], expected).expect("a URL is there")
}

/// A unit with an artifact per name.
fn files(number: u64, names: &[&str]) -> Unit {
    let artifacts = names.iter().enumerate();
    let artifacts = artifacts.map(|(at, name)| artifact(number * 10 + at as u64, name, Some(5)));
    DeclarativeContent::new(Number(number), artifacts.collect())
}

/// Ends a line and notes at which tick each unit came.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<(u64, u64)>>>);

impl Arrivals {
    fn all(&self) -> Vec<(u64, u64)> {
        self.0.lock().expect("not poisoned").clone()
    }

    fn stage(&self) -> Make {
        let (start, arrivals) = (Instant::now(), self.clone());
        stage("Arrivals", move |input, _| async move {
            let mut items = input.items();
            while let Some(unit) = items.next().await {
                assert!(!unit.artifacts.iter().any(DeclarativeArtifact::needs_download));
                let arrival = (since(start), unit.content.0);
                arrivals.0.lock().expect("not poisoned").push(arrival);
            }
            Ok(())
        })
    }
}

async fn download(units: Vec<Unit>, downloader: ArtifactDownloader) -> Vec<(u64, u64)> {
    let arrivals = Arrivals::default();
    let line = line(feed_units(units)).stage(downloader).stage(arrivals.stage()).done();
    kit::run(line, 1000).await.expect("nothing fails");
    arrivals.all()
}

/// What `download` must give: units in order, each into the first slot that is free.
fn model(durations: &[Option<u64>], slots: usize) -> BTreeMap<u64, u64> {
    let mut free = vec![0; slots];
    let mut now = 0;
    let mut arrivals = BTreeMap::new();
    for (number, duration) in (0..).zip(durations) {
        // Nothing is taken from the inbox before a slot is free.
        free.sort_unstable();
        now = now.max(free[0]);
        if let Some(time) = duration {
            free[0] = now + time;
            arrivals.insert(number, free[0]);
        } else {
            arrivals.insert(number, now);
        }
    }
    arrivals
}

async fn check(durations: &[Option<u64>], slots: usize) {
    let units = (0..).zip(durations).map(|(number, duration)| match duration {
        Some(time) => files(number, &[&time.to_string()]),
        None => unit(number),
    });
    let network = Network::default();
    let arrivals = download(units.collect(), network.downloader(slots)).await;
    let times: Vec<u64> = arrivals.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted(), "not in the order of completion: {arrivals:?}");
    let by_number: BTreeMap<u64, u64> =
        arrivals.iter().map(|(time, unit)| (*unit, *time)).collect();
    assert_eq!(by_number, model(durations, slots), "{durations:?} with {slots} slots");
    let downloads = durations.iter().flatten().count();
    assert_eq!((network.fetched(), network.running()), (downloads, 0));
    assert!(network.most() <= slots);
}

#[tokio::test(start_paused = true)]
async fn every_third_of_28_units_is_downloaded_three_at_a_time() {
    let durations: Vec<_> = (0..28).map(|number| (number % 3 == 0).then_some(number)).collect();
    // 12 + 15 + 27: the three slots take turns.
    assert_eq!(model(&durations, 3).values().max(), Some(&54));
    check(&durations, 3).await;
}

#[test]
fn units_leave_when_a_model_says_so() {
    let durations = vec(proptest::option::of(0..20_u64), 0..60);
    proptest!(kit::config(200), |(durations in durations, slots in 1..8_usize)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(check(&durations, slots));
    });
}

#[tokio::test(start_paused = true)]
async fn slots_are_units_and_not_artifacts() {
    let network = Network::default();
    let progress = Progress::default();
    let counter = progress.counter("sync.downloading.artifacts", "Downloading Artifacts");
    let names: [&[&str]; 3] = [&[], &["1"], &["1", "2"]];
    let units =
        (0..30).map(|number| files(number, names[usize::try_from(number % 3).expect("small")]));
    let downloader = network.downloader(4).counter(counter.clone());
    download(units.collect(), downloader).await;
    // Two units of one artifact and two of two.
    assert_eq!(network.most(), 6);
    assert_eq!((network.fetched(), counter.done()), (30, 30));
}

#[tokio::test(start_paused = true)]
async fn slow_downloads_do_not_hold_up_what_needs_none() {
    // Two groups of a hundred, each with one unit that has to be downloaded.
    let units = (0..200).map(|number| match number {
        0 => files(number, &["10"]),
        100 => files(number, &["20"]),
        _ => unit(number),
    });
    let arrivals = download(units.collect(), Network::default().downloader(3)).await;
    let late: Vec<_> = arrivals.into_iter().filter(|(time, _)| *time > 0).collect();
    assert_eq!(late, [(10, 0), (20, 100)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_here_or_deferred_is_not_downloaded() {
    let network = Network::default();
    let path = || RelativePath::new("a").expect("a safe path");
    let here = DeclarativeArtifact::from_verified(path(), Verified::from_bytes(Bytes::new()));
    let deferred = artifact(1, "1", None).deferred(true);
    let arrivals = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&arrivals);
    let last = stage("Last", |input, _| async move {
        let mut items = input.items();
        while let Some(unit) = items.next().await {
            assert!(unit.artifacts[0].downloaded().is_some());
            assert!(unit.artifacts[1].downloaded().is_none());
            *counted.lock().expect("not poisoned") += 1;
        }
        Ok(())
    });
    let unit = DeclarativeContent::new(Number(0), vec![here, deferred]);
    let line = line(feed_units(vec![unit])).stage(network.downloader(3)).stage(last).done();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!((network.fetched(), *arrivals.lock().expect("not poisoned")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_verified_later_is_not_deferred() {
    let network = Network::default();
    let mut artifact = artifact(0, "1", None).deferred(true);
    artifact.expected = Expected::default();
    let unit = DeclarativeContent::new(Number(0), vec![artifact]);
    download(vec![unit], network.downloader(3)).await;
    assert_eq!(network.fetched(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_download_surfaces_whatever_the_input_does() {
    let ending = |units: Vec<Unit>| feed_units(units);
    let open = |units: Vec<Unit>| {
        feed(|output: Outbox<Number>| async move {
            output.put_all(units).await?;
            std::future::pending().await
        })
    };
    let saturated = |units: Vec<Unit>| {
        feed(|output: Outbox<Number>| async move {
            output.put_all(units).await?;
            for number in 100.. {
                output.put(files(number, &["1000"])).await?;
            }
            Ok(())
        })
    };
    let firsts: [&dyn Fn(Vec<Unit>) -> Make; 3] = [&ending, &open, &saturated];
    for first in firsts {
        let network = Network::default();
        let units = vec![files(0, &["50"]), files(1, &["5", "7!"]), files(2, &["50"])];
        let line = line(first(units)).stage(network.downloader(3)).items("Last").done();
        let start = Instant::now();
        let error = kit::run(line, 10).await.expect_err("it fails");
        assert_eq!(since(start), 7);
        let PipelineError::Stage { stage, unit, source, .. } = error else { panic!("{error:?}") };
        assert_eq!((stage, &*source.to_string()), ("ArtifactDownloader", "404 Not Found"));
        assert_eq!(unit.as_deref(), Some("`test.number` `10/5`"));
        assert_eq!(network.running(), 0, "downloads run on");
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_all_downloads() {
    let network = Network::default();
    let units = (0..10).map(|number| files(number, &["50"])).collect();
    let line = line(feed_units(units)).stage(network.downloader(3)).items("Last").done();
    let cancelled = CancellationToken::new();
    let running = Pipeline::new(line).expect("a line").start();
    sleep(ticks(10)).await;
    assert_eq!(network.running(), 3);
    cancelled.cancel();
    let end = bounded(running.join(&cancelled)).await;
    assert!(matches!(end, Err(PipelineError::Cancelled)), "{end:?}");
    assert_eq!((network.running(), network.fetched()), (0, 0));
}

/// Takes nothing for a while.
fn busy(time: Duration) -> Make {
    stage("Busy", move |input: Inbox<Number>, _| async move {
        sleep(time).await;
        let mut items = input.items();
        while items.next().await.is_some() {}
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_keeps_no_download_waiting() {
    let network = Network::default();
    let units = (0..10).map(|number| files(number, &["5"])).collect();
    let line = line(feed_units(units)).stage(network.downloader(6)).stage(busy(ticks(30)));
    let running = Pipeline::new(line.done()).expect("a line").capacity(1).start();
    sleep(ticks(20)).await;
    // One is in the queue; five hold their slots until there is room; a seventh took the free one.
    assert_eq!((network.running(), network.fetched()), (0, 7));
    bounded(running.join(&CancellationToken::new())).await.expect("nothing fails");
    assert_eq!(network.fetched(), 10);
}

#[tokio::test(start_paused = true)]
async fn nor_does_a_unit_that_needs_none_when_the_outbox_is_full() {
    let network = Network::default();
    let units = vec![files(0, &["5"]), unit(1), unit(2), unit(3), files(4, &["5"])];
    let line = line(feed_units(units)).stage(network.downloader(6)).stage(busy(ticks(30)));
    let running = Pipeline::new(line.done()).expect("a line").capacity(1).start();
    sleep(ticks(20)).await;
    assert_eq!((network.running(), network.fetched()), (0, 2));
    bounded(running.join(&CancellationToken::new())).await.expect("nothing fails");
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_what_is_downloaded_and_not_saved() {
    let network = Network::default();
    let budget = Budget::new(100 * 1024);
    let units = (0..40_u64).map(|number| {
        let size = [30, 20, 500, 1][usize::try_from(number % 4).expect("small")] * 1024;
        DeclarativeContent::new(Number(number), vec![artifact(number, "1", Some(size))])
    });
    let count = Arc::new(AtomicUsize::new(0));
    let saved = Arc::clone(&count);
    let saver = stage("Saver", |input: Inbox<Number>, output| async move {
        let mut batches = input.batches(500);
        while let Some(mut batch) = batches.next().await {
            let sizes = batch.iter().filter_map(|unit| unit.artifacts[0].expected.size);
            let kib = sizes.sum::<u64>() / 1024;
            // What is larger than the budget comes alone.
            assert!(kib <= 100 || (kib, batch.len()) == (500, 1), "{kib} in {}", batch.len());
            saved.fetch_add(batch.len(), Ordering::SeqCst);
            for unit in &mut batch {
                unit.release();
            }
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let downloader = network.downloader(200).budget(budget.clone());
    let line = line(feed_units(units.collect())).stage(downloader).stage(saver).done();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(count.load(Ordering::SeqCst), 40);
    assert_eq!(budget.available_kib(), 100);
    assert!(network.most() <= 100);
}

#[tokio::test(start_paused = true)]
async fn sizes_that_upstream_invents_do_no_harm() {
    let network = Network::default();
    let artifacts = (0..3).map(|folder| artifact(folder, "1", Some(u64::MAX))).collect();
    let unit = DeclarativeContent::new(Number(0), artifacts);
    let downloader: Box<dyn Stage<Number>> = Box::new(network.downloader(3));
    assert_eq!(downloader.name(), "ArtifactDownloader");
    download(vec![unit], network.downloader(3)).await;
    assert_eq!(network.fetched(), 3);
}
