//! Keys: 32-byte digests that name content by what it is.
//!
//! A natural key names a content unit in the whole installation, a repository key names the place
//! that only one unit may take in a repository version. Both are built here and nowhere else.
//!
//! Where upstream lists units in some order, keys can keep a little of it ([`KeyBuilder::path`],
//! [`KeyBuilder::near_name`]): a batch then touches a few pages of the database's indexes in place of
//! one for every unit, which halves what a million files cost.

use std::fmt;

use sha2::Digest as _;

use crate::RelativePath;

/// A digest over a type name and an unambiguous (length-prefixed) list of fields; up to eight of its
/// bytes may say whereabouts it is instead ([`KeyBuilder::path`], [`KeyBuilder::near_name`]).
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
        let empty = KeyBuilder { digest: sha2::Sha256::new(), region: [0; REGION], depth: 0 };
        empty.field(type_name)
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
pub struct KeyBuilder {
    digest: sha2::Sha256,
    /// A byte for each region that the unit is in, the widest first.
    region: [u8; REGION],
    /// How many of them are known.
    depth: usize,
}

/// Most bytes of a key that say whereabouts it is. 24 are left of the digest: nobody finds two lists
/// of fields for one key in less than 2⁹⁶ attempts.
const REGION: usize = 8;

impl KeyBuilder {
    /// Appends one field. Order matters; every field is length-prefixed.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.digest.update((bytes.len() as u64).to_le_bytes());
        self.digest.update(bytes);
        self
    }

    /// Appends a path as a [field](Self::field), and puts the key near those of its folder and of
    /// names that begin alike. For what upstream lists by the thousand, with neighbours side by side.
    #[must_use]
    pub fn path(self, path: &RelativePath) -> Self {
        let folders = path.parent().into_iter().flat_map(|folder| folder.split('/'));
        let near = folders.fold(self, |key, folder| key.within(folder.as_bytes()));
        near.near_name(path.file_name()).field(path.as_str())
    }

    /// Puts the key near those of names that begin alike. It changes the key but is no field: append
    /// the name as one where it tells units apart.
    #[must_use]
    pub fn near_name(self, name: &str) -> Self {
        let name = name.as_bytes();
        let beginnings = [1, 2, 4, 8].map(|length| &name[..length.min(name.len())]);
        beginnings.into_iter().fold(self, Self::within)
    }

    /// A region within those before. Whoever is deeper than the bytes go shares the last one.
    fn within(mut self, region: &[u8]) -> Self {
        let place = self.depth.min(REGION - 1);
        self.region[place] = byte_of(self.region[place], region);
        self.depth = place + 1;
        self
    }

    /// The key of all fields.
    pub fn finish(self) -> Key {
        let digest: [u8; 32] = self.digest.finalize().into();
        let mut key = digest;
        key[..self.depth].copy_from_slice(&self.region[..self.depth]);
        key[self.depth..].copy_from_slice(&digest[..digest.len() - self.depth]);
        Key(key)
    }
}

/// A byte for a name, and for `before` if that is not zero: FNV-1a, folded. Stored keys depend on it.
fn byte_of(before: u8, name: &[u8]) -> u8 {
    const BASIS: u32 = 0x811C_9DC5;
    const PRIME: u32 = 0x0100_0193;
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(PRIME);
    let hash = name.iter().fold(BASIS ^ u32::from(before), step);
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn at(path: &str) -> Key {
        Key::of("file.file").path(&path.parse().expect("a path")).finish()
    }

    fn bytes_shared(a: Key, b: Key) -> usize {
        a.0.iter().zip(b.0).take_while(|(a, b)| **a == *b).count()
    }

    #[test]
    fn neighbours_share_bytes() {
        let shared = |a: &str, b: &str| bytes_shared(at(a), at(b));
        assert_eq!(shared("pool/main/a/apt/x", "pool/main/a/apt/y"), 4);
        assert_eq!(shared("pool/main/a/apt/x", "pool/main/b/bash/x"), 2);
        assert_eq!(shared("x", "y"), 0);
        assert_eq!(shared("f000123.dat", "f000124.dat"), 3);
        let deep = "a/b/c/d/e/f/g/h/i/j/k/l";
        assert_eq!(shared(&format!("{deep}/x"), &format!("{deep}/y")), REGION - 1);
        let package = |name: &str| Key::of("deb.package").near_name(name).field(name).finish();
        assert_eq!(bytes_shared(package("python3-apt"), package("python3-six")), 4);
        assert_eq!(bytes_shared(package("libapt"), package("libbz2")), 2);
    }

    #[test]
    fn folders_are_spread_over_all_bytes() {
        let first: HashSet<u8> = (0..1000).map(|n| at(&format!("d{n:03}/file")).0[0]).collect();
        assert!(first.len() > 240, "{} of 256", first.len());
    }

    #[test]
    fn regions_cost_no_distinction() {
        let key =
            |name: &str, field: &str| Key::of("deb.package").near_name(name).field(field).finish();
        assert_ne!(key("a", "x"), key("a", "y"));
        assert_eq!(key("a", "x").0[4..], key("b", "x").0[4..]);
        assert_eq!(key("a", "x").0[4..], Key::of("deb.package").field("x").finish().0[..28]);
        let deep = "a/b/c/d/e/f/g/h/i/j/k/l";
        assert_ne!(at(&format!("{deep}/x")).0[REGION..], at(&format!("{deep}/y")).0[REGION..]);
    }

    #[test]
    fn keys_stay_what_databases_have() {
        insta::assert_snapshot!(at("pool/main/a/apt/apt_2.6.1_amd64.deb"), @"b690edededb1881686ca1e593739d59ba760b60c33bbac772bc7aed4c6e226ae");
        insta::assert_snapshot!(Key::of("file.file").field("a").finish(), @"1ee930d9ce2fa0ae9b913b93cd5f1473d40724e5b500cf461cbd004bf09423e7");
    }
}
