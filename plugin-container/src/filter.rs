//! Which tags, and which platforms of an index, are mirrored.
//!
//! Patterns come from a remote's options and are checked when they are set. The first stage applies
//! them: tags before anything is requested for them, platforms before an index' children are. What
//! is filtered is names and numbers only, so memory stays that of the tag list.

use std::{fmt, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{
    manifest::{Descriptor, Platform},
    reference::Tag,
};

/// Matches tags by one of
/// - a glob over the whole tag (`v1.*`, `[0-9]?`, `{a,b}-slim`);
/// - `regex:` and a regular expression over the whole tag;
/// - `semver:` and a range of versions (`semver:>=1.2, <2`, `semver:*`). Tags may begin with `v`,
///   leave out minor and patch numbers, and have zeros before a number (`22.04`); those that are no
///   version don't match, and pre-releases match only a range that names one.
///
/// ```
/// use plugin_container::filter::TagPattern;
/// let pattern: TagPattern = "semver:^1.2".parse().unwrap();
/// assert!(pattern.matches(&"v1.3".parse().unwrap()));
/// assert!(!pattern.matches(&"latest".parse().unwrap()));
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone)]
enum Matcher {
    Glob(Box<GlobMatcher>),
    Regex(Regex),
    Semver(VersionReq),
}

/// A text that is no pattern.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Longer than 255 bytes.
    #[error("Tag pattern of {0} bytes is longer than 255 bytes")]
    TooLong(usize),
    /// No glob, and why; flags and files show a text alone, so it has the reason.
    #[error("Invalid glob {0:?}: {1}")]
    Glob(String, String),
    /// No regular expression, and why.
    #[error("Invalid regular expression {0:?}: {1}")]
    Regex(String, String),
    /// No range of versions, and why.
    #[error("Invalid range of versions {0:?}: {1}")]
    Semver(String, String),
}

impl TagPattern {
    /// Longest pattern in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Whether `tag` is meant.
    pub fn matches(&self, tag: &Tag) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(tag.as_str()),
            Matcher::Regex(regex) => regex.is_match(tag.as_str()),
            Matcher::Semver(range) => version(tag).is_some_and(|version| range.matches(&version)),
        }
    }

    /// Whether the pattern is a tag's very name.
    fn is_literal(&self) -> bool {
        matches!(self.matcher, Matcher::Glob(_)) && self.text.parse::<Tag>().is_ok()
    }
}

impl FromStr for TagPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_LENGTH {
            return Err(PatternError::TooLong(text.len()));
        }
        let matcher = if let Some(regex) = text.strip_prefix("regex:") {
            let invalid = |error| PatternError::Regex(regex.into(), reason(&error));
            // First alone, so that what is said of it is said of what was given.
            Regex::new(regex).map_err(invalid)?;
            Matcher::Regex(Regex::new(&format!("^(?:{regex})$")).map_err(invalid)?)
        } else if let Some(range) = text.strip_prefix("semver:") {
            let invalid =
                |error: semver::Error| PatternError::Semver(range.into(), error.to_string());
            Matcher::Semver(range.trim().parse().map_err(invalid)?)
        } else {
            let glob = GlobBuilder::new(text).build();
            let invalid =
                |error: globset::Error| PatternError::Glob(text.into(), error.kind().to_string());
            let glob = glob.map_err(invalid)?;
            Matcher::Glob(Box::new(glob.compile_matcher()))
        };
        Ok(Self { text: text.into(), matcher })
    }
}

/// What is wrong with an expression, without the drawing of where.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl TryFrom<String> for TagPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TagPattern {}

/// Which tags of a repository are mirrored. The default is all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct TagFilter<'a> {
    /// Only tags that match one of these; empty means every tag.
    pub include: &'a [TagPattern],
    /// No tags that match one of these, included or not.
    pub exclude: &'a [TagPattern],
    /// Of the tags that are left, only this many of the highest versions. Tags that are no version
    /// are left out, unless `include` names them literally.
    pub newest: Option<usize>,
}

