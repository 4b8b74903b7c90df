//! Progress: bars redrawn in place on a terminal, a plain line now and then elsewhere.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pulp_stages::progress::{ProgressFigures, Reporter};

use crate::printer::Printer;

/// How often a line tells of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Draws bars on a terminal; elsewhere it writes lines.
pub(crate) struct Bars {
    printer: Printer,
    drawn: Option<Drawn>,
    lines: Lines,
}

/// Says when a line of progress is due, and what it says.
struct Lines {
    /// When the last one was written, or this began.
    last: Mutex<Instant>,
}

struct Drawn {
    all: MultiProgress,
    by_code: Mutex<HashMap<&'static str, ProgressBar>>,
}

impl Bars {
    pub(crate) fn new(printer: Printer) -> Self {
        let drawn = printer
            .draws_bars()
            .then(|| Drawn { all: MultiProgress::new(), by_code: Mutex::default() });
        Self { printer, drawn, lines: Lines { last: Mutex::new(Instant::now()) } }
    }
}

impl Lines {
    fn due(&self, now: Instant, reports: &[ProgressFigures]) -> Option<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(*last) < LINE_EVERY {
            return None;
        }
        *last = now;
        let figures = reports.iter().map(|report| match report.total {
            Some(total) => format!("{} {}/{total}", report.message, report.done),
            None => format!("{} {}", report.message, report.done),
        });
        Some(figures.collect::<Vec<_>>().join(", "))
    }
}

impl Reporter for Bars {
    fn progress(&self, reports: &[ProgressFigures]) {
        let Some(drawn) = &self.drawn else {
            if let Some(line) = self.lines.due(Instant::now(), reports) {
                self.printer.note(line);
            }
            return;
        };
        let mut bars = drawn.by_code.lock().unwrap_or_else(PoisonError::into_inner);
        for report in reports {
            let bar = bars.entry(report.code).or_insert_with(|| drawn.all.add(new_bar(report)));
            if let Some(total) = report.total {
                bar.set_length(total);
                bar.set_style(style("{msg:32} {wide_bar} {human_pos}/{human_len} {eta:>4}"));
            }
            bar.set_position(report.done);
        }
    }

    fn warning(&self, message: &str) {
        match &self.drawn {
            Some(drawn) => drawn.all.suspend(|| self.printer.warning(message)),
            None => self.printer.warning(message),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(drawn) = &self.drawn {
            // What follows says it all in one line; a failing terminal is no reason to stop.
            let _ = drawn.all.clear();
        }
    }
}

fn new_bar(report: &ProgressFigures) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(report.message);
    bar.set_style(style("{msg:32} {spinner} {human_pos} {per_sec}"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_a_line_tells_of_progress_every_ten_seconds() {
        let begin = Instant::now();
        let lines = Lines { last: Mutex::new(begin) };
        let report = |done, total| ProgressFigures { code: "c", message: "Files", done, total };
        let reports = [report(3, Some(7)), report(4, None)];
        let said: Vec<_> = (0..100)
            .filter_map(|second| lines.due(begin + Duration::from_secs(second), &reports))
            .collect();
        assert_eq!(said.len(), 9, "{said:?}");
        assert_eq!(said[0], "Files 3/7, Files 4");
    }
}
