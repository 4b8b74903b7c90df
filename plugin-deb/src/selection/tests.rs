//! Selections from small release files.

use super::*;

const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn release(head: &str, paths: &[&str]) -> Release {
    let lines: Vec<_> = paths.iter().map(|path| format!(" {SHA} 3 {path}\n")).collect();
    let text = format!("{head}SHA256:\n{}", lines.concat());
    Release::parse(text.as_bytes()).expect("a release file")
}

fn wanted(components: &[&str], architectures: &[&str], families: &[Family]) -> Wanted {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Wanted {
        components: owned(components),
        architectures: owned(architectures),
        languages: Vec::new(),
        families: families.iter().copied().collect(),
    }
}

fn paths(selection: &Selection) -> Vec<String> {
    selection.indices.iter().map(|index| index.path.to_string()).collect()
}

const HEAD: &str = "Architectures: all amd64 arm64\nComponents: main contrib\n";

#[test]
fn families_and_architectures_are_selected() {
    let release = release(
        HEAD,
        &[
            "Contents-amd64.gz",
            "contrib/binary-amd64/Packages.xz",
            "main/Contents-amd64.gz",
            "main/Contents-source.gz",
            "main/Contents-udeb-amd64.gz",
            "main/binary-all/Packages.gz",
            "main/binary-amd64/Packages",
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.xz",
            "main/binary-amd64/Release",
            "main/binary-arm64/Packages.xz",
            "main/cnf/Commands-amd64.xz",
            "main/debian-installer/binary-amd64/Packages.xz",
            "main/debian-installer/binary-amd64/Release",
            "main/dep11/Components-amd64.yml.gz",
            "main/dep11/Components-arm64.yml.gz",
            "main/dep11/icons-64x64.tar.gz",
            "main/i18n/Translation-de.bz2",
            "main/i18n/Translation-en.xz",
            "main/installer-amd64/current/images/SHA256SUMS",
            "main/source/Release",
            "main/source/Sources.xz",
            "non-free/binary-amd64/Packages.xz",
            "unknown",
        ],
    );
    let plain = select(&release, "bookworm", &wanted(&["main"], &["amd64"], &[]));
    assert_eq!(
        paths(&plain),
        ["main/binary-all/Packages", "main/binary-amd64/Packages", "main/binary-amd64/Release"]
    );
    assert!(plain.warnings.is_empty());
    let variants: Vec<_> = plain.indices[1].variants.iter().map(|one| one.compression).collect();
    assert_eq!(variants, [Compression::Gz, Compression::Xz, Compression::Plain]);
    assert!(plain.indices[1].uncompressed.is_some());

    let families = [
        Family::Sources,
        Family::InstallerPackages,
        Family::Installer,
        Family::Translations,
        Family::Commands,
        Family::Appstream,
        Family::Icons,
        Family::Contents,
    ];
    let all = select(&release, "bookworm", &wanted(&["main"], &["amd64"], &families));
    let others = ["contrib/", "non-free/", "unknown", "arm64"];
    assert_eq!(
        all.indices.len(),
        release
            .files
            .keys()
            .filter(|path| !others.iter().any(|other| path.as_str().contains(other)))
            .count()
            - 2,
        "everything but others, three files of `Packages` being one index"
    );
    let mut german = wanted(&["main"], &["amd64"], &[Family::Translations]);
    german.languages = vec!["de".to_owned()];
    let german = paths(&select(&release, "bookworm", &german));
    assert!(german.contains(&"main/i18n/Translation-de".to_owned()));
    assert!(!german.contains(&"main/i18n/Translation-en".to_owned()));
}

