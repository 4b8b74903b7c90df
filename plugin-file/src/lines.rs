//! Lines of a text, one at a time, each of bounded length.
//!
//! The manifest's and the checksum list's readers stand on this. It knows nothing of what a line
//! means, and holds one line at a time.

use std::io::{BufRead, Read};

use crate::{
    entry::{ParseError, Place, Problem},
    upstream_format::UpstreamFormat,
};

/// The longest line in bytes: a path of 4,096 bytes with every one of them escaped, the longest
/// digest and a size, with room to spare.
pub(crate) const LONGEST_LINE: usize = 16 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads `reader` line by line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    format: UpstreamFormat,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// `format` is named in errors.
    pub(crate) fn new(reader: R, format: UpstreamFormat) -> Self {
        Self { reader, format, buffer: Vec::new(), number: 0 }
    }

    /// The number of the line read last, counted from one.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end (`\n` or `\r\n`), and without a byte order mark on the first.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>, ParseError> {
        self.number += 1;
        self.buffer.clear();
        let (format, place) = (self.format, Place::Line(self.number));
        // Two more than the longest line: its end.
        let limit = LONGEST_LINE as u64 + 2;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| ParseError::Read { format, place, source })?;
        if read == 0 {
            return Ok(None);
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let invalid = |source| ParseError::Invalid { format, place, source };
        if line.len() > LONGEST_LINE {
            return Err(invalid(Problem::TooLong(LONGEST_LINE)));
        }
        let line = match self.number {
            1 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
            _ => line,
        };
        std::str::from_utf8(line).map(Some).map_err(|_| invalid(Problem::NotUtf8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<String>, ParseError> {
        let mut lines = Lines::new(bytes, UpstreamFormat::Manifest);
        let mut texts = Vec::new();
        while let Some(line) = lines.next_line()? {
            texts.push(line.to_owned());
        }
        Ok(texts)
    }

    #[test]
    fn both_line_ends_are_taken_and_the_last_line_needs_none() {
        assert_eq!(all(b"\xEF\xBB\xBFa\r\n\nb\n c").expect("valid"), ["a", "", "b", " c"]);
        assert!(all(b"").expect("valid").is_empty());
    }

    #[test]
    fn a_line_is_at_most_as_long_as_the_limit() {
        let mut bytes = vec![b'x'; LONGEST_LINE];
        bytes.extend(b"\r\ny");
        assert_eq!(all(&bytes).expect("valid").len(), 2);
        bytes.insert(0, b'x');
        let error = all(&bytes).expect_err("too long");
        assert_eq!(error.to_string(), "Invalid manifest at line 1");
    }

    #[test]
    fn other_encodings_are_refused_with_their_line() {
        let error = all(b"a\n\xFF\xFEb").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "Invalid manifest at line 2");
    }
}
