//! `PULP_MANIFEST`: one `path,sha256,size` per line, read and written.
//!
//! Paths may hold commas and spaces, because a line is split from its right. Fields are stripped
//! of surrounding white space; blank lines and lines that begin with `#` say nothing. There is no
//! way to quote, so a few odd paths cannot stand in a manifest; [`write_line`] refuses them
//! rather than write a line that reads back as something else.
//!
//! Reading holds one line at a time. Paths that stand twice are the business of
//! [`distinct`](crate::distinct).

use std::io::{self, BufRead, Write};

use pulp_models::{Digests, Expected, RelativePath, RemoteUrl, Sha256};

use crate::{
    entry::{Entry, ParseError, Place, Problem, shown},
    lines::Lines,
    upstream_format::UpstreamFormat,
};

/// The file name that Pulp gives to a manifest.
pub const MANIFEST_NAME: &str = "PULP_MANIFEST";

/// The entries of a manifest, in its order; the first error ends them.
#[derive(Debug)]
pub struct Manifest<R> {
    lines: Lines<R>,
    directory: RemoteUrl,
    ended: bool,
}

impl<R: BufRead> Manifest<R> {
    /// Reads `reader`; the listed files lie beside the manifest's own `url`.
    pub fn new(url: &RemoteUrl, reader: R) -> Self {
        let lines = Lines::new(reader, UpstreamFormat::Manifest);
        Self { lines, directory: url.parent(), ended: false }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ParseError> {
        loop {
            let place = Place::Line(self.lines.number() + 1);
            let Some(line) = self.lines.next_line()? else { return Ok(None) };
            if says_nothing(line) {
                continue;
            }
            let (relative_path, sha256, size) = parse_line(line).map_err(|source| {
                ParseError::Invalid { format: UpstreamFormat::Manifest, place, source }
            })?;
            return Ok(Some(Entry {
                urls: vec![self.directory.join_path(relative_path.as_str())],
                relative_path,
                expected: Expected { size: Some(size), digests: Digests::from(sha256) },
                place,
            }));
        }
    }
}

impl<R: BufRead> Iterator for Manifest<R> {
    type Item = Result<Entry, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Whether a line is blank or a comment.
pub(crate) fn says_nothing(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Takes `path,sha256,size` apart.
pub(crate) fn parse_line(line: &str) -> Result<(RelativePath, Sha256, u64), Problem> {
    let mut fields = line.rsplitn(3, ',').map(str::trim);
    let (Some(size), Some(sha256), Some(path)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(Problem::Form { expected: "path,sha256,size", actual: shown(line.trim()) });
    };
    Ok((RelativePath::new(path)?, parse_sha256(sha256)?, parse_size(size)?))
}

fn parse_sha256(text: &str) -> Result<Sha256, Problem> {
    // The digest's own parser would quote all of a line that is one long field.
    if text.len() > 2 * 64 {
        return Err(Problem::Form { expected: "path,sha256,size", actual: shown(text) });
    }
    Ok(text.parse()?)
}

/// Takes decimal digits and nothing else: no sign, no separators.
pub(crate) fn parse_size(text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| Problem::Size(shown(text)))
}

/// Why a line could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The path would read back as another one, or as a comment.
    #[error("`{path}` cannot stand in a manifest: it {reason}")]
    Path {
        /// The path in question.
        path: RelativePath,
        /// What about it is in the way.
        reason: &'static str,
    },
    /// The output refused the line.
    #[error("Failed to write the manifest")]
    Io(#[from] io::Error),
}

/// Writes one line of a manifest; on an error about the path nothing has been written.
///
/// ```
/// use plugin_file::manifest::write_line;
/// use pulp_models::{RelativePath, Sha256};
///
/// let mut manifest = Vec::new();
/// let path = RelativePath::new("isos/one, two.iso")?;
/// write_line(&mut manifest, &path, Sha256::of(b"abc"), 3)?;
/// assert!(manifest.starts_with(b"isos/one, two.iso,ba7816bf"));
/// assert!(manifest.ends_with(b",3\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_line(
    out: &mut impl Write,
    path: &RelativePath,
    sha256: Sha256,
    size: u64,
) -> Result<(), WriteError> {
    let text = path.as_str();
    let reason = if text.trim() != text {
        Some("begins or ends with white space")
    } else if text.starts_with('#') {
        Some("begins with `#`, as comments do")
    } else if text.starts_with('\u{feff}') {
        Some("begins with a byte order mark")
    } else {
        None
    };
    if let Some(reason) = reason {
        return Err(WriteError::Path { path: path.clone(), reason });
    }
    writeln!(out, "{text},{sha256},{size}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &str) -> Result<Vec<Entry>, ParseError> {
        Manifest::new(&testing::url("http://host/dir/PULP_MANIFEST?sig=1"), text.as_bytes())
            .collect()
    }

    /// The error's message and its cause's.
    fn failure(text: &str) -> (String, String) {
        let error = read(text).expect_err("an error");
        let cause = error.source().expect("a cause").to_string();
        (error.to_string(), cause)
    }

    #[test]
    fn a_line_becomes_an_entry_beside_the_manifest() {
        let entries = read(&format!("\n# comment\n a/ü b,c.iso , {ABC} , 3 \r\n")).expect("valid");
        let [entry] = &entries[..] else { panic!("one entry, not {entries:?}") };
        assert_eq!(entry.relative_path.as_str(), "a/ü b,c.iso");
        assert_eq!(entry.expected.size, Some(3));
        assert_eq!(entry.expected.digests, Digests::from(Sha256::of(b"abc")));
        assert_eq!(entry.urls[0].expose().as_str(), "http://host/dir/a/%C3%BC%20b,c.iso?sig=1");
        assert_eq!(entry.place, Place::Line(3));
    }

    #[test]
    fn digests_in_upper_case_are_taken() {
        let upper = read(&format!("a,{},0", ABC.to_uppercase())).expect("valid");
        assert_eq!(upper, read(&format!("a,{ABC},0")).expect("valid"));
    }

    #[test]
    fn errors_cite_their_line_and_end_the_list() {
        let (message, cause) = failure(&format!("a,{ABC},1\n\nb,{ABC}"));
        assert_eq!(message, "Invalid manifest at line 3");
        assert_eq!(cause, format!("Expected `path,sha256,size`, got `b,{ABC}`"));
        let text = format!("a,{ABC},1\nb\nc,{ABC},1\n");
        let url = testing::url("http://host/PULP_MANIFEST");
        let outcomes: Vec<bool> =
            Manifest::new(&url, text.as_bytes()).map(|entry| entry.is_ok()).collect();
        assert_eq!(outcomes, [true, false]);
    }

    #[test]
    fn sizes_digests_and_paths_that_are_none_are_refused() {
        for (line, cause) in [
            (format!("a,{ABC},+1"), "Invalid size `+1`"),
            (format!("a,{ABC},"), "Invalid size ``"),
            (format!("a,{ABC},99999999999999999999"), "Invalid size `99999999999999999999`"),
            ("a,abcd,1".to_owned(), "Invalid digest"),
            (format!("a,x{},1", &ABC[1..]), "Invalid digest"),
            (format!("../a,{ABC},1"), "Unsafe path"),
            (format!(",{ABC},1"), "Unsafe path"),
            (format!("/etc/passwd,{ABC},1"), "Unsafe path"),
        ] {
            let (_, actual) = failure(&line);
            assert!(actual.starts_with(cause), "{line}: {actual}");
        }
    }

    #[test]
    fn paths_that_would_read_back_differently_are_not_written() {
        for path in ["#a", " a", "a\u{a0}", "\u{feff}a"] {
            let mut out = Vec::new();
            let path = RelativePath::new(path).expect("a valid path");
            assert!(write_line(&mut out, &path, Sha256::of(b""), 0).is_err(), "{path:?}");
            assert!(out.is_empty());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(files in prop::collection::vec(testing::file(), 0..20)) {
            let mut text = Vec::new();
            let mut written = Vec::new();
            for (path, sha256, size) in files {
                if write_line(&mut text, &path, sha256, size).is_ok() {
                    written.push((path, sha256, size));
                }
            }
            let read: Vec<_> = Manifest::new(&testing::url("http://host/m"), &text[..])
                .map(|entry| {
                    let Entry { relative_path, expected, .. } = entry.expect("valid");
                    let sha256 = expected.digests.sha256().expect("always there");
                    (relative_path, sha256, expected.size.expect("always there"))
                })
                .collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in testing::bytes_like(&["a", ",", "0", "\n", ABC, "#"])) {
            Manifest::new(&testing::url("http://host/m"), &bytes[..]).for_each(drop);
        }
    }
}
