//! Content futures: what a handle tells, and that none can hang.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use pulp_models::{
    ContentId, Expected, RelativePath, Sha256,
    store::{Saved, Verified},
};
use pulp_stages::{
    DeclarativeArtifact, DeclarativeContent, Pipeline, PipelineError, Resolution, ResolutionError,
    StageError,
};
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Number, bounded, feed, line, stage, unit};

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("a safe path")
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_the_saved_content_and_its_artifacts() {
    let id = ContentId::new();
    let first = feed(move |output| async move {
        let bytes = Verified::from_bytes(Bytes::from_static(b"abc"));
        let here = DeclarativeArtifact::from_verified(path("a"), bytes);
        let url = "http://host/b".parse().expect("a URL");
        let expected = Expected { size: Some(7), digests: Sha256::of(b"b").into() };
        let later =
            DeclarativeArtifact::new(path("b"), vec![url], expected).expect("a URL is there");
        let unit = DeclarativeContent::new(Number(5), vec![here, later.deferred(true)]);
        let handle = output.put_awaitable(unit).await?;
        let resolved = handle.await?;
        assert_eq!((resolved.id, resolved.content), (Some(id), Number(5)));
        let [here, later] = &resolved.artifacts[..] else { panic!("two artifacts") };
        assert_eq!((here.sha256, here.size), (Some(Sha256::of(b"abc")), Some(3)));
        assert_eq!((later.sha256, later.size), (None, Some(7)));
        assert_eq!(later.relative_path, path("b"));
        Ok(())
    });
    let save = stage("Save", move |input, output| async move {
        let mut items = input.items();
        while let Some(mut unit) = items.next().await {
            let bytes = unit.artifacts[0].take_downloaded().expect("bytes");
            let (sha256, size) = (bytes.sha256(), bytes.size());
            let digests = bytes.digests().clone();
            unit.artifacts[0].set_saved(Saved { sha256, size, digests });
            unit.set_id(id);
            output.put(unit).await?;
        }
        Ok(())
    });
    let (line, _) = line(first).stage(save).collect();
    kit::run(line, 1000).await.expect("nothing fails");
}

#[tokio::test(start_paused = true)]
async fn all_handles_of_a_unit_tell_the_same_whenever_they_are_awaited() {
    let first = feed(|output| async move {
        let mut unit = unit(1);
        let handles: Vec<_> = (0..3).map(|_| unit.resolution()).collect();
        let clones: Vec<_> = handles.iter().map(Resolution::clone).collect();
        output.put(unit).await?;
        let first = handles[0].clone().await?;
        for handle in handles.into_iter().chain(clones) {
            let again = handle.now_or_never().expect("it is known already")?;
            assert!(Arc::ptr_eq(&first, &again));
        }
        Ok(())
    });
    let (line, _) = line(first).collect();
    kit::run(line, 1000).await.expect("nothing fails");
}

#[tokio::test]
async fn a_handle_made_after_the_unit_was_resolved_is_ready() {
    let mut unit = unit(3);
    unit.resolve();
    assert!(unit.is_resolved());
    let handle = unit.resolution();
    drop(unit);
    let resolved = handle.now_or_never().expect("ready").expect("resolved");
    assert_eq!((resolved.id, resolved.content), (None, Number(3)));
}

#[tokio::test(start_paused = true)]
async fn awaiting_a_unit_that_one_still_holds_is_an_error() {
    let first = feed(|output| async move {
        let mut unit = unit(0);
        let handle = unit.resolution();
        let error = handle.clone().await.expect_err("not put");
        assert_eq!(error, ResolutionError::NotPut { unit: "test.number" });
        assert_eq!(error.to_string(), "A `test.number` unit was awaited before it was put");
        output.put(unit).await?;
        // The same handle works once it can.
        handle.await?;
        Ok(())
    });
    // A later stage holds it too, though it was put before.
    let hold = stage("Hold", |input, output| async move {
        let mut items = input.items();
        while let Some(mut unit) = items.next().await {
            let handle = unit.resolution();
            let error = handle.await.expect_err("not put since");
            assert_eq!(error, ResolutionError::NotPut { unit: "test.number" });
            output.put(unit).await?;
        }
        Ok(())
    });
    let (line, _) = line(first).stage(hold).collect();
    kit::run(line, 1000).await.expect("nothing fails");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_waits_for_room_counts_as_put() {
    let first = feed(|output| async move {
        output.put(unit(0)).await?;
        let mut second = unit(1);
        let handle = second.resolution();
        let (put, resolved) = tokio::join!(output.put(second), handle);
        put?;
        assert_eq!(resolved?.content, Number(1));
        Ok(())
    });
    let late = stage("Late", |input, output| async move {
        sleep(Duration::from_secs(1)).await;
        let mut batches = input.batches(500);
        while let Some(batch) = batches.next().await {
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let (line, _) = line(first).stage(late).collect();
    kit::run(line, 1).await.expect("nothing fails");
}

#[tokio::test]
async fn a_unit_dropped_before_it_was_put_tells_so() {
    let mut unit = unit(0);
    let handle = unit.resolution();
    drop(unit);
    let error = handle.await.expect_err("dropped");
    assert_eq!(error.to_string(), "A `test.number` unit was dropped unresolved");
}

#[tokio::test(start_paused = true)]
async fn a_unit_dropped_by_a_stage_tells_by_which() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let error = handle.await.expect_err("dropped");
        assert_eq!(
            error.to_string(),
            "A `test.number` unit was dropped unresolved by stage `Lose`"
        );
        Ok(())
    });
    let lose = stage("Lose", |input, _| async move {
        let mut items = input.items();
        while let Some(unit) = items.next().await {
            drop(unit);
        }
        Ok(())
    });
    kit::run(line(first).items("A").stage(lose).done(), 1000).await.expect("nothing fails");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_leaves_the_line_unresolved_tells_so() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let error = handle.await.expect_err("dropped");
        assert_eq!(
            error.to_string(),
            "A `test.number` unit was dropped unresolved by stage `Last`"
        );
        Ok(())
    });
    kit::run(line(first).items("Last").done(), 1000).await.expect("nothing fails");
}

