//! Builds, tests and measures the workspace: `cargo xtask <command>`.
//!
//! Imports no crate of the workspace. What it tests it drives from outside, as a user does: built
//! programs over their command line and over HTTP, against upstreams that it serves itself on the
//! loopback. Standard output is the report: one line per check, then a closing line with the sums.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is what a developer's tool is for"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod checks;
mod client;
mod demo;
mod docs;
mod fuzz;
mod integration;
mod new_plugin;
mod probe;
mod process;
mod pulp;
mod report;
mod run;
mod server;
mod soak;
mod tidy;
mod upstream;

use integration::{Backend, Suite};
use report::Report;

/// Builds, tests and measures the workspace
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything: format, lints, tidy, licences, tests, integration
    Test,
    /// The same, with every check that must be skipped counted as failed
    Ci,
    /// End to end: the built program against real clients and upstreams
    Integration {
        /// Only this plugin's cases
        suite: Option<Suite>,
        /// Only on this database
        #[arg(long)]
        db: Option<Backend>,
        /// Only cases whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
    /// What the program costs, beside another revision or other programs
    Bench(bench::Options),
    /// Kills, crowds and bad upstreams: what the world does to an installation
    Soak(soak::SoakFlags),
    /// The rules of the house that no compiler checks
    Tidy,
    /// The site of the documentation: guide, crates, commands; without a broken link
    Docs,
    /// Writes a crate for a new repository type, complete, tested and registered
    NewPlugin {
        /// The type's name, e.g. `rpm`: the crate is called `plugin-NAME`
        name: String,
        /// Try it in a copy of the workspace: write, build, test, mirror and serve
        #[arg(long = "try")]
        is_trial: bool,
    },
    /// Feeds parsers what no upstream should send, for longer than the tests do
    Fuzz {
        /// Only targets whose name contains this
        target: Option<String>,
        /// How long each target is tried
        #[arg(long, default_value_t = 1)]
        minutes: u64,
    },
    /// Mirrors a small upstream, serves it and prints how to fetch from it
    Demo {
        /// Fetch one file, compare it and end
        #[arg(long)]
        once: bool,
    },
}

fn main() -> ExitCode {
    let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    let mut report = Report::new(strict);
    match Arguments::parse().command {
        Command::Test => checks::all(&report),
        Command::Ci => {
            report = Report::new(true);
            checks::all(&report);
        }
        Command::Integration { suite, db, only } => {
            integration::run(&report, suite, db, only.as_deref());
        }
        Command::Bench(options) => return measured(&options),
        Command::Soak(flags) => soak::run(&report, &flags),
        Command::Tidy => tidy::run(&report),
        Command::Docs => report.check("docs", || {
            println!("begin reading at {}", docs::run()?.display());
            Ok(())
        }),
        Command::NewPlugin { name, is_trial: true } => {
            report.check("new plugin", || new_plugin::trial::run(&name));
        }
        Command::NewPlugin { name, is_trial: false } => report.check("new plugin", || {
            new_plugin::create(run::root(), &new_plugin::Name::parse(&name)?)?;
            println!("wrote `plugin-{name}/`, added it to `Cargo.toml` and to `src/main.rs`; now");
            println!();
            println!("    cargo test -p plugin-{name}               # with PULP_TEST_POSTGRES set");
            println!("    cargo test -p plugin-{name} -- sqlite::   # without PostgreSQL");
            println!();
            println!("and on with `plugin-{name}/src/lib.rs` and the guide (`pulp_stages::guide`)");
            Ok(())
        }),
        Command::Fuzz { target, minutes } => {
            report.check("fuzz", || fuzz::run(target.as_deref(), minutes));
        }
        Command::Demo { once } => report.check("demo", || demo::run(once)),
    }
    report.close()
}

/// Its table is the report.
fn measured(options: &bench::Options) -> ExitCode {
    match bench::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
