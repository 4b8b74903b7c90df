//! Which repositories of a registry may be pulled through: globs over their names.

use std::{fmt, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::reference::RepositoryName;

/// A glob over a whole repository name: `*` stands for anything within one segment, `**` for any
/// number of segments.
///
/// ```
/// use plugin_container::pull_through::RepositoryGlob;
/// let glob: RepositoryGlob = "library/*".parse().unwrap();
/// assert!(glob.matches(&"library/debian".parse().unwrap()));
/// assert!(!glob.matches(&"library/a/b".parse().unwrap()));
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryGlob {
    text: String,
    matcher: Box<GlobMatcher>,
}

/// A text that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("Invalid glob {text:?}")]
pub struct InvalidGlob {
    text: String,
    source: globset::Error,
}

impl RepositoryGlob {
    /// Whether `name` is meant.
    pub fn matches(&self, name: &RepositoryName) -> bool {
        self.matcher.is_match(name.as_str())
    }
}

impl FromStr for RepositoryGlob {
    type Err = InvalidGlob;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob = glob.map_err(|source| InvalidGlob { text: text.into(), source })?;
        Ok(Self { text: text.into(), matcher: Box::new(glob.compile_matcher()) })
    }
}

impl TryFrom<String> for RepositoryGlob {
    type Error = InvalidGlob;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RepositoryGlob> for String {
    fn from(glob: RepositoryGlob) -> Self {
        glob.text
    }
}

impl PartialEq for RepositoryGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for RepositoryGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_its_segment() {
        for (glob, name, expected) in [
            ("*", "debian", true),
            ("*", "library/debian", false),
            ("library/*", "library/debian", true),
            ("library/deb*", "library/ubuntu", false),
            ("team/**", "team/a/b", true),
            ("**", "any/thing/at/all", true),
            ("{a,b}/c", "b/c", true),
        ] {
            let glob: RepositoryGlob = glob.parse().expect(glob);
            assert_eq!(glob.matches(&name.parse().expect(name)), expected, "{glob:?} {name}");
        }
        assert!("a[".parse::<RepositoryGlob>().is_err());
    }
}
