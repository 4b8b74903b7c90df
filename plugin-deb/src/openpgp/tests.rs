//! Verification and signing together, with keys made on the spot.

use pgp::{
    composed::{
        ArmorOptions, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
        SubkeyParamsBuilder,
    },
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{Duration, KeyDetails as _, Password, Tag, Timestamp},
};
use rand::rngs::OsRng;

use super::{Keyring, SigningKey, VerifyError, cleartext};

const TEXT: &[u8] = b"Origin: x\n-dashed: y \nCodename: z\n";
const MADE: i64 = 1_700_000_000;
const DAY: i64 = 24 * 3600;

fn new_key() -> SignedSecretKey {
    new_key_of(KeyType::Ed25519Legacy)
}

fn new_key_of(key_type: KeyType) -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(key_type)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .created_at(Timestamp::from_secs(MADE.try_into().expect("positive")))
        .primary_user_id("Tester <test@example.org>".to_owned())
        .build()
        .expect("valid parameters")
        .generate(OsRng)
        .expect("a key")
}

fn signing_key(key: &SignedSecretKey) -> SigningKey {
    let armored = key.to_armored_string(ArmorOptions::default()).expect("armoured");
    SigningKey::parse(armored.as_bytes(), None).expect("a secret key")
}

fn keyring(key: &SignedSecretKey) -> Keyring {
    Keyring::parse(&key.to_public_key().to_bytes().expect("bytes")).expect("a keyring")
}

/// Replaces the self-signature of the only user id by one with these subpackets.
fn with_self_signature(mut key: SignedSecretKey, packets: Vec<SubpacketData>) -> SignedSecretKey {
    let mut config = config(&key, SignatureType::CertPositive, MADE);
    config
        .hashed_subpackets
        .extend(packets.into_iter().map(|data| Subpacket::regular(data).expect("short")));
    let public = key.primary_key.public_key().clone();
    let id = key.details.users[0].id.clone();
    let signature = config
        .sign_certification(&key.primary_key, &public, &Password::empty(), Tag::UserId, &id)
        .expect("signed");
    key.details.users[0].signatures = vec![signature];
    key
}

fn config(key: &SignedSecretKey, typ: SignatureType, at: i64) -> SignatureConfig {
    let mut config = SignatureConfig::v4(typ, key.algorithm(), HashAlgorithm::Sha256);
    let created = Timestamp::from_secs(at.try_into().expect("positive"));
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(created)).expect("short"),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).expect("short"),
    ];
    config
}

/// Signs [`TEXT`] with the primary key, whatever its policy would say.
fn raw_message(key: &SignedSecretKey, config: SignatureConfig) -> Vec<u8> {
    let hash = config.hash_alg.to_string();
    let signature = config
        .sign(&key.primary_key, &Password::empty(), &cleartext::canonical(TEXT)[..])
        .expect("signed");
    let armored = pgp::composed::DetachedSignature::new(signature)
        .to_armored_bytes(ArmorOptions::default())
        .expect("armoured");
    cleartext::write(TEXT, &hash, &armored)
}

fn flags(set: fn(&mut KeyFlags)) -> SubpacketData {
    let mut flags = KeyFlags::default();
    set(&mut flags);
    SubpacketData::KeyFlags(flags)
}

