//! The one place that writes to stdout and stderr: stdout is data, stderr is talk.

use std::{
    borrow::Cow,
    io::{IsTerminal as _, Write as _},
};

use serde::Serialize;

/// Where and how results and messages are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
    /// Talk goes where logs go.
    logs: bool,
}

impl Printer {
    /// With `json`, data is one JSON document per line; with `quiet`, there is no talk.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, logs: false }
    }

    /// The same, with all talk in the log, whose form a program reads.
    pub(crate) fn into_log(self) -> Self {
        Self { logs: true, ..self }
    }

    /// Whether bars may be drawn: talk is wanted and stderr is a terminal.
    pub(crate) fn draws_bars(self) -> bool {
        !self.quiet && !self.json && !self.logs && std::io::stderr().is_terminal()
    }

    /// Prints a result: `value` as JSON, or else what `text` makes of it.
    pub(crate) fn result<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let mut line = if self.json { serde_json::to_string(value)? } else { text(value) };
        if !line.is_empty() && !line.ends_with('\n') {
            line.push('\n');
        }
        // A reader that went away (`| head`) is no error of ours.
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Says something to the person at the terminal.
    pub(crate) fn note(self, message: impl AsRef<str>) {
        if self.logs {
            tracing::info!("{}", message.as_ref());
        } else if !self.quiet {
            say(message.as_ref());
        }
    }

    /// Says something that went wrong without being fatal.
    pub(crate) fn warning(self, message: impl AsRef<str>) {
        if self.logs {
            return tracing::warn!("{}", message.as_ref());
        }
        say(&format!("warning: {}", message.as_ref()));
    }

    /// Says why the program ends with a failure: every cause on a line of its own, then the hint.
    pub(crate) fn failure(self, error: &anyhow::Error, hint: Option<&str>) {
        if self.logs {
            let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
            return tracing::error!(causes = causes.join(": "), hint, "{error}");
        }
        let mut text = format!("error: {error}");
        let mut said = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // A transparent wrapper says the same as what it wraps.
            if cause != said {
                text.push_str("\n  caused by: ");
                text.push_str(&cause);
            }
            said = cause;
        }
        if let Some(hint) = hint {
            text.push_str("\n  hint: ");
            text.push_str(hint);
        }
        say(&text);
    }
}

fn say(message: &str) {
    // Nobody is left to tell if stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(message));
}

/// The text with its control characters written out: some of it is upstream's, and a terminal
/// would obey them.
fn harmless(message: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n';
    if !message.contains(obeyed) {
        return message.into();
    }
    let shown = |c: char| if obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    message.chars().map(shown).collect::<String>().into()
}

/// Lays rows out in columns as wide as their widest cell; the last column is not padded.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A byte count for people: `4.2 MB`, powers of 1,000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long name".into(), "22".into()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME       N\na          1\nlong name  22");
        assert_eq!(table(&["NAME"], &[]), "");
    }

    #[test]
    fn a_terminal_is_shown_control_characters_and_obeys_none() {
        assert_eq!(harmless("größe\nnext line"), "größe\nnext line");
        assert_eq!(harmless("\x1b[2J\0\r"), "\\u{1b}[2J\\u{0}\\r");
    }

    #[test]
    fn byte_counts_are_rounded_to_one_decimal() {
        assert_eq!(
            [0, 999, 1000, 999_949, 999_950, 1_500_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 GB"]
        );
    }
}
