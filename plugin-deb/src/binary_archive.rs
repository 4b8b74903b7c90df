//! Binary packages as files: what a `.deb` or `.udeb` says of itself.
//!
//! A package is an `ar` archive of `debian-binary`, `control.tar` and `data.tar`, the latter two
//! compressed or not (deb(5)). Only the control data is read, within bounds; the files of the
//! package are none of our business. Everything here blocks.

use std::io::{self, BufReader, Read};

use crate::{
    compression::{Bound, Compression},
    stanza::MAX_STANZA,
};

/// Why a file is no binary package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It does not begin like one.
    #[error("Not a Debian package: it is no `ar` archive that begins with `debian-binary`")]
    NoPackage,
    /// It is of a format that nobody knows.
    #[error("Debian package of the unknown format `{0}`; `2.0` is known")]
    Format(String),
    /// A part is missing, or something else stands at its place.
    #[error("Not a Debian package: `{expected}` is missing, `{found}` stands at its place")]
    Member {
        /// What must be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The control data hold no `control` file.
    #[error("Not a Debian package: there is no `control` file in `control.tar`")]
    NoControl,
    /// Something is larger than it can be.
    #[error("Not a Debian package: its `{what}` is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// It ends early, or cannot be decompressed.
    #[error("Failed to read the package's control data")]
    Read(#[from] io::Error),
}

/// The largest `control.tar`, compressed or not; those of Debian have 5 MB at most.
const MAX_CONTROL: u64 = 64 << 20;
/// The largest file of control data.
const MAX_FILE: u64 = MAX_STANZA as u64;
const MAGIC: &[u8] = b"!<arch>\n";
const BLOCK: usize = 512;

/// Reads the `control` file of a package from the package's beginning.
pub fn read_control(mut package: impl Read + Send) -> Result<Vec<u8>, ArchiveError> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic).map_err(|_| ArchiveError::NoPackage)?;
    let first = next_member(&mut package).map_err(|_| ArchiveError::NoPackage)?;
    if magic != MAGIC || first.name != "debian-binary" || first.size > 64 {
        return Err(ArchiveError::NoPackage);
    }
    let version = String::from_utf8_lossy(&read_member(&mut package, &first)?).into_owned();
    if !version.starts_with("2.") {
        return Err(ArchiveError::Format(version.trim_end().chars().take(20).collect()));
    }
    let mut member = next_member(&mut package)?;
    // What begins so may be ignored by whoever does not know it.
    while member.name.starts_with('_') {
        io::copy(&mut (&mut package).take(member.padded()), &mut io::sink())?;
        member = next_member(&mut package)?;
    }
    let (compression, name) = Compression::of(&member.name);
    if name != "control.tar" {
        return Err(ArchiveError::Member { expected: "control.tar", found: member.name });
    }
    if member.size > MAX_CONTROL {
        return Err(ArchiveError::TooLarge { what: "control.tar", limit: MAX_CONTROL });
    }
    let compressed = read_member(&mut package, &member)?;
    let data = next_member(&mut package)?;
    if Compression::of(&data.name).1 != "data.tar" {
        return Err(ArchiveError::Member { expected: "data.tar", found: data.name });
    }
    let reader = BufReader::new(&compressed[..]);
    control_of(compression.decoder(reader, Bound::AtMost(MAX_CONTROL))?)
}

/// A member of an `ar` archive.
struct Member {
    name: String,
    size: u64,
}

impl Member {
    /// Its length in the archive: members begin at even positions.
    fn padded(&self) -> u64 {
        self.size + self.size % 2
    }
}

fn next_member(archive: &mut impl Read) -> Result<Member, ArchiveError> {
    let mut header = [0; 60];
    archive.read_exact(&mut header)?;
    let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&header[range]).into_owned();
    let size = text(48..58).trim_end().parse().ok().filter(|_| header.ends_with(b"`\n"));
    let size = size.ok_or_else(|| io::Error::other("a member has no length"))?;
    Ok(Member { name: text(0..16).trim_end().trim_end_matches('/').to_owned(), size })
}

