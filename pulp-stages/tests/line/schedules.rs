//! Whatever goes wrong, and whenever: the run returns, every handle tells, and nothing is left.
//!
//! Lines, schedules and troubles are made up at random. On one thread time is paused, so that a
//! deadlock shows at once; on several threads the same cases race in earnest.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use proptest::{collection::vec, option, prelude::*};
use pulp_stages::{
    Inbox, Outbox, Pipeline, PipelineError, Resolution, ResolutionError, Stage, StageError,
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::kit::{self, Number, Unit, bounded, feed, line, unit};

/// A stage after the first.
#[derive(Debug, Clone)]
struct Step {
    /// Batches of so many, or one by one.
    min: Option<usize>,
    /// Pauses after each batch or unit.
    pause: u64,
    /// Does its work in children: tasks or blocking ones.
    children: Option<bool>,
}

/// What the first stage does with a unit.
#[derive(Debug, Clone)]
struct Declared {
    /// Pauses before it is put.
    pause: u64,
    /// Awaits it after so many further units.
    awaited: Option<usize>,
}

#[derive(Debug, Clone)]
enum Trouble {
    None,
    /// When the stage has seen so many units.
    Fails(usize, usize),
    Panics(usize, usize),
    Loses(usize, usize),
    Cancelled(u64),
}

#[derive(Debug, Clone)]
struct Case {
    units: Vec<Declared>,
    steps: Vec<Step>,
    capacity: usize,
    trouble: Trouble,
}

fn cases() -> impl Strategy<Value = Case> {
    let declared = (prop_oneof![4 => Just(0), 1 => 1..5_u64], option::of(0..20_usize))
        .prop_map(|(pause, awaited)| Declared { pause, awaited });
    let min = prop_oneof![1 => Just(None), 2 => (1..8_usize).prop_map(Some), 1 => Just(Some(500))];
    let pause = prop_oneof![4 => Just(0), 1 => 1..5_u64];
    let children = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let step =
        (min, pause, children).prop_map(|(min, pause, children)| Step { min, pause, children });
    let capacity = prop_oneof![4 => 1..6_usize, 1 => Just(1000)];
    let trouble = prop_oneof![
        2 => Just(Trouble::None),
        1 => (0..6_usize, 0..60_usize).prop_map(|(stage, at)| Trouble::Fails(stage, at)),
        1 => (0..6_usize, 0..60_usize).prop_map(|(stage, at)| Trouble::Panics(stage, at)),
        1 => (0..6_usize, 0..60_usize).prop_map(|(stage, at)| Trouble::Loses(stage, at)),
        1 => (0..60_u64).prop_map(Trouble::Cancelled),
    ];
    (vec(declared, 0..60), vec(step, 1..6), capacity, trouble)
        .prop_map(|(units, steps, capacity, trouble)| Case { units, steps, capacity, trouble })
}

/// Lets others run for a while.
async fn pause(steps: u64) {
    if tokio::runtime::Handle::current().metrics().num_workers() > 1 {
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
    } else if steps > 0 {
        tokio::time::sleep(Duration::from_millis(steps)).await;
    }
}

/// A stage of a [`Case`]. Whatever lives holds `alive`.
struct Random {
    name: &'static str,
    step: Step,
    trouble: Trouble,
    alive: Arc<()>,
}

#[async_trait::async_trait]
impl Stage<Number> for Random {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<Number>,
        output: Outbox<Number>,
    ) -> Result<(), StageError> {
        let mut seen = 0;
        if let Some(min) = self.step.min {
            let mut batches = input.batches(min);
            while let Some(batch) = batches.next().await {
                let batch = self.work(&mut seen, batch, &output).await?;
                output.put_all(batch).await?;
            }
        } else {
            let mut items = input.items();
            while let Some(unit) = items.next().await {
                for unit in self.work(&mut seen, vec![unit], &output).await? {
                    output.put(unit).await?;
                }
            }
        }
        Ok(())
    }
}

impl Random {
    async fn work(
        &self,
        seen: &mut usize,
        mut batch: Vec<Unit>,
        output: &Outbox<Number>,
    ) -> Result<Vec<Unit>, StageError> {
        let before = *seen;
        *seen += batch.len();
        let now = |at: usize| (before..*seen).contains(&at);
        match self.trouble {
            Trouble::Fails(_, at) if now(at) => return Err(StageError::message("Broken")),
            Trouble::Panics(_, at) if now(at) => panic!("broken"),
            Trouble::Loses(_, at) if now(at) => drop(batch.remove(at - before)),
            _ => {}
        }
        let alive = Arc::clone(&self.alive);
        let steps = self.step.pause;
        match self.step.children {
            None => pause(steps).await,
            Some(false) => {
                let child = output.scope().spawn(async move {
                    pause(steps).await;
                    drop(alive);
                });
                child.await?;
            }
            // Dropped, so that only the run itself can wait for it.
            Some(true) => drop(output.scope().spawn_blocking(move || drop(alive))),
        }
        Ok(batch)
    }
}

/// What is left to look at when the run is over.
struct Rest {
    result: Result<(), PipelineError>,
    handles: Vec<Resolution<Number>>,
    arrived: Vec<u64>,
    alive: Arc<()>,
}

