//! The release file of a distribution: what it says of itself and the list of its index files.
//!
//! Reads the text that [`crate::openpgp`] has verified; which of the listed files are wanted is
//! [`crate::selection`]'s business. Format: Debian's repository format, "Release files", as apt
//! reads it. Numbers, digests and paths that cannot be are collected as warnings, so that one bad
//! line among thousands does not stop a mirror that never needs the file it names.

use std::{borrow::Cow, collections::BTreeMap};

use pulp_models::{Algorithm, Digests, Expected, RelativePath};
use serde::{Deserialize, Serialize};

use crate::stanza::{Stanza, StanzaError};

/// Why a text is no release file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is no stanza.
    #[error("Not a release file")]
    Stanza(#[from] StanzaError),
    /// A date cannot be read.
    #[error("The release file's `{field}` is no date: `{text}`")]
    Date {
        /// `Date` or `Valid-Until`.
        field: &'static str,
        /// The value.
        text: String,
        /// What the date parser says.
        #[source]
        source: jiff::Error,
    },
    /// It lists no file with a hash that proves anything.
    #[error("The release file lists no index by SHA256 or SHA512")]
    NoTrustedHashes,
}

/// What a release file says of its distribution; the fields that a republication keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of Debian's release files, named as there")]
pub struct ReleaseFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_automatic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub but_automatic_upgrades: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
}

/// A release file.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// What it says of its distribution.
    pub fields: ReleaseFields,
    /// When it was made, in seconds since the epoch.
    pub date: Option<i64>,
    /// When it must no longer be believed, in seconds since the epoch.
    pub valid_until: Option<i64>,
    /// Whether every listed file is also there under its hash.
    pub acquire_by_hash: bool,
    /// `No-Support-for-Architecture-all: Packages`: clients read no `binary-all`, since every
    /// architecture's index holds the packages of architecture `all` too.
    pub all_in_each_architecture: bool,
    /// The listed files by their path below the release file's directory.
    pub files: BTreeMap<RelativePath, Expected>,
    /// What was passed over, in words: unsafe paths, digests of the wrong length.
    pub warnings: Vec<String>,
}

/// The hash lists, weakest first, so that of contradicting sizes the strongest list's one counts.
const LISTS: [(&str, Algorithm); 4] = [
    ("MD5Sum", Algorithm::Md5),
    ("SHA1", Algorithm::Sha1),
    ("SHA256", Algorithm::Sha256),
    ("SHA512", Algorithm::Sha512),
];

/// Beyond this many warnings only their number is kept.
const MAX_WARNINGS: usize = 20;

impl Release {
    /// Reads the text of a `Release` file, or the verified text of an `InRelease`.
    pub fn parse(text: &[u8]) -> Result<Self, ReleaseError> {
        let stanza = Stanza::of(text);
        if let Some(error) = stanza.fields().find_map(Result::err) {
            return Err(error.into());
        }
        let mut release = Self {
            fields: fields(&stanza),
            date: date(&stanza, "Date")?,
            valid_until: date(&stanza, "Valid-Until")?,
            acquire_by_hash: stanza.text("Acquire-By-Hash").is_some_and(|text| is_true(&text)),
            ..Self::default()
        };
        // Names kinds of index; of those, only packages are stanzas.
        release.all_in_each_architecture = stanza
            .text("No-Support-for-Architecture-all")
            .is_some_and(|kinds| kinds.split_ascii_whitespace().any(|kind| kind == "Packages"));
        for (name, algorithm) in LISTS {
            if let Some(list) = stanza.get(name) {
                release.take_list(list, algorithm);
            }
        }
        if !release.files.is_empty()
            && !release.files.values().any(|file| file.digests.is_trusted())
        {
            return Err(ReleaseError::NoTrustedHashes);
        }
        Ok(release)
    }

    /// What is known of the file at `path` below the release file's directory.
    pub fn file(&self, path: &str) -> Option<&Expected> {
        let path = RelativePath::new(path).ok()?;
        self.files.get(&path)
    }

    fn take_list(&mut self, list: &[u8], algorithm: Algorithm) {
        let lines = list.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty()) {
            if let Err(problem) = self.take_entry(line, algorithm) {
                self.warn(format!("{algorithm} `{}`: {problem}", String::from_utf8_lossy(line)));
            }
        }
    }

    /// Takes one line of a list: digest, size and path. A path with blanks keeps them.
    fn take_entry(&mut self, line: &[u8], algorithm: Algorithm) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "no UTF-8".to_owned())?;
        let (digest, rest) = line.split_once([' ', '\t']).ok_or("neither size nor path")?;
        let (size, path) = rest.trim_start().split_once([' ', '\t']).ok_or("no path")?;
        let size = size.parse().map_err(|_| format!("`{size}` is no size"))?;
        let path = path.trim_start();
        let path = RelativePath::new(path.strip_prefix("./").unwrap_or(path))
            .map_err(|error| error.to_string())?;
        let mut digests =
            self.files.get(&path).map_or_else(Digests::new, |file| file.digests.clone());
        digests.insert_hex(algorithm, digest).map_err(|error| error.to_string())?;
        self.files.insert(path, Expected { size: Some(size), digests });
        Ok(())
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }
}

