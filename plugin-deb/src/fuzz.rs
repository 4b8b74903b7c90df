//! Fuzz targets of everything that is read from an archive; see [`pulp_stages::testing::fuzz()`].

use std::ops::ControlFlow;

use pulp_models::RelativePath;
use pulp_stages::testing::fuzz;

use crate::{
    binary_archive::{
        read_control,
        tests::{package, tar},
    },
    compression::{Bound, Compression},
    diffs::patches,
    index_reader::read_stanzas,
    openpgp::{Keyring, unverified_text},
    package::PackageFields,
    query::Query,
    relation::{alternatives, compare_versions, groups},
    release::Release,
    selection::{Family, Index},
    source::SourceFields,
    stanza::Stanza,
};

const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn packages() -> String {
    format!(
        "Package: a\nVersion: 1:2.0-1~x\nArchitecture: amd64\nFilename: pool/a_2.deb\nSize: 7\n\
         SHA256: {DIGEST}\nDepends: b (>= 1), c | d [amd64]\nDescription: x\n  more\n .\n\n\
         Package: b\r\nVersion: 1\r\nArchitecture: all\r\nFilename: b.deb\r\nSize: 0\r\n\
         SHA256: {DIGEST}\r\n\r\n"
    )
}

fn sources() -> String {
    format!(
        "Package: a\nFormat: 3.0 (quilt)\nVersion: 1-1\nDirectory: pool/a\nBinary: a, a-doc\n\
         Checksums-Sha256:\n {DIGEST} 7 a_1-1.dsc\n {DIGEST} 9 a_1.orig.tar.xz\n\
         Files:\n d41d8cd98f00b204e9800998ecf8427e 7 a_1-1.dsc\n\n"
    )
}

#[test]
fn stanzas() {
    let odd = b"Field:\n a\n\tb\nfield: again\n\n\n\nNoColon\n: empty\n";
    fuzz(&[packages().as_bytes(), sources().as_bytes(), odd], |bytes| {
        let bound = Bound::AtMost(64 << 20);
        let _ = read_stanzas("Packages", bytes, Compression::Plain, bound, |stanza| {
            let view = stanza.view();
            view.fields().for_each(drop);
            let _ = (PackageFields::read(&view), SourceFields::read(&view));
            ControlFlow::Continue(())
        });
    });
}

#[test]
fn compressed_indices() {
    use std::io::Write as _;
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut gzip = gzip;
    gzip.write_all(packages().as_bytes()).expect("in memory");
    let gzip = gzip.finish().expect("in memory");
    fuzz(&[&gzip], |bytes| {
        for compression in Compression::BY_COST {
            let bound = Bound::AtMost(1 << 20);
            let stop = |_| ControlFlow::Continue(());
            let _ = read_stanzas("Packages.gz", bytes, compression, bound, stop);
        }
    });
}

#[test]
fn release_files() {
    let release = format!(
        "Origin: Debian\nSuite: stable\nCodename: x\nDate: Sat, 09 Nov 2024 10:00:00 UTC\n\
         Valid-Until: Sat, 16 Nov 2024 10:00:00 UTC\nArchitectures: amd64 arm64\n\
         Components: main contrib\nAcquire-By-Hash: yes\nMD5Sum:\n \
         d41d8cd98f00b204e9800998ecf8427e 0 main/Contents\nSHA256:\n {DIGEST} 12 main/Packages.gz\n"
    );
    fuzz(&[release.as_bytes(), b"Suite: x\nDate: 1\nSHA256:\n"], |bytes| {
        if let Ok(release) = Release::parse(bytes) {
            let _ = release.file("main/Packages.gz");
        }
    });
}

#[test]
fn signed_messages() {
    let message = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSuite: x\n- -dash \t\r\n\n\
        -----BEGIN PGP SIGNATURE-----\nVersion: 1\n\niHUEARYKAB0WIQ==\n=abcd\n\
        -----END PGP SIGNATURE-----\n";
    fuzz(&[message], |bytes| {
        let _ = unverified_text(bytes);
        let none = Keyring::default();
        let _ = (none.verify_cleartext(bytes, 0), none.verify_detached(b"text", bytes, 0));
        let _ = Keyring::parse(bytes);
    });
}

#[test]
fn package_queries() {
    let stanza = packages();
    let stanza = Stanza::of(stanza.split_inclusive("\n\n").next().unwrap_or_default().as_bytes());
    let seeds: [&[u8]; 3] =
        [b"Package (% a*), Version (>= 1) | !Depends", b"(a | b), !(c, d)", b"$Version (<< 1:0)"];
    fuzz(&seeds, |bytes| {
        if let Ok(query) = String::from_utf8_lossy(bytes).parse::<Query>() {
            query.matches(&stanza);
        }
    });
}

#[test]
fn archives_of_packages() {
    let control = tar("./control", packages().as_bytes());
    let (plain, gzip) = (package(Compression::Plain, &control), package(Compression::Gz, &control));
    fuzz(&[&plain, &gzip], |bytes| {
        if let Ok(control) = read_control(bytes) {
            let _ = PackageFields::read(&Stanza::of(&control));
        }
    });
}

#[test]
fn lists_of_patches() {
    let listing = Index {
        family: Family::Diffs,
        component: None,
        architecture: None,
        path: RelativePath::new("main/binary-amd64/Packages.diff/Index").expect("a path"),
        uncompressed: None,
        variants: Vec::new(),
    };
    let text = format!("SHA256-Current: {DIGEST} 1\nSHA256-Download:\n {DIGEST} 7 T-1-F-2.gz\n");
    fuzz(&[text.as_bytes()], |bytes| {
        let _ = patches(&listing, bytes);
    });
}

#[test]
fn relations() {
    let seeds: [&[u8]; 2] =
        [b"libc6:any (>= 2.36), a | b (<< 1:2~rc1-3) [!amd64] <!nocheck>", b"mail-agent (= 1)"];
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for relation in groups(&text).flat_map(alternatives) {
            let version = relation.version.map_or("1:2.0-1", |(_, version)| version);
            relation.accepts(version);
            relation.accepts_provided(Some("1:2.0-1"));
            compare_versions(version, relation.name);
        }
    });
}
