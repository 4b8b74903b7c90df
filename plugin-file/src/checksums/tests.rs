//! Checksum lists as real publishers write them, and as nobody should.

use std::{error::Error as _, fmt::Write as _};

use proptest::prelude::*;

use super::*;
use crate::testing;

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read_only(only: Option<Algorithm>, text: &str) -> Result<Vec<Entry>, ParseError> {
    let url = testing::url("http://host/images/SHA256SUMS");
    Checksums::new(&url, only, text.as_bytes()).collect()
}

fn read(text: &str) -> Result<Vec<Entry>, ParseError> {
    read_only(None, text)
}

/// Paths, each with the names of its algorithms.
fn summary(entries: &[Entry]) -> Vec<(String, Vec<&'static str>)> {
    let names =
        |entry: &Entry| entry.expected.digests.iter().map(|(known, _)| known.name()).collect();
    entries.iter().map(|entry| (entry.relative_path.to_string(), names(entry))).collect()
}

fn failure(text: &str) -> (String, String) {
    let error = read(text).expect_err("an error");
    (error.to_string(), error.source().expect("a cause").to_string())
}

#[test]
fn gnu_lines_of_both_kinds_are_read() {
    let upper = SHA256.to_uppercase();
    let text = format!("{SHA256}  a b.iso\n{upper} *dir/c,d.iso\n# note\n\n{MD5}\tü.iso\r\n");
    let entries = read(&text).expect("valid");
    assert_eq!(
        summary(&entries),
        [
            ("a b.iso".to_owned(), vec!["sha256"]),
            ("dir/c,d.iso".to_owned(), vec!["sha256"]),
            ("ü.iso".to_owned(), vec!["md5"]),
        ]
    );
    assert_eq!(
        entries[0].expected,
        Expected { size: None, digests: pulp_models::Sha256::of(b"abc").into() }
    );
    assert_eq!(entries[1].urls[0].expose().as_str(), "http://host/images/dir/c,d.iso");
    assert_eq!(entries[2].place, Place::Line(5));
}

#[test]
fn bsd_lines_are_read_with_parentheses_in_names() {
    let text = format!(
        "SHA256 (a (1).iso) = {SHA256}\nSHA2-256(b.iso)= {SHA256}\nSHA-1 (c) = d) = {SHA1}\n"
    );
    let entries = read(&text).expect("valid");
    let paths: Vec<_> = entries.iter().map(|entry| entry.relative_path.as_str()).collect();
    assert_eq!(paths, ["a (1).iso", "b.iso", "c) = d"]);
}

#[test]
fn neighbouring_lines_about_one_file_become_one_entry() {
    let text = format!(
        "BLAKE2b (a) = 00ff\nMD5 (a) = {MD5}\nSHA256 (a) = {SHA256}\nSize (a) = 3 bytes\n\
         SHA256 (b) = {SHA256}\n"
    );
    let entries = read(&text).expect("valid");
    assert_eq!(
        summary(&entries),
        [("a".to_owned(), vec!["md5", "sha256"]), ("b".to_owned(), vec!["sha256"]),]
    );
    assert_eq!(entries[0].expected.size, Some(3));
}

#[test]
fn one_algorithm_can_be_asked_for() {
    let text = format!("{MD5}  a\n{MD5}  b\n{SHA256}  a\n{SHA256}  b\n");
    let entries = read_only(Some(Algorithm::Sha256), &text).expect("valid");
    assert_eq!(
        summary(&entries),
        [("a".to_owned(), vec!["sha256"]), ("b".to_owned(), vec!["sha256"]),]
    );
    let error = read_only(Some(Algorithm::Sha512), &text).expect_err("nothing left");
    assert!(matches!(error, ParseError::Invalid { source: Problem::NoSuchAlgorithm(_), .. }));
}

#[test]
fn escaped_names_and_leading_dots_are_resolved() {
    let entries = read(&format!("\\{SHA256}  a\\\\b\n{SHA256}  ././c\\d\n")).expect("valid");
    let paths: Vec<_> = entries.iter().map(|entry| entry.relative_path.as_str()).collect();
    assert_eq!(paths, ["a\\b", "c\\d"]);
    let (message, cause) = failure(&format!("\\{SHA256}  a\\nb\n"));
    assert_eq!(message, "Invalid checksum list at line 1");
    assert!(cause.contains("control character"), "{cause}");
    assert!(failure(&format!("\\{SHA256}  a\\x\n")).1.starts_with("Expected"));
}

#[test]
fn a_clear_signed_list_is_read_through_its_armour() {
    let text = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# a.iso: 3 bytes\n\
         SHA256 (a.iso) = {SHA256}\n- -----\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n"
    );
    // The dash-escaped line is the only one that is no checksum.
    assert_eq!(failure(&text).0, "Invalid checksum list at line 6");
    let entries = read(&text.replace("- -----\n", "")).expect("valid");
    assert_eq!(summary(&entries), [("a.iso".to_owned(), vec!["sha256"])]);
}

#[test]
fn lines_that_are_no_checksum_are_errors_with_their_number() {
    for (text, line, cause) in [
        ("hello world".to_owned(), 1, "Expected `<hex>  name`"),
        (format!("{SHA256}  a\n{SHA256}"), 2, "Expected"),
        (format!("{SHA256}ab  a"), 1, "Expected `32, 40, 56"),
        (format!("{SHA256}  ../a"), 1, "Unsafe path"),
        (format!("{SHA256}  "), 1, "Unsafe path"),
        ("SHA256 (a) = xyz".to_owned(), 1, "Invalid digest"),
        (format!("SHA256 (a) = {MD5}"), 1, "Invalid digest"),
        (format!("SHA256 (b) = {SHA256}\nSHA3-256 (a) = {SHA256}"), 2, "`a` has no digest"),
    ] {
        let (message, actual) = failure(&text);
        assert_eq!(message, format!("Invalid checksum list at line {line}"), "{text}");
        assert!(actual.starts_with(cause), "{text}: {actual}");
    }
}

/// As `sha256sum` writes a line.
fn gnu(path: &str, hex: &str) -> String {
    if path.contains('\\') {
        format!("\\{hex}  {}\n", path.replace('\\', "\\\\"))
    } else {
        format!("{hex}  {path}\n")
    }
}

proptest! {
    #[test]
    fn both_forms_read_back(files in prop::collection::vec((testing::file(), any::<bool>()), 0..20)) {
        let mut text = String::new();
        for ((path, sha256, _), bsd) in &files {
            match bsd {
                true => writeln!(text, "SHA256 ({path}) = {sha256}").expect("a string takes it"),
                false => text.push_str(&gnu(path.as_str(), &sha256.to_string())),
            }
        }
        let read: Vec<_> = read(&text)
            .expect("valid")
            .into_iter()
            .map(|entry| (entry.relative_path, entry.expected.digests.sha256()))
            .collect();
        let written: Vec<_> =
            files.into_iter().map(|((path, sha256, _), _)| (path, Some(sha256))).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in testing::bytes_like(&["\\", " ", "*", "(", ") = ", "SHA256 (", "SHA2-é", "\n", MD5, ARMOUR, "a"])
    ) {
        Checksums::new(&testing::url("http://host/s"), None, &bytes[..]).for_each(drop);
    }
}
