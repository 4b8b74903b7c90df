//! Checksum lists as they lie beside images: `SHA256SUMS`, `SHA512SUMS`, `MD5SUMS`, `CHECKSUM`.
//!
//! Two forms, line by line and mixed at will:
//! - GNU: `<hex>  name` or `<hex> *name`; a line that begins with `\` has its name escaped
//!   (`\\`, `\n`, `\r`). The number of hex digits tells the algorithm.
//! - BSD: `SHA256 (name) = <hex>`, also as OpenSSL writes it (`SHA2-256(name)= <hex>`), also
//!   `SIZE (name) = <bytes>` as ports trees have it.
//!
//! Neighbouring lines about the same name become one entry with several digests. A leading `./` of
//! a name is dropped, since that is how `find` makes them. An OpenPGP clear-signed list is read
//! through its armour; the signature is **not** verified here.
//!
//! Reading holds one entry at a time. Sizes are mostly unknown. Names that stand twice apart from
//! each other are the business of [`distinct`](crate::distinct).

use std::{borrow::Cow, io::BufRead};

use pulp_models::{Algorithm, Expected, RelativePath, RemoteUrl};

use crate::{
    entry::{Entry, ParseError, Place, Problem, shown},
    lines::Lines,
    manifest::{parse_size, says_nothing},
    upstream_format::UpstreamFormat,
};

const ARMOUR: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const ARMOUR_END: &str = "-----BEGIN PGP SIGNATURE-----";
const FORM: &str = "<hex>  name` or `ALGORITHM (name) = <hex>";

/// The entries of a checksum list, in its order; the first error ends them.
#[derive(Debug)]
pub struct Checksums<R> {
    lines: Lines<R>,
    directory: RemoteUrl,
    only: Option<Algorithm>,
    /// The entry that the next line may still add to.
    pending: Option<Entry>,
    found: Found,
    armour: Armour,
    ended: bool,
}

/// Which lines there were so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    OtherAlgorithms,
    Wanted,
}

/// Where the lines stand in a clear-signed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Armour {
    None,
    Inside,
    Past,
}

