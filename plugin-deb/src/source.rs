//! What a stanza of `Sources` says that we need: the package and its files.
//!
//! The owned unit made of it is [`crate::content::SourcePackage`]; the stanza is kept as it is.

use std::{collections::BTreeMap, str};

use pulp_models::{Algorithm, Expected, RelativePath};

use crate::{
    package::Check,
    stanza::{Stanza, StanzaError},
};

/// More files than this has no source package.
const MAX_FILES: usize = 4096;

/// The fields of a source package that the mirror itself needs.
#[derive(Debug, Clone)]
pub struct SourceFields<'a> {
    /// `Package`.
    pub package: &'a str,
    /// `Version`.
    pub version: &'a str,
    /// `Section`, or nothing.
    pub section: String,
    /// `Priority`, or nothing.
    pub priority: String,
    /// The files by their path below the repository's root, with size and digests.
    pub files: BTreeMap<RelativePath, Expected>,
}

const LISTS: [(&str, Algorithm); 4] = [
    ("Files", Algorithm::Md5),
    ("Checksums-Sha1", Algorithm::Sha1),
    ("Checksums-Sha256", Algorithm::Sha256),
    ("Checksums-Sha512", Algorithm::Sha512),
];

impl<'a> SourceFields<'a> {
    /// Reads a stanza of `Sources`.
    pub fn read(stanza: &Stanza<'a>) -> Result<Self, StanzaError> {
        if let Some(error) = stanza.fields().find_map(Result::err) {
            return Err(error);
        }
        let get = |name| stanza.get(name).unwrap_or_default();
        let check = Check { line: stanza.line(), name: get("Package") };
        let text = |name| {
            stanza.text(name).map_or_else(String::new, |text| text.chars().take(100).collect())
        };
        let directory = match get("Directory") {
            [] | b"." | b"./" => String::new(),
            bytes => {
                format!("{}/", check.path("Directory", bytes.strip_suffix(b"/").unwrap_or(bytes))?)
            }
        };
        let mut files = BTreeMap::new();
        for (field, algorithm) in LISTS {
            let lines = get(field).split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            for line in lines.filter(|line| !line.is_empty()) {
                take_file(&mut files, line, &directory, algorithm)
                    .map_err(|reason| check.invalid(field, reason))?;
            }
        }
        if files.is_empty() {
            return Err(check.missing("Checksums-Sha256"));
        }
        Ok(Self {
            package: check.word("Package", get("Package"))?,
            version: check.word("Version", get("Version"))?,
            section: text("Section"),
            priority: text("Priority"),
            files,
        })
    }
}

/// Takes one line of a list: digest, size and name.
fn take_file(
    files: &mut BTreeMap<RelativePath, Expected>,
    line: &[u8],
    directory: &str,
    algorithm: Algorithm,
) -> Result<(), String> {
    let line = str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned())?;
    let mut words = line.split_ascii_whitespace();
    let (Some(digest), Some(size), Some(name), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("`{line}` is not digest, size and name"));
    };
    let size: u64 = size.parse().map_err(|_| format!("`{size}` is no size"))?;
    let path =
        RelativePath::new(&format!("{directory}{name}")).map_err(|error| error.to_string())?;
    if files.len() >= MAX_FILES {
        return Err(format!("there are more than {MAX_FILES} files"));
    }
    let file = files.entry(path).or_default();
    if file.size.is_some_and(|known| known != size) {
        return Err(format!("`{name}` has two sizes"));
    }
    file.size = Some(size);
    file.digests.insert_hex(algorithm, digest).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANZA: &str = "\
Package: hello
Version: 2.10-3
Directory: pool/main/h/hello
Files:
 0ed6d4c8891eb86358b94bb35d9e4da4 1183 hello_2.10-3.dsc
Checksums-Sha256:
 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 1183 hello_2.10-3.dsc
 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 725946 hello_2.10.orig.tar.gz
";

    fn read(text: &str) -> Result<SourceFields<'_>, StanzaError> {
        SourceFields::read(&Stanza::of(text.as_bytes()))
    }

    #[test]
    fn files_are_merged_from_all_lists() {
        let fields = read(STANZA).expect("a source package");
        let files: Vec<_> = fields.files.iter().collect();
        assert_eq!(files[0].0.as_str(), "pool/main/h/hello/hello_2.10-3.dsc");
        assert_eq!(files[0].1.digests.iter().count(), 2);
        assert_eq!(files[1].1.size, Some(725_946));
        let flat = STANZA.replace("pool/main/h/hello", ".");
        let fields = read(&flat).expect("a source package");
        assert!(fields.files.keys().all(|path| path.parent().is_none()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, message) in [
            (
                " 1183 hello",
                " 1184 hello",
                "invalid `Checksums-Sha256`: `hello_2.10-3.dsc` has two sizes",
            ),
            ("hello_2.10.orig", "../evil", "it has a `.` or `..` segment"),
            ("725946 ", "", "is not digest, size and name"),
            ("Version", "Versio", "has no `Version`"),
        ] {
            let error = read(&STANZA.replacen(from, to, 1)).map(|_| ()).expect_err(message);
            assert!(error.to_string().contains(message), "{error}");
        }
        assert!(read("Package: x\nVersion: 1\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = SourceFields::read(&Stanza::of(&[STANZA.as_bytes(), &bytes].concat()));
        }
    }
}
