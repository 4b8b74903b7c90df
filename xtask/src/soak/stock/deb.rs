//! An apt repository of one index; nobody signs it.

use super::{Plugin, Scale, State, Stock, body};
use crate::pulp::sha256;

/// The index, below the repository's root.
pub(super) const INDEX: &str = "dists/stable/main/binary-amd64/Packages";

pub(super) fn stock(scale: Scale, generation: u64) -> Stock {
    let mut stock = Stock::empty(Plugin::Deb);
    let mut index = String::new();
    for number in 0..scale.units {
        let path = format!("pool/main/p/package{number}_1.{generation}_amd64.deb");
        let bytes = body(scale, number, generation);
        let length = bytes.len();
        let digest = stock.artifact(&format!("debian/{path}"), bytes);
        let stanza = format!(
            "Package: package{number}\nVersion: 1.{generation}\nArchitecture: amd64\n\
             Maintainer: Soak <soak@example.invalid>\nFilename: {path}\nSize: {length}\n\
             SHA256: {digest}\nDescription: a package\n of the soak\n\n"
        );
        index.push_str(&stanza);
    }
    stock.state = state(&index);
    let release = format!(
        "Origin: Soak\nSuite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n\
         Date: Sat, 03 Jan 2026 {:02}:{:02}:00 UTC\nSHA256:\n {} {} main/binary-amd64/Packages\n",
        generation / 60 % 24,
        generation % 60,
        sha256(index.as_bytes()),
        index.len()
    );
    stock.metadata(format!("debian/{INDEX}"), index);
    stock.metadata("debian/dists/stable/Release", release);
    stock
}

/// The digests of the packages in an index.
pub(super) fn state(index: &str) -> State {
    index.lines().filter(|line| line.starts_with("SHA256:")).map(str::to_owned).collect()
}