impl<R: BufRead> Checksums<R> {
    /// Reads `reader`; the listed files lie beside the list's own `url`.
    ///
    /// With `only`, lines of other algorithms are passed over, and a list in which nothing is left
    /// is an error: an empty repository must never come from a misread list.
    pub fn new(url: &RemoteUrl, only: Option<Algorithm>, reader: R) -> Self {
        Self {
            lines: Lines::new(reader, UpstreamFormat::Checksums),
            directory: url.parent(),
            only,
            pending: None,
            found: Found::Nothing,
            armour: Armour::None,
            ended: false,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ParseError> {
        loop {
            let Some((place, line)) = self.next_statement()? else { return self.last_entry() };
            if self.only.is_some_and(|only| !line.is_about(only)) {
                if self.found == Found::Nothing {
                    self.found = Found::OtherAlgorithms;
                }
                continue;
            }
            self.found = Found::Wanted;
            let invalid = |source| invalid(place, source);
            let path = RelativePath::new(&line.name).map_err(|error| invalid(error.into()))?;
            match &mut self.pending {
                Some(pending) if pending.relative_path == path && line.adds_to(pending) => {
                    line.fact.add_to(&mut pending.expected).map_err(invalid)?;
                }
                _ => {
                    let mut expected = Expected::default();
                    line.fact.add_to(&mut expected).map_err(invalid)?;
                    let urls = vec![self.directory.join_path(path.as_str())];
                    let entry = Entry { relative_path: path, expected, urls, place };
                    if let Some(done) = self.pending.replace(entry) {
                        return complete(done).map(Some);
                    }
                }
            }
        }
    }

    /// The next line that says something, taken apart.
    fn next_statement(&mut self) -> Result<Option<(Place, Line)>, ParseError> {
        while self.armour != Armour::Past {
            let place = Place::Line(self.lines.number() + 1);
            let Some(mut line) = self.lines.next_line()? else { return Ok(None) };
            if line.trim_end() == ARMOUR {
                self.armour = Armour::Inside;
                self.skip_armour_headers()?;
                continue;
            }
            if self.armour == Armour::Inside {
                if line.trim_end() == ARMOUR_END {
                    self.armour = Armour::Past;
                    continue;
                }
                line = line.strip_prefix("- ").unwrap_or(line);
            }
            if !says_nothing(line) {
                let line = parse_line(line).map_err(|problem| invalid(place, problem))?;
                return Ok(Some((place, line)));
            }
        }
        Ok(None)
    }

    /// RFC 9580, section 7: headers such as `Hash: SHA256`, ended by an empty line.
    fn skip_armour_headers(&mut self) -> Result<(), ParseError> {
        while let Some(line) = self.lines.next_line()? {
            if line.trim().is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn last_entry(&mut self) -> Result<Option<Entry>, ParseError> {
        if let Some(only) = self.only.filter(|_| self.found == Found::OtherAlgorithms) {
            let place = Place::Line(self.lines.number());
            return Err(invalid(place, Problem::NoSuchAlgorithm(only)));
        }
        self.pending.take().map(complete).transpose()
    }
}

impl<R: BufRead> Iterator for Checksums<R> {
    type Item = Result<Entry, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_entry().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

fn invalid(place: Place, source: Problem) -> ParseError {
    ParseError::Invalid { format: UpstreamFormat::Checksums, place, source }
}

/// Refuses an entry of which every line was about something unknown (`BLAKE2b`, `SIZE`).
fn complete(entry: Entry) -> Result<Entry, ParseError> {
    if entry.expected.digests.is_empty() {
        let name = shown(entry.relative_path.as_str());
        return Err(invalid(entry.place, Problem::NoDigest(name)));
    }
    Ok(entry)
}

/// One line of either form.
#[derive(Debug)]
struct Line {
    name: String,
    fact: Fact,
}

/// What a line says about its file.
#[derive(Debug)]
enum Fact {
    Digest(Algorithm, Vec<u8>),
    Size(u64),
    /// An algorithm that is not computed here.
    Unknown,
}

impl Line {
    fn is_about(&self, only: Algorithm) -> bool {
        match self.fact {
            Fact::Digest(algorithm, _) => algorithm == only,
            Fact::Size(_) => true,
            Fact::Unknown => false,
        }
    }

    /// Whether it is new to `entry`; a second digest of one algorithm is another statement.
    fn adds_to(&self, entry: &Entry) -> bool {
        match self.fact {
            Fact::Digest(algorithm, _) => entry.expected.digests.get(algorithm).is_none(),
            Fact::Size(_) => entry.expected.size.is_none(),
            Fact::Unknown => true,
        }
    }
}

impl Fact {
    fn add_to(self, expected: &mut Expected) -> Result<(), Problem> {
        match self {
            Self::Digest(algorithm, bytes) => expected.digests.insert(algorithm, &bytes)?,
            Self::Size(size) => expected.size = Some(size),
            Self::Unknown => {}
        }
        Ok(())
    }
}

/// Whether a list that begins with `line` is one of these.
pub(crate) fn is_beginning(line: &str) -> bool {
    line.trim_end() == ARMOUR || parse_line(line).is_ok()
}

/// Takes a line of either form apart.
fn parse_line(line: &str) -> Result<Line, Problem> {
    let form = || Problem::Form { expected: FORM, actual: shown(line) };
    let (escaped, text) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, fact) = parse_gnu(text).or_else(|| parse_bsd(text)).ok_or_else(form)??;
    let name = if escaped { unescape(name).ok_or_else(form)? } else { Cow::Borrowed(name) };
    let mut name = &*name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest;
    }
    Ok(Line { name: name.to_owned(), fact })
}

/// `<hex>`, a blank, then a blank or `*`, then the name. `None`: not this form.
fn parse_gnu(line: &str) -> Option<Result<(&str, Fact), Problem>> {
    let (digest, rest) = line.split_once([' ', '\t'])?;
    let hex = digest.len() >= 2 * Algorithm::Md5.digest_len()
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex {
        return None;
    }
    let name = rest.strip_prefix([' ', '*']).unwrap_or(rest);
    Some(digest_of_any_length(digest).map(|fact| (name, fact)))
}

fn digest_of_any_length(hex: &str) -> Result<Fact, Problem> {
    let known =
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.digest_len() * 2 == hex.len());
    let algorithm = known.ok_or_else(|| Problem::Form {
        expected: "32, 40, 56, 64, 96 or 128 hex digits",
        actual: shown(hex),
    })?;
    digest(algorithm, hex)
}

fn digest(algorithm: Algorithm, text: &str) -> Result<Fact, Problem> {
    let mut digests = pulp_models::Digests::new();
    digests.insert_hex(algorithm, text)?;
    Ok(Fact::Digest(algorithm, digests.get(algorithm).unwrap_or_default().to_vec()))
}

/// `TAG (name) = value` or `TAG(name)= value`. `None`: not this form.
fn parse_bsd(line: &str) -> Option<Result<(&str, Fact), Problem>> {
    let (tag, rest) = line.split_once('(')?;
    let tag = tag.trim_end();
    let known = !tag.is_empty()
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte));
    let (name, value) = rest.rsplit_once(')').filter(|_| known)?;
    let value = value.trim_start().strip_prefix('=')?.trim();
    Some(parse_value(tag, value).map(|fact| (name, fact)))
}

fn parse_value(tag: &str, value: &str) -> Result<Fact, Problem> {
    if tag.eq_ignore_ascii_case("size") {
        let digits = value.strip_suffix("bytes").unwrap_or(value).trim();
        return parse_size(digits).map(Fact::Size);
    }
    // OpenSSL 3 calls the family by its name: `SHA2-256`, but also `SHA2-512/256`, which is no SHA-512.
    let tag = match tag.get(..5) {
        Some(family) if family.eq_ignore_ascii_case("sha2-") => format!("sha{}", &tag[5..]),
        _ => tag.to_owned(),
    };
    match tag.parse::<Algorithm>() {
        Ok(algorithm) if value.len() <= 2 * Algorithm::Sha512.digest_len() => {
            digest(algorithm, value)
        }
        Ok(_) => Err(Problem::TooLong(2 * Algorithm::Sha512.digest_len())),
        Err(_) => Ok(Fact::Unknown),
    }
}

/// Undoes GNU's escapes. `None`: an escape that there is not.
fn unescape(name: &str) -> Option<Cow<'_, str>> {
    if !name.contains('\\') {
        return Some(Cow::Borrowed(name));
    }
    let mut plain = String::with_capacity(name.len());
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests;
