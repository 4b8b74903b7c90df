//! `cargo xtask soak`: what the world does to an installation, for minutes or for hours.
//!
//! Everything here is driven by one printed seed: the same seed makes the same choices, though not
//! the same timing. A short run is a part of `cargo xtask test`.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    integration::Backend,
    probe,
    report::{Phase, Report},
    run,
};

mod dice;
mod stock;
mod autopsy;
mod census;
mod kill;
mod crowd;

use census::Census;
use crowd::Crowd;
use kill::Plan;

/// Rounds of kills that make some 200 deaths.
const BRIEF: u64 = 4;

/// How long a crowd goes on, on each database.
const BRIEF_CROWD: Duration = Duration::from_secs(30);
const LONG_CROWD: Duration = Duration::from_secs(300);

/// How to soak.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SoakFlags {
    /// How long to go on, at least [default: a short run, as in `cargo xtask test`]
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Repeats the choices of an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// Only on this database
    #[arg(long)]
    db: Option<Backend>,
    /// Only what has this in its name
    #[arg(long)]
    only: Option<String>,
}

impl SoakFlags {
    /// The run that is a part of every test.
    pub(crate) const fn brief() -> Self {
        Self { minutes: None, seed: None, db: None, only: None }
    }
}

/// Runs it.
pub(crate) fn run(report: &Report, flags: &SoakFlags) {
    let program = match report.timed(Phase::Build, run::build) {
        Ok(program) => program,
        Err(error) => return report.failed("soak", &error),
    };
    let mut backends = vec![Backend::Sqlite, Backend::Postgres];
    backends.retain(|backend| flags.db.is_none_or(|only| only == *backend));
    if backends.contains(&Backend::Postgres)
        && let Err(reason) = probe::postgres()
    {
        report.skipped("soak on PostgreSQL", reason);
        backends.retain(|backend| *backend != Backend::Postgres);
    }
    let begin = Instant::now();
    let end = flags.minutes.map(|minutes| begin + Duration::from_secs(minutes * 60));
    let mut seed = flags.seed.unwrap_or_else(random_seed);
    let check = |name: &str, run: &dyn Fn() -> Result<()>| {
        if flags.only.as_deref().is_none_or(|only| name.contains(only)) {
            report.timed(Phase::Test, || report.check(name, run));
        }
    };
    loop {
        println!("soak: seed {seed}");
        check("killed anywhere: nothing is lost, nothing half made is seen", &|| {
            kill(&Plan { program: &program, seed, backends: &backends, rounds: BRIEF })
        });
        for backend in backends.iter().copied() {
            let time = if end.is_some() { LONG_CROWD } else { BRIEF_CROWD };
            check(&format!("crowded on {backend:?}: nobody is in anybody's way"), &|| {
                let tally = Crowd { program: &program, seed, backend, time }.run()?;
                println!("{}", tally.summary());
                Ok(())
            });
        }
        seed = seed.wrapping_add(1);
        if end.is_none_or(|end| Instant::now() >= end) {
            return;
        }
    }
}

/// Kills, and tells how far they had come who died.
fn kill(plan: &Plan<'_>) -> Result<()> {
    let (census, begin) = (Census::default(), Instant::now());
    let outcome = plan.run(&census);
    let (deaths, taken) = (census.deaths(), begin.elapsed().as_secs());
    println!("{deaths} kills in {taken} s, seed {}\n{}", plan.seed, census.table());
    outcome?;
    census.is_everywhere()
}

/// Another one each time.
fn random_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::from(now.unwrap_or_default().subsec_micros())
}
