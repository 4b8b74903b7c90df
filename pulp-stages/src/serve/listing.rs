//! Directory listings as HTML.
//!
//! Names come from upstream and are escaped twice: as URL path segments in the link, as text in what
//! is shown. Which entries there are is decided in [`super::resolve`].

use std::fmt::Write as _;

use jiff::{fmt::strtime, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pulp_models::Timestamp;

/// What stays as it is in a link: the unreserved characters of RFC 3986 §2.3, and `+`, which is
/// common in versions and means itself in a path.
pub(super) const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+');

/// The column at which dates begin, for names that are not longer.
const NAME_WIDTH: usize = 80;

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// One path segment, without a slash.
    pub(super) name: String,
    pub(super) kind: EntryKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    /// `modified` and `size` (bytes) where they are known.
    File {
        modified: Option<Timestamp>,
        size: Option<u64>,
    },
}

/// The page for the folder `path` (no slashes at its ends; empty for the top). Folders stand before
/// files, each sorted by name.
pub(super) fn page(path: &str, mut entries: Vec<Entry>) -> String {
    entries.sort_unstable_by(|a, b| {
        (a.kind != EntryKind::Folder, &a.name).cmp(&(b.kind != EntryKind::Folder, &b.name))
    });
    let title = if path.is_empty() { "/".to_owned() } else { format!("/{}/", escaped(path)) };
    let mut html = String::with_capacity(400 + entries.len() * 200);
    let head = "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\">";
    let _ = writeln!(
        html,
        "{head}<title>Index of {title}</title></head>\n<body>\n<h1>Index of {title}</h1>\n<hr><pre>"
    );
    if !path.is_empty() {
        html.push_str("<a href=\"../\">../</a>\n");
    }
    for entry in &entries {
        line(&mut html, entry);
    }
    html.push_str("</pre><hr>\n</body>\n</html>\n");
    html
}

fn line(html: &mut String, entry: &Entry) {
    let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
    let link = utf8_percent_encode(&entry.name, SEGMENT);
    let _ = write!(html, "<a href=\"./{link}{slash}\">{}{slash}</a>", escaped(&entry.name));
    if let EntryKind::File { modified, size } = entry.kind {
        let gap = NAME_WIDTH.saturating_sub(entry.name.chars().count()).max(1);
        let date = modified.map_or_else(|| "-".to_owned(), date);
        let size = size.map_or_else(|| "-".to_owned(), human_size);
        let _ = write!(html, "{:gap$}{date:>17} {size:>12}", "");
    }
    html.push('\n');
}

/// As in `23-Nov-2026 05:02`, UTC.
fn date(time: Timestamp) -> String {
    let zoned = jiff::Timestamp::from_microsecond(time.0)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC);
    strtime::format("%d-%b-%Y %H:%M", &zoned).unwrap_or_default()
}

/// As in `0 Bytes`, `1 Byte`, `4.2 MB`: decimal units, as Pulp shows them.
fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} Byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be shown as 1000.0 is 1.0 of the next unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Text safe between tags and within quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Entry {
        let modified = Some(Timestamp(1_700_000_000_000_000));
        Entry { name: name.to_owned(), kind: EntryKind::File { modified, size: Some(size) } }
    }

    #[test]
    fn hostile_names_are_shown_and_linked_as_what_they_are() {
        let name = "<script>\"x\"&'y'?#%41:.txt";
        let page = page("a&b", vec![file(name, 0)]);
        assert!(!page.contains("<script>"), "{page}");
        assert!(
            page.contains("href=\"./%3Cscript%3E%22x%22%26%27y%27%3F%23%2541%3A.txt\""),
            "{page}"
        );
        assert!(
            page.contains("&lt;script&gt;&quot;x&quot;&amp;&#39;y&#39;?#%41:.txt</a>"),
            "{page}"
        );
        assert!(page.contains("<title>Index of /a&amp;b/</title>"), "{page}");
    }

    #[test]
    fn folders_come_first_and_the_top_has_no_parent() {
        let folder = Entry { name: "z".to_owned(), kind: EntryKind::Folder };
        let top = page("", vec![file("b", 1), file("a c,d", 4_200_000), folder]);
        let lines: Vec<_> = top.lines().filter(|line| line.starts_with("<a")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        <a href="./z/">z/</a>
        <a href="./a%20c%2Cd">a c,d</a>                                                                           14-Nov-2023 22:13       4.2 MB
        <a href="./b">b</a>                                                                               14-Nov-2023 22:13       1 Byte
        "#);
        assert!(page("a", Vec::new()).contains("<a href=\"../\">../</a>"));
    }

    #[test]
    fn sizes_have_one_decimal_and_the_right_unit() {
        let shown: Vec<_> = [0, 999, 1000, 999_949, 999_950, 41_943_040, u64::MAX]
            .into_iter()
            .map(human_size)
            .collect();
        assert_eq!(
            shown,
            ["0 Bytes", "999 Bytes", "1.0 kB", "999.9 kB", "1.0 MB", "41.9 MB", "18.4 EB"]
        );
    }
}
