//! End to end: the built program against real clients and upstreams, on both databases.
//!
//! A case is a name, the programs it needs and a function over a [`Lab`] of its own: an empty
//! installation and an upstream. Cases know each other not at all and run side by side.

use std::{collections::VecDeque, path::Path, sync::Mutex, thread};

use anyhow::Result;

use crate::{
    probe,
    pulp::Installation,
    report::{Phase, Report},
    run,
    upstream::Upstream,
};

mod container;
mod deb;
mod faults;
mod file;
mod interrupt;
mod rpm;

pub(crate) use crate::pulp::Backend;
pub(crate) use file::noise;

/// Cases of one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    File,
    Deb,
    Container,
    /// The example of a program with a plugin of its own
    Rpm,
    /// Bad upstreams, and machines that run out of something
    Faults,
}

impl Suite {
    const ALL: [Self; 5] = [Self::File, Self::Deb, Self::Container, Self::Rpm, Self::Faults];

    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Deb => "deb",
            Self::Container => "container",
            Self::Rpm => "rpm",
            Self::Faults => "faults",
        }
    }

    fn cases(self) -> Vec<Case> {
        match self {
            Self::File => file::cases(),
            Self::Deb => deb::cases(),
            Self::Container => container::cases(),
            Self::Rpm => rpm::cases(),
            Self::Faults => faults::cases(),
        }
    }

    /// The program that it drives; all of them lie beside each other.
    fn program(self) -> &'static str {
        match self {
            Self::Rpm => "pulp-rpm",
            Self::File | Self::Deb | Self::Container | Self::Faults => "pulp",
        }
    }
}

/// One behaviour, seen from outside.
pub(crate) struct Case {
    /// A sentence.
    pub(crate) name: &'static str,
    /// Programs without which it is skipped.
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: fn(&Lab) -> Result<()>,
}

/// A case that needs nothing but the program under test.
pub(crate) const fn case(name: &'static str, run: fn(&Lab) -> Result<()>) -> Case {
    Case { name, needs: &[], run }
}

/// What a case ends in that this machine cannot run, whatever is installed; the text says why.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// What a case works with.
pub(crate) struct Lab {
    pub(crate) pulp: Installation,
    pub(crate) upstream: Upstream,
}

/// Runs the cases of `suite` (all) on `backend` (both) whose name contains `only`.
pub(crate) fn run(
    report: &Report,
    suite: Option<Suite>,
    backend: Option<Backend>,
    only: Option<&str>,
) {
    let program = match report.timed(Phase::Build, run::build) {
        Ok(program) => program,
        Err(error) => return report.failed("integration", &error),
    };
    let mut queue = VecDeque::new();
    for chosen in [Backend::Sqlite, Backend::Postgres] {
        if backend.is_some_and(|only| only != chosen) {
            continue;
        }
        if let (Backend::Postgres, Err(reason)) = (chosen, probe::postgres()) {
            report.skipped("integration on PostgreSQL", reason);
            continue;
        }
        for suite in Suite::ALL.into_iter().filter(|known| suite.is_none_or(|only| only == *known))
        {
            let cases = suite.cases().into_iter().map(|case| Planned { suite, chosen, case });
            queue.extend(cases.filter(|case| only.is_none_or(|only| case.name().contains(only))));
        }
    }
    let queue = Mutex::new(queue);
    let next = || queue.lock().expect("no thread panics while it holds the queue").pop_front();
    report.timed(Phase::Test, || {
        thread::scope(|scope| {
            // Mostly waiting, so a few more than there are processors.
            let workers = 2 * thread::available_parallelism().map_or(2, usize::from);
            for _ in 0..workers.min(8) {
                scope.spawn(|| {
                    while let Some(planned) = next() {
                        planned.run(report, &program);
                    }
                });
            }
        });
    });
}

/// A case on one database.
struct Planned {
    suite: Suite,
    chosen: Backend,
    case: Case,
}

impl Planned {
    fn name(&self) -> String {
        let backend = match self.chosen {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
        };
        format!("{}/{backend} {}", self.suite.name(), self.case.name)
    }

    fn run(&self, report: &Report, program: &Path) {
        let name = self.name();
        let missing = self.case.needs.iter().find_map(|needed| probe::program(needed).err());
        if let Some(reason) = missing {
            return report.skipped(&name, &reason);
        }
        let run = || {
            let program = program.with_file_name(self.suite.program());
            let pulp = Installation::new(&program, self.chosen)?;
            let lab = Lab { pulp, upstream: Upstream::start()? };
            (self.case.run)(&lab)
        };
        match run() {
            Ok(()) => report.passed(&name),
            Err(error) => match error.downcast_ref::<Unavailable>() {
                Some(Unavailable(reason)) => report.unavailable(&name, reason),
                None => report.failed(&name, &error),
            },
        }
    }
}
