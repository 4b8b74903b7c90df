//! Awaiting many units must not cost the batches their size.

use std::time::Duration;

use pulp_stages::Profile;

use crate::kit::{self, Make, Pass, feed, line, numbers};

/// When a first stage awaits what it has put.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Await {
    Never,
    /// Handles are made, but nobody awaits them.
    Dropped,
    /// After everything was put, one after the other.
    OneByOne,
    /// After everything was put, all at once.
    All,
    /// Each in a task of its own, from the moment it is put.
    AtOnce,
}

const UNITS: u64 = 10_000;

fn first(how: Await) -> Make {
    feed(move |output| async move {
        let mut handles = Vec::new();
        let mut tasks = Vec::new();
        for mut unit in numbers(UNITS) {
            if how != Await::Never {
                handles.push(unit.resolution());
            }
            output.put(unit).await?;
            if how == Await::AtOnce
                && let Some(handle) = handles.pop()
            {
                tasks.push(output.scope().spawn(handle));
            }
        }
        match how {
            Await::Never | Await::Dropped => {}
            Await::OneByOne => {
                for handle in handles {
                    handle.await?;
                }
            }
            Await::All => {
                futures::future::try_join_all(handles).await?;
            }
            Await::AtOnce => {
                for task in tasks {
                    task.await??;
                }
            }
        }
        Ok(())
    })
}

/// A line like the default one: mostly batches, each of which takes its time.
async fn profile(how: Await, takes: [u64; 6]) -> Profile {
    let names = ["A", "B", "C", "D", "E", "F"];
    let mut building = line(first(how));
    for (at, (name, takes)) in names.into_iter().zip(takes).enumerate() {
        let takes = Duration::from_millis(takes);
        building = building.stage(Pass { name, min: 500, takes, ..Pass::default() });
        if at == 2 {
            building = building.items("Items");
        }
    }
    let (line, seen) = building.collect_batches(500);
    let profile = kit::run(line, 1000).await.expect("nothing fails");
    assert_eq!(seen.numbers().len(), 10_000);
    profile
}

/// The number of batches of every stage that takes batches.
fn batches(profile: &Profile) -> Vec<u64> {
    profile.stages.iter().map(|stage| stage.batches).filter(|count| *count > 0).collect()
}

async fn check(how: Await, takes: [u64; 6]) {
    let (without, with) = (profile(Await::Never, takes).await, profile(how, takes).await);
    let (expected, actual) = (batches(&without), batches(&with));
    let full = expected.iter().zip(&actual).all(|(expected, actual)| actual * 9 <= expected * 10);
    assert!(full, "{how:?}, {takes:?}: {actual:?} batches instead of {expected:?}\n{with}");
}

const PACES: [[u64; 6]; 4] = [[0; 6], [10; 6], [1, 40, 3, 20, 5, 9], [0, 0, 100, 0, 0, 0]];

#[tokio::test(start_paused = true)]
async fn with_handles_that_nobody_awaits() {
    for takes in PACES {
        check(Await::Dropped, takes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_handles_awaited_one_by_one_after_everything_was_put() {
    for takes in PACES {
        check(Await::OneByOne, takes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_handles_awaited_all_at_once_after_everything_was_put() {
    for takes in PACES {
        check(Await::All, takes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_handles_awaited_while_more_is_put() {
    for takes in PACES {
        check(Await::AtOnce, takes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_too() {
    for how in [Await::Dropped, Await::OneByOne, Await::All] {
        let count = batches(&profile(how, [0; 6]).await);
        // At most twenty full ones, and some that are smaller for want of units.
        assert!(count.iter().all(|count| *count <= 25), "{how:?}: {count:?}");
    }
}