/// The reason for which the only signature was refused.
fn refusal(result: Result<super::Verified, VerifyError>) -> String {
    match result.expect_err("must be refused") {
        VerifyError::NoGoodSignature(refused) => {
            assert_eq!(refused.len(), 1);
            assert!(refused[0].key.len() >= 16, "the key is named: {:?}", refused[0]);
            refused[0].reason.clone()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_we_sign_is_verified_and_nothing_else() {
    let key = new_key();
    let (signer, keyring) = (signing_key(&key), keyring(&key));
    let message = signer.sign_cleartext(TEXT, MADE + DAY).expect("signed");
    let verified = keyring.verify_cleartext(&message, MADE + DAY).expect("good");
    assert_eq!(verified.text, b"Origin: x\n-dashed: y\nCodename: z\n");
    assert_eq!(verified.good[0].fingerprint, signer.fingerprint());
    assert_eq!(verified.good[0].created, MADE + DAY);

    let detached = signer.sign_detached(TEXT, MADE + DAY).expect("signed");
    assert_eq!(keyring.verify_detached(TEXT, &detached, MADE + DAY).expect("good").text, TEXT);

    let changed = String::from_utf8(message).expect("UTF-8").replace("Origin: x", "Origin: y");
    let reason = refusal(keyring.verify_cleartext(changed.as_bytes(), MADE + DAY));
    assert_eq!(reason, "the signature does not match the text");
    assert!(keyring.verify_detached(b"else", &detached, MADE + DAY).is_err());
}

#[test]
fn a_key_made_for_the_user_signs_what_a_keyring_of_it_accepts() {
    let now = i64::from(Timestamp::now().as_secs());
    let key = SigningKey::create("Mirror", super::KeyAlgorithm::Ed25519, now).expect("made");
    let stored = key.secret_armored().expect("armoured");
    let key = SigningKey::parse(stored.as_bytes(), None).expect("read again");
    let public = Keyring::parse(key.public_armored().expect("armoured").as_bytes()).expect("read");
    let message = key.sign_cleartext(TEXT, now).expect("signed");
    public.verify_cleartext(&message, now).expect("good");
    assert_eq!(public.fingerprints(), [key.fingerprint()]);
}

#[test]
fn one_good_signature_suffices_and_the_other_is_reported() {
    let (trusted, other) = (new_key(), new_key());
    let sign = |key| signing_key(key).sign_detached(TEXT, MADE + DAY).expect("signed");
    let both = [sign(&other), sign(&trusted)].concat();
    let verified = keyring(&trusted).verify_detached(TEXT, &both, MADE + DAY).expect("good");
    assert_eq!((verified.good.len(), verified.refused.len()), (1, 1));
    assert_eq!(verified.refused[0].reason, "the key is not in the keyring");
    assert_eq!(verified.refused[0].key, format!("{:X}", other.fingerprint()));
}

#[test]
fn several_keys_are_read_from_armoured_and_binary_keyrings() {
    let keys = [new_key(), new_key()];
    let armored = |key: &SignedSecretKey| signing_key(key).public_armored().expect("armoured");
    let text = format!("comment\n{}\n{}", armored(&keys[0]), armored(&keys[1]));
    let binary: Vec<u8> =
        keys.iter().flat_map(|key| key.to_public_key().to_bytes().expect("bytes")).collect();
    for bytes in [text.as_bytes(), &binary] {
        let keyring = Keyring::parse(bytes).expect("a keyring");
        assert_eq!(
            keyring.fingerprints(),
            keys.each_ref().map(|key| format!("{:X}", key.fingerprint()))
        );
    }
    assert!(Keyring::parse(b"").is_err() && Keyring::parse(b"nothing").is_err());
}

#[test]
fn expired_keys_and_signatures_are_refused() {
    let lifetime = Duration::from_secs(10 * 24 * 3600);
    let key = with_self_signature(new_key(), vec![SubpacketData::KeyExpirationTime(lifetime)]);
    let message = raw_message(&key, config(&key, SignatureType::Text, MADE + DAY));
    keyring(&key).verify_cleartext(&message, MADE + 9 * DAY).expect("still alive");
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE + 10 * DAY));
    assert_eq!(reason, "the key expired on 2023-11-24");

    let key = new_key();
    let mut short = config(&key, SignatureType::Text, MADE + DAY);
    let lifetime = SubpacketData::SignatureExpirationTime(lifetime);
    short.hashed_subpackets.push(Subpacket::regular(lifetime).expect("short"));
    let message = raw_message(&key, short);
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE + 12 * DAY));
    assert_eq!(reason, "the signature expired on 2023-11-25");
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE - 3 * DAY));
    assert_eq!(reason, "it was made in the future, on 2023-11-15");
}

#[test]
fn revoked_keys_are_refused() {
    let mut key = new_key();
    let message = raw_message(&key, config(&key, SignatureType::Text, MADE + DAY));
    let revocation = config(&key, SignatureType::KeyRevocation, MADE + 2 * DAY)
        .sign_key(&key.primary_key, &Password::empty(), key.primary_key.public_key())
        .expect("signed");
    key.details.revocation_signatures.push(revocation);
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE + DAY));
    assert_eq!(reason, "the key is revoked");

    // A revocation by somebody else revokes nothing.
    let (mut key, enemy) = (new_key(), new_key());
    let message = raw_message(&key, config(&key, SignatureType::Text, MADE + DAY));
    let forged = config(&enemy, SignatureType::KeyRevocation, MADE + DAY)
        .sign_key(&enemy.primary_key, &Password::empty(), key.primary_key.public_key())
        .expect("signed");
    key.details.revocation_signatures.push(forged);
    keyring(&key).verify_cleartext(&message, MADE + DAY).expect("not revoked");
}

#[test]
fn keys_for_other_purposes_and_without_self_signature_are_refused() {
    let key = with_self_signature(new_key(), vec![flags(|flags| flags.set_certify(true))]);
    let message = raw_message(&key, config(&key, SignatureType::Text, MADE + DAY));
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE + DAY));
    assert_eq!(reason, "the key is not meant for signing");

    let (mut key, enemy) = (new_key(), new_key());
    key.details.users[0].signatures = enemy.details.users[0].signatures.clone();
    let message = raw_message(&key, config(&key, SignatureType::Text, MADE + DAY));
    let reason = refusal(keyring(&key).verify_cleartext(&message, MADE + DAY));
    assert_eq!(reason, "the key has no good self-signature");
}