/// Runs a line whose first stage gives a handle away and whose second one does as told.
async fn outcome(
    end: impl FnOnce() -> Result<(), StageError> + Send + 'static,
    cancelled: &CancellationToken,
) -> (ResolutionError, PipelineError) {
    let (sender, handle) = oneshot::channel();
    let first = feed(|output| async move {
        let _ = sender.send(output.put_awaitable(unit(0)).await?);
        std::future::pending().await
    });
    let wrong = stage("Wrong", |input, _| async move {
        // The unit is not in this stage's hands when it happens: it waits in a batch.
        let mut batches = input.batches(500);
        let _ = tokio::time::timeout(Duration::from_secs(1), batches.next()).await;
        end()?;
        std::future::pending().await
    });
    let pipeline = Pipeline::new(line(first).stage(wrong).done()).expect("a line");
    let error = bounded(pipeline.run(cancelled)).await.expect_err("it fails");
    let handle: Resolution<Number> = handle.await.expect("given away");
    let unit = handle.now_or_never().expect("known when the run is over");
    (unit.expect_err("it fails"), error)
}

#[tokio::test(start_paused = true)]
async fn a_unit_in_a_run_that_was_cancelled_tells_so() {
    let cancelled = CancellationToken::new();
    let inside = cancelled.clone();
    let end = move || {
        inside.cancel();
        Ok(())
    };
    let (unit, run) = outcome(end, &cancelled).await;
    assert_eq!(unit.to_string(), "A `test.number` unit was given up since the run was cancelled");
    assert!(matches!(run, PipelineError::Cancelled), "{run:?}");
}

#[tokio::test(start_paused = true)]
async fn a_unit_in_the_hands_of_the_stage_that_fails_tells_so() {
    let end = || Err(StageError::message("Broken"));
    let (unit, run) = outcome(end, &CancellationToken::new()).await;
    // The stage that fails drops its own inbox first.
    assert_eq!(unit.to_string(), "A `test.number` unit was dropped unresolved by stage `Wrong`");
    assert_eq!(run.to_string(), "Stage `Wrong` failed");
}

#[tokio::test(start_paused = true)]
async fn a_unit_elsewhere_in_a_run_that_failed_tells_where() {
    let (sender, handle) = oneshot::channel();
    let first = feed(|output| async move {
        let mut unit = unit(0);
        let _ = sender.send(unit.resolution());
        output.put(unit).await?;
        std::future::pending().await
    });
    let wrong = stage("Wrong", |_, _| async move {
        sleep(Duration::from_secs(1)).await;
        Err(StageError::message("Broken"))
    });
    let line = line(first).batches("Wait", 500).stage(wrong).done();
    kit::run(line, 1000).await.expect_err("it fails");
    let handle: Resolution<Number> = handle.await.expect("given away");
    let unit = handle.now_or_never().expect("known when the run is over");
    assert_eq!(
        unit.expect_err("it fails").to_string(),
        "A `test.number` unit was given up since stage `Wrong` failed"
    );
}

#[tokio::test(start_paused = true)]
async fn cancelling_one_waiter_harms_no_other() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.await.map(|unit| unit.content.0) })
            })
            .collect();
        sleep(Duration::from_millis(500)).await;
        for waiter in waiters.iter().step_by(2) {
            waiter.abort();
        }
        for (number, waiter) in waiters.into_iter().enumerate() {
            match waiter.await {
                Ok(result) => assert_eq!((number % 2, result), (1, Ok(0))),
                Err(error) => assert!(error.is_cancelled() && number % 2 == 0, "{error}"),
            }
        }
        Ok(())
    });
    let slow = kit::Pass { name: "Slow", takes: Duration::from_secs(1), ..kit::Pass::default() };
    let (line, _) = line(first).stage(slow).collect();
    kit::run(line, 1000).await.expect("nothing fails");
}
