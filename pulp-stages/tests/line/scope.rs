//! What stages spawn: nothing of it outlives the run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use pulp_stages::{Closed, Pipeline, PipelineError, StageError};
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::kit::{self, bounded, feed, line, numbers, unit};

/// Set when it is dropped.
struct Sets(Arc<AtomicBool>);

impl Drop for Sets {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn flag() -> (Sets, impl Fn() -> bool) {
    let flag = Arc::new(AtomicBool::new(false));
    (Sets(Arc::clone(&flag)), move || flag.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_child_gives_its_value() {
    let first = feed(|output| async move {
        let scope = output.scope();
        let (a, b, c) = tokio::join!(
            scope.spawn(async { 1 }),
            scope.spawn_blocking(|| 2),
            scope.shield(async { 3 })
        );
        assert_eq!(a? + b? + c?, 6);
        Ok(())
    });
    kit::run(line(first).done(), 1).await.expect("nothing fails");
}

#[tokio::test(start_paused = true)]
async fn children_put_units_too() {
    let first = feed(|output| async move {
        let children: Vec<_> = (0..10)
            .map(|child| {
                let output = output.clone();
                let scope = output.scope().clone();
                scope.spawn(async move {
                    for number in 0..100 {
                        output.put(unit(child * 100 + number)).await?;
                    }
                    Ok::<_, StageError>(())
                })
            })
            .collect();
        for child in children {
            child.await??;
        }
        Ok(())
    });
    let (line, seen) = line(first).batches("A", 7).collect();
    kit::run(line, 3).await.expect("nothing fails");
    let mut numbers = seen.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parser_on_the_blocking_pool_feels_the_backpressure() {
    let first = feed(|output| async move {
        let scope = output.scope().clone();
        scope
            .spawn_blocking(move || {
                let mut units = numbers(1000).into_iter();
                loop {
                    let batch: Vec<_> = units.by_ref().take(64).collect();
                    if batch.is_empty() {
                        return Ok::<_, Closed>(());
                    }
                    output.blocking_put_all(batch)?;
                }
            })
            .await??;
        Ok(())
    });
    let (line, seen) = line(first).batches("A", 10).collect();
    let profile = kit::run(line, 5).await.expect("nothing fails");
    assert_eq!(seen.numbers(), (0..1000).collect::<Vec<_>>());
    assert!(profile.stages[1].max_depth <= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parser_that_waits_for_room_ends_with_the_run() {
    let (set, ended) = flag();
    let first = feed(|output| async move {
        let scope = output.scope().clone();
        let parser = scope.spawn_blocking(move || {
            let _set = set;
            output.blocking_put_all(numbers(1000))
        });
        parser.await??;
        Ok(())
    });
    let full = kit::stage("Full", |input, _| async move {
        let mut items = input.items();
        let _one = items.next().await;
        tokio::task::yield_now().await;
        Err(StageError::message("Broken"))
    });
    let error = kit::run(line(first).stage(full).done(), 5).await.expect_err("it fails");
    assert_eq!(error.to_string(), "Stage `Full` failed");
    assert!(ended());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_child_is_an_error_of_its_stage() {
    let async_child = feed(|output| async move {
        output.scope().spawn(async { panic!("child") }).await?;
        Ok(())
    });
    let blocking_child = feed(|output| async move {
        output.scope().spawn_blocking(|| panic!("child")).await?;
        Ok(())
    });
    for first in [async_child, blocking_child] {
        let error = kit::run(line(first).done(), 1).await.expect_err("it panics");
        assert_eq!(error.to_string(), "Stage `Feed` panicked: child");
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_ends_with_its_stage() {
    let (set, ended) = flag();
    let first = feed(|output| async move {
        let _child = output.scope().spawn(async move {
            let _set = set;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        Ok(())
    });
    kit::run(line(first).done(), 1).await.expect("nothing fails");
    assert!(ended());
}

#[tokio::test(start_paused = true)]
async fn children_end_when_another_stage_fails() {
    let (set, ended) = flag();
    let first = feed(|output| async move {
        let child = output.scope().spawn(async move {
            let _set = set;
            std::future::pending::<()>().await;
        });
        child.await?;
        Ok(())
    });
    let failing = kit::stage("Failing", |_, _| async {
        sleep(Duration::from_secs(1)).await;
        Err(StageError::message("Broken"))
    });
    let error = kit::run(line(first).stage(failing).done(), 1).await.expect_err("it fails");
    assert_eq!(error.to_string(), "Stage `Failing` failed");
    assert!(ended());
}

#[tokio::test]
async fn a_run_waits_for_blocking_work_though_nobody_else_does() {
    let (set, ended) = flag();
    let (go, gone) = mpsc::channel::<()>();
    let (begin, begun) = oneshot::channel();
    let first = feed(|output| async move {
        // Dropped, but it cannot be stopped.
        drop(output.scope().spawn_blocking(move || {
            let _set = set;
            let _ = begin.send(());
            let _ = gone.recv();
        }));
        begun.await?;
        Err(StageError::message("Broken"))
    });
    let running = Pipeline::new(line(first).done()).expect("a line").start();
    let never = CancellationToken::new();
    let mut join = std::pin::pin!(running.join(&never));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut join).is_pending());
    }
    assert!(!ended());
    drop(go);
    bounded(join).await.expect_err("it fails");
    assert!(ended());
}

#[tokio::test(start_paused = true)]
async fn shielded_work_comes_to_its_end_in_a_cancelled_run() {
    let (set, ended) = flag();
    let first = feed(|output| async move {
        let work = output.scope().shield(async move {
            sleep(Duration::from_secs(30)).await;
            drop(set);
        });
        work.await?;
        Ok(())
    });
    let cancelled = CancellationToken::new();
    let pipeline = Pipeline::new(line(first).done()).expect("a line");
    let cancel = async {
        sleep(Duration::from_secs(1)).await;
        cancelled.cancel();
        tokio::task::yield_now().await;
        assert!(!ended());
    };
    let (end, ()) = bounded(async { tokio::join!(pipeline.run(&cancelled), cancel) }).await;
    assert!(matches!(end, Err(PipelineError::Cancelled)), "{end:?}");
    assert!(ended());
}

/// Does something when its stage's future is dropped.
struct Late<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Late<F> {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_spawned_in_a_run_that_is_over_does_not_begin() {
    let ((task, task_dropped), (work, work_dropped)) = (flag(), flag());
    let first = feed(|output| async move {
        let scope = output.scope().clone();
        let _late = Late(Some(move || {
            drop(scope.spawn(async { std::mem::forget(task) }));
            drop(scope.spawn_blocking(|| std::mem::forget(work)));
        }));
        std::future::pending().await
    });
    let failing = kit::stage("Failing", |_, _| async { Err(StageError::message("Broken")) });
    kit::run(line(first).stage(failing).done(), 1).await.expect_err("it fails");
    // Otherwise these would have been forgotten.
    assert!(task_dropped() && work_dropped());
}
