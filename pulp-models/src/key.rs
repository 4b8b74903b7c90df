//! Keys: 32-byte digests that name content by what it is.
//!
//! A natural key names a content unit in the whole installation, a repository key names the place
//! that only one unit may take in a repository version. Both are built here and nowhere else.

use std::fmt;

use sha2::Digest as _;

/// A digest over a type name and an unambiguous (length-prefixed) list of fields.
///
/// ```
/// use pulp_models::Key;
/// let a = Key::of("file.file").field("a/b").field("c").finish();
/// let b = Key::of("file.file").field("a").field("b/c").finish();
/// assert_ne!(a, b);
/// ```
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
pub struct Key(pub [u8; 32]);

impl Key {
    /// Starts a key for content of `type_name`, e.g. `deb.package`.
    pub fn of(type_name: &str) -> KeyBuilder {
        KeyBuilder(sha2::Sha256::new()).field(type_name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A key being built; see [`Key::of`].
#[derive(Clone)]
pub struct KeyBuilder(sha2::Sha256);

impl KeyBuilder {
    /// Appends one field. Order matters; every field is length-prefixed.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The key of all fields.
    pub fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }
}
