//! Keys that encrypt secrets at rest: remotes' settings in the database, private keys in files.
//!
//! A key file has one key per line, 32 bytes in base64; empty lines and lines that begin with `#`
//! count for nothing. The first key encrypts, all of them decrypt: put a new key on top, encrypt
//! everything again, take the old one away. Without a key, secrets are stored as they are.
//!
//! Encryption is ChaCha20-Poly1305 (RFC 8439) with random nonces, and every text is bound to the
//! place it is stored in, so that one cannot be passed off as another. Where keys come from and who
//! may read the file is decided above this crate.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use crate::Sha256;

/// How an encrypted text begins. A version, the key's name and the base64 of nonce and ciphertext
/// follow, with colons between.
const MARK: &str = "pulp-sealed:1:";
/// Bytes of a key.
const KEY: usize = 32;

/// The keys of an installation; the default has none. `Debug` shows their names only.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    /// Tells which key encrypted a text, and nothing about the key.
    name: String,
    key: LessSafeKey,
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It cannot be read.
    #[error("Failed to read key file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line is no key.
    #[error("Failed to parse key file `{}`: line {line} is not 32 bytes in base64", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("Failed to parse key file `{}`: it holds no key", .0.display())]
    Empty(PathBuf),
}

/// An encrypted text that cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is no key at all.
    #[error("It is encrypted with key `{0}`, and no key file is set")]
    NoKey(String),
    /// It needs another key.
    #[error("It is encrypted with key `{0}`, which is not in the key file")]
    UnknownKey(String),
    /// It was changed, or belongs somewhere else.
    #[error("It is damaged")]
    Damaged,
}

impl Keyring {
    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        let text = fs::read_to_string(path)
            .map_err(|source| KeyringError::Read { path: path.to_owned(), source })?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = STANDARD.decode(line).ok().and_then(|bytes| Key::new(&bytes));
            let wrong = || KeyringError::Line { path: path.to_owned(), line: index + 1 };
            keys.push(key.ok_or_else(wrong)?);
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty(path.to_owned()));
        }
        Ok(Self { keys })
    }

    /// A new key, as a line of a key file.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn new_key() -> String {
        STANDARD.encode(random::<KEY>())
    }

    /// Whether nothing is encrypted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Encrypts `text` for `place`, such as a row and column; without a key, it stays as it is.
    pub(crate) fn seal(&self, place: &str, text: &str) -> String {
        self.sealed(place, text.as_bytes()).unwrap_or_else(|| text.to_owned())
    }

    /// `seal` for bytes that need not be text; encrypted, they are.
    pub fn seal_bytes(&self, place: &str, bytes: &[u8]) -> Vec<u8> {
        self.sealed(place, bytes).map_or_else(|| bytes.to_vec(), String::into_bytes)
    }

    fn sealed(&self, place: &str, plain: &[u8]) -> Option<String> {
        let Key { name, key } = self.keys.first()?;
        let nonce = random::<NONCE_LEN>();
        let mut bytes = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place),
            &mut bytes,
        )
        .expect("a secret is shorter than 256 GiB");
        let sealed = [&nonce[..], &bytes].concat();
        Some(format!("{MARK}{name}:{}", STANDARD.encode(sealed)))
    }

    /// Decrypts a text that was encrypted for `place`; any other text stays as it is.
    pub fn open(&self, place: &str, text: String) -> Result<String, SealError> {
        match self.opened(place, &text)? {
            Some(plain) => String::from_utf8(plain).map_err(|_| SealError::Damaged),
            None => Ok(text),
        }
    }

    /// [`Keyring::open`] for what [`Keyring::seal_bytes`] made.
    pub fn open_bytes(&self, place: &str, bytes: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let opened = match std::str::from_utf8(&bytes) {
            Ok(text) => self.opened(place, text)?,
            Err(_) => None,
        };
        Ok(opened.unwrap_or(bytes))
    }

    /// What was encrypted; `None` if nothing was.
    fn opened(&self, place: &str, text: &str) -> Result<Option<Vec<u8>>, SealError> {
        let Some((name, sealed)) = parts(text) else { return Ok(None) };
        let key = self.key(name)?;
        let bytes = STANDARD.decode(sealed.trim_end()).map_err(|_| SealError::Damaged)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut rest = rest.to_vec();
        let plain = key
            .open_in_place(nonce, Aad::from(place), &mut rest)
            .map_err(|_| SealError::Damaged)?;
        Ok(Some(plain.to_vec()))
    }

    /// Whether `text` could be decrypted, as far as its key tells.
    pub fn check(&self, text: &str) -> Result<(), SealError> {
        parts(text).map_or(Ok(()), |(name, _)| self.key(name).map(drop))
    }

    fn key(&self, name: &str) -> Result<&LessSafeKey, SealError> {
        let found = self.keys.iter().find(|key| key.name == name);
        found.map(|key| &key.key).ok_or_else(|| {
            if self.is_empty() {
                SealError::NoKey(name.to_owned())
            } else {
                SealError::UnknownKey(name.to_owned())
            }
        })
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let name = hex::encode(&Sha256::of(bytes).0[..4]);
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
        Some(Self { name, key: LessSafeKey::new(key) })
    }
}

