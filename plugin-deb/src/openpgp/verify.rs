//! Verification: which signatures over a text are good, and why the others are not.
//!
//! One good signature by a key of the keyring that may sign suffices, as for gpgv and apt; what is
//! wrong with the others is reported beside it, or is the error if there is no good one.

use std::fmt;

use pgp::{
    armor::BlockType,
    crypto::hash::HashAlgorithm,
    packet::{Packet, Signature, SignatureType, SubpacketData},
};

use super::{CleartextError, Keyring, cleartext};

/// How far, in seconds, the signer's clock may be ahead of ours.
pub(super) const CLOCK_SKEW: i64 = 24 * 3600;

/// More signatures than this in one file are not looked at: each costs time.
const MAX_SIGNATURES: usize = 32;

/// Why a text is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// `InRelease` is no signed message.
    #[error("Not a signed message")]
    Cleartext(#[from] CleartextError),
    /// The signature cannot be read.
    #[error("The signature cannot be read")]
    Malformed(#[from] pgp::errors::Error),
    /// There is no signature.
    #[error("There is no signature")]
    NoSignature,
    /// No signature is good; each is named with the reason.
    #[error("No good signature by a trusted key: {}", list(.0))]
    NoGoodSignature(Vec<RefusedSignature>),
}

/// A text that a trusted key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, and nothing but it.
    pub text: Vec<u8>,
    /// The good signatures; at least one.
    pub good: Vec<GoodSignature>,
    /// The others.
    pub refused: Vec<RefusedSignature>,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodSignature {
    /// Fingerprint of the key or subkey that made it, in upper-case hex.
    pub fingerprint: String,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
}

/// A signature that is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSignature {
    /// Fingerprint or key id of its maker as it is named, in upper-case hex.
    pub key: String,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for RefusedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.reason)
    }
}

fn list(refused: &[RefusedSignature]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The text of an `InRelease` whose signature nobody asked to verify.
pub fn unverified_text(message: &[u8]) -> Result<Vec<u8>, VerifyError> {
    Ok(cleartext::parse(message)?.text)
}

impl Keyring {
    /// Verifies an `InRelease` at the time `now`.
    pub fn verify_cleartext(&self, message: &[u8], now: i64) -> Result<Verified, VerifyError> {
        let parts = cleartext::parse(message)?;
        let (good, refused) = self.judge(&signatures(parts.signature)?, &parts.signed, now)?;
        Ok(Verified { text: parts.text, good, refused })
    }

    /// Verifies a `Release` with its `Release.gpg` (armoured or binary) at the time `now`.
    pub fn verify_detached(
        &self,
        text: &[u8],
        signature: &[u8],
        now: i64,
    ) -> Result<Verified, VerifyError> {
        let (good, refused) = self.judge(&signatures(signature)?, text, now)?;
        Ok(Verified { text: text.to_vec(), good, refused })
    }

    fn judge(
        &self,
        signatures: &[Signature],
        data: &[u8],
        now: i64,
    ) -> Result<(Vec<GoodSignature>, Vec<RefusedSignature>), VerifyError> {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for signature in signatures {
            match self.judge_one(signature, data, now) {
                Ok(signature) => good.push(signature),
                Err((key, reason)) => refused.push(RefusedSignature { key, reason }),
            }
        }
        if good.is_empty() {
            Err(VerifyError::NoGoodSignature(refused))
        } else {
            Ok((good, refused))
        }
    }

    fn judge_one(
        &self,
        signature: &Signature,
        data: &[u8],
        now: i64,
    ) -> Result<GoodSignature, (String, String)> {
        let refuse = |reason: String| (named_issuer(signature), reason);
        let created = check_form(signature, now).map_err(refuse)?;
        let mut reason = "the key is not in the keyring";
        for candidate in self.candidates(signature) {
            let fingerprint = candidate.fingerprint();
            if candidate.verify(signature, data).is_err() {
                reason = "the signature does not match the text";
            } else if let Err(refusal) = candidate.may_sign(now) {
                return Err((fingerprint, refusal));
            } else if created < candidate.created() {
                reason = "the signature is older than its key";
            } else {
                return Ok(GoodSignature { fingerprint, created });
            }
        }
        Err(refuse(reason.to_owned()))
    }
}

/// Checks what can be judged without a key; gives the time at which the signature was made.
fn check_form(signature: &Signature, now: i64) -> Result<i64, String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("it is no signature over data".to_owned());
    }
    match signature.hash_alg() {
        Some(hash) if is_strong(hash) => {}
        Some(hash) => return Err(format!("the hash function {hash} is too weak")),
        None => return Err("its version is unknown".to_owned()),
    }
    if !is_understood(signature) {
        return Err("it holds a critical subpacket of unknown meaning".to_owned());
    }
    let created = signature.config().and_then(|config| {
        config.hashed_subpackets().find_map(|packet| match packet.data {
            SubpacketData::SignatureCreationTime(time) => Some(i64::from(time.as_secs())),
            _ => None,
        })
    });
    // Only the obsolete versions 2 and 3 have no such subpacket.
    let created = created.ok_or("it does not say when it was made")?;
    if created > now + CLOCK_SKEW {
        return Err(format!("it was made in the future, on {}", day(created)));
    }
    let lifetime = signature.signature_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    if lifetime > 0 && created + i64::from(lifetime) <= now {
        return Err(format!("the signature expired on {}", day(created + i64::from(lifetime))));
    }
    Ok(created)
}

/// Whether a signature by this hash function proves anything: no MD5, SHA-1, RIPEMD-160.
pub(super) fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// Whether every critical subpacket is one we know (RFC 9580, section 5.2.3.7). Notations are
/// known as a kind, but each name is a meaning of its own: a critical one is not understood.
pub(super) fn is_understood(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
        config.hashed_subpackets().filter(|packet| packet.is_critical).all(|packet| {
            !matches!(
                packet.data,
                SubpacketData::Other(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Notation(_)
            )
        })
    })
}

fn named_issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let key_id = || {
        let ids = signature.issuer_key_id();
        ids.first().map(|id| hex::encode_upper(id.as_ref()))
    };
    fingerprint.or_else(key_id).unwrap_or_else(|| "unknown".to_owned())
}

fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, VerifyError> {
    let packets = super::armor::packets(bytes, |block| matches!(block, BlockType::Signature))?;
    let signatures = packets.into_iter().filter_map(|packet| match packet {
        Packet::Signature(signature) => Some(signature),
        _ => None,
    });
    let signatures: Vec<_> = signatures.take(MAX_SIGNATURES).collect();
    if signatures.is_empty() { Err(VerifyError::NoSignature) } else { Ok(signatures) }
}

/// The day of a time, for messages.
pub(crate) fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "an impossible date".to_owned(), |time| time.strftime("%F").to_string())
}