fn fields(stanza: &Stanza<'_>) -> ReleaseFields {
    let text = |name| stanza.text(name).map(Cow::into_owned).filter(|text| !text.is_empty());
    // The singular forms are what some hand-made repositories write.
    let words = |name: &str, singular: &str| {
        let text = stanza.text(name).or_else(|| stanza.text(singular)).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    ReleaseFields {
        origin: text("Origin"),
        label: text("Label"),
        suite: text("Suite"),
        codename: text("Codename"),
        version: text("Version"),
        description: text("Description"),
        not_automatic: text("NotAutomatic"),
        but_automatic_upgrades: text("ButAutomaticUpgrades"),
        architectures: words("Architectures", "Architecture"),
        components: words("Components", "Component"),
    }
}

fn is_true(text: &str) -> bool {
    ["yes", "true", "1", "on", "with", "enable"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

/// Reads an RFC 2822 date; the zone may also be called `UTC`, as Debian calls it.
fn date(stanza: &Stanza<'_>, field: &'static str) -> Result<Option<i64>, ReleaseError> {
    let Some(text) = stanza.text(field) else {
        return Ok(None);
    };
    let numeric = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))
        .map_or_else(|| text.clone(), |date| format!("{date}+0000").into());
    jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(&*numeric)
        .map(|timestamp| Some(timestamp.as_second()))
        .map_err(|source| ReleaseError::Date { field, text: text.into_owned(), source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELEASE: &str = "\
Origin: Debian
Suite: oldstable
Codename: bookworm
Date: Sat, 11 Jul 2026 10:16:37 UTC
Valid-Until: Sat, 18 Jul 2026 10:16:37 +0000
Acquire-By-Hash: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64
Components: main contrib
Description: Debian 12.15 Released
MD5Sum:
 0ed6d4c8891eb86358b94bb35d9e4da4  1484322 main/Contents-all
 0ed6d4c8891eb86358b94bb35d9e4da4  9 main/binary-amd64/Packages
SHA256:
 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad        3 main/binary-amd64/Packages
 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad        3 ./Packages
";

    fn parse(text: &str) -> Release {
        Release::parse(text.as_bytes()).expect("a release file")
    }

    #[test]
    fn fields_and_lists_are_read() {
        let release = parse(RELEASE);
        assert_eq!(release.fields.codename.as_deref(), Some("bookworm"));
        assert_eq!(release.fields.components, ["main", "contrib"]);
        assert_eq!((release.date, release.valid_until), (Some(1_783_764_997), Some(1_784_369_797)));
        assert!(release.acquire_by_hash && release.all_in_each_architecture);
        assert_eq!(release.files.len(), 3);
        let packages = release.file("main/binary-amd64/Packages").expect("listed");
        assert_eq!(packages.size, Some(3), "the strongest list's size");
        assert_eq!(packages.digests.iter().count(), 2);
        assert!(release.file("Packages").is_some(), "`./` is no part of the path");
        assert!(!release.file("main/Contents-all").expect("listed").digests.is_trusted());
        assert!(release.warnings.is_empty());
    }

    #[test]
    fn packages_for_all_architectures_stand_apart_unless_the_release_file_says_otherwise() {
        for (field, expected) in [
            ("", false),
            ("No-Support-for-Architecture-all: Packages\n", true),
            ("No-Support-for-Architecture-all: Contents Packages\n", true),
            ("No-Support-for-Architecture-all: Contents\n", false),
        ] {
            let release = parse(&format!("Codename: x\n{field}"));
            assert_eq!(release.all_in_each_architecture, expected, "{field}");
        }
    }

    #[test]
    fn bad_lines_are_passed_over_with_a_warning() {
        let release = parse(
            "SHA256:\n ba7816 3 short\n \
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 ../../etc/passwd\n \
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad -1 x\n \
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3\n \
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 main/good one\n",
        );
        assert_eq!(release.warnings.len(), 4, "{:?}", release.warnings);
        assert!(release.file("main/good one").is_some());
        assert!(release.warnings[1].contains("`..`"), "{:?}", release.warnings);
    }

    #[test]
    fn a_release_file_with_md5_only_is_refused() {
        let error = Release::parse(b"MD5Sum:\n 0ed6d4c8891eb86358b94bb35d9e4da4 1 main/x\n");
        assert!(matches!(error, Err(ReleaseError::NoTrustedHashes)));
    }

    #[test]
    fn a_page_of_html_is_refused() {
        let error = Release::parse(b"<!DOCTYPE html>\n<html></html>\n").expect_err("no release");
        assert_eq!(error.to_string(), "Not a release file");
        assert!(Release::parse(b"Date: soon\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Release::parse(&bytes);
            let _ = Release::parse(&[&b"SHA256:\n "[..], &bytes].concat());
            let _ = Release::parse(&[&b"Date: "[..], &bytes].concat());
        }
    }
}
