//! The byte budget: it bounds, it cannot drift, and who waits for it empties the batches.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use pulp_stages::Budget;
use tokio::time::sleep;

use crate::kit::{self, Seen, bounded, feed, line, numbers, stage, unit};

const KIB: u64 = 1024;

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_waits_until_enough_is_given_back() {
    let budget = Budget::new(10 * KIB);
    let (first, second) = (budget.acquire(4 * KIB).await, budget.acquire(5 * KIB).await);
    let mut third = pin!(budget.acquire(3 * KIB));
    assert!(third.as_mut().now_or_never().is_none());
    assert!(budget.is_blocked());
    drop(first);
    let third = bounded(third).await;
    assert!(!budget.is_blocked());
    assert_eq!((third.kib(), budget.available_kib()), (3, 2));
    drop((second, third));
    assert_eq!(budget.available_kib(), budget.capacity_kib());
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_everything_passes_alone() {
    // A budget of nothing lets one at a time pass, too.
    for capacity in [0, 10 * KIB] {
        let budget = Budget::new(capacity);
        let large = budget.acquire(u64::MAX).await;
        assert_eq!(budget.available_kib(), 0);
        let mut small = pin!(budget.acquire(0));
        assert!(small.as_mut().now_or_never().is_none());
        drop(large);
        let small = bounded(small).await;
        let mut large = pin!(budget.acquire(capacity + 1));
        assert!(large.as_mut().now_or_never().is_none());
        drop(small);
        drop(bounded(large).await);
        assert_eq!(budget.available_kib(), budget.capacity_kib());
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_one_is_not_overtaken_for_ever_by_small_ones() {
    let budget = Budget::new(10 * KIB);
    let held = budget.acquire(KIB).await;
    let mut large = pin!(budget.acquire(10 * KIB));
    assert!(large.as_mut().now_or_never().is_none());
    let mut small = pin!(budget.acquire(KIB));
    assert!(small.as_mut().now_or_never().is_none(), "there is room, but not its turn");
    drop(held);
    drop(bounded(large).await);
    bounded(small).await;
}

#[tokio::test(start_paused = true)]
async fn giving_up_waiting_takes_nothing() {
    let budget = Budget::new(10 * KIB);
    let held = budget.acquire(6 * KIB).await;
    assert!(budget.acquire(6 * KIB).now_or_never().is_none());
    assert!(!budget.is_blocked());
    assert_eq!(budget.available_kib(), 4);
    drop(held);
    assert_eq!(budget.available_kib(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_producers_never_exceed_it() {
    let budget = Budget::new(100 * KIB);
    let used = Arc::new(AtomicUsize::new(0));
    let producers = (0..10_u64).map(|producer| {
        let (budget, used) = (budget.clone(), Arc::clone(&used));
        tokio::spawn(async move {
            for step in 0..100 {
                let permit = budget.acquire((producer * 37 + step * 13) % 150 * KIB).await;
                let kib = usize::try_from(permit.kib()).expect("small");
                assert!(used.fetch_add(kib, Ordering::SeqCst) + kib <= 100);
                sleep(Duration::from_millis(step % 7)).await;
                used.fetch_sub(kib, Ordering::SeqCst);
            }
        })
    });
    bounded(futures::future::try_join_all(producers)).await.expect("no producer panics");
    assert_eq!(budget.available_kib(), 100);
}

/// A stage that charges each unit one KiB, as the downloader does.
fn charge(budget: &Budget) -> kit::Make {
    let budget = budget.clone();
    stage("Charge", |input, output| async move {
        let mut items = input.items();
        while let Some(mut unit) = items.next().await {
            unit.charge(budget.acquire(KIB).await);
            output.put(unit).await?;
        }
        Ok(())
    })
}

/// A stage that gives permits back in batches, as `ArtifactSaver` does.
fn release(min: usize, seen: &Seen) -> kit::Make {
    let seen = seen.clone();
    stage("Release", move |input, output| async move {
        let mut batches = input.batches(min);
        while let Some(mut batch) = batches.next().await {
            seen.add(&batch);
            for unit in &mut batch {
                unit.release();
            }
            output.put_all(batch).await?;
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_budget_flushes_the_batches_that_hold_it() {
    for capacity in [1, 2, 1000] {
        let budget = Budget::new(4 * KIB);
        let first = feed(|output| async move { Ok(output.put_all(numbers(103)).await?) });
        let seen = Seen::default();
        let (line, end) = line(first)
            .stage(charge(&budget))
            .batches("Between", 500)
            .stage(release(500, &seen))
            .collect();
        kit::run(line, capacity).await.expect("nothing fails");
        assert_eq!(end.numbers(), (0..103).collect::<Vec<_>>());
        let largest = seen.batches().iter().map(Vec::len).max();
        assert_eq!(largest, Some(4), "capacity {capacity}");
        assert_eq!(budget.available_kib(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_suffices_leaves_batches_full() {
    let budget = Budget::new(2000 * KIB);
    let first = feed(|output| async move { Ok(output.put_all(numbers(2000)).await?) });
    let seen = Seen::default();
    let (line, _) = line(first).stage(charge(&budget)).stage(release(500, &seen)).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert!(seen.batches().iter().all(|batch| batch.len() >= 500), "{:?}", seen.batches());
}

#[tokio::test(start_paused = true)]
async fn a_blocked_budget_does_not_concern_batches_without_its_permits() {
    let budget = Budget::new(KIB);
    let all = budget.acquire(KIB).await;
    let blocked = tokio::spawn({
        let budget = budget.clone();
        async move { drop(budget.acquire(KIB).await) }
    });
    let first = feed(|output| async move {
        for unit in numbers(4) {
            output.put(unit).await?;
            sleep(Duration::from_secs(1)).await;
        }
        drop(all);
        Ok(())
    });
    let (line, seen) = line(first).collect_batches(4);
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.batches(), [vec![0, 1, 2, 3]]);
    bounded(blocked).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_budget_does_not_make_an_empty_batch_spin() {
    let budget = Budget::new(KIB);
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let first = feed({
        let budget = budget.clone();
        |output| async move {
            let mut charged = unit(0);
            charged.charge(budget.acquire(KIB).await);
            output.put(charged).await?;
            // Blocked for as long as `Count` holds the unit, and its next batch is empty.
            let mut second = unit(1);
            second.charge(budget.acquire(KIB).await);
            output.put(second).await?;
            Ok(())
        }
    });
    let count = stage("Count", |input, output| async move {
        let mut batches = input.batches(500);
        let mut held = batches.next().await.expect("the first unit");
        let next = kit::counted(&counted, batches.next());
        let end = tokio::time::timeout(Duration::from_secs(30), next).await;
        assert!(end.is_err(), "there was nothing to take");
        held[0].release();
        output.put_all(held).await?;
        while let Some(batch) = batches.next().await {
            output.put_all(batch).await?;
        }
        Ok(())
    });
    let (line, seen) = line(first).stage(count).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.numbers(), [0, 1]);
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 3, "polled {polls} times for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_dropped_gives_its_permit_back() {
    let budget = Budget::new(KIB);
    let lose = stage("Lose", |input, _| async move {
        let mut items = input.items();
        while let Some(unit) = items.next().await {
            drop(unit);
        }
        Ok(())
    });
    let first = feed(|output| async move { Ok(output.put_all(numbers(10)).await?) });
    let (line, _) = line(first).stage(charge(&budget)).stage(lose).collect();
    kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(budget.available_kib(), 1);
}
