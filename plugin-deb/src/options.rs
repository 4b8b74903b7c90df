//! Options of apt remotes and, in `publication`, publications: command-line flags, YAML keys and
//! stored JSON in one.

use std::{collections::BTreeSet, num::NonZeroU32, str::FromStr};

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::Follow,
    openpgp::{Keyring, KeyringError},
    query::Query,
    selection::{Family, OptionalFamily, Wanted},
};

mod publication;

pub use publication::{
    DebPublicationOptions, InvalidKeyName, InvalidReleaseText, Layout, ReleaseText, SigningKeyName,
};

/// What is mirrored of an apt repository, and whom is believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "What to mirror")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct DebRemoteOptions {
    /// Distribution: the path between `dists/` and the release file; ends in `/` if the repository
    /// is flat; may repeat
    #[arg(long = "distribution", value_name = "PATH")]
    pub distributions: Vec<String>,
    /// Component, e.g. `main`; may repeat [default: all]
    #[arg(long = "component", value_name = "NAME")]
    pub components: Vec<String>,
    /// Architecture, e.g. `amd64`; may repeat [default: all]
    #[arg(long = "architecture", value_name = "NAME")]
    pub architectures: Vec<String>,
    /// Mirror source packages too
    #[arg(long)]
    pub sources: bool,
    /// Mirror the Debian installer's packages too
    #[arg(long)]
    pub udebs: bool,
    /// Mirror the Debian installer's files too
    #[arg(long)]
    pub installer: bool,
    /// What else of the metadata is mirrored; may repeat. Verbatim publications fetch the rest when
    /// a client asks for it [default: translations, commands, appstream]
    #[arg(long = "metadata", value_name = "FAMILY", value_enum)]
    pub metadata: Vec<OptionalFamily>,
    /// Language of translations, e.g. `de`; may repeat [default: all]
    #[arg(long = "language", value_name = "CODE")]
    pub languages: Vec<String>,
    /// File with OpenPGP keys of which one must have signed the release file; may repeat
    #[arg(long = "keyring", value_name = "FILE", value_parser = StoredKeyring::read)]
    pub keyrings: Vec<StoredKeyring>,
    /// Query that packages must match, e.g. `Section (net) | nginx (>= 1.22)`; of several, one.
    /// Publications are structured then
    #[arg(long = "filter", value_name = "QUERY")]
    pub filters: Vec<Query>,
    /// Mirror also what matching packages need: what they depend on, with `recommends` what they
    /// recommend too, with `suggests` what they suggest
    #[arg(long, value_name = "UP-TO", value_enum)]
    pub follow: Option<Follow>,
    /// Mirror only so many versions of each package, the newest ones; with `--follow`, older ones
    /// too where one is needed. Publications are structured then
    #[arg(long, value_name = "COUNT")]
    pub newest: Option<NonZeroU32>,
    /// Accept that upstream does not have all indices of packages and sources that it lists
    #[arg(long)]
    pub ignore_missing_package_indices: bool,
    /// Accept a release file that is older than the last one, from now on
    #[arg(long)]
    pub allow_downgrade: bool,
    /// Accept a release file after its `Valid-Until`, from now on
    #[arg(long)]
    pub allow_expired: bool,
}

impl Default for DebRemoteOptions {
    fn default() -> Self {
        Self {
            distributions: Vec::new(),
            components: Vec::new(),
            architectures: Vec::new(),
            sources: false,
            udebs: false,
            installer: false,
            metadata: vec![
                OptionalFamily::Translations,
                OptionalFamily::Commands,
                OptionalFamily::Appstream,
            ],
            languages: Vec::new(),
            keyrings: Vec::new(),
            filters: Vec::new(),
            follow: None,
            newest: None,
            ignore_missing_package_indices: false,
            allow_downgrade: false,
            allow_expired: false,
        }
    }
}

