//! When a batch leaves: full, at the end, when somebody awaits it.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pulp_stages::{Inbox, Pipeline};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Pass, Seen, bounded, feed, feed_units, line, numbers, stage, unit};

/// All units arrive in order, and each batch has `min` units or whatever was left.
fn check(batches: &[Vec<u64>], items: u64, min: usize, context: &str) {
    assert_eq!(batches.concat(), (0..items).collect::<Vec<_>>(), "{context}");
    let mut left = usize::try_from(items).expect("small");
    for batch in batches {
        assert!(!batch.is_empty(), "{context}: an empty batch");
        assert!(batch.len() >= min.min(left), "{context}: {batches:?} is too small");
        left -= batch.len();
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_items_min_and_capacity_delivers_full_batches() {
    for items in 0..10 {
        for min in 1..5 {
            for capacity in (1..6).chain([1000]) {
                for pause in [None, Some(Duration::ZERO), Some(Duration::from_secs(1))] {
                    let first = feed(move |output| async move {
                        for unit in numbers(items) {
                            output.put(unit).await?;
                            match pause {
                                None => {}
                                Some(Duration::ZERO) => tokio::task::yield_now().await,
                                Some(time) => sleep(time).await,
                            }
                        }
                        Ok(())
                    });
                    let (line, seen) = line(first).collect_batches(min);
                    kit::run(line, capacity).await.expect("nothing fails");
                    let context = format!("{items} items, min {min}, {capacity}, {pause:?}");
                    check(&seen.batches(), items, min, &context);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whole_batches_pass_through_any_capacity() {
    for capacity in [1, 2, 7, 499, 500, 501, 5000] {
        let first = feed(|output| async move { Ok(output.put_all(numbers(2345)).await?) });
        let (line, seen) = line(first).batches("A", 500).items("B").collect_batches(500);
        let profile = kit::run(line, capacity).await.expect("nothing fails");
        check(&seen.batches(), 2345, 500, &format!("capacity {capacity}"));
        assert!(profile.stages.iter().all(|stage| stage.max_depth <= capacity), "{profile}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_everything_that_is_there() {
    let first = feed_units(numbers(700));
    let late = stage("Late", |input, output| async move {
        sleep(Duration::from_secs(1)).await;
        let mut batches = input.batches(500);
        while let Some(batch) = batches.next().await {
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let (line, seen) = line(first).stage(late).collect_batches(1);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches().iter().map(Vec::len).collect::<Vec<_>>(), [700]);
}

#[tokio::test(start_paused = true)]
async fn where_patience_ends_a_batch_leaves_with_what_there_is() {
    let begin = tokio::time::Instant::now();
    let first = feed(|output| async move {
        let mut units = numbers(5);
        let late = units.split_off(3);
        output.put_all(units).await?;
        sleep(Duration::from_secs(30)).await;
        Ok(output.put_all(late).await?)
    });
    let left = Arc::new(Mutex::new(Vec::new()));
    let leaving = Arc::clone(&left);
    let hasty = stage("Hasty", move |input, output| async move {
        let mut batches = input.batches(500);
        while let Some(batch) = batches.next_within(Duration::from_secs(5)).await {
            leaving.lock().expect("held for a moment").push((begin.elapsed(), batch.len()));
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let (line, _) = line(first).stage(hasty).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    let left: Vec<_> = left.lock().expect("held for a moment").clone();
    assert_eq!(
        left.iter().map(|(at, units)| (at.as_secs(), *units)).collect::<Vec<_>>(),
        [(5, 3), (30, 2)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_not_woken_before_its_batch_is_full() {
    let first = feed(|output| async move {
        for unit in numbers(1000) {
            output.put(unit).await?;
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    });
    let polls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&polls);
    let count = stage("Count", |input, output| async move {
        let mut batches = input.batches(500);
        while let Some(batch) = kit::counted(&counter, batches.next()).await {
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let (line, seen) = line(first).stage(count).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.numbers().len(), 1000);
    // Before and after each of the two batches, and before and after the end.
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 6, "polled {polls} times for two batches");
}

#[tokio::test(start_paused = true)]
async fn awaiting_a_unit_flushes_the_batch_in_which_it_waits() {
    let first = feed(|output| async move {
        output.put(unit(0)).await?;
        let second = output.put_awaitable(unit(1)).await?;
        output.put(unit(2)).await?;
        // Let the stage find out that three are not enough.
        sleep(Duration::from_secs(1)).await;
        let resolved = second.await?;
        assert_eq!(resolved.content.0, 1);
        // The next batch waits again until it is full.
        for number in 3..7 {
            output.put(unit(number)).await?;
            sleep(Duration::from_secs(1)).await;
        }
        output.put(unit(7)).await?;
        Ok(())
    });
    let (line, seen) = line(first).collect_batches(4);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0, 1, 2], vec![3, 4, 5, 6], vec![7]]);
}

#[tokio::test(start_paused = true)]
async fn awaiting_a_unit_flushes_every_later_batch_that_it_enters() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        handle.await?;
        output.put(unit(1)).await?;
        Ok(())
    });
    // It is awaited when it enters the first batch, and before it enters the others.
    let slow = Pass { name: "Slow", takes: Duration::from_secs(1), ..Pass::default() };
    let (line, seen) =
        line(first).batches("A", 500).stage(slow).batches("B", 500).collect_batches(500);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_flushed_does_not_make_the_next_one_small() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let waiter = output.scope().spawn(handle);
        sleep(Duration::from_secs(1)).await;
        // The stage works at the first one, and finds this one when it asks again.
        output.put(unit(1)).await?;
        sleep(Duration::from_secs(20)).await;
        output.put(unit(2)).await?;
        waiter.await??;
        Ok(())
    });
    let seen = Seen::default();
    let takes = Duration::from_secs(10);
    let slow = Pass { name: "Slow", min: 2, takes, seen: seen.clone(), ..Pass::default() };
    let (line, _) = line(first).stage(slow).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0], vec![1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_nobody_polls_does_not_hold_up_a_flush() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let mut stuck = pin!(output.put(unit(1)));
        assert!(futures::poll!(&mut stuck).is_pending(), "there is room for one");
        handle.await?;
        stuck.await?;
        Ok(())
    });
    let (line, seen) = line(first).collect_batches(500);
    kit::run(line, 1).await.expect("nothing fails");
    assert_eq!(seen.batches(), [[0], [1]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_a_stage_that_blocks_its_thread_until_then() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(handle))?;
        Ok(())
    });
    let (line, seen) = line(first).batches("A", 500).collect_batches(500);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [[0]]);
}

#[tokio::test(start_paused = true)]
async fn awaiting_a_unit_does_not_flush_the_batch_behind_it() {
    let first = feed(|output| async move {
        let handle = output.put_awaitable(unit(0)).await?;
        output.put(unit(1)).await?;
        sleep(Duration::from_millis(1)).await;
        // The stage has these two in hand by now. The next one waits for company.
        output.put(unit(2)).await?;
        handle.await?;
        sleep(Duration::from_secs(10)).await;
        output.put(unit(3)).await?;
        Ok(())
    });
    let seen = Seen::default();
    let takes = Duration::from_secs(1);
    let slow = Pass { name: "Slow", min: 2, takes, seen: seen.clone(), ..Pass::default() };
    let (line, _) = line(first).stage(slow).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [[0, 1], [2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_nobody_awaits_flushes_nothing() {
    let first = feed(|output| async move {
        let mut handles = Vec::new();
        for number in 0..3 {
            handles.push(output.put_awaitable(unit(number)).await?);
        }
        sleep(Duration::from_secs(1)).await;
        output.put(unit(3)).await?;
        futures::future::try_join_all(handles).await?;
        Ok(())
    });
    let (line, seen) = line(first).collect_batches(4);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0, 1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_no_longer_flushes() {
    let first = feed(|output| async move {
        let slow = output.put_awaitable(unit(0)).await?;
        // Given up while the unit is in `Slow`, so before it enters the batch.
        tokio::time::timeout(Duration::from_millis(500), slow).await.expect_err("too slow");
        sleep(Duration::from_secs(10)).await;
        output.put(unit(1)).await?;
        Ok(())
    });
    let slow = Pass { name: "Slow", takes: Duration::from_secs(1), ..Pass::default() };
    let (line, seen) = line(first).stage(slow).collect_batches(2);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0, 1]]);
}

#[tokio::test(start_paused = true)]
async fn backpressure_is_an_exact_count() {
    for capacity in [1, 2, 10, 1000] {
        let put = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&put);
        let first = feed(|output| async move {
            for unit in numbers(5000) {
                output.put(unit).await?;
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let busy = stage("Busy", |input: Inbox<_>, _| async move {
            let mut items = input.items();
            let _in_hand = items.next().await;
            std::future::pending().await
        });
        let pipeline = Pipeline::new(line(first).stage(busy).done()).expect("a line");
        let cancelled = CancellationToken::new();
        let cancel = async {
            sleep(Duration::from_secs(1)).await;
            cancelled.cancel();
        };
        let (end, ()) =
            bounded(async { tokio::join!(pipeline.capacity(capacity).run(&cancelled), cancel) })
                .await;
        end.expect_err("cancelled");
        let put = put.load(Ordering::SeqCst);
        // The queue, and the one unit that the stage has in hand.
        assert!((capacity..=capacity + 1).contains(&put), "{put} put, capacity {capacity}");
    }
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_batch_loses_nothing_when_it_is_given_up() {
    // A capacity below the batch's size makes it collect outside of the queue.
    for capacity in [1000, 3] {
        let first = feed(|output| async move {
            for unit in numbers(100) {
                output.put(unit).await?;
                sleep(Duration::from_millis(70)).await;
            }
            Ok(())
        });
        let impatient = stage("Impatient", |input, output| async move {
            let mut batches = input.batches(7);
            loop {
                match tokio::time::timeout(Duration::from_millis(100), batches.next()).await {
                    Ok(Some(batch)) => output.put_all(batch).await?,
                    Ok(None) => return Ok(()),
                    Err(_) => {}
                }
            }
        });
        let (line, seen) = line(first).stage(impatient).collect();
        kit::run(line, capacity).await.expect("nothing fails");
        assert_eq!(seen.numbers(), (0..100).collect::<Vec<_>>());
    }
}