impl TagFilter<'_> {
    /// Whether every tag is meant.
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.newest.is_none()
    }

    /// The tags that are meant, sorted and each once.
    pub fn apply(&self, mut tags: Vec<Tag>) -> Vec<Tag> {
        tags.retain(|tag| self.matches(tag));
        if let Some(newest) = self.newest {
            tags = self.newest(tags, newest);
        }
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Whether `tag` is included and not excluded.
    fn matches(&self, tag: &Tag) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.matches(tag));
        included && !self.exclude.iter().any(|pattern| pattern.matches(tag))
    }

    fn newest(&self, tags: Vec<Tag>, count: usize) -> Vec<Tag> {
        let (mut named, mut versions) = (Vec::new(), Vec::new());
        for tag in tags {
            if self.include.iter().any(|pattern| pattern.is_literal() && pattern.matches(&tag)) {
                named.push(tag);
            } else if let Some(version) = version(&tag) {
                versions.push((version, tag));
            }
        }
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.dedup();
        named.extend(versions.into_iter().take(count).map(|(_, tag)| tag));
        named
    }
}

/// Which children of an index are mirrored. Empty means all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlatformFilter<'a>(pub &'a [Platform]);

/// What `BuildKit` calls the manifest that an attestation describes.
const ATTESTED: &str = "vnd.docker.reference.digest";

impl PlatformFilter<'_> {
    /// The children that are meant, in the index' order: those of a wanted platform, those without
    /// any platform (nested indexes, artifacts), and attestations of a child that is meant.
    pub fn apply<'c>(&self, children: &'c [Descriptor]) -> Vec<&'c Descriptor> {
        let wanted = |child: &Descriptor| match &child.platform {
            Some(platform) if !self.0.is_empty() && !platform.is_unknown() => {
                self.0.iter().any(|wanted| wanted.covers(platform))
            }
            _ => true,
        };
        let attests_unwanted = |child: &Descriptor| {
            child.annotations.get(ATTESTED).is_some_and(|digest| {
                children.iter().any(|other| other.digest.to_string() == *digest && !wanted(other))
            })
        };
        children.iter().filter(|child| wanted(child) && !attests_unwanted(child)).collect()
    }
}

/// The version that a tag is: `1.2.3`, `v1.2`, `1`, `1.2-alpine`, `22.04`.
fn version(tag: &Tag) -> Option<Version> {
    let text = tag.as_str().strip_prefix('v').unwrap_or(tag.as_str());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, suffix) = text.split_at(end);
    let mut numbers: Vec<_> = numbers.split('.').map(without_zeros).collect();
    if numbers.len() > 3 {
        return None;
    }
    numbers.resize(3, "0");
    format!("{}{suffix}", numbers.join(".")).parse().ok()
}

