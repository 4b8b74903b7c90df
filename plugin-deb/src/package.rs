//! What a stanza of `Packages` says that we need: who, where, how long, which digests.
//!
//! Read once, in one pass over the fields, borrowing from the stanza; everything else stays in the
//! stanza, which is kept as it is. The owned unit made of it is [`crate::content::Package`].

use std::{borrow::Cow, str};

use pulp_models::{Algorithm, Digests, Expected, RelativePath};

use crate::stanza::{Stanza, StanzaError};

/// Longest name, version, architecture, section or priority in bytes.
const MAX_WORD: usize = 512;

/// The fields of a binary package that the mirror itself needs.
#[derive(Debug, Clone)]
pub struct PackageFields<'a> {
    /// `Package`.
    pub package: &'a str,
    /// `Version`.
    pub version: &'a str,
    /// `Architecture`.
    pub architecture: &'a str,
    /// `Source`, without the version in parentheses; the package's own name if it has none.
    pub source: &'a str,
    /// `Section`, or nothing.
    pub section: Cow<'a, str>,
    /// `Priority`, or nothing.
    pub priority: Cow<'a, str>,
    /// `Filename`, below the repository's root.
    pub filename: RelativePath,
    /// `Size` and the digests.
    pub expected: Expected,
}

/// The raw values that count, the last of each.
#[derive(Default)]
struct Values<'a> {
    package: &'a [u8],
    version: &'a [u8],
    architecture: &'a [u8],
    source: &'a [u8],
    section: &'a [u8],
    priority: &'a [u8],
    filename: &'a [u8],
    size: &'a [u8],
    digests: [&'a [u8]; 4],
}

const DIGESTS: [(Algorithm, &str); 4] = [
    (Algorithm::Md5, "MD5sum"),
    (Algorithm::Sha1, "SHA1"),
    (Algorithm::Sha256, "SHA256"),
    (Algorithm::Sha512, "SHA512"),
];

impl<'a> PackageFields<'a> {
    /// Reads a stanza of `Packages`.
    pub fn read(stanza: &Stanza<'a>) -> Result<Self, StanzaError> {
        let values = Values::collect(stanza)?;
        let check = Check { line: stanza.line(), name: values.package };
        let package = check.word("Package", values.package)?;
        let source = match values.source {
            [] => package,
            bytes => {
                check.word("Source", bytes.split(|byte| *byte == b' ').next().unwrap_or(bytes))?
            }
        };
        Ok(Self {
            package,
            version: check.word("Version", values.version)?,
            architecture: check.word("Architecture", values.architecture)?,
            source,
            section: shorten(values.section),
            priority: shorten(values.priority),
            filename: check.path("Filename", values.filename)?,
            expected: Expected {
                size: Some(check.number("Size", values.size)?),
                digests: check.digests(&values.digests)?,
            },
        })
    }
}

impl<'a> Values<'a> {
    fn collect(stanza: &Stanza<'a>) -> Result<Self, StanzaError> {
        let mut values = Self::default();
        for field in stanza.fields() {
            let (name, value) = field?;
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            // By length first: one comparison for most fields.
            let slot = match name.len() {
                4 if is("Size") => &mut values.size,
                4 if is("SHA1") => &mut values.digests[1],
                6 if is("Source") => &mut values.source,
                6 if is("SHA256") => &mut values.digests[2],
                6 if is("SHA512") => &mut values.digests[3],
                6 if is("MD5sum") => &mut values.digests[0],
                7 if is("Package") => &mut values.package,
                7 if is("Version") => &mut values.version,
                7 if is("Section") => &mut values.section,
                8 if is("Filename") => &mut values.filename,
                8 if is("Priority") => &mut values.priority,
                12 if is("Architecture") => &mut values.architecture,
                _ => continue,
            };
            *slot = value;
        }
        Ok(values)
    }
}

/// Checks values and names stanza and field when it refuses one.
pub(crate) struct Check<'a> {
    /// Where the stanza begins.
    pub(crate) line: u64,
    /// What it calls itself.
    pub(crate) name: &'a [u8],
}

