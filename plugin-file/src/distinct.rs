//! Paths that stand twice in one list.
//!
//! Between a parser and whoever takes its entries: the same file listed twice is one unit, two
//! different files at one path are an error that names both places. Pulp fails on the second
//! without a place; a version can hold one file per path.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    hash::{BuildHasher, RandomState},
};

use crate::{
    entry::{Entry, ParseError},
    upstream_format::UpstreamFormat,
};

/// Passes entries through, each path once.
///
/// Of what has passed it keeps 16 bytes per path, whatever the paths' lengths: keyed hashes rather
/// than paths and digests. Keys are random per list, so nobody can make two paths collide on
/// purpose; among a million paths chance does it once in 37 million lists. They are kept in parts,
/// for a table that grows is there twice.
#[derive(Debug)]
pub struct Distinct<I> {
    entries: I,
    format: UpstreamFormat,
    seen: [HashMap<u64, Seen>; PARTS],
    keys: RandomState,
}

/// Tables that share the paths by their hashes.
const PARTS: usize = 16;

/// What is left of an entry that has passed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Hash of size and digests.
    expected: u32,
    /// Number of its line or element.
    number: u32,
}

impl<I: Iterator<Item = Result<Entry, ParseError>>> Distinct<I> {
    /// `format` is named in errors.
    pub fn new(format: UpstreamFormat, entries: I) -> Self {
        Self { entries, format, seen: Default::default(), keys: RandomState::new() }
    }

    /// Whether `entry` is new, or an error if it contradicts an earlier one.
    fn take(&mut self, entry: &Entry) -> Result<bool, ParseError> {
        let number = entry.place.number();
        let digests: Vec<_> = entry.expected.digests.iter().collect();
        let expected = self.keys.hash_one((entry.expected.size, digests));
        let seen = Seen {
            expected: (expected >> 32) as u32,
            number: u32::try_from(number).unwrap_or(u32::MAX),
        };
        let path = self.keys.hash_one(&entry.relative_path);
        match self.seen[usize::from(path.to_le_bytes()[0]) % PARTS].entry(path) {
            Slot::Vacant(slot) => {
                slot.insert(seen);
                Ok(true)
            }
            Slot::Occupied(slot) if slot.get().expected == seen.expected => Ok(false),
            Slot::Occupied(slot) => Err(ParseError::Contradiction {
                format: self.format,
                path: entry.relative_path.clone(),
                first: u64::from(slot.get().number),
                second: number,
            }),
        }
    }
}

impl<I: Iterator<Item = Result<Entry, ParseError>>> Iterator for Distinct<I> {
    type Item = Result<Entry, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                error @ Err(_) => return Some(error),
            };
            match self.take(&entry) {
                Ok(true) => return Some(Ok(entry)),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp_models::Sha256;

    use super::*;
    use crate::{manifest::Manifest, testing};

    fn read(lines: &[(&str, &[u8], u64)]) -> Result<Vec<String>, ParseError> {
        let line = |(path, bytes, size): &(&str, &[u8], u64)| {
            format!("{path},{},{size}\n", Sha256::of(bytes))
        };
        let text: String = lines.iter().map(line).collect();
        let manifest = Manifest::new(&testing::url("http://host/m"), text.as_bytes());
        Distinct::new(UpstreamFormat::Manifest, manifest)
            .map(|entry| entry.map(|entry| entry.relative_path.to_string()))
            .collect()
    }

    #[test]
    fn the_same_file_listed_twice_is_one() {
        let lines: [(&str, &[u8], u64); 3] = [("a", b"1", 1), ("b", b"1", 1), ("a", b"1", 1)];
        assert_eq!(read(&lines).expect("valid"), ["a", "b"]);
    }

    #[test]
    fn two_files_at_one_path_are_an_error_that_names_both_lines() {
        for second in [("a/b", &b"2"[..], 1), ("a/b", b"1", 2)] {
            let error = read(&[("a/b", b"1", 1), ("c", b"1", 1), second]).expect_err("an error");
            assert_eq!(
                error.to_string(),
                "Contradiction in the manifest about `a/b`: line 1 and line 3 give different sizes \
                 or digests"
            );
        }
    }
}
