//! Progress on a terminal: one bar or counter per report, redrawn in place.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pulp_stages::progress::{ProgressFigures, Reporter};

use crate::printer::Printer;

/// Draws bars on a terminal; elsewhere it only passes warnings on.
pub(crate) struct Bars {
    printer: Printer,
    drawn: Option<Drawn>,
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
        Self { printer, drawn }
    }
}

impl Reporter for Bars {
    fn progress(&self, reports: &[ProgressFigures]) {
        let Some(drawn) = &self.drawn else { return };
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
