//! A reader that hands out only so many bytes before it must be refilled.
//!
//! An XML reader holds one tag or text at a time, however long it is. Refilled before each of
//! them, this keeps it from holding more than the limit.

use std::io::{self, BufRead, Read};

/// Wraps a reader; see the module.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    reader: R,
    limit: usize,
    left: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("More than {0} bytes without an end")]
struct Exhausted(usize);

/// Whether `error` says that the limit was reached.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Exhausted>()).is_some()
}

impl<R> Bounded<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, left: limit }
    }

    /// Allows another `limit` bytes.
    pub(super) fn refill(&mut self) {
        self.left = self.limit;
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.reader.fill_buf()?;
        if self.left == 0 && !bytes.is_empty() {
            return Err(io::Error::other(Exhausted(self.limit)));
        }
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, read: usize) {
        self.left -= read.min(self.left);
        self.reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_comes_out_between_refills() {
        let mut bounded = Bounded::new(&b"abcdefg"[..], 3);
        let mut text = String::new();
        let error = bounded.read_to_string(&mut text).expect_err("exhausted");
        assert!(is_exhausted(&error));
        assert_eq!(bounded.reader, b"defg");
        bounded.refill();
        assert_eq!(bounded.fill_buf().expect("refilled"), b"def");
    }

    #[test]
    fn the_end_is_no_exhaustion() {
        let mut text = String::new();
        Bounded::new(&b"abc"[..], 3).read_to_string(&mut text).expect("fits");
        assert_eq!(text, "abc");
    }
}