/// The key's name and the rest of an encrypted text.
fn parts(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(MARK)?.split_once(':')
}

fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
        write!(f, "Keyring({})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(lines: &str) -> Result<Keyring, KeyringError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        fs::write(&path, lines).expect("written");
        Keyring::load(&path)
    }

    #[test]
    fn a_text_comes_back_from_its_own_place_only() {
        let keyring = keyring(&Keyring::new_key()).expect("a key");
        let sealed = keyring.seal("remote.settings 1", "hunter2");
        assert!(!sealed.contains("hunter2"), "{sealed}");
        assert_ne!(sealed, keyring.seal("remote.settings 1", "hunter2"), "nonces differ");
        assert_eq!(keyring.open("remote.settings 1", sealed.clone()), Ok("hunter2".to_owned()));
        let elsewhere = keyring.open("remote.settings 2", sealed.clone());
        assert_eq!(elsewhere, Err(SealError::Damaged));
        for end in MARK.len() + 10..sealed.len() {
            let cut = keyring.open("remote.settings 1", sealed[..end].to_owned());
            assert_eq!(cut, Err(SealError::Damaged), "{end}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = (Keyring::new_key(), Keyring::new_key());
        let sealed = keyring(&old).expect("a key").seal("p", "x");
        let both = keyring(&format!("# new\n{new}\n\n{old}\n")).expect("two keys");
        assert_eq!(both.open("p", sealed.clone()), Ok("x".to_owned()));
        let again = both.seal("p", "x");
        let only_new = keyring(&new).expect("a key");
        assert_eq!(only_new.open("p", again), Ok("x".to_owned()));
        let Err(SealError::UnknownKey(name)) = only_new.open("p", sealed.clone()) else {
            panic!("it needs the old key")
        };
        assert_eq!(Keyring::default().open("p", sealed), Err(SealError::NoKey(name)));
    }

    #[test]
    fn without_a_key_texts_stay_as_they_are() {
        let none = Keyring::default();
        assert_eq!(none.seal("p", "x"), "x");
        assert_eq!(none.open("p", "x".to_owned()), Ok("x".to_owned()));
    }

    #[test]
    fn a_file_without_keys_is_refused_and_shows_nothing_of_itself() {
        assert!(matches!(keyring("# nothing\n"), Err(KeyringError::Empty(_))));
        let short = keyring(&format!("{}\nhunter2\n", Keyring::new_key())).expect_err("no key");
        assert!(matches!(short, KeyringError::Line { line: 2, .. }));
        assert!(!format!("{short} {short:?}").contains("hunter2"));
        let key = Keyring::new_key();
        assert!(!format!("{:?}", keyring(&key).expect("a key")).contains(&key));
    }
}
