//! The compressions of index files: read within bounds, written reproducibly.
//!
//! [`Compression::decoder`] and [`Encoder`] block; whoever uses them runs on the blocking pool or a
//! thread of its own. What is inside the stream is the caller's affair, as is checking the digest
//! of the compressed bytes, which has happened before anything is decompressed.

use std::io::{self, BufRead, Read, Write};

/// The compressions that Debian's repository format knows.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    Plain,
    Zst,
    Gz,
    Xz,
    Lzma,
    Bz2,
}

/// Memory that one decompressor may take. `xz -9e` asks for 65 MiB.
const MEMORY_LIMIT: u64 = 256 << 20;

/// Without a listed size: how many bytes one compressed byte may become, and how many any file may.
/// Debian's lists of packages become five times as long, its lists of files twenty times.
const RATIO_LIMIT: u64 = 100;
const SIZE_LIMIT: u64 = 16 << 30;
/// A small file may have any ratio.
const ALWAYS_ALLOWED: u64 = 64 << 20;

impl Compression {
    /// Every compression, the one that costs least to decompress first.
    pub const BY_COST: [Self; 6] =
        [Self::Plain, Self::Zst, Self::Gz, Self::Xz, Self::Lzma, Self::Bz2];

    /// What it appends to a file's name, with the dot; nothing for plain files.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Zst => ".zst",
            Self::Gz => ".gz",
            Self::Xz => ".xz",
            Self::Lzma => ".lzma",
            Self::Bz2 => ".bz2",
        }
    }

    /// The compression that `name` ends in, and `name` without that suffix.
    pub fn of(name: &str) -> (Self, &str) {
        Self::BY_COST
            .into_iter()
            .filter(|compression| *compression != Self::Plain)
            .find_map(|compression| Some((compression, name.strip_suffix(compression.suffix())?)))
            .unwrap_or((Self::Plain, name))
    }

    /// A reader of the decompressed bytes. Several streams one behind the other are one, as all
    /// the command-line tools have it. Bytes beyond `bound` are an error, as are missing ones
    /// (the stream's own end marks, and the exact size if it is known).
    pub fn decoder<'a>(
        self,
        reader: impl BufRead + Send + 'a,
        bound: Bound,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        use liblzma::stream::{CONCATENATED, Stream};
        let decoder: Box<dyn Read + Send + 'a> = match self {
            Self::Plain => Box::new(reader),
            Self::Gz => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Self::Bz2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
            Self::Zst => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(MEMORY_LIMIT, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
            }
            Self::Lzma => {
                let stream = Stream::new_lzma_decoder(MEMORY_LIMIT)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
            }
        };
        Ok(Box::new(Bounded { decoder, bound, read: 0 }))
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            other => &other.suffix()[1..],
        })
    }
}

/// How many bytes a decompressed file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Exactly so many: the release file lists the uncompressed file.
    Exactly(u64),
    /// At most so many.
    AtMost(u64),
}

impl Bound {
    /// The bound for a file of `compressed` bytes whose decompressed size is listed, or not.
    pub fn new(listed: Option<u64>, compressed: u64) -> Self {
        let guess = compressed.saturating_mul(RATIO_LIMIT).clamp(ALWAYS_ALLOWED, SIZE_LIMIT);
        listed.map_or(Self::AtMost(guess), Self::Exactly)
    }
}

