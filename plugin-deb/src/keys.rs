//! The signing keys of an installation: armoured files in `HOME/keys/deb/`, readable by their
//! owner only.
//!
//! A key is made once and never replaced: clients trust it. Two processes that make the same key
//! at once end up with one of them. Everything here blocks.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

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
    #[error("Failed to {operation} `{}`", path.display())]
    Io {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The file is no usable key.
    #[error("Signing key `{name}` cannot be used")]
    Key {
        /// Its name.
        name: SigningKeyName,
        /// Why.
        #[source]
        source: SigningError,
    },
}

/// The folder with the keys.
#[derive(Debug, Clone)]
pub struct KeyStore {
    folder: PathBuf,
}

impl KeyStore {
    /// The keys of the installation in `home`.
    pub fn new(home: &Path) -> Self {
        Self { folder: home.join("keys").join("deb") }
    }

    /// Reads a key.
    pub fn load(&self, name: &SigningKeyName) -> Result<SigningKey, KeyStoreError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => SigningKey::parse(&bytes, None).map_err(|source| unusable(name, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(KeyStoreError::Missing(name.clone()))
            }
            Err(source) => Err(KeyStoreError::Io { operation: "read", path, source }),
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
        let failed =
            |source| KeyStoreError::Io { operation: "list", path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".asc"));
            names.extend(name.and_then(|name| name.parse::<SigningKeyName>().ok()));
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        Ok(names)
    }

    /// Writes a temporary file and links it to its name, which fails if there is one.
    fn store(&self, name: &SigningKeyName, key: &SigningKey) -> Result<(), KeyStoreError> {
        let path = self.path(name);
        let text = key.secret_armored().map_err(|source| unusable(name, source))?;
        let failed = |source| KeyStoreError::Io { operation: "write", path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let linked = fs::hard_link(&temporary, &path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeyStoreError::Exists(name.clone()))
            }
            Err(source) => Err(failed(source)),
        }
    }

    fn path(&self, name: &SigningKeyName) -> PathBuf {
        self.folder.join(format!("{name}.asc"))
    }
}

fn unusable(name: &SigningKeyName, source: SigningError) -> KeyStoreError {
    KeyStoreError::Key { name: name.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let home = tempfile::tempdir().expect("a folder");
        let store = KeyStore::new(home.path());
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
    fn only_the_owner_can_read_a_key() {
        let home = tempfile::tempdir().expect("a folder");
        let store = KeyStore::new(home.path());
        let name = SigningKeyName::default_key();
        store.load_or_create(&name, NOW).expect("made");
        let mode = fs::metadata(store.path(&name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = fs::read_dir(&store.folder).expect("listed").count();
        assert_eq!(files, 1, "no temporary file is left");
    }

    #[test]
    fn a_key_made_elsewhere_is_imported_and_nonsense_is_not() {
        let home = tempfile::tempdir().expect("a folder");
        let store = KeyStore::new(home.path());
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
