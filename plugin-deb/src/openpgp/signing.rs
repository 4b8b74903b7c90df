//! Signing: keys made or loaded, release files signed with them.
//!
//! Keys are version 4 and, unless RSA is asked for, EdDSA in its older encoding: what gpgv 2.2 (apt
//! in Debian 12 and older) understands. Secret keys are stored as armoured OpenPGP secret keys, so
//! that gpg can import them.

use pgp::{
    armor::BlockType,
    composed::{
        ArmorOptions, Deserializable, DetachedSignature, EncryptionCaps, KeyType,
        SecretKeyParamsBuilder, SignedSecretKey,
    },
    crypto::hash::HashAlgorithm,
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    types::{KeyDetails, Password, Timestamp},
};
use rand::rngs::OsRng;

use super::{Keyring, cleartext};

const HASH: HashAlgorithm = HashAlgorithm::Sha512;

/// Why a key cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The parameters of a new key are impossible.
    #[error("Failed to make a key: {0}")]
    Parameters(String),
    /// The file is no secret key.
    #[error("Not an OpenPGP secret key")]
    Malformed(#[source] pgp::errors::Error),
    /// The file holds no secret key.
    #[error("No OpenPGP secret key found")]
    Empty,
    /// The key may not sign; says why.
    #[error("The key `{fingerprint}` cannot sign: {reason}")]
    Unusable {
        /// Its fingerprint in upper-case hex.
        fingerprint: String,
        /// In words.
        reason: String,
    },
    /// Signing failed, for instance because the passphrase is wrong.
    #[error("Failed to sign")]
    Sign(#[source] pgp::errors::Error),
}

/// The kind of a new key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyAlgorithm {
    /// Ed25519: small and fast.
    #[default]
    Ed25519,
    /// RSA with 4096 bits, for clients older than Debian 9.
    Rsa4096,
}

/// A secret key that signs release files. `Debug` shows no secret.
#[derive(Debug)]
pub struct SigningKey {
    key: SignedSecretKey,
    password: Password,
}

impl SigningKey {
    /// Makes a key that never expires, for `user_id` (`Name <address>`), created at `created`.
    pub fn create(
        user_id: &str,
        algorithm: KeyAlgorithm,
        created: i64,
    ) -> Result<Self, SigningError> {
        let created = timestamp(created)?;
        let key_type = match algorithm {
            KeyAlgorithm::Ed25519 => KeyType::Ed25519Legacy,
            KeyAlgorithm::Rsa4096 => KeyType::Rsa(4096),
        };
        let parameters = SecretKeyParamsBuilder::default()
            .key_type(key_type)
            .can_certify(true)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .created_at(created)
            .primary_user_id(user_id.to_owned())
            .build()
            .map_err(|error| SigningError::Parameters(error.to_string()))?;
        let key = parameters.generate(OsRng).map_err(SigningError::Sign)?;
        Ok(Self { key, password: Password::empty() })
    }

    /// Reads a secret key, armoured or binary, that `passphrase` unlocks.
    pub fn parse(bytes: &[u8], passphrase: Option<&str>) -> Result<Self, SigningError> {
        let packets = super::armor::packets(bytes, |block| matches!(block, BlockType::PrivateKey))
            .map_err(SigningError::Malformed)?;
        let packets: Box<dyn Iterator<Item = _>> = Box::new(packets.into_iter().map(Ok));
        let key = SignedSecretKey::from_packets(packets.peekable())
            .next()
            .ok_or(SigningError::Empty)?
            .map_err(SigningError::Malformed)?;
        let password = passphrase.map_or_else(Password::empty, Password::from);
        Ok(Self { key, password })
    }

    /// The secret key, armoured. Whoever writes it to a file keeps others from reading it.
    pub fn secret_armored(&self) -> Result<String, SigningError> {
        self.key.to_armored_string(ArmorOptions::default()).map_err(SigningError::Sign)
    }

    /// The public key, armoured: what clients name in `Signed-By`.
    pub fn public_armored(&self) -> Result<String, SigningError> {
        let public = self.key.to_public_key();
        public.to_armored_string(ArmorOptions::default()).map_err(SigningError::Sign)
    }

    /// The primary key's fingerprint in upper-case hex.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.key.fingerprint())
    }

    /// When the primary key was made: no signature may be older.
    pub fn created(&self) -> i64 {
        self.key.created_at().as_secs().into()
    }

    /// Signs the text of a `Release` at the time `now`: the bytes of its `InRelease`.
    pub fn sign_cleartext(&self, text: &[u8], now: i64) -> Result<Vec<u8>, SigningError> {
        let signature = self.sign(SignatureType::Text, &cleartext::canonical(text), now)?;
        let message = cleartext::write(text, &HASH.to_string(), &signature);
        self.check(|keyring| keyring.verify_cleartext(&message, now))?;
        Ok(message)
    }

    /// Signs the text of a `Release` at the time `now`: the bytes of its `Release.gpg`.
    pub fn sign_detached(&self, text: &[u8], now: i64) -> Result<Vec<u8>, SigningError> {
        let signature = self.sign(SignatureType::Binary, text, now)?;
        self.check(|keyring| keyring.verify_detached(text, &signature, now))?;
        Ok(signature)
    }

    /// Gives out nothing that a client would refuse.
    fn check<E: std::fmt::Display>(
        &self,
        verify: impl FnOnce(&Keyring) -> Result<super::Verified, E>,
    ) -> Result<(), SigningError> {
        let unusable =
            |reason: String| SigningError::Unusable { fingerprint: self.fingerprint(), reason };
        let public = self.public_armored()?;
        let keyring =
            Keyring::parse(public.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        verify(&keyring).map_err(|error| unusable(error.to_string()))?;
        Ok(())
    }

    /// An armoured signature by the first subkey that may sign, else by the primary key.
    fn sign(&self, typ: SignatureType, data: &[u8], now: i64) -> Result<Vec<u8>, SigningError> {
        let may_sign = |subkey: &&pgp::composed::SignedSecretSubKey| {
            subkey.signatures.iter().any(|signature| signature.key_flags().sign())
        };
        let signature = match self.key.secret_subkeys.iter().find(may_sign) {
            Some(subkey) => self.sign_with(&subkey.key, typ, data, now),
            None => self.sign_with(&self.key.primary_key, typ, data, now),
        }?;
        DetachedSignature::new(signature)
            .to_armored_bytes(ArmorOptions::default())
            .map_err(SigningError::Sign)
    }

    fn sign_with(
        &self,
        key: &impl pgp::types::SigningKey,
        typ: SignatureType,
        data: &[u8],
        now: i64,
    ) -> Result<pgp::packet::Signature, SigningError> {
        let created = timestamp(now)?;
        let sign = || {
            let mut config = SignatureConfig::v4(typ, key.algorithm(), HASH);
            config.hashed_subpackets = vec![
                Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
                Subpacket::critical(SubpacketData::SignatureCreationTime(created))?,
            ];
            config.unhashed_subpackets =
                vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
            config.sign(key, &self.password, data)
        };
        sign().map_err(SigningError::Sign)
    }
}

fn timestamp(seconds: i64) -> Result<Timestamp, SigningError> {
    u32::try_from(seconds)
        .map(Timestamp::from_secs)
        .map_err(|_| SigningError::Parameters(format!("{seconds} is no OpenPGP time")))
}
