//! `cargo xtask bench`: what the program costs, beside what others cost for the same work.
//!
//! Every case is run several times by every contender in turn, so that what else the machine does
//! hits all of them alike; the medians stand side by side. On a busy machine the processors' seconds
//! and the ratios say something, the clock does not. Results are written as a table, as JSON and as
//! a picture, after every case: a contender that fails is reported as such and costs nobody else's
//! figures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{pulp::Backend, run, upstream::Upstream};

mod cases;
mod contender;
mod data;
mod load;
mod measure;
mod plot;
mod programs;
mod remains;
mod rest;
mod results;
mod rivals;
mod serving;
mod steps;
mod table;

use cases::{CASES, Case, What};
use contender::{Contender, Scene};
use remains::Remains;
use results::{Contestant, Measured, Results};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Cases whose name contains this; may repeat [default: all]
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// A built program to measure in place of building this tree
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Whom to run beside it: a revision of this repository, an installed program (aptly, curl,
    /// debmirror, nginx, reprepro, skopeo, wget), or a running server of Pulp as
    /// http://USER:PASSWORD@HOST:PORT, whose orphans are removed; may repeat
    #[arg(long = "baseline", value_name = "REV|PROGRAM|URL")]
    baselines: Vec<String>,
    /// How often each case is run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Which database the program uses
    #[arg(long, value_enum, default_value_t = Backend::Sqlite)]
    db: Backend,
    /// A server that has the sets of data, in place of our own; then upstream counts no requests
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where to write bench.md, bench.json and bench.svg [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Small sets and one round, with the program as it is tested, a few cases unless some are named:
    /// shows that it works, not what it costs
    #[arg(long)]
    quick: bool,
    /// List the cases and end
    #[arg(long)]
    list: bool,
}

impl Options {
    fn quick() -> Self {
        Self {
            cases: Vec::new(),
            program: None,
            baselines: Vec::new(),
            rounds: 1,
            db: Backend::Sqlite,
            upstream: None,
            out: None,
            quick: true,
            list: false,
        }
    }
}

/// Measures, prints the table and writes the files.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        for case in CASES {
            println!("{:24} {}", case.name, case.about);
        }
        return Ok(());
    }
    let folder = run::root().join("target/bench");
    let out = options.out.as_deref().unwrap_or(&folder);
    let results = measure(options, &folder, |results| write(out, results))?;
    println!("{}", table::markdown(&results));
    eprintln!("written: {}", out.join("bench.{md,json,svg}").display());
    let failed = results.failures().count();
    ensure!(failed == 0, "{failed} failed, see the end of the table");
    Ok(())
}

/// A quick run, whose results are only looked at for sense: no time is one.
pub(crate) fn check() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = Options::quick();
    let results = measure(&options, folder.path(), |results| write(folder.path(), results))?;
    if let Some((case, _, failure)) = results.failures().next() {
        bail!("{case}: {failure}");
    }
    for case in &results.cases {
        let median = &case.contenders.first().context("Nobody took part")?.median;
        let name = &case.name;
        ensure!(case.units > 0 && median.wall > 0.0 && median.cpu.is_some(), "{name}: {median:?}");
        let answered = median.rate.is_some_and(|rate| rate > 0.0);
        let asked = median.requests.is_some();
        ensure!(answered || asked, "{name} asked upstream for nothing: {median:?}");
    }
    let requests = |name: &str| {
        let case = results.cases.iter().find(|case| case.name == name);
        case.and_then(|case| case.contenders[0].median.requests)
    };
    ensure!(requests("file/small-immediate") == Some(21), "Not a request per file and one more");
    ensure!(requests("file/unchanged") == Some(1), "More than one request for what is unchanged");
    Ok(())
}

/// Measures all that was asked for; `keep` is told what is known after every case.
fn measure(
    options: &Options,
    folder: &Path,
    keep: impl Fn(&Results) -> Result<()>,
) -> Result<Results> {
    let chosen: Vec<&Case> = CASES.iter().filter(|case| is_chosen(case, options)).collect();
    ensure!(!chosen.is_empty(), "No case is called so; `cargo xtask bench --list` lists them");
    let line = chosen.iter().any(|case| matches!(case.what, What::Line));
    let others = options.baselines.iter().map(|name| contender::named(name, folder, line));
    let others: Vec<Contender> = others.collect::<Result<_>>()?;
    let ours = match &options.program {
        None => {
            let programs = programs::of_this_tree(options.quick, line)?;
            Contender::Pulp { name: "this tree".to_owned(), programs }
        }
        Some(program) => {
            let programs = programs::given(program)?;
            Contender::Pulp { name: program.display().to_string(), programs }
        }
    };
    let mut contenders = vec![ours];
    contenders.extend(others);
    let data = folder.join("upstream");
    fs::create_dir_all(&data)?;
    let elsewhere = options.upstream.as_ref().map(|url| format!("{}/", url.trim_end_matches('/')));
    let upstream = Upstream::start()?;
    upstream.mount(&data);
    let (backend, quick, remains) = (options.db, options.quick, Remains::default());
    let scene = Scene { upstream, elsewhere, data, backend, quick, remains };
    let mut results = Results {
        revision: revision()?,
        started: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        database: format!("{:?}", options.db).to_lowercase(),
        rounds: if options.quick { 1 } else { usize::from(options.rounds) },
        cases: Vec::new(),
    };
    for case in chosen {
        results.cases.push(measure_case(case, &contenders, &scene, results.rounds));
        keep(&results)?;
    }
    Ok(results)
}