/// A number as semantic versioning has it: what is named after dates begins with zeros.
fn without_zeros(number: &str) -> &str {
    let last = number.len().saturating_sub(1);
    &number[number.bytes().take(last).take_while(|digit| *digit == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn patterns(texts: &[&str]) -> Vec<TagPattern> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn check(
        include: &[&str],
        exclude: &[&str],
        newest: Option<usize>,
        tags: &str,
        expected: &str,
    ) {
        let (include, exclude) = (patterns(include), patterns(exclude));
        let filter = TagFilter { include: &include, exclude: &exclude, newest };
        let tags = tags.split(' ').map(|tag| tag.parse().expect(tag)).collect();
        let kept: Vec<_> = filter.apply(tags).iter().map(ToString::to_string).collect();
        assert_eq!(kept.join(" "), expected, "{include:?} {exclude:?} {newest:?}");
    }

    #[test]
    fn globs_include_and_exclude_whole_tags() {
        check(&[], &[], None, "b a a", "a b");
        check(
            &["v1.*", "latest"],
            &["*-rc?"],
            None,
            "v1.2 v1.3-rc1 v2 latest xlatest",
            "latest v1.2",
        );
        check(&["[0-9]*", "{a,b}-slim"], &[], None, "1 x a-slim c-slim", "1 a-slim");
    }

    #[test]
    fn regular_expressions_cover_whole_tags() {
        check(&[r"regex:v\d+|edge"], &[], None, "v1 v10 xv1 v1x edge edges", "edge v1 v10");
    }

    #[test]
    fn ranges_of_versions_take_short_tags() {
        check(
            &["semver:>=1.2, <2"],
            &[],
            None,
            "v1.2 1.1.9 1.10.3 2 1.3-rc1 latest",
            "1.10.3 v1.2",
        );
        check(&["semver:*"], &[], None, "1 v2 x 1.2.3.4 1. 1.2-alpine", "1 v2");
    }

    #[test]
    fn the_newest_versions_are_kept_and_tags_named_literally() {
        check(&[], &[], Some(2), "1.9 1.10 1.2 latest", "1.10 1.9");
        check(&["semver:1", "latest"], &[], Some(1), "1.9 1.10 2.0 latest edge", "1.10 latest");
        check(&[], &[], Some(0), "1", "");
        check(&[], &[], Some(2), "22.04 22.10 24.04 9 0", "22.10 24.04");
        check(
            &["semver:>=2024.2"],
            &[],
            None,
            "2024.01.00 2024.02.01 2024.10",
            "2024.02.01 2024.10",
        );
        check(&[], &[], Some(2), "1.0.0-rc1 1.0.0 0.9.0", "1.0.0 1.0.0-rc1");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, reason) in [
            ("regex:[", "Invalid regular expression \"[\": unclosed character class"),
            ("regex:a)|(b", "Invalid regular expression \"a)|(b\": unopened group"),
            ("regex:x{9}{9}{9}{9}{9}{9}{9}", "size limit"),
            ("semver:x.y", "Invalid range of versions \"x.y\": unexpected character"),
            ("[", "Invalid glob \"[\": unclosed character class"),
            (&"x".repeat(256), "255 bytes"),
        ] {
            let error = text.parse::<TagPattern>().expect_err(text).to_string();
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
        let pattern = &patterns(&["semver:^1"])[0];
        let json = serde_json::to_string(pattern).expect("serialises");
        assert_eq!(json, "\"semver:^1\"");
        assert_eq!(serde_json::from_str::<TagPattern>(&json).expect("round trip"), *pattern);
    }

    #[test]
    fn platforms_keep_what_belongs_to_them() {
        let child = |seed: &str, platform: Option<&str>| {
            let mut descriptor = serde_json::json!({"digest": Digest::sha256(seed.as_bytes())});
            if let Some((os, architecture)) = platform.and_then(|text| text.split_once('/')) {
                descriptor["platform"] =
                    serde_json::json!({"os": os, "architecture": architecture});
            }
            serde_json::from_value::<Descriptor>(descriptor).expect("is a descriptor")
        };
        let attestation = |of: &str| {
            let mut descriptor = child(&format!("attests {of}"), Some("unknown/unknown"));
            let digest = Digest::sha256(of.as_bytes()).to_string();
            descriptor.annotations.insert(ATTESTED.into(), digest);
            descriptor
        };
        let children = [
            child("amd64", Some("linux/amd64")),
            child("arm64", Some("linux/arm64")),
            attestation("amd64"),
            attestation("arm64"),
            child("nested", None),
        ];
        let wanted = ["linux/amd64".parse().expect("valid")];
        let kept = PlatformFilter(&wanted).apply(&children);
        assert_eq!(kept, [&children[0], &children[2], &children[4]]);
        assert_eq!(PlatformFilter(&[]).apply(&children).len(), 5);
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_and_no_tag_make_it_panic(text in "\\PC{0,20}", tag in "[0-9v.+-]{1,20}") {
            if let (Ok(pattern), Ok(tag)) = (text.parse::<TagPattern>(), tag.parse::<Tag>()) {
                pattern.matches(&tag);
            }
            if let Ok(tag) = tag.parse::<Tag>() {
                version(&tag);
            }
        }
    }
}
