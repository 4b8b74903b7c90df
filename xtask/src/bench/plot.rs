//! Results as a picture: a bar per contender, and curves over the number of units.
//!
//! Bars are long as CPU seconds are, within their case: what a case costs depends on no other. An
//! SVG of plain shapes that needs no fonts, styles or scripts from elsewhere.

use std::fmt::Write as _;

use super::{
    results::{Contestant, Measured, Results},
    table::seconds,
};

const WIDTH: f64 = 1040.0;
/// Where bars begin, and how long the longest is.
const BARS: (f64, f64) = (330.0, 330.0);
const ROW: f64 = 18.0;
const OURS: &str = "#2563eb";
const THEIRS: &str = "#94a3b8";

/// The whole document.
pub(super) fn svg(results: &Results) -> String {
    let mut picture = Picture::default();
    let title = format!("CPU seconds, median of {} on {}", results.rounds, results.database);
    picture.text(24.0, 34.0, Style::Title, &title);
    picture.text(24.0, 52.0, Style::Faint, &format!("revision {}", results.revision));
    let mut y = 84.0;
    let (scales, bars): (Vec<_>, Vec<_>) =
        results.cases.iter().partition(|case| case.name.starts_with("scale"));
    for case in bars {
        y = bars_of(&mut picture, case, y) + 10.0;
    }
    let family = |case: &Measured| case.name.split('/').next().map(ToOwned::to_owned);
    for cases in scales.chunk_by(|one, other| family(one) == family(other)) {
        y = if cases.len() > 1 {
            curves(&mut picture, cases, y + 20.0)
        } else {
            bars_of(&mut picture, cases[0], y) + 10.0
        };
    }
    picture.finish(y + 14.0)
}

fn bars_of(picture: &mut Picture, case: &Measured, top: f64) -> f64 {
    picture.text(24.0, top + 13.0, Style::Strong, &case.name);
    let cost = |of: &Contestant| {
        of.median.cpu.map_or(of.median.wall, |cpu| cpu + of.median.server_cpu.unwrap_or_default())
    };
    let longest = case.contenders.iter().map(cost).fold(1e-9, f64::max);
    for (row, contestant) in case.contenders.iter().enumerate() {
        let y = top + row as f64 * ROW;
        picture.text_end(BARS.0 - 10.0, y + 13.0, Style::Plain, &short(&contestant.name));
        if contestant.samples.is_empty() {
            picture.text(BARS.0, y + 13.0, Style::Faint, "failed");
            continue;
        }
        let length = (BARS.1 * cost(contestant) / longest).max(1.0);
        let fill = if row == 0 { OURS } else { THEIRS };
        picture.rectangle(BARS.0, y + 2.0, length, ROW - 5.0, fill);
        let median = &contestant.median;
        let mut told =
            format!("{} s, {} s by the clock", seconds(cost(contestant)), seconds(median.wall));
        if let Some(peak) = median.peak {
            let _ = write!(told, ", {:.0} MB", peak as f64 / 1e6);
        }
        if let Some(rate) = median.rate {
            let _ = write!(told, ", {rate:.0}/s");
        }
        if contestant.failure.is_some() {
            told.push_str(", then failed");
        }
        picture.text(BARS.0 + length + 8.0, y + 13.0, Style::Faint, &told);
    }
    top + case.contenders.len() as f64 * ROW
}

