//! Stanzas: the paragraphs of `Field: value` lines that every apt file is made of.
//!
//! [`Splitter`] cuts a stream of bytes into [`RawStanza`]s without copying them a second time;
//! [`Stanza`] reads the fields of one. Nothing here knows what a field means: [`crate::package`],
//! [`crate::release`] and their like do. Values are bytes, because old repositories hold Latin-1.
//!
//! Format: Debian Policy, chapter 5.1, read as tolerantly as apt reads it: an empty line (LF or
//! CRLF) ends a stanza, a line that begins with a blank continues the field before it, a line that
//! begins with `#` is a comment, and of a field given twice the last one counts.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// Longest stanza in bytes. Debian's longest (a `Sources` stanza) has about 200 KB.
pub const MAX_STANZA: usize = 8 << 20;

/// Decompressed bytes are appended to blocks of this size, from which stanzas are cut.
const BLOCK: usize = 256 << 10;

/// What is wrong with a stanza, and where in its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StanzaError {
    /// A line is neither a field nor the continuation of one.
    #[error("Line {line} is no field: `{text}`")]
    NoField {
        /// Counted from 1.
        line: u64,
        /// The beginning of the line.
        text: String,
    },
    /// A stanza never ends.
    #[error("The stanza that begins in line {line} is longer than {limit} bytes")]
    TooLong {
        /// Where the stanza begins, counted from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A field that must be there is not.
    #[error("The stanza in line {line} (`{name}`) has no `{field}`")]
    Missing {
        /// Where the stanza begins, counted from 1.
        line: u64,
        /// Its `Package` or `Source`, as far as it has one.
        name: String,
        /// The missing field.
        field: &'static str,
    },
    /// A field's value cannot be what it should be.
    #[error("The stanza in line {line} (`{name}`) has an invalid `{field}`: {reason}")]
    Invalid {
        /// Where the stanza begins, counted from 1.
        line: u64,
        /// Its `Package` or `Source`, as far as it has one.
        name: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// One stanza as upstream wrote it: from its first field to the line end of its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawStanza {
    /// The bytes, without the empty line behind them. Shares a block with its neighbours.
    pub bytes: Bytes,
    /// Line in the file of the first field, counted from 1.
    pub line: u64,
}

impl RawStanza {
    /// A view of the fields.
    pub fn view(&self) -> Stanza<'_> {
        Stanza { bytes: &self.bytes, line: self.line }
    }
}

/// Cuts a stream into stanzas; memory is one block and whatever stanzas the caller keeps.
///
/// ```
/// use plugin_deb::stanza::Splitter;
/// let mut splitter = Splitter::new();
/// splitter.push(b"Package: a\n\nPack");
/// assert_eq!(&splitter.next_stanza()?.expect("the first is complete").bytes[..], b"Package: a\n");
/// assert_eq!(splitter.next_stanza()?, None);
/// splitter.push(b"age: b\n");
/// assert_eq!(splitter.finish()?.expect("the rest is a stanza").line, 3);
/// # Ok::<(), plugin_deb::stanza::StanzaError>(())
/// ```
#[derive(Debug)]
pub struct Splitter {
    /// Bytes not yet given out; begins at a line's beginning.
    pending: BytesMut,
    /// How much of `pending` has been searched without finding a stanza's end; lies behind a line
    /// end, or is 0.
    searched: usize,
    /// Line ends in the searched part.
    lines: u64,
    /// Line of the first pending byte.
    line: u64,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// A splitter at line 1.
    pub fn new() -> Self {
        Self { pending: BytesMut::with_capacity(BLOCK), searched: 0, lines: 0, line: 1 }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.pending.capacity() - self.pending.len() < bytes.len() {
            // A new block: stanzas already cut keep the old one alive until they are dropped.
            let mut block =
                BytesMut::with_capacity(BLOCK.max(2 * self.pending.len()) + bytes.len());
            block.extend_from_slice(&self.pending);
            self.pending = block;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The next stanza whose end has been seen; `None` asks for more bytes.
    pub fn next_stanza(&mut self) -> Result<Option<RawStanza>, StanzaError> {
        loop {
            if self.searched == 0 {
                self.skip_empty_lines();
            }
            let Some(end) = self.find_end() else {
                if self.pending.len() > MAX_STANZA {
                    return Err(StanzaError::TooLong { line: self.line, limit: MAX_STANZA });
                }
                return Ok(None);
            };
            if let Some(stanza) = self.cut(end) {
                return Ok(Some(stanza));
            }
        }
    }

    /// What remains when the stream has ended: a last stanza without an empty line behind it.
    pub fn finish(&mut self) -> Result<Option<RawStanza>, StanzaError> {
        if let Some(stanza) = self.next_stanza()? {
            return Ok(Some(stanza));
        }
        Ok(self.cut(self.pending.len()))
    }

    /// Position behind the last line of the first pending stanza, if its end is known.
    fn find_end(&mut self) -> Option<usize> {
        let start = self.searched;
        for at in memchr::memchr_iter(b'\n', &self.pending[start..]).map(|at| start + at) {
            match &self.pending[at + 1..] {
                [] | [b'\r'] => return None,
                [b'\n', ..] | [b'\r', b'\n', ..] => {
                    self.lines += 1;
                    return Some(at + 1);
                }
                _ => {
                    self.searched = at + 1;
                    self.lines += 1;
                }
            }
        }
        None
    }

    /// Gives out the first `end` pending bytes, or nothing if only comments are in them.
    fn cut(&mut self, end: usize) -> Option<RawStanza> {
        let bytes = self.pending.split_to(end).freeze();
        let line = self.line;
        self.line += self.lines;
        (self.searched, self.lines) = (0, 0);
        let only_comments = bytes
            .split(|byte| *byte == b'\n')
            .all(|text| matches!(text, [] | [b'\r'] | [b'#', ..]));
        (!only_comments).then_some(RawStanza { bytes, line })
    }

    fn skip_empty_lines(&mut self) {
        let mut skip = 0;
        loop {
            skip += match &self.pending[skip..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => break,
            };
            self.line += 1;
        }
        if skip > 0 {
            let _ = self.pending.split_to(skip);
        }
    }
}

/// A view of one stanza's fields.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    bytes: &'a [u8],
    line: u64,
}

impl<'a> Stanza<'a> {
    /// Reads `bytes` as one stanza that begins in line 1.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, line: 1 }
    }