impl Check<'_> {
    fn shown(&self) -> String {
        shorten(self.name).chars().take(80).collect()
    }

    /// An error about a missing field.
    pub(crate) fn missing(&self, field: &'static str) -> StanzaError {
        StanzaError::Missing { line: self.line, name: self.shown(), field }
    }

    /// An error about an impossible value.
    pub(crate) fn invalid(
        &self,
        field: &'static str,
        reason: impl std::fmt::Display,
    ) -> StanzaError {
        StanzaError::Invalid {
            line: self.line,
            name: self.shown(),
            field,
            reason: reason.to_string(),
        }
    }

    /// A mandatory word: ASCII or other UTF-8, no blanks, no control characters, no slashes.
    pub(crate) fn word<'v>(
        &self,
        field: &'static str,
        value: &'v [u8],
    ) -> Result<&'v str, StanzaError> {
        if value.is_empty() {
            return Err(self.missing(field));
        }
        if value.len() > MAX_WORD {
            return Err(self.invalid(field, format!("it is longer than {MAX_WORD} bytes")));
        }
        let text = str::from_utf8(value).map_err(|_| self.invalid(field, "it is no UTF-8"))?;
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(self.invalid(field, "it is more than a word"));
        }
        Ok(text)
    }

    /// A mandatory path; a `./` before it is no part of it.
    pub(crate) fn path(
        &self,
        field: &'static str,
        value: &[u8],
    ) -> Result<RelativePath, StanzaError> {
        if value.is_empty() {
            return Err(self.missing(field));
        }
        let text = str::from_utf8(value).map_err(|_| self.invalid(field, "it is no UTF-8"))?;
        RelativePath::new(text.strip_prefix("./").unwrap_or(text))
            .map_err(|error| self.invalid(field, error))
    }

    /// A mandatory number.
    pub(crate) fn number(&self, field: &'static str, value: &[u8]) -> Result<u64, StanzaError> {
        if value.is_empty() {
            return Err(self.missing(field));
        }
        let number = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.invalid(field, "it is no number"))
    }

    fn digests(&self, values: &[&[u8]; 4]) -> Result<Digests, StanzaError> {
        let mut digests = Digests::new();
        for ((algorithm, field), value) in DIGESTS.into_iter().zip(values) {
            if value.is_empty() {
                continue;
            }
            let text = str::from_utf8(value).map_err(|_| self.invalid(field, "it is no UTF-8"))?;
            digests.insert_hex(algorithm, text).map_err(|error| self.invalid(field, error))?;
        }
        Ok(digests)
    }
}

fn shorten(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&value[..value.len().min(MAX_WORD)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANZA: &str = "\
Package: hello
Source: hello-src (2.9)
Version: 2.10-3
Installed-Size: 284
Architecture: amd64
Section: devel
Filename: ./pool/main/h/hello_2.10-3_amd64.deb
Size: 53084
MD5sum: 0ed6d4c8891eb86358b94bb35d9e4da4
SHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
";

    fn read(text: &str) -> Result<PackageFields<'_>, StanzaError> {
        PackageFields::read(&Stanza::of(text.as_bytes()))
    }

    #[test]
    fn the_needed_fields_are_read() {
        let fields = read(STANZA).expect("a package");
        assert_eq!(
            (fields.package, fields.version, fields.source),
            ("hello", "2.10-3", "hello-src")
        );
        assert_eq!(fields.filename.as_str(), "pool/main/h/hello_2.10-3_amd64.deb");
        assert_eq!(fields.expected.size, Some(53084));
        assert!(fields.expected.digests.is_trusted());
        assert_eq!((&*fields.section, &*fields.priority), ("devel", ""));
    }

    #[test]
    fn what_is_wrong_is_named_with_stanza_and_field() {
        for (from, to, message) in [
            ("Filename", "Filenam", "The stanza in line 1 (`hello`) has no `Filename`"),
            ("Version: 2.10-3", "Version:", "The stanza in line 1 (`hello`) has no `Version`"),
            (
                "53084",
                "many",
                "The stanza in line 1 (`hello`) has an invalid `Size`: it is no number",
            ),
            (
                "./pool",
                "../pool",
                "has an invalid `Filename`: Unsafe path \"../pool/main/h/hello_2.10-3_amd64.deb\": it has a `.` or `..` segment",
            ),
            ("SHA256: ba", "SHA256: ", "has an invalid `SHA256`: Invalid digest"),
            ("amd64\n", "../x\n", "has an invalid `Architecture`: it is more than a word"),
        ] {
            let text = STANZA.replacen(from, to, 1);
            let error = read(&text).map(|_| ()).expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = PackageFields::read(&Stanza::of(&bytes));
            let _ = PackageFields::read(&Stanza::of(&[STANZA.as_bytes(), &bytes].concat()));
        }
    }
}
