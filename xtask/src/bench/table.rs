//! Results as a table in Markdown.

use std::fmt::Write as _;

use super::results::{Contestant, Measured, Results};

const HEADER: &str = "| case | by | wall s | CPU s | CPU µs/unit | peak MB | requests | answers/s | MB/s | CPU of the first | wall |\n\
                      |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// The whole document.
pub(super) fn markdown(results: &Results) -> String {
    let mut text = format!(
        "# Bench of {}\n\nMedians of {} round{}, {} processors, {}. The last two columns divide the \
         figure of a case's first line by the line's own: below 1, the first needs less.\n\n{HEADER}",
        results.revision,
        results.rounds,
        if results.rounds == 1 { "" } else { "s" },
        results.processors,
        results.database,
    );
    for case in &results.cases {
        for contestant in &case.contenders {
            text += &row(case, contestant);
        }
    }
    text += &failures(results);
    text
}

/// What the table has no room for; nothing if nothing failed.
fn failures(results: &Results) -> String {
    let mut text = String::new();
    for (case, name, failure) in results.failures() {
        let failure = failure.replace('\n', "\n    ");
        let _ = write!(text, "\n{case} by {name} failed:\n\n    {failure}\n");
    }
    text
}

fn row(case: &Measured, contestant: &Contestant) -> String {
    let median = &contestant.median;
    let ours = &case.contenders[0];
    let is_ours = std::ptr::eq(ours, contestant);
    let ratio = |ours: Option<f64>, theirs: Option<f64>| match (ours, theirs) {
        (Some(ours), Some(theirs)) if !is_ours && theirs > 0.0 => format!("{:.2}", ours / theirs),
        _ => String::new(),
    };
    // A server's processors work for this client as the program's own do.
    let cpu =
        |of: &Contestant| of.median.cpu.map(|cpu| cpu + of.median.server_cpu.unwrap_or_default());
    let per_unit = cpu(contestant)
        .filter(|_| case.units > 0)
        .map(|cpu| format!("{:.1}", cpu * 1e6 / case.units as f64));
    let cells = [
        if is_ours { format!("{}: {}", case.name, case.about) } else { String::new() },
        if contestant.failure.is_some() {
            format!("{}: failed", contestant.name)
        } else {
            contestant.name.clone()
        },
        wall(contestant).map(seconds).unwrap_or_default(),
        match (median.cpu, median.server_cpu) {
            (Some(own), Some(server)) => format!("{} + {}", seconds(own), seconds(server)),
            (own, _) => own.map(seconds).unwrap_or_default(),
        },
        per_unit.unwrap_or_default(),
        median.peak.map(|peak| format!("{:.0}", peak as f64 / 1e6)).unwrap_or_default(),
        median.requests.map(|requests| requests.to_string()).unwrap_or_default(),
        median.rate.map(|rate| format!("{rate:.0}")).unwrap_or_default(),
        median.throughput.map(|bytes| format!("{:.0}", bytes / 1e6)).unwrap_or_default(),
        ratio(cpu(ours), cpu(contestant)),
        ratio(wall(ours), wall(contestant)),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Of whoever ended at least one run.
fn wall(of: &Contestant) -> Option<f64> {
    (!of.samples.is_empty()).then_some(of.median.wall)
}

/// Three significant digits are more than are true.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.1 => format!("{s:.3}"),
        s if s < 10.0 => format!("{s:.2}"),
        s => format!("{s:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Sample;

    #[test]
    fn each_contender_has_a_line_and_is_compared_with_this_tree() {
        let contestant = |name: &str, cpu| {
            let sample = Sample { wall: 4.0, cpu: Some(cpu), ..Sample::default() };
            Contestant::new(name.to_owned(), vec![sample], None)
        };
        let failed = Contestant::new("wget".into(), Vec::new(), Some("No host\nat all".into()));
        let results = Results {
            revision: "abc".into(),
            started: 0,
            processors: 2,
            database: "sqlite".into(),
            rounds: 1,
            cases: vec![Measured {
                name: "file/x".into(),
                about: "things".into(),
                units: 1000,
                contenders: vec![contestant("this tree", 0.5), contestant("curl", 2.0), failed],
            }],
        };
        let text = markdown(&results);
        let ours = "| file/x: things | this tree | 4.00 | 0.50 | 500.0 |  |  |  |  |  |  |\n";
        let theirs = "|  | curl | 4.00 | 2.00 | 2000.0 |  |  |  |  | 0.25 | 1.00 |\n";
        let failed = "|  | wget: failed |  |  |  |  |  |  |  |  |  |\n";
        let why = "\nfile/x by wget failed:\n\n    No host\n    at all\n";
        assert!(text.ends_with(&format!("{ours}{theirs}{failed}{why}")), "{text}");
    }
}