/// Reads a member whose size was checked.
fn read_member(archive: &mut impl Read, member: &Member) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    archive.take(member.padded()).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < member.size {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    bytes.truncate(usize::try_from(member.size).unwrap_or(usize::MAX));
    Ok(bytes)
}

/// The file `control` of a tar archive (POSIX ustar, GNU tar).
fn control_of(mut tar: impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut header = [0; BLOCK];
    loop {
        tar.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Err(ArchiveError::NoControl);
        }
        let field = |range: std::ops::Range<usize>| {
            let bytes = header[range].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(bytes).trim().to_owned()
        };
        let size = u64::from_str_radix(&field(124..136), 8)
            .map_err(|_| io::Error::other("a member of `control.tar` has no length"))?;
        let padded = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let name = field(0..100);
        let is_file = matches!(header[156], b'0' | 0);
        if !is_file || name.strip_prefix("./").unwrap_or(&name) != "control" {
            io::copy(&mut (&mut tar).take(padded), &mut io::sink())?;
            continue;
        }
        if size > MAX_FILE {
            return Err(ArchiveError::TooLarge { what: "control", limit: MAX_FILE });
        }
        let mut control = Vec::new();
        tar.take(size).read_to_end(&mut control)?;
        if (control.len() as u64) < size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        return Ok(control);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::compression::Encoder;

    const CONTROL: &[u8] = b"Package: hello\nVersion: 1.0\n";

    /// A tar archive of one file behind another one.
    pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, content) in [("./postinst", &b"#!/bin/sh\n"[..]), (name, content)] {
            let mut header = [0; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            header[156] = b'0';
            archive.extend_from_slice(&header);
            archive.extend_from_slice(content);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        archive
    }

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = MAGIC.to_vec();
        for (name, bytes) in members {
            let header =
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len());
            archive.extend_from_slice(header.as_bytes());
            archive.extend_from_slice(bytes);
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        archive
    }

    pub(crate) fn package(compression: Compression, tar: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, Vec::new()).expect("starts");
        encoder.write_all(tar).expect("writes");
        let bytes = encoder.finish().expect("ends");
        let name = format!("control.tar{}", compression.suffix());
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("_gpgorigin", b"odd"),
            (&name, &bytes),
            ("data.tar.xz", b"whatever"),
        ])
    }

    #[test]
    fn control_data_are_read_in_every_compression() {
        use Compression::{Gz, Plain, Xz, Zst};
        for compression in [Plain, Gz, Xz, Zst] {
            let bytes = package(compression, &tar("./control", CONTROL));
            assert_eq!(read_control(&bytes[..]).expect("a package"), CONTROL, "{compression}");
        }
    }

    #[test]
    fn what_is_no_package_is_refused_with_the_reason() {
        let plain = |tar: &[u8]| package(Compression::Plain, tar);
        let with = |version: &[u8], control: &str| {
            ar(&[("debian-binary", version), (control, b"x"), ("data.tar", b"")])
        };
        let huge = tar("control", &vec![b' '; MAX_STANZA + 1]);
        let truncated = &plain(&tar("control", CONTROL))[..700];
        for (bytes, reason) in [
            (&b"#!/bin/sh\n"[..], "it is no `ar` archive"),
            (b"", "it is no `ar` archive"),
            (&with(b"3.0\n", "control.tar"), "unknown format `3.0`"),
            (&with(b"2.0\n", "data.tar"), "`control.tar` is missing, `data.tar`"),
            (&plain(&tar("other", CONTROL)), "no `control` file"),
            (&plain(&huge), "its `control` is larger than"),
            (truncated, "Failed to read"),
        ] {
            let error = read_control(bytes).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        let bomb = package(Compression::Gz, &vec![0; 80 << 20]);
        assert!(read_control(&bomb[..]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..2000, byte in any::<u8>()) {
            let mut bytes = package(Compression::Plain, &tar("./control", CONTROL));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read_control(&bytes[..]);
            let _ = read_control(&bytes[..at]);
        }
    }
}
