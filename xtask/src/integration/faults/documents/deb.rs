//! Release files and indices of apt repositories.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use flate2::{Compression, write::GzEncoder};

use super::{
    Document, Files,
    Outcome::{Mirrored, Told},
    document,
};
use crate::pulp::sha256;

const INDEX: &str = "main/binary-amd64/Packages";
const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(super) const DOCUMENTS: &[Document] = &[
    // The package, its release file and its index; a package that cannot be is left out.
    document("an honest archive", Mirrored(3, ""), || {
        plain(&stanza("hello", "pool/hello.deb", "3"))
    }),
    document(
        "a bomb of which the release file tells less",
        Told(&[INDEX, "more than 1000"]),
        || compressed(256 << 20, Some(1000)),
    ),
    document("a bomb of which the release file tells nothing", Told(&[INDEX, "more than"]), || {
        compressed(100 << 20, None)
    }),
    document("a bomb in xz", Told(&["Packages.xz", "more than"]), || bomb("xz", ".xz")),
    document("a bomb in bz2", Told(&["Packages.bz2", "more than"]), || bomb("bzip2", ".bz2")),
    document("a bomb in zstd", Told(&["Packages.zst", "more than"]), || bomb("zstd", ".zst")),
    document("a bomb in lzma", Told(&["Packages.lzma", "more than"]), || bomb("lzma", ".lzma")),
    document("a field of 100 MB", Told(&[INDEX, "longer than"]), || {
        let filler = "x".repeat(100 << 20);
        plain(&stanza(&filler, "pool/hello.deb", "3"))
    }),
    document("a field of 200,000 lines", Told(&[INDEX, "longer than"]), || {
        let filler = " and so on and on and on and on and on and on\n".repeat(200_000);
        plain(&format!("{}{filler}\n", stanza("hello", "pool/hello.deb", "3").trim_end()))
    }),
    document("a file name that climbs out", Mirrored(2, "invalid `Filename`"), || {
        plain(&stanza("hello", "../../etc/passwd", "3"))
    }),
    document("a file name with NUL", Mirrored(2, "invalid `Filename`"), || {
        plain(&stanza("hello", "pool/a\0b.deb", "3"))
    }),
    document("a size beyond numbers", Mirrored(2, "invalid `Size`"), || {
        plain(&stanza("hello", "pool/hello.deb", "99999999999999999999999"))
    }),
    document("an index that is no text", Mirrored(2, "is no field"), || {
        plain("\u{0}\u{1}\u{2} no stanza\n")
    }),
    document("a release file of 70 MB", Told(&["larger than the limit"]), || {
        let filler = "# and so on\n".repeat(6_000_000);
        Files::from([("dists/stable/Release".to_owned(), filler.into_bytes())])
    }),
    document("a release file that lists what climbs out", Told(&["lists no packages"]), || {
        let line = format!(" {DIGEST} 3 ../../../../etc/passwd\n");
        release(&line)
    }),
];

fn stanza(name: &str, path: &str, size: &str) -> String {
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: x\nFilename: {path}\n\
         Size: {size}\nSHA256: {DIGEST}\nDescription: x\n\n"
    )
}

/// An archive with this index.
fn plain(index: &str) -> Files {
    let line = format!(" {} {} {INDEX}\n", sha256(index.as_bytes()), index.len());
    let mut files = release(&line);
    files.insert(format!("dists/stable/{INDEX}"), index.as_bytes().to_vec());
    files
}

/// An archive with an index of so many empty lines, compressed; the release file says that there are
/// `told` of them.
fn compressed(length: usize, told: Option<usize>) -> Files {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let piece = vec![b'\n'; 1 << 20];
    for _ in 0..length >> 20 {
        encoder.write_all(&piece).expect("memory takes everything");
    }
    let index = encoder.finish().expect("memory takes everything");
    listed(index, ".gz", told)
}

/// The same of 100 MB by one of the usual programs; the release file tells nothing.
fn bomb(program: &str, suffix: &str) -> Files {
    let mut command = Command::new(program);
    command.args(["-1", "--stdout"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("it is there");
    let mut input = running.stdin.take().expect("it is piped");
    let writer = thread::spawn(move || {
        let piece = vec![b'\n'; 1 << 20];
        (0..100).try_for_each(|_| input.write_all(&piece))
    });
    let output = running.wait_with_output().expect("it ends");
    writer.join().expect("it does not panic").expect("it reads everything");
    listed(output.stdout, suffix, None)
}

/// An archive with this index and, if it is listed, a plain one of `told` bytes.
fn listed(index: Vec<u8>, suffix: &str, told: Option<usize>) -> Files {
    let mut lines = format!(" {} {} {INDEX}{suffix}\n", sha256(&index), index.len());
    if let Some(told) = told {
        let line = format!(" {DIGEST} {told} {INDEX}\n");
        lines.push_str(&line);
    }
    let mut files = release(&lines);
    files.insert(format!("dists/stable/{INDEX}{suffix}"), index);
    files
}

fn release(lines: &str) -> Files {
    let text = format!(
        "Suite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n\
         Date: Sat, 03 Jan 2026 10:00:00 UTC\nSHA256:\n{lines}"
    );
    Files::from([("dists/stable/Release".to_owned(), text.into_bytes())])
}
