//! `cargo xtask test`: every check, one after the other.
//!
//! Cheap ones first. A failure does not stop the rest: one run shows all that is wrong.

use std::process::Command;

use anyhow::bail;

use crate::{
    bench, docs, integration, new_plugin, probe,
    report::{Phase, Report},
    run, soak, tidy,
};

/// Runs everything; the closing line is the caller's.
pub(crate) fn all(report: &Report) {
    report.check("format", || run::shown(&mut run::cargo(["fmt", "--all", "--", "--check"])));
    tidy::run(report);
    licences(report);
    report.timed(Phase::Build, || {
        report.check("lints", || {
            let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--"];
            run::shown(run::cargo(arguments).args(["-D", "warnings"]))
        });
    });
    tests(report);
    report.timed(Phase::Build, || report.check("docs", || docs::run().map(drop)));
    report.timed(Phase::Test, || {
        report.check("new plugin", || new_plugin::trial::run(new_plugin::trial::NAME));
    });
    integration::run(report, None, None, None);
    soak::run(report, &soak::SoakFlags::brief());
    report.timed(Phase::Test, || report.check("bench", bench::check));
    report.print_times();
}

/// What `deny.toml` says of licences, advisories, duplicate versions and sources.
fn licences(report: &Report) {
    let name = "licences, duplicates and sources";
    let installed = run::output_of(&mut run::cargo(["deny", "--version"])).is_ok();
    if !installed {
        let reason = "`cargo deny` is not installed; `cargo install --locked cargo-deny` does it";
        report.skipped(name, reason);
        report.skipped("advisories", reason);
        return;
    }
    let deny = |what: &[&str]| {
        run::captured(
            run::cargo(["deny", "--log-level", "error", "check", "--hide-inclusion-graph"])
                .args(what),
            std::time::Duration::from_secs(300),
        )
    };
    report.check(name, || match deny(&["licenses", "bans", "sources"])? {
        output if output.status.success() => Ok(()),
        output => bail!("{}", output.stderr),
    });
    match deny(&["advisories"]) {
        Ok(output) if output.status.success() => report.passed("advisories"),
        Ok(output) if output.stderr.contains("failed to fetch advisory database") => {
            report.unavailable("advisories", "the database of advisories cannot be fetched");
        }
        Ok(output) => report.failed("advisories", &anyhow::anyhow!("{}", output.stderr)),
        Err(error) => report.failed("advisories", &error),
    }
}

/// The tests in Rust, by nextest where it is installed; those of PostgreSQL only where one runs.
fn tests(report: &Report) {
    let nextest = run::output_of(&mut run::cargo(["nextest", "--version"])).is_ok();
    let postgres = probe::postgres();
    let compile = if nextest {
        ["nextest", "run", "--no-run", "--workspace", "--cargo-quiet"]
    } else {
        ["test", "--no-run", "--workspace", "--all-targets", "--quiet"]
    };
    report.timed(Phase::Build, || {
        report.check("tests compile", || run::shown(&mut run::cargo(compile)));
    });
    report.timed(Phase::Test, || {
        let mut command = if nextest {
            run::cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"])
        } else {
            run::cargo(["test", "--workspace", "--all-targets", "--no-fail-fast"])
        };
        match postgres {
            Ok(url) => {
                command.env(probe::POSTGRES_VARIABLE, url);
            }
            Err(reason) => {
                report.skipped("tests on PostgreSQL", reason);
                let without = if nextest {
                    ["-E", "not test(/(^|::)postgres::/)"]
                } else {
                    ["--", "--skip=postgres::"]
                };
                command.args(without);
            }
        }
        counted(report, "tests", &mut command);
        let mut examples = run::cargo(["test", "--workspace", "--doc", "--no-fail-fast"]);
        counted(report, "documentation examples", &mut examples);
    });
}

/// Runs tests and adds their own numbers to the report.
fn counted(report: &Report, name: &str, command: &mut Command) {
    let outcome = run::teed(command).and_then(|(status, text)| {
        let (passed, failed) = counts(&text);
        if status.success() && failed == 0 {
            report.add(passed, 0);
            return Ok(());
        }
        // This line counts as one of them.
        report.add(passed, failed.saturating_sub(1));
        bail!("{failed} failed ({status}), see above")
    });
    match outcome {
        Ok(()) => {}
        Err(error) => report.failed(name, &error),
    }
}

/// Passed and failed tests, summed over the closing lines of the test runners.
pub(crate) fn counts(text: &str) -> (usize, usize) {
    let of = |line: &str, what: &str| {
        let words: Vec<_> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == what);
        at.and_then(|at| words.get(at.wrapping_sub(1))?.parse::<usize>().ok()).unwrap_or_default()
    };
    text.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("test result:") || line.starts_with("Summary ["))
        .map(|line| (of(line, "passed"), of(line, "failed") + of(line, "timed")))
        .fold((0, 0), |sum, line| (sum.0 + line.0, sum.1 + line.1))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn the_closing_lines_of_both_runners_are_understood() {
        let text = "\
test result: ok. 36 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.84s
test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s
     Summary [   0.5s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 2 skipped";
        assert_eq!(counts(text), (47, 4));
        assert_eq!(counts("nothing"), (0, 0));
    }
}