async fn execute(case: Case) -> Rest {
    let alive = Arc::new(());
    let units: Vec<Unit> = (0_u64..)
        .zip(&case.units)
        .map(|(number, _)| {
            let mut unit = unit(number);
            unit.extra = Some(Arc::clone(&alive));
            unit
        })
        .collect();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let declared = case.units.clone();
    let first = feed(move |output| async move {
        let mut awaited: Vec<(usize, Resolution<Number>)> = Vec::new();
        for (at, (mut unit, declared)) in units.into_iter().zip(declared).enumerate() {
            pause(declared.pause).await;
            let handle = unit.resolution();
            let _ = sender.send(handle.clone());
            if let Some(after) = declared.awaited {
                awaited.push((at + after, handle));
            }
            output.put(unit).await?;
            let (due, later): (Vec<_>, _) = awaited.into_iter().partition(|(due, _)| *due <= at);
            awaited = later;
            for (_, handle) in due {
                tell(handle.await)?;
            }
        }
        for (_, handle) in awaited {
            tell(handle.await)?;
        }
        Ok(())
    });
    let names = ["1", "2", "3", "4", "5", "6"];
    let mut building = line(first);
    for (at, step) in case.steps.into_iter().enumerate() {
        let trouble = match &case.trouble {
            Trouble::Fails(stage, _) | Trouble::Panics(stage, _) | Trouble::Loses(stage, _)
                if *stage == at =>
            {
                case.trouble.clone()
            }
            _ => Trouble::None,
        };
        let alive = Arc::clone(&alive);
        building = building.stage(Random { name: names[at], step, trouble, alive });
    }
    let (line, seen) = building.collect();
    let cancelled = CancellationToken::new();
    let pipeline = Pipeline::new(line).expect("a line").capacity(case.capacity);
    let run = async {
        let run = pipeline.run(&cancelled);
        match case.trouble {
            Trouble::Cancelled(at) => {
                let cancel = async {
                    pause(at).await;
                    cancelled.cancel();
                };
                tokio::join!(run, cancel).0
            }
            _ => run.await,
        }
    };
    let result = bounded(run).await.map(drop);
    let mut handles = Vec::new();
    while let Ok(handle) = receiver.try_recv() {
        handles.push(handle);
    }
    Rest { result, handles, arrived: seen.numbers(), alive }
}

/// A unit that a stage loses is part of the game.
fn tell<T>(outcome: Result<T, ResolutionError>) -> Result<(), ResolutionError> {
    match outcome {
        Ok(_) | Err(ResolutionError::Dropped { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn check(runtime: &Runtime, case: &Case) {
    let rest = runtime.block_on(execute(case.clone()));
    assert_eq!(Arc::strong_count(&rest.alive), 1, "something outlives the run");
    let all: Vec<u64> = (0..case.units.len() as u64).collect();
    for handle in rest.handles {
        let outcome = handle.now_or_never().expect("no handle is left hanging");
        assert!(!matches!(outcome, Err(ResolutionError::NotPut { .. })));
        if let (Ok(()), Err(error)) = (&rest.result, &outcome) {
            assert!(matches!(case.trouble, Trouble::Loses(..)), "{error}");
        }
    }
    let lost = all.len() - rest.arrived.len();
    assert!(rest.arrived.is_sorted(), "{:?}", rest.arrived);
    match (&case.trouble, rest.result) {
        (Trouble::Loses(..), Ok(())) => assert!(lost <= 1),
        (_, Ok(())) => assert_eq!(rest.arrived, all),
        (Trouble::Fails(stage, _), Err(PipelineError::Stage { stage: named, source, .. })) => {
            assert_eq!((named, &*source.to_string()), ((stage + 1).to_string().as_str(), "Broken"));
        }
        (Trouble::Panics(stage, _), Err(PipelineError::Panicked { stage: named, .. })) => {
            assert_eq!(named, (stage + 1).to_string());
        }
        (Trouble::Cancelled(_), Err(PipelineError::Cancelled)) => {}
        (trouble, Err(error)) => panic!("{trouble:?} ended in {error:?}"),
    }
}

/// Silences the panics that are part of the game.
fn without_messages(test: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"broken") {
            hook(info);
        }
    }));
    test();
}

#[test]
fn on_one_thread() {
    let runtime = || {
        Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
    };
    without_messages(|| {
        proptest!(kit::config(1000), |(case in cases())| check(&runtime(), &case));
    });
}

#[test]
fn on_several_threads() {
    let runtime =
        Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    without_messages(|| {
        proptest!(kit::config(500), |(case in cases())| check(&runtime, &case));
    });
}

#[test]
fn a_first_stage_that_awaits_every_unit_never_locks_up() {
    let step = (option::of(1..600_usize), 0..2_u64).prop_map(|(min, pause)| Step {
        min,
        pause,
        children: None,
    });
    let strategy = (vec(0..10_usize, 0..40), vec(step, 1..5), 1..4_usize);
    proptest!(kit::config(500), |((awaits, steps, capacity) in strategy)| {
        let units = awaits.into_iter().map(|after| Declared { pause: 0, awaited: Some(after) });
        let case = Case { units: units.collect(), steps, capacity, trouble: Trouble::None };
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        check(&runtime.expect("a runtime"), &case);
    });
}
