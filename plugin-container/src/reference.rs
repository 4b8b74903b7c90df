//! Names in a registry: repository names, tags, and references (a tag or a digest).
//!
//! Grammars of the OCI distribution specification, "Pulling manifests". Names from upstream, from
//! clients' URLs and from options enter through here, so that no later code meets `..`, an empty
//! segment or a name longer than a path may be.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A repository's name: lower-case segments joined by `/`, at most 255 bytes.
///
/// ```
/// use plugin_container::reference::RepositoryName;
/// assert!("library/debian".parse::<RepositoryName>().is_ok());
/// assert!("Library/../x".parse::<RepositoryName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Box<str>);

/// A tag: 1 to 128 of letters, digits, `_`, `.` and `-`, beginning with neither of the last two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);

/// What names a manifest in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By tag: may move.
    Tag(Tag),
    /// By digest: cannot.
    Digest(Digest),
}

/// A name that the grammar doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// No repository name.
    #[error(
        "Invalid repository name {0:?}: expected lower-case letters and digits, separated by \
         `.`, `_`, `__` or dashes, in segments separated by `/`, at most 255 bytes"
    )]
    Name(String),
    /// No tag.
    #[error(
        "Invalid tag {0:?}: expected 1 to 128 of letters, digits, `_`, `.` and `-`, beginning \
         with neither of the last two"
    )]
    Tag(String),
    /// Contains a colon, so it was meant as a digest, but is none.
    #[error("Invalid reference")]
    Digest(#[from] crate::digest::DigestError),
}

impl RepositoryName {
    /// Longest name in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// Longest tag in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= Self::MAX_LENGTH && text.split('/').all(is_segment) {
            Ok(Self(text.into()))
        } else {
            Err(ReferenceError::Name(text.chars().take(300).collect()))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_segment(segment: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = segment.as_bytes();
    let ends_in_words =
        bytes.first().copied().is_some_and(word) && bytes.last().copied().is_some_and(word);
    ends_in_words
        && segment
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .filter(|separator| !separator.is_empty())
            .all(|separator| {
                matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
            })
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let first = bytes.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let rest = bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if first && rest && bytes.len() <= Self::MAX_LENGTH {
            Ok(Self(text.into()))
        } else {
            Err(ReferenceError::Tag(text.chars().take(200).collect()))
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// A text with a colon is a digest, any other a tag (a tag cannot hold one).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0.into()
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0.into()
    }
}

impl TryFrom<String> for Tag {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        let long = "a/".repeat(127) + "a";
        for name in ["a", "lab/many", "a.b/c_d/e__f/g---h", "0/1", &long] {
            assert_eq!(name.parse::<RepositoryName>().expect(name).as_str(), name);
        }
        let longer = "a/".repeat(128) + "a";
        for name in [
            "", "A", "a/", "/a", "a//b", "a..b", "a___b", "-a", "a-", "a.-b", "..", "ä", "a b",
            &longer,
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        let long = "x".repeat(128);
        for tag in ["latest", "_", "v1.0-rc.1", "1", "__.-", &long] {
            assert_eq!(tag.parse::<Tag>().expect(tag).as_str(), tag);
        }
        let longer = "x".repeat(129);
        for tag in ["", ".a", "-a", "a/b", "a:b", "a b", "ü", "a\n", &longer] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?} was taken");
        }
    }

    #[test]
    fn a_reference_with_a_colon_is_a_digest_or_an_error() {
        let digest = Digest::sha512(b"");
        assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
        assert!(matches!("v1".parse(), Ok(Reference::Tag(_))));
        assert!(matches!("sha256:bad".parse::<Reference>(), Err(ReferenceError::Digest(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = text.parse::<RepositoryName>();
            let _ = text.parse::<Reference>();
        }
    }
}
