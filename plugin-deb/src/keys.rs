//! The signing keys of an installation: armoured text in the plugin's key files.
//!
//! A key is made once and never replaced: clients trust it. Two processes that make the same key
//! at once end up with one of them. Everything here blocks.

use pulp_stages::{
    key_files::{KeyFileError, KeyFiles},
    plugin::FailureKind,
};

use tokio_util::sync::CancellationToken;

use crate::{
    openpgp::{KeyAlgorithm, SigningError, SigningKey},
    options::SigningKeyName,
};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// There is no key of this name.
    #[error("There is no signing key `{0}`")]
    Missing(SigningKeyName),
    /// There is one already.
    #[error("There is a signing key `{0}` already")]
    Exists(SigningKeyName),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file is no usable key.
    #[error("Signing key `{name}` cannot be used")]
    Key {
        /// Its name.
        name: SigningKeyName,
        /// Why.
        #[source]
        source: SigningError,
    },
    /// The user asked for an early end before it was kept.
    #[error("Interrupted")]
    Interrupted,
}

/// How the names of keys' files end.
const SUFFIX: &str = ".asc";

/// The keys of an installation.
#[derive(Debug, Clone)]
pub struct KeyStore {
    files: KeyFiles,
    cancel: CancellationToken,
}

impl KeyStoreError {
    /// What kind of failure it is for whoever named the key.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Missing(_) => FailureKind::NotFound,
            Self::Exists(_) => FailureKind::Conflict,
            Self::Interrupted => FailureKind::Interrupted,
            Self::File(_) | Self::Key { .. } => FailureKind::Other,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(name) => Some(format!("make it with `pulp deb key create {name}`")),
            Self::Exists(_) => Some("choose another name, or use that key".to_owned()),
            Self::File(error) => error.hint().map(Into::into),
            Self::Key { .. } | Self::Interrupted => None,
        }
    }
}

impl KeyStore {
    /// The keys in these files.
    pub fn new(files: KeyFiles) -> Self {
        Self { files, cancel: CancellationToken::new() }
    }

    /// Keeps no new key once `cancel` has fired: making one takes its time.
    #[must_use]
    pub fn until(self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self }
    }

    /// Reads a key.
    pub fn load(&self, name: &SigningKeyName) -> Result<SigningKey, KeyStoreError> {
        match self.files.load(&file(name))? {
            Some(bytes) => SigningKey::parse(&bytes, None).map_err(|source| unusable(name, source)),
            None => Err(KeyStoreError::Missing(name.clone())),
        }
    }

    /// Makes a key for `user_id` at the time `now`.
    pub fn create(
        &self,
        name: &SigningKeyName,
        user_id: &str,
        algorithm: KeyAlgorithm,
        now: i64,
    ) -> Result<SigningKey, KeyStoreError> {
        let key = SigningKey::create(user_id, algorithm, now).map_err(|e| unusable(name, e))?;
        self.store(name, &key)?;
        Ok(key)
    }

    /// Takes a key that was made elsewhere; it must have no passphrase.
    pub fn import(
        &self,
        name: &SigningKeyName,
        bytes: &[u8],
        now: i64,
    ) -> Result<SigningKey, KeyStoreError> {
        let key = SigningKey::parse(bytes, None).map_err(|source| unusable(name, source))?;
        // A key that cannot sign is refused now, not when it is needed.
        key.sign_detached(b"", now.max(key.created())).map_err(|source| unusable(name, source))?;
        self.store(name, &key)?;
        Ok(key)
    }

    /// Reads the key, or makes it if there is none.
    pub fn load_or_create(
        &self,
        name: &SigningKeyName,
        now: i64,
    ) -> Result<SigningKey, KeyStoreError> {
        match self.load(name) {
            Err(KeyStoreError::Missing(_)) => {}
            other => return other,
        }
        let user_id = format!("Pulp signing key ({name})");
        match self.create(name, &user_id, KeyAlgorithm::default(), now) {
            Err(KeyStoreError::Exists(_)) => self.load(name),
            other => other,
        }
    }

    /// The names of all keys, sorted.
    pub fn names(&self) -> Result<Vec<SigningKeyName>, KeyStoreError> {
        let files = self.files.names()?;
        let names = files.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        Ok(names.collect())
    }

    fn store(&self, name: &SigningKeyName, key: &SigningKey) -> Result<(), KeyStoreError> {
        let text = key.secret_armored().map_err(|source| unusable(name, source))?;
        if self.cancel.is_cancelled() {
            return Err(KeyStoreError::Interrupted);
        }
        if self.files.create(&file(name), text.as_bytes())? {
            Ok(())
        } else {
            Err(KeyStoreError::Exists(name.clone()))
        }
    }
}

fn file(name: &SigningKeyName) -> String {
    format!("{name}{SUFFIX}")
}

fn unusable(name: &SigningKeyName, source: SigningError) -> KeyStoreError {
    KeyStoreError::Key { name: name.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn store(home: &tempfile::TempDir) -> KeyStore {
        KeyStore::new(KeyFiles::new(home.path(), "deb", Arc::default()))
    }

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let home = tempfile::tempdir().expect("a folder");
        let store = store(&home);
        let name = SigningKeyName::default_key();
        assert!(matches!(store.load(&name), Err(KeyStoreError::Missing(_))));
        assert!(store.names().expect("none").is_empty());
        let made = store.load_or_create(&name, NOW).expect("made");
        let found = store.load_or_create(&name, NOW).expect("found");
        assert_eq!(made.fingerprint(), found.fingerprint());
        let again = store.create(&name, "x", KeyAlgorithm::Ed25519, NOW);
        assert!(matches!(again, Err(KeyStoreError::Exists(_))));
        assert_eq!(store.names().expect("one"), [name]);
    }

    #[test]
    fn no_key_is_kept_that_was_made_too_late() {
        let home = tempfile::tempdir().expect("a folder");
        let cancel = CancellationToken::new();
        let store = store(&home).until(cancel.clone());
        let name = SigningKeyName::default_key();
        cancel.cancel();
        let late = store.create(&name, "x", KeyAlgorithm::Ed25519, NOW);
        assert!(matches!(late, Err(KeyStoreError::Interrupted)));
        assert!(store.names().expect("none").is_empty());
    }

    #[test]
    fn a_key_made_elsewhere_is_imported_and_nonsense_is_not() {
        let home = tempfile::tempdir().expect("a folder");
        let store = store(&home);
        let key = SigningKey::create("x", KeyAlgorithm::Ed25519, NOW).expect("made");
        let name: SigningKeyName = "mine".parse().expect("valid");
        let text = key.secret_armored().expect("armoured");
        store.import(&name, text.as_bytes(), NOW).expect("imported");
        assert_eq!(store.load(&name).expect("found").fingerprint(), key.fingerprint());
        let other: SigningKeyName = "other".parse().expect("valid");
        assert!(store.import(&other, b"nonsense", NOW).is_err());
        let public = key.public_armored().expect("armoured");
        assert!(store.import(&other, public.as_bytes(), NOW).is_err());
    }
}
