//! Splitting and reading stanzas, honest and hostile ones.

use proptest::prelude::*;

use super::*;

/// Splits `text` in pieces of `step` bytes and gives each stanza with its line.
fn split(text: &[u8], step: usize) -> Vec<(u64, String)> {
    let mut splitter = Splitter::new();
    let mut found = Vec::new();
    for piece in text.chunks(step) {
        splitter.push(piece);
        while let Some(stanza) = splitter.next_stanza().expect("short") {
            found.push(stanza);
        }
    }
    while let Some(stanza) = splitter.finish().expect("short") {
        found.push(stanza);
    }
    let text = |stanza: &RawStanza| String::from_utf8_lossy(&stanza.bytes).into_owned();
    found.iter().map(|stanza| (stanza.line, text(stanza))).collect()
}

fn fields(text: &str) -> Vec<(String, String)> {
    let text_of = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Stanza::of(text.as_bytes())
        .fields()
        .map(|field| field.map(|(name, value)| (text_of(name), text_of(value))))
        .collect::<Result<_, _>>()
        .expect("valid")
}

#[test]
fn stanzas_come_out_alike_whatever_the_chunks() {
    let text = b"\n\nPackage: a\nDescription: x\n .\n y\n\n\n# only a comment\n\nPackage: b\r\nVersion: 1\r\n\r\nPackage: c";
    let expected = [
        (3, "Package: a\nDescription: x\n .\n y\n"),
        (11, "Package: b\r\nVersion: 1\r\n"),
        (14, "Package: c"),
    ];
    for step in 1..=text.len() {
        let found = split(text, step);
        let found: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(found, expected, "in steps of {step}");
    }
}

#[test]
fn fields_keep_their_order_and_continuation_lines() {
    let found = fields(
        "Package: a\n# comment\nDescription: short\n long: with colon\n .\nEmpty:\nX-Odd :v\n",
    );
    let expected = [
        ("Package", "a"),
        ("Description", "short\n long: with colon\n ."),
        ("Empty", ""),
        ("X-Odd", "v"),
    ];
    assert_eq!(found.len(), expected.len());
    for ((name, value), (expected_name, expected_value)) in found.iter().zip(expected) {
        assert_eq!((name.as_str(), value.as_str()), (expected_name, expected_value));
    }
}

#[test]
fn lookup_ignores_case_and_takes_the_last() {
    let stanza = Stanza::of(b"Version: 1\nVERSION: 2\nMaintainer: J\xf6rg\n");
    assert_eq!(stanza.get("version"), Some(&b"2"[..]));
    assert_eq!(stanza.text("maintainer").as_deref(), Some("J\u{fffd}rg"));
    assert_eq!(stanza.get("Vers"), None);
}

#[test]
fn a_line_that_is_no_field_is_named() {
    for (text, line) in [("Package: a\nnonsense\n", 2), (" lost: x\n", 1), (": x\n", 1)] {
        let error = Stanza::of(text.as_bytes()).fields().find_map(Result::err);
        assert!(matches!(error, Some(StanzaError::NoField { line: at, .. }) if at == line));
    }
}

#[test]
fn a_stanza_without_end_is_refused() {
    let mut splitter = Splitter::new();
    let chunk = [b"x: y\n".repeat(1000), b"z".repeat(1 << 20)].concat();
    let error = (0..20).find_map(|_| {
        splitter.push(&chunk);
        splitter.next_stanza().err()
    });
    assert_eq!(error, Some(StanzaError::TooLong { line: 1, limit: MAX_STANZA }));
}

#[test]
fn fields_are_taken_out_with_their_continuations() {
    let text = b"A: 1\n#x\nB:\n 2\n 3\nC: 4\r\nb: 5\n\nD: 6\n";
    assert_eq!(without_fields(text, &["B"]), b"A: 1\nC: 4\n");
    assert_eq!(without_fields(b"A: 1", &["b"]), b"A: 1\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), step in 1..50_usize) {
        split(&bytes, step);
        Stanza::of(&bytes).fields().count();
    }

    #[test]
    fn no_byte_of_a_field_is_lost(
        text in prop::collection::vec("(A: b\n|B:\n c\n|\n|\r\n|#\n|Cc: ü\r\n| x\n)", 0..40),
        step in 1..9_usize,
    ) {
        let text = text.concat();
        let whole: Vec<_> = split(text.as_bytes(), text.len().max(1));
        prop_assert_eq!(&whole, &split(text.as_bytes(), step));
        let kept: usize = whole.iter().map(|(_, text)| text.matches('A').count()).sum();
        prop_assert_eq!(kept, text.matches('A').count());
    }
}
