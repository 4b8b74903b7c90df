//! The report: what passed, what failed, what could not be tried.
//!
//! Lines are `ok <check>`, `FAILED <check>: <reason>` and `SKIPPED <check>: <reason>`; the last
//! line is the sums. A check that cannot run here is never silent. Safe to share between threads.

use std::{
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Collects outcomes and prints each at once.
pub(crate) struct Report {
    strict: bool,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Of those skipped, the ones that are no reason to fail.
    excused: usize,
    building: Duration,
    testing: Duration,
}

/// What time is spent on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Build,
    Test,
}

impl Report {
    /// `strict`: whatever is skipped makes the whole fail.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, sums: Mutex::default() }
    }

    /// Runs one check and reports it under `name`.
    pub(crate) fn check(&self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) {
        match run() {
            Ok(()) => self.passed(name),
            Err(error) => self.failed(name, &error),
        }
    }

    pub(crate) fn passed(&self, name: &str) {
        self.update(|sums| sums.passed += 1);
        println!("ok {name}");
    }

    /// The error is printed with its causes on one line; further lines follow indented.
    pub(crate) fn failed(&self, name: &str, error: &anyhow::Error) {
        self.update(|sums| sums.failed += 1);
        let text = format!("{error:#}").trim_end().replace('\n', "\n    ");
        println!("FAILED {name}: {text}");
    }

    pub(crate) fn skipped(&self, name: &str, reason: &str) {
        self.update(|sums| sums.skipped += 1);
        println!("SKIPPED {name}: {reason}");
    }

    /// As [`skipped`](Self::skipped), for what no installation of this machine can mend: it is
    /// said, but makes nothing fail.
    pub(crate) fn unavailable(&self, name: &str, reason: &str) {
        self.update(|sums| sums.excused += 1);
        self.skipped(name, reason);
    }

    /// Adds outcomes that another program has already printed, such as unit tests.
    pub(crate) fn add(&self, passed: usize, failed: usize) {
        self.update(|sums| {
            sums.passed += passed;
            sums.failed += failed;
        });
    }

    /// Counts the time `run` takes as time of `phase`.
    pub(crate) fn timed<T>(&self, phase: Phase, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = run();
        self.update(|sums| match phase {
            Phase::Build => sums.building += start.elapsed(),
            Phase::Test => sums.testing += start.elapsed(),
        });
        value
    }

    /// Prints how long building and testing took.
    pub(crate) fn print_times(&self) {
        let minutes = |time: Duration| time.as_secs_f64() / 60.0;
        self.update(|sums| {
            let (build, test) = (minutes(sums.building), minutes(sums.testing));
            println!("build {build:.1} min, test {test:.1} min");
        });
    }

    /// Prints the sums and says how the whole went.
    pub(crate) fn close(&self) -> ExitCode {
        let mut good = false;
        self.update(|sums| {
            let missing = self.strict && sums.skipped > sums.excused;
            good = sums.failed == 0 && !missing;
            if missing {
                println!("hint: in CI a skipped check counts as failed");
            }
            println!("{} passed, {} failed, {} skipped", sums.passed, sums.failed, sums.skipped);
        });
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn update(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.sums.lock().expect("no thread panics while it holds the sums"));
    }
}
