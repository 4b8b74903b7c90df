//! Lists in pages, followed as far as there is an end to them.
//!
//! Where the next page is, is the registry's word (`Link`), and a broken or malicious one may name
//! further pages for ever. A list ends in an error when page after page says nothing new, and when it
//! is longer than any list is. What the entries mean is not known here.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, RandomState},
};

use http::{HeaderMap, header};
use url::Url;

use crate::links;

/// Pages without a new entry that are put up with, one after the other: registries that leave out
/// entries after they cut a list have some.
const IDLE_PAGES: usize = 20;

/// What is wrong with a list, said after its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unending {
    /// Page after page leads on, and says nothing new.
    #[error("does not end")]
    Idle,
    /// It is longer than is believed.
    #[error("has more than {0} entries")]
    TooLong(usize),
}

/// A list that is being read.
pub(super) struct Pages {
    next: Option<Url>,
    /// Hashes of the entries so far.
    seen: HashSet<u64>,
    hasher: RandomState,
    entries: usize,
    /// The most entries that there may be.
    limit: usize,
    /// How many entries were new before this page.
    before: usize,
    idle: usize,
}

impl Pages {
    /// Begins at `first`; of the list, `limit` entries are believed.
    pub(super) fn new(first: Url, limit: usize) -> Self {
        Self {
            next: Some(first),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            entries: 0,
            limit,
            before: 0,
            idle: 0,
        }
    }

    /// The page to read next; [`turn`](Self::turn) is called when it is read.
    pub(super) fn next(&mut self) -> Option<Url> {
        self.before = self.seen.len();
        self.next.take()
    }

    /// Counts an entry of the page.
    pub(super) fn count(&mut self, entry: &(impl Hash + ?Sized)) {
        self.entries += 1;
        self.seen.insert(self.hasher.hash_one(entry));
    }

    /// Goes on to the page after `page`, which was answered with `headers`.
    pub(super) fn turn(&mut self, page: &Url, headers: &HeaderMap) -> Result<(), Unending> {
        let lines = headers.get_all(header::LINK).iter().filter_map(|line| line.to_str().ok());
        self.next = links::next_page(page, lines);
        self.idle = if self.seen.len() > self.before { 0 } else { self.idle + 1 };
        if self.entries > self.limit {
            return Err(Unending::TooLong(self.limit));
        }
        match &self.next {
            Some(next) if next == page || self.idle > IDLE_PAGES => Err(Unending::Idle),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a list whose page `number` has `entries(number)` and leads to page `next(number)`; gives
    /// the number of pages that were read.
    fn read(
        limit: usize,
        entries: impl Fn(usize) -> Vec<usize>,
        next: impl Fn(usize) -> Option<usize>,
    ) -> Result<usize, (usize, Unending)> {
        let url = |number| format!("http://host/list?page={number}").parse().expect("valid");
        let mut pages = Pages::new(url(0), limit);
        let (mut number, mut read) = (0, 0);
        while let Some(page) = pages.next() {
            for entry in entries(number) {
                pages.count(&entry);
            }
            let mut headers = HeaderMap::new();
            if let Some(next) = next(number) {
                number = next;
                let link = links::to_next(url(next).as_str());
                headers.insert(header::LINK, link.parse().expect("a header value"));
            }
            read += 1;
            pages.turn(&page, &headers).map_err(|error| (read, error))?;
        }
        Ok(read)
    }

    #[test]
    fn a_list_is_read_to_its_end_over_some_empty_pages() {
        let until = |end: usize| move |number: usize| (number < end).then_some(number + 1);
        assert_eq!(read(1000, |number| vec![number], until(500)), Ok(501));
        let sparse = |number: usize| if number.is_multiple_of(20) { vec![number] } else { vec![] };
        assert_eq!(read(1000, sparse, until(500)), Ok(501));
    }

    #[test]
    fn a_list_without_end_is_an_error() {
        let wide = |number| vec![number];
        assert_eq!(read(1000, wide, Some), Err((1, Unending::Idle)), "leads to itself");
        let loops = read(1000, wide, |number| Some((number + 1) % 3));
        assert_eq!(loops, Err((3 + IDLE_PAGES + 1, Unending::Idle)));
        let empty = read(1000, |_| vec![], |number| Some(number + 1));
        assert_eq!(empty, Err((IDLE_PAGES + 1, Unending::Idle)));
        let grows = read(100, |number| vec![number, number + 1], |number| Some(number + 1));
        assert_eq!(grows, Err((51, Unending::TooLong(100))));
    }
}