#[test]
fn weak_hashes_and_signatures_of_other_kinds_are_refused() {
    // An RSA key, since for EdDSA rPGP does not even make such signatures.
    let key = new_key_of(KeyType::Rsa(2048));
    for (hash, name) in [(HashAlgorithm::Sha1, "SHA1"), (HashAlgorithm::Ripemd160, "RIPEMD160")] {
        let mut weak = config(&key, SignatureType::Text, MADE + DAY);
        weak.hash_alg = hash;
        let reason = refusal(keyring(&key).verify_cleartext(&raw_message(&key, weak), MADE + DAY));
        assert_eq!(reason, format!("the hash function {name} is too weak"));
    }
    let certification = key.details.users[0].signatures[0].clone();
    let armored = pgp::composed::DetachedSignature::new(certification)
        .to_armored_bytes(ArmorOptions::default())
        .expect("armoured");
    let reason = refusal(keyring(&key).verify_detached(TEXT, &armored, MADE + DAY));
    assert_eq!(reason, "it is no signature over data");
}

#[test]
fn a_critical_subpacket_of_unknown_meaning_is_refused() {
    let key = new_key();
    let mut strange = config(&key, SignatureType::Text, MADE + DAY);
    let unknown = SubpacketData::Experimental(101, vec![1, 2].into());
    strange.hashed_subpackets.push(Subpacket::critical(unknown).expect("short"));
    let reason = refusal(keyring(&key).verify_cleartext(&raw_message(&key, strange), MADE + DAY));
    assert_eq!(reason, "it holds a critical subpacket of unknown meaning");
}

/// A key with one subkey that signs.
fn with_subkey() -> SignedSecretKey {
    let made = Timestamp::from_secs(MADE.try_into().expect("positive"));
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .can_authenticate(false)
        .created_at(made)
        .build()
        .expect("valid parameters");
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(false)
        .can_encrypt(EncryptionCaps::None)
        .created_at(made)
        .primary_user_id("Tester".to_owned())
        .subkeys(vec![subkey])
        .build()
        .expect("valid parameters")
        .generate(OsRng)
        .expect("a key")
}

#[test]
fn a_subkey_signs_only_if_it_is_bound_both_ways_and_not_revoked() {
    let key = with_subkey();
    let signer = signing_key(&key);
    let detached = signer.sign_detached(TEXT, MADE + DAY).expect("signed");
    let verified = keyring(&key).verify_detached(TEXT, &detached, MADE + DAY).expect("good");
    assert_ne!(verified.good[0].fingerprint, signer.fingerprint(), "the subkey made it");

    let public = key.primary_key.public_key();
    let bind = |typ, packets: Vec<SubpacketData>| {
        let mut config = config(&key, typ, MADE);
        let packets = packets.into_iter().map(|data| Subpacket::regular(data).expect("short"));
        config.hashed_subpackets.extend(packets);
        let subkey = key.secret_subkeys[0].key.public_key();
        config
            .sign_subkey_binding(&key.primary_key, public, &Password::empty(), subkey)
            .expect("signed")
    };
    let original = key.secret_subkeys[0].signatures[0].clone();
    let revocation = bind(SignatureType::SubkeyRevocation, vec![]);
    let one_way = bind(SignatureType::SubkeyBinding, vec![flags(|flags| flags.set_sign(true))]);
    let encrypts =
        bind(SignatureType::SubkeyBinding, vec![flags(|flags| flags.set_encrypt_comms(true))]);
    let foreign = with_subkey().secret_subkeys[0].signatures[0].clone();
    for (signatures, expected) in [
        (vec![original, revocation], "the subkey is revoked"),
        (vec![one_way], "the subkey does not confirm its primary key"),
        (vec![encrypts], "the subkey is not meant for signing"),
        (vec![foreign], "the subkey is not bound to its primary key"),
    ] {
        let mut changed = key.clone();
        changed.secret_subkeys[0].signatures = signatures;
        let reason = refusal(keyring(&changed).verify_detached(TEXT, &detached, MADE + DAY));
        assert_eq!(reason, expected);
    }
}

#[test]
fn files_that_hold_no_signature_are_refused() {
    let key = new_key();
    let keyring = keyring(&key);
    assert!(matches!(keyring.verify_detached(TEXT, b"", MADE), Err(VerifyError::NoSignature)));
    let public = signing_key(&key).public_armored().expect("armoured");
    let result = keyring.verify_detached(TEXT, public.as_bytes(), MADE);
    assert!(matches!(result, Err(VerifyError::NoSignature)));
    assert!(matches!(keyring.verify_cleartext(TEXT, MADE), Err(VerifyError::Cleartext(_))));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = Keyring::parse(&bytes);
        let _ = Keyring::default().verify_detached(&bytes, &bytes, MADE);
        let _ = SigningKey::parse(&[&b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n"[..], &bytes].concat(), None);
    }
}
