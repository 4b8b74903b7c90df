//! The trusted keys, and which of their parts may sign at a given time.
//!
//! A key may sign if its own signatures say so: its newest self-signature must be good, must not
//! say that the key has expired, and must not deny it the purpose; a subkey needs a good binding by
//! its primary key and one back. Any good revocation by the key itself counts, whatever its reason.
//! Self-signatures by SHA-1 are accepted (the keys of older Debian releases have no others; a
//! collision there needs the owner's help), by MD5 not.

use pgp::{
    armor::BlockType,
    composed::{Deserializable, SignedPublicKey, SignedPublicSubKey, SignedSecretKey},
    crypto::hash::HashAlgorithm,
    packet::{Packet, PublicKey, Signature, SignatureType, SubpacketData},
    ser::Serialize as _,
    types::{Fingerprint, KeyDetails, KeyId, KeyVersion, Tag},
};

/// Why a file is no keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It cannot be read as OpenPGP data.
    #[error("Not an OpenPGP keyring")]
    Malformed(#[from] pgp::errors::Error),
    /// It is GnuPG's own format, which apt does not take either.
    #[error("A GnuPG keybox is no OpenPGP keyring (export its keys first)")]
    Keybox,
    /// It holds no key.
    #[error("No OpenPGP public key found")]
    Empty,
}

/// Trusted keys, from one or more files.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A key of the keyring that may have made a signature.
pub(super) struct Candidate<'a> {
    /// The key with everything it says of itself.
    pub(super) certificate: &'a SignedPublicKey,
    /// The subkey, unless it is the primary key itself.
    pub(super) subkey: Option<&'a SignedPublicSubKey>,
}

impl Keyring {
    /// Reads a keyring: binary, or one or more armoured blocks.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::Keybox);
        }
        let wanted = |block: &BlockType| {
            matches!(block, BlockType::PublicKey | BlockType::PrivateKey | BlockType::File)
        };
        let packets = super::armor::packets(bytes, wanted)?;
        let mut keys = Vec::new();
        for packets in split_at_primary_keys(packets) {
            let is_secret = matches!(packets.first(), Some(Packet::SecretKey(_)));
            let packets: Box<dyn Iterator<Item = _>> = Box::new(packets.into_iter().map(Ok));
            if is_secret {
                let parsed = SignedSecretKey::from_packets(packets.peekable()).next();
                keys.extend(parsed.transpose()?.map(|key| key.to_public_key()));
            } else {
                keys.extend(SignedPublicKey::from_packets(packets.peekable()).next().transpose()?);
            }
        }
        if keys.is_empty() { Err(KeyringError::Empty) } else { Ok(Self { keys }) }
    }

    /// Adds the keys of `other`.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// The keys as a binary keyring.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyringError> {
        let mut bytes = Vec::new();
        for key in &self.keys {
            key.to_writer(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// The primary keys' fingerprints in upper-case hex.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|key| format!("{:X}", key.fingerprint())).collect()
    }

    /// The keys that `signature` names as its maker; all keys if it names none.
    pub(super) fn candidates(&self, signature: &Signature) -> Vec<Candidate<'_>> {
        let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        let is_named = |id: &KeyId, print: &Fingerprint| {
            (ids.is_empty() && prints.is_empty()) || ids.contains(&id) || prints.contains(&print)
        };
        let mut found = Vec::new();
        for certificate in &self.keys {
            let primary = &certificate.primary_key;
            if is_named(&primary.legacy_key_id(), &primary.fingerprint()) {
                found.push(Candidate { certificate, subkey: None });
            }
            for subkey in &certificate.public_subkeys {
                if is_named(&subkey.key.legacy_key_id(), &subkey.key.fingerprint()) {
                    found.push(Candidate { certificate, subkey: Some(subkey) });
                }
            }
        }
        found
    }
}

