//! Relative paths: the only form in which a path from upstream may enter.
//!
//! Where a file lies on disk never depends on these (artifacts are stored by digest); they name
//! files inside a repository and in the URLs that serve it.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A `/`-separated path without empty, `.` or `..` segments, without NUL or other control
/// characters; at most 4,096 bytes, each segment at most 255. Cheap to clone.
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(Arc<str>);

/// Why a text is no relative path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unsafe path {path:?}: {reason}")]
pub struct InvalidPath {
    path: String,
    reason: &'static str,
}

impl RelativePath {
    /// Longest path in bytes.
    pub const MAX_LENGTH: usize = 4096;
    /// Longest segment in bytes.
    pub const MAX_SEGMENT: usize = 255;

    /// Checks and takes `path`.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
        match Self::problem(path) {
            None => Ok(Self(path.into())),
            Some(reason) => {
                let shown = path.chars().take(200).collect();
                Err(InvalidPath { path: shown, reason })
            }
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Everything before the last segment, without its slash; `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    fn problem(path: &str) -> Option<&'static str> {
        if path.is_empty() {
            return Some("it is empty");
        }
        if path.len() > Self::MAX_LENGTH {
            return Some("it is longer than 4096 bytes");
        }
        if path.chars().any(char::is_control) {
            return Some("it holds a control character");
        }
        if path.starts_with('/') {
            return Some("it is absolute");
        }
        path.split('/').find_map(|segment| match segment {
            "" => Some("it has an empty segment"),
            "." | ".." => Some("it has a `.` or `..` segment"),
            long if long.len() > Self::MAX_SEGMENT => Some("a segment is longer than 255 bytes"),
            _ => None,
        })
    }
}

impl AsRef<str> for RelativePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for RelativePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0.as_ref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_taken_with_spaces_commas_and_other_scripts() {
        for path in ["a", "a/b c,d", "pool/ü/漢字.deb", "a..b/.hidden/c~1"] {
            assert_eq!(RelativePath::new(path).expect(path).as_str(), path);
        }
    }

    #[test]
    fn paths_that_could_leave_their_folder_are_refused() {
        let long = "x/".repeat(3000);
        let wide = "x".repeat(256);
        for path in
            ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b", "a\nb", &long, &wide, "a/."]
        {
            assert!(RelativePath::new(path).is_err(), "{path:?} was taken");
        }
    }
}
