//! Metalinks as generators write them, and as attackers would.

use std::{error::Error as _, fmt::Write as _};

use proptest::prelude::*;
use pulp_models::Sha256;

use super::*;
use crate::testing;

const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

fn read_from(url: &str, text: &str) -> Result<Vec<Entry>, ParseError> {
    Metalink::new(&testing::url(url), text.as_bytes()).collect()
}

fn read(text: &str) -> Result<Vec<Entry>, ParseError> {
    read_from("http://host/dir/all.meta4", text)
}

/// A document around `files`.
fn document(files: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<metalink xmlns='{NAMESPACE}'>{files}</metalink>"
    )
}

fn failure(text: &str) -> (String, String) {
    let error = read(text).expect_err("an error");
    (error.to_string(), error.source().expect("a cause").to_string())
}

fn urls(entry: &Entry) -> Vec<&str> {
    entry.urls.iter().map(|url| url.expose().as_str()).collect()
}

#[test]
fn a_file_has_its_size_all_hashes_and_its_mirrors_by_priority() {
    let text = document(&format!(
        "<generator>g</generator><published>2009-05-15T12:23:23Z</published>
        <file name='dir/a, b &amp; &#252;.iso'>
          <identity>x</identity><size> 3 </size>
          <hash type='sha-256'>{}</hash><hash type='md5'>{MD5}</hash><hash type='new'>zz</hash>
          <pieces length='2' type='sha-256'><hash>{MD5}</hash></pieces>
          <metaurl mediatype='torrent' priority='1'>http://host/t.torrent</metaurl>
          <url>https://last.example/a</url>
          <url location='de' priority='20'>http://second.example/a?x=1&amp;y=2</url>
          <url priority='1'>ftp://first.example/a</url>
          <url priority='3'><![CDATA[sub/a b]]></url>
        </file>",
        SHA256.to_uppercase()
    ));
    let entries = read(&text).expect("valid");
    let [entry] = &entries[..] else { panic!("one entry, not {entries:?}") };
    assert_eq!(entry.relative_path.as_str(), "dir/a, b & ü.iso");
    assert_eq!(entry.expected.size, Some(3));
    assert_eq!(entry.expected.digests.sha256(), Some(Sha256::of(b"abc")));
    assert!(entry.expected.digests.get(Algorithm::Md5).is_some());
    assert_eq!(
        urls(entry),
        ["http://host/dir/sub/a%20b", "http://second.example/a?x=1&y=2", "https://last.example/a"]
    );
    assert_eq!(entry.place.number(), 1);
}

#[test]
fn prefixes_are_resolved_and_other_namespaces_passed_over() {
    let text = format!(
        "<m:metalink xmlns:m='{NAMESPACE}' xmlns='urn:other'><file name='no'/>
        <m:file name='yes' xmlns:o='urn:other' o:name='other'><size>5</size><o:size>6</o:size>
        <m:size>7</m:size><m:url>http://h/yes<o:b>!</o:b></m:url></m:file></m:metalink>"
    );
    let entries = read(&text).expect("valid");
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].relative_path.as_str(), entries[0].expected.size), ("yes", Some(7)));
    assert_eq!(urls(&entries[0]), ["http://h/yes"]);
}

#[test]
fn errors_name_the_file_element_and_its_position() {
    let good = "<file name='a'><url>http://h/a</url></file>";
    for (file, cause) in [
        ("<file><url>http://h/a</url></file>", "The attribute `name` is missing"),
        ("<file name='../a'><url>http://h/a</url></file>", "Unsafe path"),
        ("<file name='b'></file>", "The file has no `url`"),
        ("<file name='b'/>", "The file has no `url`"),
        ("<file name='b'><url>ftp://h/a</url></file>", "The file has no `url`"),
        ("<file name='b'><url>file:///etc/passwd</url></file>", "The file has no `url`"),
        ("<file name='b'><url>http://[</url></file>", "Invalid URL `http://[`"),
        ("<file name='b'><size>-1</size></file>", "Invalid size `-1`"),
        ("<file name='b'><size>1</size><size>2</size></file>", "The file has two different"),
        ("<file name='b'><hash type='sha-256'>00</hash></file>", "Invalid digest"),
        ("<file name='b'><hash>00</hash></file>", "The attribute `type` is missing"),
        ("<file name='b'><url>&bomb;</url></file>", "Unknown entity `&bomb;`"),
    ] {
        let (message, actual) = failure(&document(&format!("{good}\n{file}")));
        assert!(message.starts_with("Invalid Metalink at `file` element 2 at byte "), "{message}");
        assert!(actual.starts_with(cause), "{file}: {actual}");
    }
}

