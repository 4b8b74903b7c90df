//! How a run ends when something goes wrong: at once, whole, and with the right error.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pulp_models::{Expected, RelativePath, RemoteUrl};
use pulp_stages::{
    Blame, DeclarativeArtifact, DeclarativeContent, Line, LineError, Pipeline, PipelineError,
    StageError,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Make, Number, Pass, bounded, feed, feed_units, line, numbers, stage, unit};

/// The message and those of its causes.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// Passes on until it fails at the `at`th unit.
fn failing(at: usize, fail: impl Fn() -> StageError + Send + Sync + 'static) -> Make {
    stage("Failing", move |input, output| async move {
        let mut items = input.items();
        let mut count = 0;
        while let Some(unit) = items.next().await {
            if count == at {
                return Err(fail());
            }
            count += 1;
            output.put(unit).await?;
        }
        Ok(())
    })
}

fn broken() -> StageError {
    StageError::from(io::Error::other("disk on fire"))
}

#[tokio::test(start_paused = true)]
async fn an_error_names_stage_unit_and_url_and_hides_credentials() {
    let first = feed(|_| async {
        let url: RemoteUrl = "http://me:secret@host/a/b.iso?token=x".parse()?;
        let path = RelativePath::new("a/b.iso")?;
        let artifact = DeclarativeArtifact::new(path, vec![url.clone()], Expected::default())?;
        let unit = DeclarativeContent::new(Number(1), vec![artifact]);
        Err(io::Error::other("refused")).at_url(&url).at_unit(&unit)
    });
    let error = kit::run(line(first).done(), 1).await.expect_err("it fails");
    insta::assert_debug_snapshot!(chain(&error), @r#"
    [
        "Stage `Feed` failed on `test.number` `a/b.iso` at `http://host/a/b.iso?...`",
        "refused",
    ]
    "#);
}

#[tokio::test(start_paused = true)]
async fn the_first_name_that_was_given_stays() {
    let first = feed(|_| async { Err::<(), _>(broken()).at_unit(&unit(1)).at_unit(&unit(2)) });
    let error = kit::run(line(first).done(), 1).await.expect_err("it fails");
    let PipelineError::Stage { unit: named, .. } = error else { panic!("{error:?}") };
    assert_eq!(named, Some(unit(1).to_string()));
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_stage_that_failed_is_reported_wherever_it_stands() {
    for at in [0, 1, 700, 1999] {
        for before in 0..3 {
            for capacity in [1, 1000] {
                let mut building = line(feed_units(numbers(2000)));
                for name in ["A", "B", "C"].into_iter().take(before) {
                    building = building.batches(name, 7);
                }
                let building = building.stage(failing(at, broken)).batches("Z", 100);
                let error = kit::run(building.done(), capacity).await.expect_err("it fails");
                assert_eq!(chain(&error), ["Stage `Failing` failed", "disk on fire"]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consequences_of_an_error_never_hide_it() {
    for round in 0..200 {
        // Awaits its units, and so gets an error from the stage that drops them.
        let first = feed(|output| async move {
            for unit in numbers(100) {
                output.put_awaitable(unit).await?.await?;
            }
            Ok(())
        });
        let (line, _) = line(first)
            .batches("A", 3)
            .stage(failing(round % 100, broken))
            .batches("B", 500)
            .collect();
        let error = kit::run(line, 1 + round % 3).await.expect_err("it fails");
        assert_eq!(chain(&error), ["Stage `Failing` failed", "disk on fire"], "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_a_stage_loses_is_an_error_of_who_awaits_it() {
    let first = feed(|output| async move {
        output.put_awaitable(unit(0)).await?.await?;
        Ok(())
    });
    let error = kit::run(line(first).items("Last").done(), 1).await.expect_err("it fails");
    assert_eq!(
        chain(&error),
        ["Stage `Feed` failed", "A `test.number` unit was dropped unresolved by stage `Last`"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_that_names_the_stage() {
    let panicking = failing(1, || panic!("impossible {}", 42));
    let error = kit::run(line(feed_units(numbers(5))).stage(panicking).done(), 1).await;
    assert_eq!(chain(&error.expect_err("it panics")), ["Stage `Failing` panicked: impossible 42"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_look_like_the_end_to_the_next_stage() {
    let ended = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&ended);
    let last = stage("Last", |input, _| async move {
        let mut batches = input.batches(500);
        while batches.next().await.is_some() {}
        noticed.store(true, Ordering::SeqCst);
        Ok(())
    });
    let first = line(feed_units(numbers(10)));
    kit::run(first.stage(failing(5, broken)).stage(last).done(), 1000).await.expect_err("it fails");
    assert!(!ended.load(Ordering::SeqCst), "a mirror would have removed everything now");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_does_not_read_to_the_end_is_an_error() {
    let lazy = || stage("Lazy", |_, _| async { Ok(()) });
    let early = || {
        stage("Lazy", |input, output| async move {
            let mut batches = input.batches(3);
            if let Some(batch) = batches.next().await {
                output.put_all(batch).await?;
            }
            Ok(())
        })
    };
    for make in [lazy, early] {
        for (units, capacity) in [(0, 1), (3, 1000), (10, 1), (10, 1000)] {
            let line = line(feed_units(numbers(units))).stage(make()).items("Last");
            let error = kit::run(line.done(), capacity).await;
            if units == 0 && error.is_ok() {
                // It asked, and so it saw the end.
                continue;
            }
            let error = error.expect_err("units would be lost");
            assert_eq!(chain(&error), ["Stage `Lazy` ended before its input did"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_stage_need_not_look_at_its_input() {
    let first = feed(|output| async move { Ok(output.put_all(numbers(3)).await?) });
    let profile = kit::run(line(first).items("Last").done(), 1).await.expect("nothing fails");
    assert_eq!(profile.stages[1].received, 3);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_run_wherever_it_is() {
    for after in [0, 1, 50, 900] {
        let cancelled = CancellationToken::new();
        let first = feed(|output| async move {
            for unit in numbers(1000) {
                output.put(unit).await?;
                sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
        let (line, seen) = line(first).batches("A", 500).collect();
        let pipeline = Pipeline::new(line).expect("a line");
        let cancel = async {
            sleep(Duration::from_millis(after)).await;
            cancelled.cancel();
        };
        let (end, ()) = bounded(async { tokio::join!(pipeline.run(&cancelled), cancel) }).await;
        let error = end.expect_err("cancelled");
        assert!(matches!(error, PipelineError::Cancelled), "{error:?}");
        assert!(seen.numbers().len() < 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_when_it_is_over_is_over() {
    let cancelled = CancellationToken::new();
    let pipeline = Pipeline::new(line(feed_units(numbers(5))).done()).expect("a line");
    bounded(pipeline.run(&cancelled)).await.expect("nothing fails");
    cancelled.cancel();
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_cancellation_is_what_is_reported() {
    let cancelled = CancellationToken::new();
    let outside = cancelled.clone();
    let first = feed(|_| async move { Err(broken()) });
    let second = stage("Second", |input, _| async move {
        let _input = input;
        std::future::pending().await
    });
    let running = Pipeline::new(line(first).stage(second).done()).expect("a line").start();
    // The error has happened, but nobody has asked yet.
    sleep(Duration::from_secs(1)).await;
    outside.cancel();
    let error = bounded(running.join(&cancelled)).await.expect_err("it failed");
    assert_eq!(chain(&error), ["Stage `Feed` failed", "disk on fire"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_run_tells_every_stage_to_end() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let first = feed(|output| async move {
        output.put_all(numbers(3)).await?;
        std::future::pending::<()>().await;
        drop(held);
        Ok(())
    });
    let running = Pipeline::new(line(first).batches("A", 500).done()).expect("a line").start();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(running);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn every_unit_is_dropped_when_the_run_has_failed() {
    let units = Arc::new(());
    let counted = Arc::clone(&units);
    let first = feed(|output| async move {
        for mut unit in numbers(5000) {
            unit.extra = Some(Arc::clone(&counted));
            output.put(unit).await?;
        }
        Ok(())
    });
    let slow = Pass { name: "Slow", takes: Duration::from_millis(1), ..Pass::default() };
    let line =
        line(first).batches("A", 700).stage(slow).stage(failing(900, broken)).batches("B", 7);
    kit::run(line.done(), 100).await.expect_err("it fails");
    assert_eq!(Arc::strong_count(&units), 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_makes_no_sense_does_not_start() {
    let started = Arc::new(AtomicUsize::new(0));
    let counting = || {
        let started = Arc::clone(&started);
        let count = move || async move {
            started.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        Line::new()
            .push(Box::new(feed(|_| count())))
            .push(Box::new(Pass { name: "A", ..Pass::default() }))
    };
    let pass = |name| Box::new(Pass { name, ..Pass::default() });
    let refused = |line: Line<Number>| match Pipeline::new(line) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    };
    let unknown = refused(counting().before("Nobody", pass("B")).push(pass("C")));
    assert_eq!(unknown.to_string(), "No stage `Nobody` in the line `Feed`, `A`");
    assert_eq!(refused(counting().push(pass("A"))), LineError::Twice("A"));
    assert_eq!(refused(Line::new()), LineError::Empty);
    assert_eq!(
        refused(counting().without("B").without("A")).to_string(),
        "No stage `B` in the line `Feed`, `A`"
    );
    let run = kit::run(counting().without("B"), 1).await.expect_err("no such stage");
    assert!(matches!(run, PipelineError::Line(_)), "{run:?}");
    assert_eq!(started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_line_is_edited_by_name() {
    let pass = |name| Box::new(Pass { name, ..Pass::default() });
    let line = Line::new()
        .push(pass("C"))
        .before("C", pass("A"))
        .after("A", pass("B"))
        .push(pass("X"))
        .replace("X", pass("D"))
        .push(pass("Y"))
        .without("Y")
        .push_front(Box::new(feed_units(numbers(10))));
    assert_eq!(line.names(), ["Feed", "A", "B", "C", "D"]);
    let profile = kit::run(line, 1).await.expect("nothing fails");
    let names: Vec<_> = profile.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["Feed", "A", "B", "C", "D"]);
}