    /// The line of the first field, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Every field in its order: name and value. The value is what stands behind the colon, with
    /// its continuation lines as they are, without blanks at either end.
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.bytes, line: self.line }
    }

    /// The value of the field `name` (in any case); the last one, if it is given twice. Lines that
    /// are no fields are passed over here, and reported by [`Stanza::fields`].
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let mut found = None;
        for (field, value) in self.fields().flatten() {
            if field.eq_ignore_ascii_case(name.as_bytes()) {
                found = Some(value);
            }
        }
        found
    }

    /// The value of the field `name` as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(String::from_utf8_lossy)
    }
}

/// The lines of a stanza without the fields `names` (in any case), comments and what follows an
/// empty line; ends in a line end.
pub fn without_fields(stanza: &[u8], names: &[&str]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(stanza.len() + 1);
    let mut is_kept = true;
    let lines =
        stanza.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for line in lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()) {
        if !matches!(line[0], b' ' | b'\t') {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let is_named =
                |wanted: &&str| name.trim_ascii_end().eq_ignore_ascii_case(wanted.as_bytes());
            is_kept = line[0] != b'#' && !names.iter().any(is_named);
        }
        if is_kept {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
    }
    kept
}

/// Iterator over a stanza's fields; see [`Stanza::fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    line: u64,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), StanzaError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            let (field, rest, lines) = split_field(self.rest);
            self.rest = rest;
            self.line += lines;
            if matches!(field.first(), Some(b'#' | b'\n' | b'\r') | None) {
                continue;
            }
            let first_line = memchr::memchr(b'\n', field).unwrap_or(field.len());
            return Some(match memchr::memchr(b':', &field[..first_line]) {
                Some(colon) if colon > 0 && !field[0].is_ascii_whitespace() => {
                    Ok((field[..colon].trim_ascii_end(), field[colon + 1..].trim_ascii()))
                }
                _ => Err(StanzaError::NoField { line, text: shorten(&field[..first_line]) }),
            });
        }
    }
}

/// Splits off the first field with its continuation lines; also says how many lines that was.
/// Comments are never continued.
fn split_field(bytes: &[u8]) -> (&[u8], &[u8], u64) {
    let mut lines = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        lines += 1;
        let goes_on = matches!(bytes.get(at + 1), Some(b' ' | b'\t')) && bytes[0] != b'#';
        if !goes_on {
            return (&bytes[..at], &bytes[at + 1..], lines);
        }
    }
    (bytes, &[], lines + 1)
}

fn shorten(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