#[test]
fn everything_that_is_listed_can_be_asked_for() {
    let listed = [
        "ReadMe",
        "main/Contents-amd64.diff/Index",
        "main/Contents-arm64.diff/Index",
        "main/binary-amd64/Packages.diff/Index",
        "main/binary-amd64/Packages.gz",
        "main/binary-arm64/Packages.gz",
        "main/by-product/list-arm64.xz",
        "main/dep11/CID-Index-amd64.json.gz",
        "main/dep11/CID-Index-arm64.json.gz",
        "main/i18n/Index",
        "main/i18n/Translation-de.diff/Index",
        "contrib/i18n/Index",
    ];
    let release = release(HEAD, &listed);
    let all = OptionalFamily::All.families();
    let found = paths(&select(&release, "bookworm", &wanted(&["main"], &["amd64"], all)));
    assert_eq!(
        found,
        [
            "ReadMe",
            "main/Contents-amd64.diff/Index",
            "main/binary-amd64/Packages",
            "main/binary-amd64/Packages.diff/Index",
            "main/dep11/CID-Index-amd64.json",
            "main/i18n/Index",
            "main/i18n/Translation-de.diff/Index",
        ]
    );
    let few =
        paths(&select(&release, "bookworm", &wanted(&["main"], &["amd64"], &[Family::Diffs])));
    assert_eq!(few, ["main/binary-amd64/Packages", "main/binary-amd64/Packages.diff/Index"]);
}

#[test]
fn nothing_asked_for_means_everything_listed() {
    let release = release(
        HEAD,
        &[
            "main/binary-arm64/Packages.xz",
            "contrib/binary-amd64/Packages.xz",
            "x/binary-i386/Packages",
        ],
    );
    let selection = select(&release, "bookworm", &wanted(&[], &[], &[]));
    assert_eq!(selection.components, ["main", "contrib"]);
    assert_eq!(selection.architectures, ["amd64", "arm64"]);
    assert_eq!(paths(&selection), ["contrib/binary-amd64/Packages", "main/binary-arm64/Packages"]);
    assert!(selection.warnings.is_empty(), "nobody asked: {:?}", selection.warnings);
    let both = wanted(&[], &["amd64", "arm64"], &[]);
    let selection = select(&release, "bookworm", &both);
    assert_eq!(selection.warnings.len(), 2, "{:?}", selection.warnings);
}

#[test]
fn prefixed_components_are_found_with_and_without_their_prefix() {
    let head = "Architectures: amd64\nComponents: updates/main updates/contrib\n";
    let nested = release(head, &["main/binary-amd64/Packages.xz"]);
    for name in ["main", "updates/main"] {
        let selection = select(&nested, "stable/updates", &wanted(&[name], &["amd64"], &[]));
        assert_eq!(paths(&selection), ["main/binary-amd64/Packages"]);
        assert_eq!(selection.components, ["updates/main"]);
    }
    let literal = release(head, &["updates/main/binary-amd64/Packages.xz"]);
    let selection = select(&literal, "stable", &wanted(&["updates/main"], &["amd64"], &[]));
    assert_eq!(paths(&selection), ["updates/main/binary-amd64/Packages"]);
}

#[test]
fn what_is_not_there_is_named() {
    let release = release(HEAD, &["main/binary-amd64/Packages.xz"]);
    let selection =
        select(&release, "bookworm", &wanted(&["main", "extra"], &["amd64", "s390x"], &[]));
    assert_eq!(
        selection.warnings,
        [
            "Distribution `bookworm` has no component `extra`, only `main`, `contrib`",
            "There is no architecture `s390x`, only `all`, `amd64`, `arm64`",
        ]
    );
    assert_eq!(paths(&selection), ["main/binary-amd64/Packages"]);
}

#[test]
fn flat_repositories_have_their_indices_beside_the_release_file() {
    let release = release("", &["./Packages.gz", "Sources", "sub/Packages"]);
    let selection = select(&release, "./", &wanted(&["main"], &["amd64"], &[Family::Sources]));
    assert_eq!(paths(&selection), ["Packages", "Sources"]);
    assert_eq!(selection.indices[0].component, None);
}

#[test]
fn by_hash_paths_lie_beside_the_file() {
    let path = RelativePath::new("main/source/Sources.xz").expect("valid");
    let mut expected = Expected::default();
    expected.digests.insert_hex(pulp_models::Algorithm::Sha256, SHA).expect("valid");
    assert_eq!(
        by_hash(&path, &expected).expect("one").as_str(),
        format!("main/source/by-hash/SHA256/{SHA}")
    );
    expected.digests.insert(pulp_models::Algorithm::Md5, &[0; 16]).expect("valid");
    assert_eq!(all_by_hash(&path, &expected).len(), 2);
    let flat = RelativePath::new("Packages").expect("valid");
    assert!(by_hash(&flat, &expected).expect("one").as_str().starts_with("by-hash/SHA256/"));
}
