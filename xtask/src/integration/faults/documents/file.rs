//! Lists of files.

use super::{
    Document, Files,
    Outcome::{Mirrored, Told},
    document,
};

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(super) const DOCUMENTS: &[Document] = &[
    document("a name that climbs out", Told(&["line 1", "`..`"]), || named(b"../../etc/passwd")),
    document("a name that climbs within", Told(&["line 1", "`..`"]), || named(b"a/../b")),
    document("an absolute name", Told(&["line 1", "absolute"]), || named(b"/etc/passwd")),
    document("a name with NUL", Told(&["line 1", "control"]), || named(b"a\0b")),
    document("a name with a carriage return", Told(&["line 1", "control"]), || named(b"a\rb")),
    document("a name that clears the screen", Told(&["line 1", "control"]), || named(b"\x1b[2Ja")),
    document("a name that is no text", Told(&["line 1", "UTF-8"]), || named(b"a\xff\xfe")),
    document("a name of 10,000 characters", Told(&["line 1", "longer than 4096"]), || {
        named("x/".repeat(4999).as_bytes())
    }),
    document("a segment of 300 characters", Told(&["line 1", "longer than 255"]), || {
        named("x".repeat(300).as_bytes())
    }),
    document("a line of 100 MB", Told(&["line 1", "longer than"]), || {
        named(&vec![b'x'; 100 << 20])
    }),
    document("names that look alike", Mirrored(7, ""), || {
        let names =
            ["café", "cafe\u{301}", "CAFÉ", "саfé", "ｃafé", "caf\u{200b}é", "café\u{202e}"];
        list(names.map(|name| format!("{name},{DIGEST},3")))
    }),
    document("the same file twice", Mirrored(1, ""), || {
        list([format!("a,{DIGEST},3"), format!("a,{DIGEST},3")])
    }),
    document("a file where a folder is", Told(&["`a`", "`a/b`"]), || {
        list([format!("a,{DIGEST},3"), format!("a/b,{DIGEST},3")])
    }),
    document("a size beyond numbers", Told(&["line 2", "size"]), || {
        list([format!("a,{DIGEST},3"), format!("b,{DIGEST},99999999999999999999999")])
    }),
    document("a negative size", Told(&["line 1", "size"]), || list([format!("a,{DIGEST},-1")])),
    document("a digest that is too short", Told(&["line 1"]), || list(["a,ba7816bf,3".into()])),
    document("a hundred thousand files", Mirrored(100_000, ""), || {
        list((0..100_000).map(|number| format!("some/folder/{number},{DIGEST},3")))
    }),
    document("a hundred thousand files and one that is wrong", Told(&["line 100001"]), || {
        let line = |number| format!("some/folder/{number},{DIGEST},3");
        list((0..100_000).map(line).chain(["wrong".into()]))
    }),
];

pub(super) const MANY: Document = document("many files", Mirrored(300_000, ""), || {
    list((0..300_000).map(|number| format!("some/folder/{number},{DIGEST},3")))
});

pub(super) const METALINKS: &[Document] = &[
    document("entities that grow", Told(&["all.meta4"]), || {
        let mut text = "<?xml version='1.0'?><!DOCTYPE m [<!ENTITY a0 'aaaaaaaaaa'>".to_owned();
        for level in 1..12 {
            let entity = format!("<!ENTITY a{level} '{}'>", format!("&a{};", level - 1).repeat(10));
            text.push_str(&entity);
        }
        metalink(&format!("{text}]>"), "&a11;")
    }),
    document("elements in elements", Told(&["all.meta4"]), || {
        metalink("", &format!("{}{}", "<a>".repeat(500_000), "</a>".repeat(500_000)))
    }),
    document("a name of 50 MB", Told(&["all.meta4"]), || metalink("", &"x".repeat(50 << 20))),
    document("a file of this machine", Told(&["all.meta4", "can be fetched"]), || {
        let file = format!(
            "<?xml version='1.0'?><metalink xmlns='urn:ietf:params:xml:ns:metalink'>\
             <file name='a'><size>3</size><hash type='sha-256'>{DIGEST}</hash>\
             <url>file:///etc/passwd</url></file></metalink>"
        );
        Files::from([("all.meta4".to_owned(), file.into_bytes())])
    }),
];

/// A list of one file of this name.
fn named(name: &[u8]) -> Files {
    let line = [name, format!(",{DIGEST},3\n").as_bytes()].concat();
    Files::from([("PULP_MANIFEST".to_owned(), line)])
}

fn list(lines: impl IntoIterator<Item = String>) -> Files {
    let lines: Vec<_> = lines.into_iter().collect();
    Files::from([("PULP_MANIFEST".to_owned(), (lines.join("\n") + "\n").into_bytes())])
}

/// A document of one file that has this name.
fn metalink(before: &str, name: &str) -> Files {
    let text = format!(
        "{before}<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='a'><identity>\
         {name}</identity><size>3</size><hash type='sha-256'>{DIGEST}</hash></file></metalink>"
    );
    Files::from([("all.meta4".to_owned(), text.into_bytes())])
}
