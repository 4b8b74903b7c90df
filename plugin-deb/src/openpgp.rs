//! OpenPGP as apt uses it: release files verified against a keyring, and release files signed.
//!
//! The cryptography and the packets are rPGP's; which keys and signatures are *believed* is decided
//! here, as gpgv would decide it: [`Keyring`] holds the trusted keys, [`Keyring::verify_cleartext`]
//! and [`Keyring::verify_detached`] give the verified text and a report, [`SigningKey`] makes what
//! they accept. Everything here blocks (a signature costs about a millisecond): callers run it on
//! the blocking pool. Times are seconds since the epoch and are passed in, never read from a clock.
//! Sources: RFC 9580 (RFC 4880 where gpgv 2.2 knows no more).

mod armor;
mod cleartext;
mod keyring;
mod signing;
#[cfg(test)]
mod tests;
mod verify;

pub use cleartext::CleartextError;
pub use keyring::{Keyring, KeyringError};
pub use signing::{KeyAlgorithm, SigningError, SigningKey};
pub(crate) use verify::day;
pub use verify::{GoodSignature, RefusedSignature, Verified, VerifyError, unverified_text};
