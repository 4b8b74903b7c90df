//! The profile of a run as a picture: the flow from stage to stage, and what each stage did with
//! its time.
//!
//! One row per stage, from first to last: how many units passed, which share of the run it worked,
//! starved (waited for the stage before) or was blocked (waited for the one behind), and how large
//! its batches were. The stage that worked longest sets the pace, and is framed. An SVG of plain
//! shapes that needs no fonts, styles or scripts from elsewhere.

use std::{fmt::Write as _, time::Duration};

use pulp_stages::{Profile, StageProfile};

const WIDTH: f64 = 1120.0;
const TOP: f64 = 96.0;
const ROW: f64 = 66.0;
/// A stage's box, and the bar beside it: left edge and width.
const BOX: (f64, f64) = (24.0, 250.0);
const BAR: (f64, f64) = (306.0, 400.0);
const FIGURES: f64 = 730.0;
const WORKING: &str = "#2563eb";
const STARVED: &str = "#cbd5e1";
const BLOCKED: &str = "#f59e0b";
const PACE: &str = "#dc2626";
/// Longer on an async worker thread at once is worth a word.
const LONG_POLL: Duration = Duration::from_millis(10);

/// Draws `profile` under a title.
pub(crate) fn svg(profile: &Profile, title: &str) -> String {
    let mut drawing = Drawing::default();
    drawing.text(24.0, 38.0, &Text::TITLE, title);
    let units = profile.stages.iter().map(passed).max().unwrap_or_default();
    let subtitle = format!(
        "{} units through {} stages in {}, {} per second",
        count(units),
        profile.stages.len(),
        duration(profile.elapsed),
        count(rate(units, profile.elapsed))
    );
    drawing.text(24.0, 60.0, &Text::FAINT, &subtitle);
    legend(&mut drawing);
    let pace = profile.stages.iter().map(|stage| stage.working).max().unwrap_or_default();
    for (row, stage) in profile.stages.iter().enumerate() {
        let y = TOP + row as f64 * ROW;
        if row > 0 {
            drawing.arrow(BOX.0 + BOX.1 / 2.0, y - (ROW - 44.0), y);
        }
        draw_stage(&mut drawing, stage, profile.elapsed, stage.working == pace, y);
    }
    drawing.finish(TOP + profile.stages.len() as f64 * ROW)
}

fn legend(drawing: &mut Drawing) {
    let mut x = BAR.0;
    for (fill, words) in
        [(WORKING, "working"), (STARVED, "starved: no input"), (BLOCKED, "blocked: no room behind")]
    {
        drawing.rectangle(x, 66.0, 12.0, 12.0, fill);
        drawing.text(x + 18.0, 76.0, &Text::FAINT, words);
        x += 40.0 + 6.2 * words.len() as f64;
    }
}

fn draw_stage(
    drawing: &mut Drawing,
    stage: &StageProfile,
    elapsed: Duration,
    sets_pace: bool,
    y: f64,
) {
    drawing.frame(BOX.0, y, BOX.1, 44.0, if sets_pace { PACE } else { "#94a3b8" });
    drawing.text(BOX.0 + 12.0, y + 18.0, &Text::STRONG, stage.name);
    let flow = match (stage.received, stage.sent) {
        (0, sent) => format!("{} out", count(sent)),
        (received, 0) => format!("{} in", count(received)),
        (received, sent) => format!("{} in, {} out", count(received), count(sent)),
    };
    drawing.text(BOX.0 + 12.0, y + 35.0, &Text::FAINT, &flow);

    let whole = elapsed.as_secs_f64().max(1e-9);
    drawing.rectangle(BAR.0, y + 4.0, BAR.1, 16.0, "#f1f5f9");
    let mut x = BAR.0;
    let mut told = Vec::new();
    for (time, fill, word) in [
        (stage.working, WORKING, "working"),
        (stage.waiting, STARVED, "starved"),
        (stage.blocked, BLOCKED, "blocked"),
    ] {
        let share = time.as_secs_f64() / whole;
        let width = (BAR.1 * share).min(BAR.0 + BAR.1 - x);
        if width > 0.0 {
            drawing.rectangle(x, y + 4.0, width, 16.0, fill);
            x += width;
        }
        if share >= 0.005 {
            told.push(format!("{word} {:.0} % ({})", share * 100.0, duration(time)));
        }
    }
    drawing.text(BAR.0, y + 36.0, &Text::FAINT, &told.join(", "));

    let mut first = format!("{} units/s while working", count(rate(passed(stage), stage.working)));
    if sets_pace {
        first += ": sets the pace";
    }
    drawing.text(FIGURES, y + 16.0, &Text::PLAIN, &first);
    drawing.text(FIGURES, y + 36.0, &Text::FAINT, &batches(stage));
}

/// Units that a stage has handled.
fn passed(stage: &StageProfile) -> u64 {
    stage.received.max(stage.sent)
}

