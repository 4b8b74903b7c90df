//! One file of an upstream's list, and what can be wrong with such a list.
//!
//! [`manifest`](crate::manifest), [`metalink`](crate::metalink) and
//! [`checksums`](crate::checksums) all yield [`Entry`] and all fail with [`ParseError`], so
//! whoever turns entries into content does not know which of them it reads. Nothing here has
//! seen a file's bytes: everything is upstream's word.

use std::{fmt, io};

use pulp_models::{Expected, RelativePath, RemoteUrl};

use crate::upstream_format::UpstreamFormat;

/// One file that upstream lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the file lies in the repository.
    pub relative_path: RelativePath,
    /// Its size and digests as far as the list gives them.
    pub expected: Expected,
    /// Where to fetch it, best first; never empty.
    pub urls: Vec<RemoteUrl>,
    /// Where in the list it stands.
    pub place: Place,
}

/// A place in a list of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line, counted from one.
    Line(u64),
    /// A place in an XML document.
    Element {
        /// How many `file` elements have begun so far; zero is the document's head.
        number: u64,
        /// Distance from the document's beginning in bytes.
        offset: u64,
    },
}

impl Place {
    /// The number of the line or `file` element.
    pub const fn number(self) -> u64 {
        match self {
            Self::Line(number) | Self::Element { number, .. } => number,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Element { number: 0, offset } => write!(f, "byte {offset}"),
            Self::Element { number, offset } => {
                write!(f, "`file` element {number} at byte {offset}")
            }
        }
    }
}

/// A list of files that cannot be used. Nothing after the place it names was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The list's own bytes could not be read.
    #[error("Failed to read the {format} at {place}")]
    Read {
        /// What was being read.
        format: UpstreamFormat,
        /// How far it came.
        place: Place,
        /// What the reader said.
        source: io::Error,
    },
    /// A line or element does not follow its format.
    #[error("Invalid {format} at {place}")]
    Invalid {
        /// What was being read.
        format: UpstreamFormat,
        /// The line or element.
        place: Place,
        /// What is wrong there.
        source: Problem,
    },
    /// One path stands twice in the list, as two different files.
    #[error(
        "Contradiction in the {format} about `{path}`: {unit} {first} and {unit} {second} give \
         different sizes or digests",
        unit = .format.unit()
    )]
    Contradiction {
        /// What was being read.
        format: UpstreamFormat,
        /// The path that stands there twice.
        path: RelativePath,
        /// Number of the line or `file` element where it stands first.
        first: u64,
        /// Number of the line or `file` element that contradicts it.
        second: u64,
    },
}

/// What is wrong with one line or element.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A line, a tag or a text is longer than any honest one.
    #[error("It is longer than {0} bytes")]
    TooLong(usize),
    /// The list is not UTF-8, the only encoding that is read.
    #[error("It is not UTF-8")]
    NotUtf8,
    /// The line has another form than the format's.
    #[error("Expected `{expected}`, got `{actual}`")]
    Form {
        /// The form of a line.
        expected: &'static str,
        /// The line, shortened.
        actual: String,
    },
    /// The path is empty, absolute, climbs upwards or holds control characters.
    #[error(transparent)]
    Path(#[from] pulp_models::relative_path::InvalidPath),
    /// The digest is not hex or has the wrong length.
    #[error(transparent)]
    Digest(#[from] pulp_models::digest::InvalidDigest),
    /// The size is not a number of bytes.
    #[error("Invalid size `{0}`: expected decimal digits, at most {max}", max = u64::MAX)]
    Size(String),
    /// No digest of the file can be computed here.
    #[error("`{0}` has no digest of a known algorithm")]
    NoDigest(String),
    /// No line of the list is of the algorithm that was asked for.
    #[error("The list holds no {0} digest at all")]
    NoSuchAlgorithm(pulp_models::Algorithm),
    /// One element gives two values where there can be one.
    #[error("The file has two different values of `{0}`")]
    TwoValues(String),
    /// An address of a file is no URL.
    #[error("Invalid URL `{0}`")]
    Url(String),
    /// None of the file's addresses can be used.
    #[error("The file has no `url` that can be fetched (http, https)")]
    NoUrl,
    /// An element lacks an attribute.
    #[error("The attribute `{0}` is missing")]
    NoAttribute(&'static str),
    /// An entity that is neither predefined nor a character reference; others are never expanded.
    #[error("Unknown entity `&{0};`")]
    Entity(String),
    /// The document is no Metalink 4.
    #[error("Expected the root element `metalink` of {expected}, got {actual}")]
    Root {
        /// The namespace of Metalink 4.
        expected: &'static str,
        /// The root element that is there, or its namespace.
        actual: String,
    },
    /// Elements within elements within elements …
    #[error("Elements are nested deeper than {0}")]
    TooDeep(usize),
    /// More of something than any honest list has.
    #[error("The file has more than {0} addresses")]
    TooManyUrls(usize),
    /// The document ends before its root element does.
    #[error("The document ends within an element")]
    Truncated,
    /// The document is not well-formed XML.
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
}

/// Shortens upstream's text for a message and escapes what could command a terminal.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