impl DebRemoteOptions {
    /// What is asked of each distribution.
    pub fn wanted(&self) -> Wanted {
        let mut families: BTreeSet<Family> =
            self.metadata.iter().flat_map(|family| family.families()).copied().collect();
        for (is_wanted, family) in [
            (self.sources, Family::Sources),
            (self.udebs, Family::InstallerPackages),
            (self.installer, Family::Installer),
        ] {
            if is_wanted {
                families.insert(family);
            }
        }
        Wanted {
            components: self.components.clone(),
            architectures: self.architectures.clone(),
            languages: self.languages.clone(),
            families,
        }
    }

    /// Whether packages are left out that upstream's indices list.
    pub fn is_filtered(&self) -> bool {
        !self.filters.is_empty() || self.newest.is_some()
    }

    /// The trusted keys; `None` if there are none, so that nothing is verified.
    pub fn keyring(&self) -> Result<Option<Keyring>, KeyringError> {
        let mut all: Option<Keyring> = None;
        for stored in &self.keyrings {
            let keyring = stored.keyring()?;
            match &mut all {
                Some(all) => all.extend(keyring),
                None => all = Some(keyring),
            }
        }
        Ok(all)
    }
}

/// An OpenPGP keyring as options keep it: armoured text, or base64 of a binary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoredKeyring(String);

impl StoredKeyring {
    /// Reads the file `path`.
    pub fn read(path: &str) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(binary) => base64::engine::general_purpose::STANDARD.encode(binary.as_bytes()),
        };
        text.parse().map_err(|error: KeyringError| error.to_string())
    }

    /// The keys.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        if self.0.contains("-----BEGIN") {
            return Keyring::parse(self.0.as_bytes());
        }
        let digits: String = self.0.split_ascii_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(digits);
        Keyring::parse(&bytes.unwrap_or_default())
    }
}

impl FromStr for StoredKeyring {
    type Err = KeyringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stored = Self(text.to_owned());
        stored.keyring().map(|_| stored)
    }
}

impl TryFrom<String> for StoredKeyring {
    type Error = KeyringError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StoredKeyring> for String {
    fn from(keyring: StoredKeyring) -> Self {
        keyring.0
    }
}

/// Takes the name of a distribution or a component: a path without a slash at its end.
pub(crate) fn place(text: &str) -> Result<String, String> {
    let is_plain = !text.contains(|c: char| c.is_whitespace());
    match pulp_models::RelativePath::new(text) {
        Ok(_) if is_plain => Ok(text.to_owned()),
        Ok(_) => Err("it holds white space".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::{KeyAlgorithm, SigningKey};

    #[test]
    fn options_have_defaults_and_refuse_typos() {
        let options: DebRemoteOptions = serde_json::from_str("{}").expect("valid");
        assert_eq!(options, DebRemoteOptions::default());
        assert!(options.wanted().families.contains(&Family::Translations));
        assert!(options.keyring().expect("none").is_none());
        let none: DebRemoteOptions =
            serde_json::from_str(r#"{"metadata": ["none"], "sources": true}"#).expect("valid");
        assert_eq!(none.wanted().families, BTreeSet::from([Family::Sources]));
        assert!(serde_json::from_str::<DebRemoteOptions>(r#"{"distribution": "x"}"#).is_err());
    }

    #[test]
    fn keyrings_are_stored_as_text_whatever_they_were() {
        let key = SigningKey::create("x", KeyAlgorithm::Ed25519, 1_700_000_000).expect("a key");
        let armored = key.public_armored().expect("armoured");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let binary = Keyring::parse(armored.as_bytes()).expect("read").to_bytes().expect("bytes");
        for bytes in [armored.as_bytes(), &binary] {
            std::fs::write(&path, bytes).expect("written");
            let stored = StoredKeyring::read(path.to_str().expect("UTF-8")).expect("a keyring");
            let json = serde_json::to_string(&stored).expect("JSON");
            let again: StoredKeyring = serde_json::from_str(&json).expect("read again");
            assert_eq!(again.keyring().expect("read").fingerprints(), [key.fingerprint()]);
        }
        std::fs::write(&path, "nothing").expect("written");
        let error = StoredKeyring::read(path.to_str().expect("UTF-8")).expect_err("no keyring");
        assert_eq!(error, "No OpenPGP public key found");
    }
}