#[test]
fn a_document_from_a_file_may_name_files() {
    let text = document("<file name='a'><url>file:///srv/a</url><url>b</url></file>");
    let entries = read_from("file:///srv/dir/all.meta4", &text).expect("valid");
    assert_eq!(urls(&entries[0]), ["file:///srv/a", "file:///srv/dir/b"]);
}

#[test]
fn other_documents_are_told_apart() {
    let old = "<metalink version='3.0' xmlns='http://www.metalinker.org/'/>";
    assert!(failure(old).1.ends_with("got `metalink` of http://www.metalinker.org/"));
    assert!(failure("<html><body/></html>").1.ends_with("got `html`"));
    assert_eq!(failure("").1, "The document ends within an element");
    assert_eq!(failure(&document("")[..89]).1, "The document ends within an element");
    assert!(failure(&document("<file name='a'></b>")).1.contains("ill-formed"));
    assert!(read(&document("")).expect("an empty list").is_empty());
}

#[test]
fn entities_are_never_expanded() {
    let bomb = "<!DOCTYPE m [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>";
    for file in
        ["<file name='&b;'><url>http://h/</url></file>", "<file name='a'><size>&b;</size></file>"]
    {
        let text = format!("{bomb}<metalink xmlns='{NAMESPACE}'>{file}</metalink>");
        assert!(read(&text).is_err(), "{file}");
    }
}

#[test]
fn memory_is_bounded_whatever_the_document_holds() {
    let long = "x".repeat(LONGEST + 1);
    for (file, cause) in [
        (format!("<file name='{long}'>"), "It is longer than 65536 bytes"),
        (format!("<!-- {long} -->"), "It is longer than 65536 bytes"),
        (format!("<file name='a'><url>{long}"), "It is longer than 65536 bytes"),
        (format!("<file name='a'><url>{}", "&amp;".repeat(LONGEST + 1)), "It is longer than"),
        ("<a>".repeat(DEEPEST), "Elements are nested deeper than 64"),
        (
            format!("<file name='a'>{}", "<url>http://h/</url>".repeat(MOST_URLS + 1)),
            "The file has more than 1000",
        ),
    ] {
        let (_, actual) = failure(&document(&file));
        assert!(actual.starts_with(cause), "{actual}");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}

proptest! {
    #[test]
    fn random_files_read_back(files in prop::collection::vec(testing::file(), 0..12)) {
        let mut elements = String::new();
        for (path, sha256, size) in &files {
            let name = escape(path.as_str());
            writeln!(
                elements,
                "<file name='{name}'><size>{size}</size><hash type='sha-256'>{sha256}</hash>\
                 <url>http://h/</url></file>"
            )
            .expect("a string takes it");
        }
        let read: Vec<_> = read(&document(&elements))
            .expect("valid")
            .into_iter()
            .map(|entry| {
                let sha256 = entry.expected.digests.sha256().expect("given");
                (entry.relative_path, sha256, entry.expected.size.expect("given"))
            })
            .collect();
        prop_assert_eq!(read, files);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in testing::bytes_like(&[
            "<metalink xmlns='urn:ietf:params:xml:ns:metalink'>", "<file name='", "'>", "<url>",
            "http://h/", "</url>", "</file>", "</metalink>", "<hash type='md5'>", "</hash>", MD5,
            "<size>", "</size>", "&", ";", "#0", "<![CDATA[", "]]>", "<!--", "-->", "<!DOCTYPE", "/>",
        ])
    ) {
        Metalink::new(&testing::url("http://host/m"), &bytes[..]).for_each(drop);
    }
}
