//! Choices from small indices.

use super::*;
use crate::compression::{Bound, Compression};

/// Indices as `(distribution, family, stanzas)`; each stanza is `name version architecture` and
/// further fields, each behind a `;`.
type Index<'a> = (&'a str, Family, &'a [&'a str]);

/// What is chosen, as `name version architecture`, with `@distribution` if there are several.
fn choose(options: &str, indices: &[Index<'_>]) -> (Vec<String>, Vec<String>) {
    let options: DebRemoteOptions = serde_json::from_str(options).expect("options");
    let mut catalog = Catalog::of(&options).expect("one is needed");
    let mut said = Vec::new();
    for (distribution, family, stanzas) in indices {
        catalog.begin_index();
        let source = IndexSource {
            file: "Packages".to_owned(),
            number: 0,
            compression: Compression::Plain,
            bound: Bound::AtMost(1),
            family: *family,
            distribution: (*distribution).to_owned(),
            component: "main".to_owned(),
            architectures: Vec::new(),
        };
        let mut names = Vec::new();
        for stanza in *stanzas {
            let (head, fields) = stanza.split_once(';').unwrap_or((stanza, ""));
            let words: Vec<_> = head.split(' ').collect();
            let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            let files = match family {
                Family::Sources => format!("Checksums-Sha256:\n {digest} 3 x.dsc\n"),
                _ => format!("Filename: x\nSize: 3\nSHA256: {digest}\n"),
            };
            let text = format!(
                "Package: {}\nVersion: {}\nArchitecture: {}\n{files}{}\n",
                words[0],
                words[1],
                words[2],
                fields.replace(';', "\n").trim_start(),
            );
            catalog.add(&source, &RawStanza { bytes: text.into(), line: 1 });
            names.push(format!("{head}@{distribution}"));
        }
        said.push(names);
    }
    let choice = catalog.choose();
    let mut chosen = Vec::new();
    for (index, names) in said.iter().enumerate() {
        for (stanza, name) in names.iter().enumerate() {
            if choice.is_chosen(index, stanza) {
                chosen.push(name.trim_end_matches("@stable").to_owned());
            }
        }
    }
    (chosen, choice.unmet)
}

fn packages(options: &str, stanzas: &[&str]) -> (Vec<String>, Vec<String>) {
    choose(options, &[("stable", Family::Packages, stanzas)])
}

const FOLLOW: &str = r#"{"filters": ["app"], "follow": "depends"}"#;

#[test]
fn what_a_package_needs_comes_with_it_and_nothing_else() {
    let (chosen, unmet) = packages(
        FOLLOW,
        &[
            "app 1 amd64;Pre-Depends: base;Depends: lib (>= 2), missing | other;Recommends: doc",
            "base 1 amd64",
            "lib 2.1 amd64;Depends: deep:any",
            "deep 1 all;Depends: app",
            "other 1 amd64",
            "doc 1 all",
            "unrelated 1 amd64",
        ],
    );
    assert_eq!(
        chosen,
        ["app 1 amd64", "base 1 amd64", "lib 2.1 amd64", "deep 1 all", "other 1 amd64"]
    );
    assert_eq!(unmet, [""; 0]);
    let options = FOLLOW.replace("depends", "recommends");
    let (chosen, _) =
        packages(&options, &["app 1 amd64;Recommends: doc;Suggests: x", "doc 1 all", "x 1 all"]);
    assert_eq!(chosen, ["app 1 amd64", "doc 1 all"]);
}

#[test]
fn versions_of_relations_are_kept() {
    let libs = ["lib 1.9 amd64", "lib 2.0~rc1 amd64", "lib 2.0 amd64", "lib 3.0 amd64"];
    for (relation, expected) in [
        ("lib", Some("lib 3.0 amd64")),
        ("lib (<< 3)", Some("lib 2.0 amd64")),
        ("lib (<< 2.0)", Some("lib 2.0~rc1 amd64")),
        ("lib (= 1.9)", Some("lib 1.9 amd64")),
        ("lib (>= 4)", None),
        ("lib (>= 4) | lib (<= 1.9)", Some("lib 1.9 amd64")),
    ] {
        let app = format!("app 1 amd64;Depends: {relation}");
        let (chosen, unmet) = packages(FOLLOW, &[&[&*app], &libs[..]].concat());
        let others: Vec<_> = chosen[1..].iter().map(String::as_str).collect();
        assert_eq!(others, Vec::from_iter(expected), "{relation}");
        assert_eq!(unmet.is_empty(), expected.is_some(), "{relation}");
        assert!(
            unmet.iter().all(|text| *text == format!("`app` 1 needs `{relation}`")),
            "{unmet:?}"
        );
    }
}

#[test]
fn virtual_packages_are_met_by_their_providers() {
    let (chosen, _) = packages(
        FOLLOW,
        &[
            "app 1 amd64;Depends: default-mta | mta",
            "exim 1 amd64;Provides: mta;Priority: extra",
            "postfix 1 amd64;Provides: mta;Priority: optional",
        ],
    );
    assert_eq!(chosen, ["app 1 amd64", "postfix 1 amd64"], "the better priority");
    let (chosen, unmet) = packages(
        FOLLOW,
        &[
            "app 1 amd64;Depends: api (>= 2), abi (= 5)",
            "old 1 amd64;Provides: api (= 1)",
            "bare 1 amd64;Provides: api",
            "new 1 amd64;Provides: api (= 2.1), abi (= 4)",
        ],
    );
    assert_eq!(chosen, ["app 1 amd64", "new 1 amd64"]);
    assert_eq!(unmet, ["`app` 1 needs `abi (= 5)`"]);
    let (chosen, _) = packages(
        FOLLOW,
        &["app 1 amd64;Depends: tool", "aa 1 amd64;Provides: tool", "tool 1 amd64"],
    );
    assert_eq!(chosen, ["app 1 amd64", "tool 1 amd64"], "the real one first");
}

#[test]
fn one_alternative_that_is_there_already_is_enough() {
    let (chosen, _) = packages(
        r#"{"filters": ["app | second"], "follow": "depends"}"#,
        &["app 1 amd64;Depends: first | second", "first 1 amd64", "second 1 amd64"],
    );
    assert_eq!(chosen, ["app 1 amd64", "second 1 amd64"]);
}

#[test]
fn each_architecture_has_its_own_dependencies() {
    let (chosen, unmet) = packages(
        r#"{"filters": ["app | doc"], "follow": "depends"}"#,
        &[
            "app 1 arm64;Depends: lib, tool, speaks:any",
            "doc 1 all;Depends: viewer",
            "lib 1 amd64",
            "lib 1 arm64",
            "viewer 1 amd64",
            "viewer 1 arm64",
            "tool 1 amd64;Multi-Arch: foreign",
            "speaks 1 amd64;Multi-Arch: allowed",
        ],
    );
    assert_eq!(
        chosen,
        [
            "app 1 arm64",
            "doc 1 all",
            "lib 1 arm64",
            "viewer 1 amd64",
            "viewer 1 arm64",
            "tool 1 amd64",
            "speaks 1 amd64",
        ]
    );
    assert_eq!(unmet, [""; 0]);
}

#[test]
fn a_distribution_meets_its_own_needs_before_others_do() {
    let (chosen, _) = choose(
        FOLLOW,
        &[
            ("one", Family::Packages, &["app 1 amd64;Depends: lib", "lib 1 amd64"]),
            ("two", Family::Packages, &["app 2 amd64;Depends: lib, far", "lib 9 amd64"]),
            ("three", Family::Packages, &["far 1 amd64", "lib 5 amd64"]),
            ("four", Family::Packages, &["far 2 amd64"]),
        ],
    );
    let expected = [
        "app 1 amd64@one",
        "lib 1 amd64@one",
        "app 2 amd64@two",
        "lib 9 amd64@two",
        "far 1 amd64@three",
        "far 2 amd64@four",
    ];
    assert_eq!(chosen, expected);
}

#[test]
fn only_the_newest_of_each_name_and_architecture_stay() {
    let stanzas = [
        "app 1.9 amd64",
        "app 1.10 amd64;Depends: lib (= 1)",
        "app 1.10~rc1 amd64",
        "app 1.2 arm64",
        "lib 1 amd64",
        "lib 2 amd64",
    ];
    let (chosen, _) = packages(r#"{"newest": 1}"#, &stanzas);
    assert_eq!(chosen, ["app 1.10 amd64", "app 1.2 arm64", "lib 2 amd64"]);
    let (chosen, _) = packages(r#"{"newest": 2, "filters": ["app"]}"#, &stanzas);
    assert_eq!(chosen, ["app 1.10 amd64", "app 1.10~rc1 amd64", "app 1.2 arm64"]);
    let (chosen, _) =
        packages(r#"{"newest": 1, "filters": ["app"], "follow": "depends"}"#, &stanzas);
    assert_eq!(chosen, ["app 1.10 amd64", "app 1.2 arm64", "lib 1 amd64"], "what it needs is old");
}

#[test]
fn sources_come_with_their_packages() {
    let (chosen, _) = choose(
        r#"{"filters": ["app-bin | lone"], "sources": true, "follow": "depends"}"#,
        &[
            (
                "stable",
                Family::Packages,
                &["app-bin 2+b1 amd64;Source: app (2);Depends: lib", "lib 1 amd64", "x 1 amd64"],
            ),
            (
                "stable",
                Family::Sources,
                &["app 1 any", "app 2 any", "lib 1 any", "x 1 any", "lone 1 any"],
            ),
            ("old", Family::Sources, &["app 2 any"]),
        ],
    );
    assert_eq!(
        chosen,
        ["app-bin 2+b1 amd64", "lib 1 amd64", "app 2 any", "lib 1 any", "lone 1 any"]
    );
}

#[test]
fn a_package_in_many_indices_is_chosen_in_each() {
    let doc = "doc 1 all;Depends: app";
    let (chosen, _) = choose(
        r#"{"filters": ["doc"], "follow": "depends"}"#,
        &[
            ("stable", Family::Packages, &[doc, "app 1 amd64", "bad"][..2]),
            ("stable", Family::Packages, &[doc, "app 1 arm64"]),
        ],
    );
    assert_eq!(chosen, ["doc 1 all", "app 1 amd64", "doc 1 all", "app 1 arm64"]);
}
