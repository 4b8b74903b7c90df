//! What a stanza costs: cut out of an index, read, decompressed.
//!
//! `cargo bench -p plugin-deb`, with a part of a name to choose. One iteration is one index of
//! 5,000 stanzas, with Debian's fields in Debian's lengths.

use std::{fmt::Write as _, io::Write as _, ops::ControlFlow};

use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use plugin_deb::{
    compression::{Bound, Compression, Encoder},
    index_reader::read_stanzas,
    package::PackageFields,
    stanza::Stanza,
};

const STANZAS: usize = 5000;

fn main() {
    divan::main();
}

fn index() -> String {
    let mut text = String::new();
    for number in 0..STANZAS {
        let name = format!("libexample-data{number}");
        let _ = write!(
            text,
            "Package: {name}\nSource: example-data\nVersion: 1.{number}.0-2+b1\n\
             Installed-Size: {number}\n\
             Maintainer: Maintainers of Example Packages <example@lists.example.org>\n\
             Architecture: amd64\n\
             Depends: libc6 (>= 2.34), libgcc-s1 (>= 3.0), libstdc++6 (>= 12), zlib1g (>= 1:1.2.0)\n\
             Description: data of the example that others are measured by\n\
             Homepage: https://www.example.org/{name}/\n\
             Description-md5: 0123456789abcdef0123456789abcdef\n\
             Tag: implemented-in::c, interface::daemon, network::server,\n protocol::http\n\
             Section: libs\nPriority: optional\n\
             Filename: pool/main/e/example/{name}_1.{number}.0-2+b1_amd64.deb\nSize: {number}00\n\
             MD5sum: 0123456789abcdef0123456789abcdef\n\
             SHA256: {number:064x}\n\n"
        );
    }
    text
}

#[divan::bench(args = [Compression::Plain, Compression::Gz, Compression::Xz, Compression::Zst])]
fn cut(bencher: Bencher<'_, '_>, compression: Compression) {
    let text = index();
    let mut encoder = Encoder::new(compression, Vec::new()).expect("it begins");
    encoder.write_all(text.as_bytes()).expect("it is written");
    let bytes = encoder.finish().expect("it ends");
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        let bound = Bound::Exactly(text.len() as u64);
        read_stanzas("Packages", &bytes[..], compression, bound, |_| ControlFlow::Continue(()))
            .expect("it is read")
    });
}

#[divan::bench]
fn read_fields(bencher: Bencher<'_, '_>) {
    let text = index();
    let stanzas: Vec<&str> = text.split_inclusive("\n\n").collect();
    bencher.counter(ItemsCount::new(STANZAS)).bench_local(|| {
        for stanza in &stanzas {
            divan::black_box(PackageFields::read(&Stanza::of(stanza.as_bytes())).expect("valid"));
        }
    });
}