struct Bounded<R> {
    decoder: R,
    bound: Bound,
    read: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.read += count as u64;
        let (Bound::Exactly(limit) | Bound::AtMost(limit)) = self.bound;
        if self.read > limit {
            let message = format!("It decompresses to more than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if count == 0
            && !buffer.is_empty()
            && self.bound != Bound::AtMost(limit)
            && self.read < limit
        {
            let message = format!("It decompresses to {} bytes instead of {limit}", self.read);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(count)
    }
}

/// Compresses what is written to it. The same bytes in give the same bytes out: no time, no name.
pub struct Encoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Plain(W),
    Gz(flate2::write::GzEncoder<W>),
    Bz2(bzip2::write::BzEncoder<W>),
    Zst(zstd::stream::write::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
}

/// Levels by what an index file gains from higher ones against the time they take.
const GZ_LEVEL: u32 = 6;
const XZ_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 12;

/// Bytes that an xz file is compressed in at a time, each on a thread of its own: three of its
/// dictionaries, as liblzma recommends. What comes out does not depend on the number of threads.
const XZ_BLOCK: u64 = 3 * XZ_DICTIONARY as u64;
/// Half of what the level has: a Packages file is 1.3 % longer for it, and a thread takes 84 MB of
/// memory in place of 166.
const XZ_DICTIONARY: u32 = 4 << 20;
/// Threads of one file, which the largest index keeps busy.
const XZ_THREADS: usize = 4;

fn xz_stream() -> io::Result<liblzma::stream::Stream> {
    use liblzma::stream::{Check, Filters, LzmaOptions, MtStreamBuilder};
    let mut options = LzmaOptions::new_preset(XZ_LEVEL)?;
    options.dict_size(XZ_DICTIONARY);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(XZ_THREADS);
    let mut stream = MtStreamBuilder::new();
    stream.filters(filters).check(Check::Crc64).block_size(XZ_BLOCK);
    Ok(stream.threads(u32::try_from(threads).unwrap_or(1)).encoder()?)
}

impl<W: Write> Encoder<W> {
    /// Starts a file of the given compression.
    pub fn new(compression: Compression, writer: W) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::Plain => Inner::Plain(writer),
            Compression::Gz => {
                let level = flate2::Compression::new(GZ_LEVEL);
                Inner::Gz(flate2::GzBuilder::new().mtime(0).write(writer, level))
            }
            Compression::Bz2 => {
                Inner::Bz2(bzip2::write::BzEncoder::new(writer, bzip2::Compression::best()))
            }
            Compression::Zst => Inner::Zst(zstd::stream::write::Encoder::new(writer, ZSTD_LEVEL)?),
            Compression::Xz => {
                Inner::Xz(liblzma::write::XzEncoder::new_stream(writer, xz_stream()?))
            }
            Compression::Lzma => {
                let options = liblzma::stream::LzmaOptions::new_preset(XZ_LEVEL)?;
                let stream = liblzma::stream::Stream::new_lzma_encoder(&options)?;
                Inner::Xz(liblzma::write::XzEncoder::new_stream(writer, stream))
            }
        }))
    }

    /// Ends the file and gives its writer back.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Plain(writer) => Ok(writer),
            Inner::Gz(encoder) => encoder.finish(),
            Inner::Bz2(encoder) => encoder.finish(),
            Inner::Zst(encoder) => encoder.finish(),
            Inner::Xz(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(writer) => writer.write(bytes),
            Inner::Gz(encoder) => encoder.write(bytes),
            Inner::Bz2(encoder) => encoder.write(bytes),
            Inner::Zst(encoder) => encoder.write(bytes),
            Inner::Xz(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("starts");
        encoder.write_all(bytes).expect("writes");
        encoder.finish().expect("ends")
    }

    fn decompress(compression: Compression, bytes: &[u8], bound: Bound) -> io::Result<Vec<u8>> {
        let mut found = Vec::new();
        compression.decoder(bytes, bound)?.read_to_end(&mut found)?;
        Ok(found)
    }

    const TEXT: &[u8] = b"Package: a\nVersion: 1\n\n";

    #[test]
    fn what_is_compressed_is_read_again_and_the_same_each_time() {
        let text = TEXT.repeat(1000);
        for compression in Compression::BY_COST {
            let bytes = compress(compression, &text);
            assert_eq!(bytes, compress(compression, &text), "{compression} is not reproducible");
            let bound = Bound::new(Some(text.len() as u64), bytes.len() as u64);
            assert_eq!(decompress(compression, &bytes, bound).expect("valid"), text);
        }
    }

    #[test]
    fn streams_behind_each_other_are_one() {
        let twice = TEXT.repeat(2);
        for compression in [Compression::Gz, Compression::Xz, Compression::Bz2, Compression::Zst] {
            let bytes = compress(compression, TEXT).repeat(2);
            let bound = Bound::Exactly(twice.len() as u64);
            assert_eq!(decompress(compression, &bytes, bound).expect("valid"), twice);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let text = TEXT.repeat(1000);
        for compression in Compression::BY_COST {
            let bytes = compress(compression, &text);
            let bytes = &bytes[..bytes.len() - bytes.len() / 3];
            let bound = Bound::Exactly(text.len() as u64);
            assert!(decompress(compression, bytes, bound).is_err(), "{compression}");
            if compression != Compression::Plain {
                let bound = Bound::AtMost(1 << 20);
                assert!(decompress(compression, bytes, bound).is_err(), "{compression}");
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_listed_size() {
        let zeros = vec![0; 16 << 20];
        for compression in Compression::BY_COST {
            let bytes = compress(compression, &zeros);
            for bound in [Bound::Exactly(1000), Bound::AtMost(1 << 20)] {
                let error = decompress(compression, &bytes, bound).expect_err("too much");
                assert!(error.to_string().starts_with("It decompresses to more than 1"));
            }
        }
        assert_eq!(Bound::new(None, 10), Bound::AtMost(ALWAYS_ALLOWED));
        assert_eq!(Bound::new(None, 1 << 30), Bound::AtMost(SIZE_LIMIT));
        assert_eq!(Bound::new(Some(3), 10), Bound::Exactly(3));
    }

    #[test]
    fn names_tell_the_compression() {
        assert_eq!(Compression::of("Packages.xz"), (Compression::Xz, "Packages"));
        assert_eq!(Compression::of("Translation-en.bz2"), (Compression::Bz2, "Translation-en"));
        assert_eq!(Compression::of("Packages"), (Compression::Plain, "Packages"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for compression in Compression::BY_COST {
                let _ = decompress(compression, &bytes, Bound::AtMost(1 << 16));
            }
        }
    }

    #[test]
    fn an_xz_file_of_several_blocks_is_one_file() {
        let block = usize::try_from(XZ_BLOCK).expect("fits");
        let text = TEXT.repeat(2 * block / TEXT.len() + 10);
        let file = compress(Compression::Xz, &text);
        assert!(file == compress(Compression::Xz, &text), "the same again, byte for byte");
        let bound = Bound::Exactly(text.len() as u64);
        assert!(decompress(Compression::Xz, &file, bound).expect("valid") == text);
    }
}
