//! What the profile says of a run, in paused time: to the millisecond.

use std::time::Duration;

use pulp_stages::{Pipeline, Profile, StageProfile};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Pass, bounded, feed, line, numbers, stage};

const SECOND: Duration = Duration::from_secs(1);

/// What of a stage does not depend on the machine.
fn figures(stage: &StageProfile) -> (&str, [u64; 2], [u64; 3], usize, [Duration; 3]) {
    let batches = [stage.batches, stage.smallest_batch, stage.largest_batch];
    let times = [stage.working, stage.waiting, stage.blocked];
    (stage.name, [stage.received, stage.sent], batches, stage.max_depth, times)
}

/// A first stage that takes a second per unit, a stage that takes two per batch of at least two, a
/// last one that takes three per unit.
async fn profile(units: u64, capacity: usize) -> Profile {
    let first = feed(move |output| async move {
        for unit in numbers(units) {
            sleep(SECOND).await;
            output.put(unit).await?;
        }
        Ok(())
    });
    let pairs = Pass { name: "Pairs", min: 2, takes: 2 * SECOND, ..Pass::default() };
    let singles = Pass { name: "Singles", takes: 3 * SECOND, ..Pass::default() };
    let line = line(first).stage(pairs).stage(singles).done();
    kit::run(line, capacity).await.expect("nothing fails")
}

#[tokio::test(start_paused = true)]
async fn each_stage_knows_what_it_waited_for() {
    let profile = profile(4, 1000).await;
    let [first, pairs, singles] = &profile.stages[..] else { panic!("{profile}") };
    // Units at 1, 2, 3, 4; batches from 2 to 4 and from 4 to 6; singles from 4 to 16.
    assert_eq!(profile.elapsed, 16 * SECOND);
    let times = [4 * SECOND, Duration::ZERO, Duration::ZERO];
    assert_eq!(figures(first), ("Feed", [0, 4], [0, 0, 0], 0, times));
    let times = [4 * SECOND, 2 * SECOND, Duration::ZERO];
    assert_eq!(figures(pairs), ("Pairs", [4, 4], [2, 2, 2], 2, times));
    assert_eq!(pairs.mean_batch(), Some(2.0));
    let times = [12 * SECOND, 4 * SECOND, Duration::ZERO];
    assert_eq!(figures(singles), ("Singles", [4, 4], [0, 0, 0], 3, times));
    assert_eq!(singles.mean_batch(), None);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_blocks_who_puts_into_it() {
    let profile = profile(8, 2).await;
    let [first, pairs, singles] = &profile.stages[..] else { panic!("{profile}") };
    assert_eq!(singles.working, 24 * SECOND);
    assert_eq!(singles.working + singles.waiting, profile.elapsed);
    assert!(pairs.blocked > SECOND, "{profile}");
    assert_eq!(pairs.working, 8 * SECOND);
    assert_eq!(first.working, 8 * SECOND);
    assert!(profile.stages.iter().all(|stage| stage.max_depth <= 2), "{profile}");
}

#[tokio::test(start_paused = true)]
async fn who_no_longer_asks_does_not_wait() {
    let first = feed(|output| async move {
        sleep(10 * SECOND).await;
        output.put_all(numbers(1)).await?;
        Ok(())
    });
    let impatient = stage("Impatient", |input, _| async move {
        let mut items = input.items();
        tokio::time::timeout(SECOND, items.next()).await.expect_err("nothing is there yet");
        sleep(5 * SECOND).await;
        while items.next().await.is_some() {}
        Ok(())
    });
    let profile = kit::run(line(first).stage(impatient).done(), 1).await.expect("nothing fails");
    let impatient = &profile.stages[1];
    assert_eq!((impatient.waiting, impatient.working), (5 * SECOND, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_watched() {
    let first = feed(|output| async move {
        output.put_all(numbers(3)).await?;
        sleep(5 * SECOND).await;
        Ok(())
    });
    let running = Pipeline::new(line(first).items("Last").done()).expect("a line").start();
    let monitor = running.monitor();
    sleep(2 * SECOND).await;
    let half = monitor.snapshot();
    assert_eq!((half.elapsed, half.stages[1].received), (2 * SECOND, 3));
    // It waits now, and that counts already.
    assert_eq!(half.stages[1].waiting, 2 * SECOND);
    let whole = bounded(running.join(&CancellationToken::new())).await.expect("nothing fails");
    assert_eq!(whole.stages[1].waiting, 5 * SECOND);
    // It can be asked when it is over, too.
    assert_eq!(monitor.snapshot().stages, whole.stages);
}

#[tokio::test(start_paused = true)]
async fn it_is_data_for_programs_and_a_table_for_people() {
    let mut profile = profile(4, 1000).await;
    for stage in &mut profile.stages {
        (stage.polled, stage.longest_poll) = (Duration::ZERO, Duration::ZERO);
    }
    insta::assert_json_snapshot!(profile.stages[1], @r#"
    {
      "name": "Pairs",
      "received": 4,
      "sent": 4,
      "batches": 2,
      "smallest_batch": 2,
      "largest_batch": 2,
      "max_depth": 2,
      "working_ms": 4000.0,
      "waiting_ms": 2000.0,
      "blocked_ms": 0.0,
      "polled_ms": 0.0,
      "longest_poll_ms": 0.0
    }
    "#);
    let json = serde_json::to_value(&profile).expect("it serialises");
    assert_eq!(json["elapsed_ms"], 16_000.0);
    insta::assert_snapshot!(profile.to_string().trim_end(), @r"
    stage                     received      sent batches    mean  depth   working   waiting   blocked    polled
    Feed                             0         4       0       0      0     4.0s    0.0ns    0.0ns    0.0ns
    Pairs                            4         4       2       2      2     4.0s     2.0s    0.0ns    0.0ns
    Singles                          4         4       0       0      3    12.0s     4.0s    0.0ns    0.0ns
    ");
}
