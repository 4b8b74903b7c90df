//! What a stage costs per unit when it does nothing: a million units through ten stages.
//!
//! `cargo build --release -p pulp-stages --example line_bench`, then run it; arguments: number of
//! units, number of stages. The content is as large as a Debian package's. Each line is run on a
//! current-thread and on a multi-thread runtime. The time of the CPU is what counts; the time of the
//! clock stands beside it. With `PROFILE` set in the environment, each run's profile is printed.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pulp_models::Key;
use pulp_stages::{
    Content, DeclarativeContent, Inbox, Line, Outbox, Pipeline, Stage, StageError, StageProfile,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// As large as what a plugin carries, moved as often.
#[derive(Clone, Serialize, Deserialize)]
struct Package {
    texts: [Option<String>; 12],
    number: u64,
}

impl Content for Package {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        "bench.package"
    }

    fn natural_key(&self) -> Option<Key> {
        Some(Key::of("bench.package").field(self.number.to_le_bytes()).finish())
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum How {
    Items,
    Batches,
    Mixed,
}

#[derive(Clone, Copy, PartialEq)]
enum Handles {
    None,
    Dropped,
    Awaited,
}

struct Feed {
    units: u64,
    handles: Handles,
}

#[async_trait]
impl Stage<Package> for Feed {
    fn name(&self) -> &'static str {
        "Feed"
    }

    async fn run(
        self: Box<Self>,
        _: Inbox<Package>,
        output: Outbox<Package>,
    ) -> Result<(), StageError> {
        let mut handles = Vec::new();
        for number in 0..self.units {
            let mut unit =
                DeclarativeContent::new(Package { texts: Default::default(), number }, Vec::new());
            match self.handles {
                Handles::None => {}
                Handles::Dropped => drop(unit.resolution()),
                Handles::Awaited => handles.push(unit.resolution()),
            }
            output.put(unit).await?;
        }
        for handle in handles {
            handle.await?;
        }
        Ok(())
    }
}

struct Pass {
    name: &'static str,
    batches: bool,
    last: bool,
}

#[async_trait]
impl Stage<Package> for Pass {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<Package>,
        output: Outbox<Package>,
    ) -> Result<(), StageError> {
        if self.batches {
            let mut batches = input.batches(Inbox::<Package>::BATCH);
            while let Some(mut batch) = batches.next().await {
                if self.last {
                    batch.iter_mut().for_each(DeclarativeContent::resolve);
                }
                output.put_all(batch).await?;
            }
        } else {
            let mut items = input.items();
            while let Some(mut unit) = items.next().await {
                if self.last {
                    unit.resolve();
                }
                output.put(unit).await?;
            }
        }
        Ok(())
    }
}

fn line(units: u64, stages: usize, how: How, handles: Handles) -> Line<Package> {
    (0..stages).fold(Line::new().push(Box::new(Feed { units, handles })), |line, at| {
        let batches = how == How::Batches || (how == How::Mixed && at % 2 == 0);
        let name = format!("Pass{at}").leak();
        line.push(Box::new(Pass { name, batches, last: at + 1 == stages }))
    })
}

/// What the CPU spent on all threads of this process so far (Linux only).
fn cpu() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let units = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let stages = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let runtimes: [(&str, Runtime); 2] = [
        ("current-thread", Builder::new_current_thread().enable_all().build()?),
        ("multi-thread", Builder::new_multi_thread().enable_all().build()?),
    ];
    let mut out = std::io::stdout().lock();
    writeln!(out, "{units} units of {} bytes", size_of::<DeclarativeContent<Package>>())?;
    for (name, runtime) in &runtimes {
        for (how, handles) in [
            (How::Items, Handles::None),
            (How::Batches, Handles::None),
            (How::Mixed, Handles::None),
            (How::Mixed, Handles::Dropped),
            (How::Mixed, Handles::Awaited),
        ] {
            let pipeline = Pipeline::new(line(units, stages, how, handles))?;
            let (start, start_cpu) = (Instant::now(), cpu());
            let profile = runtime.block_on(pipeline.run(&CancellationToken::new()))?;
            let (time, spent) = (start.elapsed(), cpu().saturating_sub(start_cpu));
            let each = spent.as_secs_f64() * 1e9 / (units as f64 * stages as f64);
            let handles = match handles {
                Handles::None => "",
                Handles::Dropped => ", each with a handle",
                Handles::Awaited => ", each awaited in the end",
            };
            let means = profile.stages.iter().filter_map(StageProfile::mean_batch);
            let batch = means.min_by(f64::total_cmp).unwrap_or_default();
            writeln!(
                out,
                "{name:15} {how:?}{handles}: {each:.1} ns per unit and stage (CPU {spent:.2?}, clock {time:.2?}), batches of {batch:.0}"
            )?;
            if std::env::var_os("PROFILE").is_some() {
                writeln!(out, "{profile}")?;
            }
        }
    }
    Ok(())
}