/// Units per second.
fn rate(units: u64, time: Duration) -> u64 {
    let rate = u128::from(units) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn batches(stage: &StageProfile) -> String {
    let (smallest, largest) = (count(stage.smallest_batch), count(stage.largest_batch));
    let mut text = match (stage.batches, stage.mean_batch()) {
        (0, _) | (_, None) => String::new(),
        (1, _) => format!("1 batch of {largest}"),
        (batches, _) if smallest == largest => format!("{} batches of {largest}", count(batches)),
        (batches, Some(mean)) => {
            format!("{} batches of {mean:.0} ({smallest} to {largest})", count(batches))
        }
    };
    if stage.longest_poll > LONG_POLL {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}kept a thread for {}", duration(stage.longest_poll));
    }
    text
}

/// `1234567` as `1,234,567`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} min", seconds / 60.0),
    }
}

/// How a text looks.
struct Text(&'static str);

impl Text {
    const TITLE: Self = Self(r##"font-size="20" font-weight="600" fill="#0f172a""##);
    const STRONG: Self = Self(r##"font-size="14" font-weight="600" fill="#0f172a""##);
    const PLAIN: Self = Self(r##"font-size="13" fill="#334155""##);
    const FAINT: Self = Self(r##"font-size="12" fill="#64748b""##);
}

/// Shapes, in the order in which they are painted.
#[derive(Default)]
struct Drawing(String);

impl Drawing {
    fn text(&mut self, x: f64, y: f64, look: &Text, text: &str) {
        let (look, text) = (look.0, escape(text));
        let _ = writeln!(self.0, r#"<text x="{x:.1}" y="{y:.1}" {look}>{text}</text>"#);
    }

    fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let _ = writeln!(
            self.0,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        );
    }

    fn frame(&mut self, x: f64, y: f64, width: f64, height: f64, stroke: &str) {
        let _ = writeln!(
            self.0,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6" fill="#ffffff" stroke="{stroke}" stroke-width="1.5"/>"##
        );
    }

    /// From above to below.
    fn arrow(&mut self, x: f64, from: f64, to: f64) {
        let _ = writeln!(
            self.0,
            r##"<path d="M{x:.1} {from:.1} V{to:.1} M{left:.1} {head:.1} L{x:.1} {to:.1} L{right:.1} {head:.1}" fill="none" stroke="#94a3b8" stroke-width="1.5"/>"##,
            left = x - 4.0,
            right = x + 4.0,
            head = to - 6.0,
        );
    }

    fn finish(self, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"system-ui, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.0
        )
    }
}

/// Text as XML has it. Characters that XML cannot hold at all become `?`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\u{FFFE}' | '\u{FFFF}' => escaped.push('?'),
            control if control.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str, [working, waiting, blocked]: [u64; 3]) -> StageProfile {
        let mut stage = StageProfile::default();
        stage.name = name;
        stage.received = 1_234_567;
        stage.sent = 1_234_567;
        (stage.batches, stage.smallest_batch, stage.largest_batch) = (2000, 12, 1000);
        stage.working = Duration::from_secs(working);
        stage.waiting = Duration::from_secs(waiting);
        stage.blocked = Duration::from_secs(blocked);
        stage
    }

    fn profile(stages: Vec<StageProfile>) -> Profile {
        let mut profile = Profile::default();
        (profile.elapsed, profile.stages) = (Duration::from_secs(10), stages);
        profile
    }

    #[test]
    fn shares_are_as_wide_as_the_times_are_long() {
        let text = svg(&profile(vec![stage("Query", [5, 2, 3])]), "x");
        for (width, fill) in [("200.0", WORKING), ("80.0", STARVED), ("120.0", BLOCKED)] {
            let shape = format!(r#"width="{width}" height="16.0" fill="{fill}""#);
            assert!(text.contains(&shape), "{shape}: {text}");
        }
        assert!(text.contains("working 50 % (5.0 s), starved 20 % (2.0 s), blocked 30 % (3.0 s)"));
        assert!(text.contains("1,234,567 in, 1,234,567 out"), "{text}");
        assert!(
            text.contains("246,913 units/s while working: sets the pace")
                && text.contains("2,000 batches of 617 (12 to 1,000)")
        );
    }

    #[test]
    fn the_stage_that_works_longest_is_framed() {
        let stages = vec![stage("A", [1, 0, 0]), stage("B", [9, 0, 0]), stage("C", [2, 0, 0])];
        let text = svg(&profile(stages), "x");
        assert_eq!(text.matches(PACE).count(), 1);
        let after = text.split(PACE).nth(1).expect("it is framed");
        assert!(after.find(">B<").is_some_and(|at| at < after.find(">C<").expect("it is there")));
        assert_eq!(text.matches("<path").count(), 2, "an arrow between two stages");
    }

    #[test]
    fn no_text_can_become_a_shape() {
        let text = svg(&profile(Vec::new()), "a<rect/>&\u{1b}");
        assert!(text.contains("a&lt;rect/&gt;&amp;?"), "{text}");
    }

    #[test]
    fn a_thread_kept_too_long_is_told() {
        let mut slow = stage("Slow", [1, 0, 0]);
        slow.longest_poll = Duration::from_millis(25);
        assert!(batches(&slow).ends_with("; kept a thread for 25 ms"));
        slow.batches = 0;
        assert_eq!(batches(&slow), "kept a thread for 25 ms");
    }
}