fn is_chosen(case: &Case, options: &Options) -> bool {
    if options.cases.is_empty() {
        return !options.quick || case.is_quick();
    }
    options.cases.iter().any(|part| case.name.contains(part.as_str()))
}

/// Every contender in turn, round after round; who fails is left out of the rounds that follow.
fn measure_case(case: &Case, contenders: &[Contender], scene: &Scene, rounds: usize) -> Measured {
    let unready = prepare(case, scene).err().map(|error| told(&error));
    let taking_part: Vec<_> =
        contenders.iter().filter(|contender| contender.takes_part(case)).collect();
    let mut outcomes = vec![(Vec::new(), unready); taking_part.len()];
    for round in 1..=rounds {
        for (contender, (samples, failure)) in taking_part.iter().zip(&mut outcomes) {
            if failure.is_some() {
                continue;
            }
            eprintln!("{} {round}/{rounds} {}", case.name, contender.name());
            match contender.run(case, scene) {
                Ok(sample) => samples.push(sample),
                Err(error) => *failure = Some(told(&error)),
            }
        }
    }
    let contestants = taking_part.iter().zip(outcomes);
    Measured {
        name: case.name.to_owned(),
        about: case.about.to_owned(),
        units: case.units(scene.quick),
        contenders: contestants
            .map(|(contender, (samples, failure))| {
                Contestant::new(contender.name().to_owned(), samples, failure)
            })
            .collect(),
    }
}

/// Makes what the case's upstream has; nginx serves it, too.
fn prepare(case: &Case, scene: &Scene) -> Result<()> {
    if scene.elsewhere.is_some() && !matches!(case.what, What::Serving(_)) {
        return Ok(());
    }
    case.set.make(&scene.data, scene.quick)?;
    if let data::Set::Images { .. } = case.set {
        let path = case.set.path(scene.quick);
        data::offer_images(&scene.upstream, &scene.data.join(&path), &path)?;
    }
    Ok(())
}

/// A failure as it is kept, said at once to who waits.
fn told(error: &anyhow::Error) -> String {
    const LINES: usize = 20;
    let text = format!("{error:#}");
    let mut lines: Vec<_> = text.trim_end().lines().collect();
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push("…");
    }
    let text = lines.join("\n");
    eprintln!("failed: {text}");
    text
}

fn write(out: &Path, results: &Results) -> Result<()> {
    fs::create_dir_all(out)?;
    let table = table::markdown(results);
    let json = serde_json::to_string_pretty(results)?;
    for (name, text) in
        [("bench.md", &table), ("bench.json", &json), ("bench.svg", &plot::svg(results))]
    {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("Failed to write `{}`", path.display()))?;
    }
    Ok(())
}

/// The revision that is checked out, and whether the files are still its own.
fn revision() -> Result<String> {
    let describe = ["describe", "--always", "--dirty=+", "--exclude=*"];
    let text = run::output_of(Command::new("git").args(describe).current_dir(run::root()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_program_that_fails_costs_its_own_figures_only() {
        let options = Options {
            cases: vec!["file/small-immediate".into(), "file/unchanged".into()],
            program: Some("/bin/false".into()),
            ..Options::quick()
        };
        let (folder, kept) = (tempfile::tempdir().expect("a folder"), Cell::new(0));
        let keep = |results: &Results| {
            kept.set(kept.get() + 1);
            write(folder.path(), results)
        };
        let results = measure(&options, folder.path(), keep).expect("it goes on");
        let failed: Vec<_> = results.failures().map(|(case, name, _)| (case, name)).collect();
        let expected = ["file/small-immediate", "file/unchanged"].map(|case| (case, "/bin/false"));
        assert_eq!((failed, kept.get()), (expected.to_vec(), 2));
        let table = fs::read_to_string(folder.path().join("bench.md")).expect("it is written");
        assert!(table.contains("/bin/false: failed"), "{table}");
    }
}