impl Candidate<'_> {
    /// The key's fingerprint in upper-case hex.
    pub(super) fn fingerprint(&self) -> String {
        match self.subkey {
            None => format!("{:X}", self.certificate.fingerprint()),
            Some(subkey) => format!("{:X}", subkey.key.fingerprint()),
        }
    }

    /// When the key was made.
    pub(super) fn created(&self) -> i64 {
        let created = match self.subkey {
            None => self.certificate.created_at(),
            Some(subkey) => subkey.key.created_at(),
        };
        created.as_secs().into()
    }

    /// Checks `signature` over `data` with this key, and nothing else.
    pub(super) fn verify(&self, signature: &Signature, data: &[u8]) -> pgp::errors::Result<()> {
        match self.subkey {
            None => signature.verify(&self.certificate.primary_key, data),
            Some(subkey) => signature.verify(&subkey.key, data),
        }
    }

    /// Whether this key may sign data at the time `now`; if not, the reason in words.
    pub(super) fn may_sign(&self, now: i64) -> Result<(), String> {
        let primary = &self.certificate.primary_key;
        if !matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6) {
            return Err("the key's version is obsolete".to_owned());
        }
        let details = &self.certificate.details;
        if details
            .revocation_signatures
            .iter()
            .any(|signature| signature.verify_key(primary).is_ok())
        {
            return Err("the key is revoked".to_owned());
        }
        let newest = self.newest_self_signature().ok_or("the key has no good self-signature")?;
        check_expiry("the key", primary.created_at().as_secs(), newest, now)?;
        match self.subkey {
            None if denies_signing(newest) => Err("the key is not meant for signing".to_owned()),
            None => Ok(()),
            Some(subkey) => subkey_may_sign(subkey, primary, now),
        }
    }

    /// The newest good self-signature: over the key directly or over one of its user ids.
    fn newest_self_signature(&self) -> Option<&Signature> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        let direct = details.direct_signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::Key)
                && is_acceptable_self_signature(signature)
                && signature.verify_key(primary).is_ok()
        });
        let user_ids = details.users.iter().filter_map(|user| {
            user.signatures
                .iter()
                .filter(|signature| {
                    is_acceptable_self_signature(signature)
                        && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
                })
                .max_by_key(|signature| signature.created())
                .filter(|newest| newest.typ() != Some(SignatureType::CertRevocation))
        });
        direct.chain(user_ids).max_by_key(|signature| signature.created())
    }
}

fn subkey_may_sign(
    subkey: &SignedPublicSubKey,
    primary: &PublicKey,
    now: i64,
) -> Result<(), String> {
    let good = |wanted: SignatureType| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(wanted)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    if good(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("the subkey is revoked".to_owned());
    }
    let binding = good(SignatureType::SubkeyBinding)
        .filter(|signature| is_acceptable_self_signature(signature))
        .max_by_key(|signature| signature.created())
        .ok_or("the subkey is not bound to its primary key")?;
    check_expiry("the subkey", subkey.key.created_at().as_secs(), binding, now)?;
    if !binding.key_flags().sign() {
        return Err("the subkey is not meant for signing".to_owned());
    }
    let agrees = binding
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if agrees { Ok(()) } else { Err("the subkey does not confirm its primary key".to_owned()) }
}

/// Whether `self_signature` names purposes and signing is none of them.
fn denies_signing(self_signature: &Signature) -> bool {
    let names_purposes = self_signature.config().is_some_and(|config| {
        config.hashed_subpackets().any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    });
    names_purposes && !self_signature.key_flags().sign()
}

/// Fails if the key made at `created` has expired by what `signature` says of it, or `signature`
/// itself has.
fn check_expiry(what: &str, created: u32, signature: &Signature, now: i64) -> Result<(), String> {
    let ends = |start: u32, lifetime: Option<pgp::types::Duration>| {
        let lifetime = lifetime.map(pgp::types::Duration::as_secs).filter(|seconds| *seconds > 0);
        lifetime.map(|seconds| i64::from(start) + i64::from(seconds))
    };
    let key_end = ends(created, signature.key_expiration_time());
    let signature_end = signature
        .created()
        .and_then(|made| ends(made.as_secs(), signature.signature_expiration_time()));
    for end in [key_end, signature_end].into_iter().flatten() {
        if end <= now {
            return Err(format!("{what} expired on {}", super::verify::day(end)));
        }
    }
    if i64::from(created) > now + super::verify::CLOCK_SKEW {
        return Err(format!("{what} is from the future"));
    }
    Ok(())
}

fn is_acceptable_self_signature(signature: &Signature) -> bool {
    let hash = signature.hash_alg().unwrap_or(HashAlgorithm::None);
    (hash == HashAlgorithm::Sha1 || super::verify::is_strong(hash))
        && super::verify::is_understood(signature)
}

/// One list of packets per key.
fn split_at_primary_keys(packets: Vec<Packet>) -> Vec<Vec<Packet>> {
    let mut keys: Vec<Vec<Packet>> = Vec::new();
    for packet in packets {
        if matches!(packet, Packet::PublicKey(_) | Packet::SecretKey(_)) {
            keys.push(Vec::new());
        }
        if let Some(key) = keys.last_mut() {
            key.push(packet);
        }
    }
    keys
}
