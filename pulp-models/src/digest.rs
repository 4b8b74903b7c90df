//! Digests: what is expected of bytes, and what was computed from them.
//!
//! Nothing here reads or writes files. The store's verifier feeds a [`Hasher`]; a plugin's parser
//! fills [`Digests`] from upstream's metadata; [`Expected::check`] compares the two.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The hash functions that upstream metadata may use, weakest first (so `Ord` ranks strength).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The lower-case name, as in `sha256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a digest in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether a match proves anything: MD5 and SHA-1 can be forged.
    pub const fn is_trusted(self) -> bool {
        !matches!(self, Self::Md5 | Self::Sha1)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    /// Accepts the usual spellings: `SHA256`, `sha-256`, `MD5Sum`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase().replace('-', "");
        let name = if name == "md5sum" { "md5" } else { &name };
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| InvalidDigest(format!("unknown algorithm `{text}`")))
    }
}

/// A text that is no digest. The message says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid digest: {0}")]
pub struct InvalidDigest(String);

/// A SHA-256 digest: the key of an artifact. Displays as 64 lower-case hex digits.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Binary)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Computes the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes a digest as 32 bytes, as databases hold it.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidDigest> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| InvalidDigest(format!("{} bytes instead of 32", bytes.len())))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl FromStr for Sha256 {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|error| InvalidDigest(format!("`{text}`: {error}")))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The known digests of one file, at most one per algorithm. Serialises as `{"sha256": "<hex>"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// Sorted by algorithm; nearly always of length one.
    known: Vec<(Algorithm, Box<[u8]>)>,
}

impl Digests {
    /// No digest known.
    pub const fn new() -> Self {
        Self { known: Vec::new() }
    }

    /// Adds `algorithm`'s digest from hex of either case, replacing an earlier one.
    pub fn insert_hex(&mut self, algorithm: Algorithm, text: &str) -> Result<(), InvalidDigest> {
        let bytes =
            hex::decode(text).map_err(|error| InvalidDigest(format!("`{text}`: {error}")))?;
        self.insert(algorithm, &bytes)
    }

    /// Adds `algorithm`'s digest, replacing an earlier one; its length must be the algorithm's.
    pub fn insert(&mut self, algorithm: Algorithm, bytes: &[u8]) -> Result<(), InvalidDigest> {
        if bytes.len() != algorithm.digest_len() {
            return Err(InvalidDigest(format!(
                "{} bytes instead of {} for {algorithm}",
                bytes.len(),
                algorithm.digest_len()
            )));
        }
        match self.known.binary_search_by_key(&algorithm, |(known, _)| *known) {
            Ok(at) => self.known[at].1 = bytes.into(),
            Err(at) => self.known.insert(at, (algorithm, bytes.into())),
        }
        Ok(())
    }

    /// The digest for `algorithm`, if known.
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.known.iter().find(|(known, _)| *known == algorithm).map(|(_, bytes)| &**bytes)
    }

    /// The SHA-256 digest, if known.
    pub fn sha256(&self) -> Option<Sha256> {
        self.get(Algorithm::Sha256).and_then(|bytes| Sha256::from_slice(bytes).ok())
    }

    /// The strongest known digest.
    pub fn strongest(&self) -> Option<(Algorithm, &[u8])> {
        self.known.last().map(|(algorithm, bytes)| (*algorithm, &**bytes))
    }

    /// Weakest first.
    pub fn iter(&self) -> impl Iterator<Item = (Algorithm, &[u8])> {
        self.known.iter().map(|(algorithm, bytes)| (*algorithm, &**bytes))
    }

    /// Whether no digest is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether at least one known digest proves identity (see [`Algorithm::is_trusted`]).
    pub fn is_trusted(&self) -> bool {
        self.known.iter().any(|(algorithm, _)| algorithm.is_trusted())
    }
}

impl From<Sha256> for Digests {
    fn from(sha256: Sha256) -> Self {
        Self { known: vec![(Algorithm::Sha256, sha256.0.into())] }
    }
}

impl Serialize for Digests {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.known.iter().map(|(name, bytes)| (name, hex::encode(bytes))))
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<Algorithm, String>::deserialize(deserializer)?;
        let mut digests = Self::new();
        for (algorithm, text) in map {
            digests.insert_hex(algorithm, &text).map_err(serde::de::Error::custom)?;
        }
        Ok(digests)
    }
}

/// What is known of bytes before they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Length in bytes; zero is a length like any other.
    pub size: Option<u64>,
    /// Every one of these must match.
    pub digests: Digests,
}

