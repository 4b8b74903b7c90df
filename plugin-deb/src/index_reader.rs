//! Index files read: decompressed, cut into stanzas, each handed on.
//!
//! Blocks, so it runs on the blocking pool; memory is one block and what the receiver keeps. The
//! compressed bytes were verified against the release file before they come here.

use std::{
    io::{self, BufReader, Read},
    ops::ControlFlow,
};

use crate::{
    compression::{Bound, Compression},
    stanza::{RawStanza, Splitter, StanzaError},
};

const BLOCK: usize = 128 << 10;

/// Why an index file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read or decompressed.
    #[error("Failed to decompress `{file}`")]
    Decompress {
        /// Which file.
        file: String,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// Its stanzas cannot be told apart.
    #[error("Failed to parse `{file}`")]
    Parse {
        /// Which file.
        file: String,
        /// Where, and what is wrong.
        #[source]
        source: StanzaError,
    },
}

/// Reads `reader`, whose `file` name serves for errors, and calls `each` for every stanza until it
/// breaks. Gives the number of stanzas.
pub fn read_stanzas(
    file: &str,
    reader: impl Read + Send,
    compression: Compression,
    bound: Bound,
    mut each: impl FnMut(RawStanza) -> ControlFlow<()>,
) -> Result<u64, ReadError> {
    let decompress = |source| ReadError::Decompress { file: file.to_owned(), source };
    let parse = |source| ReadError::Parse { file: file.to_owned(), source };
    let reader = BufReader::with_capacity(BLOCK, reader);
    let mut decoder = compression.decoder(reader, bound).map_err(decompress)?;
    let mut splitter = Splitter::new();
    let mut buffer = vec![0; BLOCK];
    let mut count = 0;
    loop {
        let length = match decoder.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(decompress(error)),
        };
        splitter.push(&buffer[..length]);
        while let Some(stanza) = match length {
            0 => splitter.finish().map_err(parse)?,
            _ => splitter.next_stanza().map_err(parse)?,
        } {
            count += 1;
            if each(stanza).is_break() {
                return Ok(count);
            }
        }
        if length == 0 {
            return Ok(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io::Write as _};

    use super::*;
    use crate::compression::Encoder;

    fn read(bytes: &[u8], compression: Compression, bound: Bound) -> Result<Vec<u64>, ReadError> {
        let mut lines = Vec::new();
        let count = read_stanzas("main/Packages", bytes, compression, bound, |stanza| {
            lines.push(stanza.line);
            ControlFlow::Continue(())
        })?;
        assert_eq!(count, lines.len() as u64);
        Ok(lines)
    }

    #[test]
    fn stanzas_come_out_of_compressed_files() {
        let text = b"Package: a\nVersion: 1\n\nPackage: b\n";
        let mut encoder = Encoder::new(Compression::Xz, Vec::new()).expect("starts");
        encoder.write_all(text).expect("written");
        let bytes = encoder.finish().expect("ends");
        let bound = Bound::Exactly(text.len() as u64);
        assert_eq!(read(&bytes, Compression::Xz, bound).expect("valid"), [1, 4]);
        assert_eq!(read(b"", Compression::Plain, Bound::Exactly(0)).expect("empty"), [0; 0]);
    }

    #[test]
    fn errors_name_the_file() {
        let error = read(b"not xz", Compression::Xz, Bound::AtMost(10)).expect_err("no xz");
        assert_eq!(error.to_string(), "Failed to decompress `main/Packages`");
        assert!(error.source().is_some());
        let error = read(b"a: b\n", Compression::Plain, Bound::Exactly(3)).expect_err("too long");
        assert!(error.source().expect("a cause").to_string().contains("more than 3 bytes"));
    }

    #[test]
    fn reading_ends_when_nobody_wants_more() {
        let text = b"a: b\n\nc: d\n\n";
        let mut seen = 0;
        let count = read_stanzas("x", &text[..], Compression::Plain, Bound::AtMost(99), |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((count.expect("read"), seen), (1, 1));
    }
}
