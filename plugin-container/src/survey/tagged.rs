//! Tags and what they name, one after the other in one piece of memory.
//!
//! A sync holds all of them from the survey to its end, and repositories of 50,000 tags are real: an
//! entry takes what its bytes take, and no allocation of its own.

use crate::{digest::Digest, reference::Tag};

/// Tags with the digests that they name, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tagged {
    /// Of each entry the lengths of tag and digest, a byte each, then both.
    packed: Vec<u8>,
    count: usize,
}

impl Tagged {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each tag and what it names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Digest)> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let [tag, digest, entry @ ..] = rest else { return None };
            let (tag, entry) = entry.split_at(usize::from(*tag));
            let (digest, others) = entry.split_at(usize::from(*digest));
            rest = others;
            Some((std::str::from_utf8(tag).ok()?, Digest::from_bytes(digest)?))
        })
    }

    /// The same with the tags as what they are.
    pub fn entries(&self) -> impl Iterator<Item = (Tag, Digest)> {
        self.iter().filter_map(|(tag, digest)| Some((tag.parse().ok()?, digest)))
    }
}

impl Extend<(Tag, Digest)> for Tagged {
    fn extend<T: IntoIterator<Item = (Tag, Digest)>>(&mut self, entries: T) {
        for (tag, digest) in entries {
            let (tag, digest) = (tag.as_str().as_bytes(), digest.as_bytes());
            let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("at most 128 bytes");
            self.packed.extend([length(tag), length(digest)]);
            self.packed.extend_from_slice(tag);
            self.packed.extend_from_slice(digest);
            self.count += 1;
        }
    }
}

impl FromIterator<(Tag, Digest)> for Tagged {
    fn from_iter<T: IntoIterator<Item = (Tag, Digest)>>(entries: T) -> Self {
        let mut tagged = Self::default();
        tagged.extend(entries);
        tagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_and_take_little_more_than_their_bytes() {
        let longest = "x".repeat(Tag::MAX_LENGTH);
        let entries: Vec<(Tag, Digest)> = (0..1000)
            .map(|number| format!("v1.{number}"))
            .chain(["latest".to_owned(), longest])
            .map(|tag| {
                let bytes = tag.as_bytes();
                let long = tag.len() > 100;
                let digest = if long { Digest::sha512(bytes) } else { Digest::sha256(bytes) };
                (tag.parse().expect("valid"), digest)
            })
            .collect();
        let tagged: Tagged = entries.iter().cloned().collect();
        assert_eq!(tagged.entries().collect::<Vec<_>>(), entries);
        assert_eq!((tagged.len(), tagged.is_empty()), (entries.len(), false));
        assert!(tagged.packed.capacity() < 100 * entries.len(), "{}", tagged.packed.capacity());
        assert_eq!(Tagged::default().iter().count(), 0);
    }
}