impl Expected {
    /// Compares what was read with what was expected, size first.
    pub fn check(&self, size: u64, digests: &Digests) -> Result<(), Mismatch> {
        if let Some(expected) = self.size
            && expected != size
        {
            return Err(Mismatch::Size { expected, actual: size });
        }
        for (algorithm, expected) in self.digests.iter() {
            let actual = digests.get(algorithm).unwrap_or_default();
            if actual != expected {
                return Err(Mismatch::Digest {
                    algorithm,
                    expected: hex::encode(expected),
                    actual: hex::encode(actual),
                });
            }
        }
        Ok(())
    }
}

/// Bytes that are not the ones that were expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The length differs.
    #[error("Size mismatch: expected {expected} bytes, got {actual}")]
    Size {
        /// From upstream's metadata.
        expected: u64,
        /// Counted; a transfer is stopped as soon as it is exceeded.
        actual: u64,
    },
    /// A digest differs.
    #[error("Digest mismatch: expected {algorithm} {expected}, got {actual}")]
    Digest {
        /// Which digest.
        algorithm: Algorithm,
        /// From upstream's metadata, hex.
        expected: String,
        /// Computed, hex.
        actual: String,
    },
}

/// Computes SHA-256 and whatever else is asked for, in one pass over the bytes.
#[derive(Debug, Clone)]
pub struct Hasher {
    sha256: sha2::Sha256,
    others: Vec<(Algorithm, Other)>,
    size: u64,
}

#[derive(Debug, Clone)]
enum Other {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Always computes SHA-256, and also each of `algorithms`.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let others = algorithms.into_iter().filter_map(|algorithm| {
            let state = match algorithm {
                Algorithm::Sha256 => return None,
                Algorithm::Md5 => Other::Md5(md5::Md5::new()),
                Algorithm::Sha1 => Other::Sha1(sha1::Sha1::new()),
                Algorithm::Sha224 => Other::Sha224(sha2::Sha224::new()),
                Algorithm::Sha384 => Other::Sha384(sha2::Sha384::new()),
                Algorithm::Sha512 => Other::Sha512(sha2::Sha512::new()),
            };
            Some((algorithm, state))
        });
        Self { sha256: sha2::Sha256::new(), others: others.collect(), size: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        for (_, state) in &mut self.others {
            match state {
                Other::Md5(hash) => hash.update(bytes),
                Other::Sha1(hash) => hash.update(bytes),
                Other::Sha224(hash) => hash.update(bytes),
                Other::Sha384(hash) => hash.update(bytes),
                Other::Sha512(hash) => hash.update(bytes),
            }
        }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the computation: size in bytes, the SHA-256, and all digests (SHA-256 among them).
    pub fn finish(self) -> (u64, Sha256, Digests) {
        let sha256 = Sha256(self.sha256.finalize().into());
        let mut digests = Digests::from(sha256);
        for (algorithm, state) in self.others {
            let bytes: Box<[u8]> = match state {
                Other::Md5(hash) => hash.finalize().as_slice().into(),
                Other::Sha1(hash) => hash.finalize().as_slice().into(),
                Other::Sha224(hash) => hash.finalize().as_slice().into(),
                Other::Sha384(hash) => hash.finalize().as_slice().into(),
                Other::Sha512(hash) => hash.finalize().as_slice().into(),
            };
            digests.insert(algorithm, &bytes).expect("a hash function yields its own length");
        }
        (self.size, sha256, digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hasher_computes_what_the_expectation_names() {
        let mut hasher = Hasher::new([Algorithm::Md5, Algorithm::Sha512]);
        hasher.update(b"ab");
        hasher.update(b"c");
        let (size, sha256, digests) = hasher.finish();
        assert_eq!((size, sha256), (3, Sha256::of(b"abc")));
        let mut expected = Expected { size: Some(3), digests: Digests::new() };
        expected
            .digests
            .insert_hex(Algorithm::Md5, "900150983CD24FB0D6963F7D28E17F72")
            .expect("valid hex");
        assert_eq!(expected.check(size, &digests), Ok(()));
        expected.size = Some(0);
        assert_eq!(expected.check(size, &digests), Err(Mismatch::Size { expected: 0, actual: 3 }));
    }

    #[test]
    fn the_strongest_digest_is_found_whatever_the_order_of_insertion() {
        let mut digests = Digests::from(Sha256::of(b""));
        digests.insert(Algorithm::Md5, &[0; 16]).expect("right length");
        digests.insert(Algorithm::Sha512, &[0; 64]).expect("right length");
        assert_eq!(digests.strongest().map(|(algorithm, _)| algorithm), Some(Algorithm::Sha512));
        assert!(digests.insert(Algorithm::Sha1, &[0; 3]).is_err());
        let text = serde_json::to_string(&digests).expect("serialises");
        assert_eq!(serde_json::from_str::<Digests>(&text).expect("round trip"), digests);
    }
}
