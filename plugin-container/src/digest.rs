//! Content digests as registries write them: `sha256:<hex>` and `sha512:<hex>`.
//!
//! Everything in a registry is named by one of these, so a digest from upstream enters the plugin
//! only through [`Digest::from_str`], and a digest that is stored was compared with bytes first.
//! Grammar: OCI image-spec, `descriptor.md`, "Digests". Hashing while bytes stream in is the
//! store's work; here only small documents (manifests) are hashed.

use std::{fmt, str::FromStr};

use pulp_models::{Algorithm, Digests, Expected, RelativePath};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A digest by one of the two algorithms that the image specification registers.
///
/// ```
/// use plugin_container::digest::Digest;
/// let digest = Digest::sha256(b"{}");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// `sha256:` and 64 hex digits.
    Sha256([u8; 32]),
    /// `sha512:` and 128 hex digits.
    Sha512([u8; 64]),
}

/// The beginning of a digest: tells it from every other one of a sync, in a quarter of the memory.
///
/// Who wants two digests with one beginning has to compute some 2⁶⁴ of them, and gains that one of
/// the two is not mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ShortDigest([u8; 16]);

/// A text that is no digest, or one by an algorithm that proves nothing to us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Not of the form `algorithm:encoded`.
    #[error("Invalid digest `{0}`: expected `algorithm:hex`")]
    Form(String),
    /// Well-formed, but neither SHA-256 nor SHA-512.
    #[error("Unsupported digest algorithm `{0}`: expected `sha256` or `sha512`")]
    Algorithm(String),
    /// The encoded part is not what the algorithm yields.
    #[error("Invalid digest `{digest}`: expected {expected} lower-case hex digits after the colon")]
    Encoded {
        /// The text, shortened.
        digest: String,
        /// How many hex digits the algorithm yields.
        expected: usize,
    },
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// The SHA-512 digest of `bytes`.
    pub fn sha512(bytes: &[u8]) -> Self {
        Self::Sha512(sha2::Sha512::digest(bytes).into())
    }

    /// The digest of `bytes` by the algorithm of `self`.
    #[must_use]
    pub fn same_algorithm(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Sha256(_) => Self::sha256(bytes),
            Self::Sha512(_) => Self::sha512(bytes),
        }
    }

    /// Whether this is the digest of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.same_algorithm(bytes) == *self
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The digest without its algorithm, 32 or 64 bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }

    /// The digest of which [`as_bytes`](Self::as_bytes) gave these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let long = || bytes.try_into().ok().map(Self::Sha512);
        bytes.try_into().ok().map(Self::Sha256).or_else(long)
    }

    /// Its beginning, for sets of many.
    pub(crate) fn short(&self) -> ShortDigest {
        let mut beginning = [0; 16];
        beginning.copy_from_slice(&self.as_bytes()[..16]);
        ShortDigest(beginning)
    }

    /// The digest without its algorithm, as lower-case hex.
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// What a download of these bytes must be compared with.
    pub fn expected(&self, size: Option<u64>) -> Expected {
        let mut digests = Digests::new();
        digests
            .insert(self.algorithm(), self.as_bytes())
            .expect("a digest has its algorithm's length");
        Expected { size, digests }
    }

    /// The relative path of the artifact that holds these bytes: the digest itself.
    pub fn relative_path(&self) -> RelativePath {
        RelativePath::new(&self.to_string()).expect("a digest is one short segment")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(150).collect::<String>();
        let (algorithm, encoded) =
            text.split_once(':').ok_or_else(|| DigestError::Form(shown()))?;
        let wrong = |expected| DigestError::Encoded { digest: shown(), expected };
        match algorithm {
            "sha256" => decode(encoded).map(Self::Sha256).ok_or_else(|| wrong(64)),
            "sha512" => decode(encoded).map(Self::Sha512).ok_or_else(|| wrong(128)),
            other if is_algorithm(other) => {
                Err(DigestError::Algorithm(other.chars().take(50).collect()))
            }
            _ => Err(DigestError::Form(shown())),
        }
    }
}

/// `N` bytes from exactly `2 * N` lower-case hex digits.
fn decode<const N: usize>(encoded: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = encoded.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && hex::decode_to_slice(encoded, &mut bytes).is_ok()).then_some(bytes)
}

/// `component (separator component)*` of the digest grammar.
fn is_algorithm(text: &str) -> bool {
    text.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty()
            && component.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_registered_algorithms_are_read_and_written_back() {
        for digest in [Digest::sha256(b"abc"), Digest::sha512(b"abc")] {
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert!(digest.matches(b"abc") && !digest.matches(b"abd"));
            assert_eq!(digest.relative_path().as_str(), digest.to_string());
            let json = serde_json::to_string(&digest).expect("serialises");
            assert_eq!(serde_json::from_str::<Digest>(&json).expect("round trip"), digest);
        }
    }

    #[test]
    fn what_is_wrong_with_a_digest_is_said() {
        let upper = Digest::sha256(b"").to_string().to_uppercase().replace("SHA", "sha");
        let cases = [
            ("", "expected `algorithm:hex`"),
            ("latest", "expected `algorithm:hex`"),
            ("SHA256:00", "expected `algorithm:hex`"),
            ("sha256:baddigeststring", "expected 64 lower-case hex"),
            ("sha512:00", "expected 128 lower-case hex"),
            ("blake3:00", "Unsupported digest algorithm `blake3`"),
            (&upper, "expected 64 lower-case hex"),
        ];
        for (text, message) in cases {
            let error = text.parse::<Digest>().expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<Digest>();
        }

        #[test]
        fn whatever_is_taken_is_written_back_alike(text in "sha(256|512):[0-9a-f]{60,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                assert_eq!(digest.to_string(), text);
            }
        }
    }
}