/// CPU time per unit and memory over the number of units: flat is good.
fn curves(picture: &mut Picture, cases: &[&Measured], top: f64) -> f64 {
    const HEIGHT: f64 = 150.0;
    let per_unit = |case: &Measured, of: &Contestant| {
        of.median.cpu.map(|cpu| {
            (cpu + of.median.server_cpu.unwrap_or_default()) * 1e6 / case.units.max(1) as f64
        })
    };
    let memory = |_: &Measured, of: &Contestant| of.median.peak.map(|peak| peak as f64 / 1e6);
    let panels: [(&str, f64, Figure<'_>); 2] =
        [("CPU µs per unit", 60.0, &per_unit), ("peak memory, MB", 545.0, &memory)];
    for (title, left, figure) in panels {
        let width = 325.0;
        picture.text(left, top, Style::Strong, &format!("{}: {title}", cases[0].about));
        let all = cases.iter().flat_map(|case| case.contenders.iter().map(move |of| (*case, of)));
        let highest = all.filter_map(|(case, of)| figure(case, of)).fold(1e-9, f64::max);
        let bottom = top + 14.0 + HEIGHT;
        picture.line(left, bottom, left + width, bottom);
        let step = width / (cases.len() - 1) as f64;
        for (at, case) in cases.iter().enumerate() {
            let label = case.name.rsplit('/').next().unwrap_or_default();
            picture.text_middle(left + at as f64 * step, bottom + 16.0, Style::Faint, label);
        }
        for (row, contestant) in cases[0].contenders.iter().enumerate() {
            let mut points = Vec::new();
            for (at, case) in cases.iter().enumerate() {
                // Who failed has no figures.
                let same = case.contenders.iter().find(|of| of.name == contestant.name);
                if let Some(value) = same.and_then(|of| figure(case, of)) {
                    let y = bottom - HEIGHT * 0.85 * value / highest;
                    points.push((left + at as f64 * step, y, value));
                }
            }
            picture.curve(&points, if row == 0 { OURS } else { THEIRS });
            if let Some((x, y, _)) = points.last() {
                picture.text(x + 20.0, y + 4.0, Style::Plain, &short(&contestant.name));
            }
        }
    }
    top + HEIGHT + 40.0
}

/// What a curve shows of a contender.
type Figure<'a> = &'a dyn Fn(&Measured, &Contestant) -> Option<f64>;

#[derive(Clone, Copy)]
enum Style {
    Title,
    Strong,
    Plain,
    Faint,
}

impl Style {
    fn attributes(self) -> &'static str {
        match self {
            Self::Title => r##"font-size="18" font-weight="600" fill="#0f172a""##,
            Self::Strong => r##"font-size="12" font-weight="600" fill="#0f172a""##,
            Self::Plain => r##"font-size="12" fill="#334155""##,
            Self::Faint => r##"font-size="11" fill="#64748b""##,
        }
    }
}

/// Shapes of an SVG.
#[derive(Default)]
struct Picture(String);

impl Picture {
    fn text(&mut self, x: f64, y: f64, style: Style, text: &str) {
        self.anchored(x, y, "start", style, text);
    }

    fn text_end(&mut self, x: f64, y: f64, style: Style, text: &str) {
        self.anchored(x, y, "end", style, text);
    }

    fn text_middle(&mut self, x: f64, y: f64, style: Style, text: &str) {
        self.anchored(x, y, "middle", style, text);
    }

    fn anchored(&mut self, x: f64, y: f64, anchor: &str, style: Style, text: &str) {
        let (style, text) = (style.attributes(), escape(text));
        let _ = writeln!(
            self.0,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {style}>{text}</text>"#
        );
    }

    fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let _ = writeln!(
            self.0,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{fill}"/>"#
        );
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.0,
            r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#cbd5e1"/>"##
        );
    }

    /// Points with their values beside them, joined.
    fn curve(&mut self, points: &[(f64, f64, f64)], stroke: &str) {
        let joined: Vec<_> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let joined = joined.join(" ");
        let _ = writeln!(
            self.0,
            r#"<polyline points="{joined}" fill="none" stroke="{stroke}" stroke-width="2"/>"#
        );
        for (x, y, value) in points {
            let _ = writeln!(self.0, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{stroke}"/>"#);
            self.text_middle(*x, y - 8.0, Style::Faint, &format!("{value:.1}"));
        }
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

/// The end of a name that has no room.
fn short(name: &str) -> String {
    const ROOM: usize = 20;
    match name.char_indices().rev().nth(ROOM - 1) {
        Some((at, _)) if at > 0 => format!("…{}", &name[at..]),
        _ => name.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Sample;

    fn case(name: &str, units: u64, cpus: &[f64]) -> Measured {
        let contenders = cpus.iter().enumerate().map(|(at, cpu)| {
            let peak = Some(50_000_000);
            let sample = Sample { wall: 1.0, cpu: Some(*cpu), peak, ..Sample::default() };
            Contestant::new(format!("by <{at}>"), vec![sample], None)
        });
        Measured {
            name: name.into(),
            about: String::new(),
            units,
            contenders: contenders.collect(),
        }
    }

    #[test]
    fn bars_are_long_as_their_figures_and_curves_join_the_scales() {
        let results = Results {
            revision: "a&b".into(),
            started: 0,
            processors: 2,
            database: "sqlite".into(),
            rounds: 3,
            cases: vec![
                case("file/x", 10, &[1.0, 2.0]),
                case("scale/1k", 1000, &[1.0]),
                case("scale/10k", 10_000, &[10.0]),
                case("scale-tags/10", 10, &[1.0]),
            ],
        };
        let text = svg(&results);
        assert!(text.contains("revision a&amp;b") && text.contains("by &lt;1&gt;"), "{text}");
        let widths = [r#"width="165.0""#, r#"width="330.0""#];
        assert!(widths.iter().all(|width| text.contains(width)), "{text}");
        // Two panels with one curve each, level both; one point alone is a bar.
        assert!(text.contains(">scale-tags/10<"), "{text}");
        let curves = text.lines().filter(|line| line.starts_with("<polyline")).count();
        assert_eq!((curves, text.matches("1000.0").count()), (2, 2), "{text}");
    }

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(short("this tree"), "this tree");
        assert_eq!(short("/srv/builds/größe/target/release/pulp"), "…/target/release/pulp");
    }
}
