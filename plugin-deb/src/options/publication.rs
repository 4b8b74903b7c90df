//! Options of apt publications: which layout, and what a structured one says of itself.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{compression::Compression, release::ReleaseFields};

/// How a version is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Byte for byte as upstream has it, with upstream's signatures.
    Verbatim,
    /// With indices and release files of our own, made from the packages.
    Structured,
}

/// What an apt publication looks like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "How to publish")]
pub struct DebPublicationOptions {
    /// Upstream's own metadata, or metadata of our own [default: verbatim, if that is possible]
    #[arg(long = "publish", value_name = "LAYOUT", value_enum)]
    pub layout: Option<Layout>,
    /// Compression of structured indices, besides plain files; may repeat [default: gz, xz]
    #[arg(long = "compression", value_name = "NAME", value_enum)]
    pub compressions: Vec<Compression>,
    /// Key that signs structured publications: its name (see `pulp deb key`), or `none`
    /// [default: `default`, made on first use]
    #[arg(long, value_name = "NAME")]
    pub signing_key: Option<SigningKeyName>,
    /// Days after which clients no longer believe a structured publication [default: forever]
    #[arg(long, value_name = "DAYS")]
    pub valid_for: Option<u32>,
    /// Date of structured publications, in seconds since the epoch [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub date: Option<i64>,
    /// `Origin` of structured publications. apt refuses a repository whose `Origin`, `Label` or
    /// `Codename` changes until `apt-get update --allow-releaseinfo-change`. Empty is upstream's, as
    /// with the following [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<ReleaseText>,
    /// `Label` of structured publications [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub label: Option<ReleaseText>,
    /// `Suite` of structured publications, e.g. `stable`; apt warns where neither it nor the
    /// codename is what stands in its sources [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub suite: Option<ReleaseText>,
    /// `Codename` of structured publications, e.g. `bookworm` [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub codename: Option<ReleaseText>,
    /// `Version` of structured publications, e.g. `12.5` [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub release_version: Option<ReleaseText>,
    /// `Description` of structured publications [default: upstream's]
    #[arg(long, value_name = "TEXT")]
    pub release_description: Option<ReleaseText>,
}

impl DebPublicationOptions {
    /// The compressions of structured indices, plain among them.
    pub fn compressions(&self) -> BTreeSet<Compression> {
        let chosen: &[Compression] = match &self.compressions[..] {
            [] => &[Compression::Gz, Compression::Xz],
            chosen => chosen,
        };
        chosen.iter().copied().chain([Compression::Plain]).collect()
    }

    /// Lays what the user says of the distribution over what upstream says.
    pub fn lay_over(&self, fields: &mut ReleaseFields) {
        let ReleaseFields { origin, label, suite, codename, version, description, .. } = fields;
        let fields = [origin, label, suite, codename, version, description];
        for (own, field) in self.own().into_iter().zip(fields) {
            if let Some(text) = own {
                *field = Some(text.to_owned());
            }
        }
    }

    /// Whether the user says anything of the distribution.
    pub fn say_otherwise(&self) -> bool {
        self.own().iter().any(Option::is_some)
    }

    fn own(&self) -> [Option<&str>; 6] {
        let Self { origin, label, suite, codename, .. } = self;
        let (version, description) = (&self.release_version, &self.release_description);
        let own = [origin, label, suite, codename, version, description];
        own.map(|own| own.as_ref().and_then(ReleaseText::given))
    }

    /// Whether they say what one distribution is called, which several cannot share.
    pub fn name_a_distribution(&self) -> bool {
        let [_, _, suite, codename, ..] = self.own();
        suite.or(codename).is_some()
    }
}

/// A value of a release file: one line. An empty one stands for upstream's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseText(String);

/// A text that is more than a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("It holds a line break or another control character")]
pub struct InvalidReleaseText;

impl ReleaseText {
    fn given(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }
}

impl FromStr for ReleaseText {
    type Err = InvalidReleaseText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().any(char::is_control) {
            return Err(InvalidReleaseText);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ReleaseText {
    type Error = InvalidReleaseText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ReleaseText> for String {
    fn from(text: ReleaseText) -> Self {
        text.0
    }
}

/// The name of a signing key: letters, digits, `-`, `_` and `.`, so that it can be a file's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningKeyName(String);

/// A text that is no name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a key: only letters, digits, `-`, `_` and `.` are")]
pub struct InvalidKeyName(String);

impl SigningKeyName {
    /// Stands for "no key".
    pub const NONE: &'static str = "none";

    /// The key that is made when none is named.
    pub fn default_key() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SigningKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SigningKeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = !text.is_empty()
            && text.len() <= 64
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidKeyName(text.to_owned())) }
    }
}

impl TryFrom<String> for SigningKeyName {
    type Error = InvalidKeyName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SigningKeyName> for String {
    fn from(name: SigningKeyName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_cannot_leave_their_folder() {
        for name in ["", "..", "a/b", ".hidden", "a b", "ü"] {
            assert!(name.parse::<SigningKeyName>().is_err(), "{name}");
        }
        assert_eq!("my-key_1.2".parse::<SigningKeyName>().expect("valid").as_str(), "my-key_1.2");
    }

    #[test]
    fn what_is_said_of_a_distribution_is_one_line_and_may_be_taken_back() {
        assert!("a\nOrigin: b".parse::<ReleaseText>().is_err());
        let upstream =
            || ReleaseFields { origin: Some("Debian".into()), ..ReleaseFields::default() };
        for (own, expected) in [("Us", "Us"), ("", "Debian"), (" ", "Debian")] {
            let origin = Some(own.parse().expect("a line"));
            let mut fields = upstream();
            DebPublicationOptions { origin, ..Default::default() }.lay_over(&mut fields);
            assert_eq!(fields.origin.as_deref(), Some(expected), "{own:?}");
        }
    }
}
