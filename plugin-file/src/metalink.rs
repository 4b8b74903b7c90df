//! Metalink 4 (RFC 5854): files with their sizes, hashes and mirrors, in XML.
//!
//! Taken are `file/@name`, `size`, `hash` and `url` with its `priority`; `metaurl`, `pieces`,
//! `signature` and everything of other namespaces are passed over. A relative `url` is resolved
//! against the document's own; addresses that cannot be fetched (`ftp`, `rsync`) are passed over,
//! and `file` is taken only from a document that itself came from a file, so that a server cannot
//! point at local files.
//!
//! Entities beyond the predefined five are an error, never expanded. One element, one tag and one
//! text are bounded, so memory stays flat however large the document is. Files that stand twice are
//! the business of [`distinct`](crate::distinct).

mod bounded;

use std::{borrow::Cow, io::BufRead};

use pulp_models::{Algorithm, Expected, RelativePath, RemoteUrl, digest::InvalidDigest};
use quick_xml::{
    XmlVersion,
    events::{BytesRef, BytesStart, Event},
    name::{Namespace, ResolveResult},
    reader::NsReader,
};

use crate::{
    entry::{Entry, ParseError, Place, Problem, shown},
    manifest::parse_size,
    metalink::bounded::Bounded,
    upstream_format::UpstreamFormat,
};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:metalink";
/// Depth of `file` under the root, and of what a file says under that.
const FILE_DEPTH: usize = 2;
const FACT_DEPTH: usize = 3;
const DEEPEST: usize = 64;
/// Longest tag, comment or text between tags in bytes; the longest text of one element as well.
const LONGEST: usize = 64 * 1024;
const MOST_URLS: usize = 1000;
/// RFC 5854, section 4.2.16.1: what has no priority comes last.
const LAST_PRIORITY: u32 = 999_999;

/// The entries of a Metalink, in its order; the first error ends them.
#[derive(Debug)]
pub struct Metalink<R> {
    xml: NsReader<Bounded<R>>,
    buffer: Vec<u8>,
    document: Document,
    ended: bool,
}

impl<R: BufRead> Metalink<R> {
    /// Reads `reader`, which came from `url`.
    pub fn new(url: &RemoteUrl, reader: R) -> Self {
        Self {
            xml: NsReader::from_reader(Bounded::new(reader, LONGEST)),
            buffer: Vec::new(),
            document: Document::new(url.clone()),
            ended: false,
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ParseError> {
        loop {
            let offset = self.xml.buffer_position();
            self.xml.get_mut().refill();
            self.buffer.clear();
            let event = self.xml.read_resolved_event_into(&mut self.buffer);
            let taken = match event {
                Ok((_, Event::Eof)) if self.document.is_complete() => return Ok(None),
                Ok((_, Event::Eof)) => Err(Problem::Truncated),
                Ok((namespace, event)) => self.document.take(&namespace, event, offset),
                Err(error) => Err(cause(error)),
            };
            let place = Place::Element { number: self.document.files, offset };
            match taken {
                Ok(None) => {}
                Ok(entry) => return Ok(entry),
                Err(source) => {
                    let format = UpstreamFormat::Metalink;
                    return Err(ParseError::Invalid { format, place, source });
                }
            }
        }
    }
}

impl<R: BufRead> Iterator for Metalink<R> {
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

/// Tells the bound's refusal from other failures to read.
fn cause(error: quick_xml::Error) -> Problem {
    match error {
        quick_xml::Error::Io(io) if bounded::is_exhausted(&io) => Problem::TooLong(LONGEST),
        quick_xml::Error::Encoding(_) => Problem::NotUtf8,
        other => Problem::Xml(other),
    }
}

/// Where in the document the reader stands.
#[derive(Debug)]
struct Document {
    url: RemoteUrl,
    depth: usize,
    /// Whether the root element has begun.
    begun: bool,
    /// `file` elements so far.
    files: u64,
    file: Option<File>,
    /// The element of the file that is being read, and its text so far.
    fact: Option<(Fact, String)>,
}

/// A `file` element before its end.
#[derive(Debug)]
struct File {
    place: Place,
    relative_path: RelativePath,
    expected: Expected,
    urls: Vec<(u32, RemoteUrl)>,
}

/// What an element inside `file` says.
#[derive(Debug, Clone, Copy)]
enum Fact {
    Size,
    Hash(Algorithm),
    Url { priority: u32 },
}

impl Document {
    fn new(url: RemoteUrl) -> Self {
        Self { url, depth: 0, begun: false, files: 0, file: None, fact: None }
    }

    fn is_complete(&self) -> bool {
        self.begun && self.depth == 0
    }

    fn take(
        &mut self,
        namespace: &ResolveResult<'_>,
        event: Event<'_>,
        offset: u64,
    ) -> Result<Option<Entry>, Problem> {
        match event {
            Event::Start(tag) => self.begin(namespace, &tag, offset)?,
            Event::Empty(tag) => {
                self.begin(namespace, &tag, offset)?;
                return self.end();
            }
            Event::End(_) => return self.end(),
            Event::Text(text) => self.append(&text.xml10_content())?,
            Event::CData(text) => self.append(&text.xml10_content())?,
            Event::GeneralRef(entity) => self.append(&resolve(&entity)?)?,
            _ => {}
        }
        Ok(None)
    }

    fn begin(
        &mut self,
        namespace: &ResolveResult<'_>,
        tag: &BytesStart<'_>,
        offset: u64,
    ) -> Result<(), Problem> {
        let ours = matches!(namespace, ResolveResult::Bound(Namespace(name)) if *name == NAMESPACE);
        let name = tag.local_name();
        if self.depth == 0 && (self.begun || !ours || name.as_ref() != "metalink") {
            let actual = match namespace {
                ResolveResult::Bound(Namespace(other)) => {
                    format!("`{}` of {}", shown(name.as_ref()), shown(other))
                }
                _ => format!("`{}`", shown(name.as_ref())),
            };
            return Err(Problem::Root { expected: NAMESPACE, actual });
        }
        self.begun = true;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Problem::TooDeep(DEEPEST));
        }
        match (self.depth, name.as_ref()) {
            (FILE_DEPTH, "file") if ours => {
                self.files += 1;
                let path = attribute(tag, "name")?.ok_or(Problem::NoAttribute("name"))?;
                self.file = Some(File {
                    place: Place::Element { number: self.files, offset },
                    relative_path: RelativePath::new(&path)?,
                    expected: Expected::default(),
                    urls: Vec::new(),
                });
            }
            (FACT_DEPTH, name) if ours && self.file.is_some() => {
                self.fact = fact(name, tag)?.map(|fact| (fact, String::new()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds to the text of the current element; that of elements within it is passed over.
    fn append(&mut self, more: &str) -> Result<(), Problem> {
        if let Some((_, text)) = &mut self.fact
            && self.depth == FACT_DEPTH
        {
            if text.len() + more.len() > LONGEST {
                return Err(Problem::TooLong(LONGEST));
            }
            text.push_str(more);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<Entry>, Problem> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        match depth {
            FACT_DEPTH => {
                if let (Some((fact, text)), Some(file)) = (self.fact.take(), &mut self.file) {
                    file.learn(fact, text.trim(), &self.url)?;
                }
                Ok(None)
            }
            FILE_DEPTH => self.file.take().map(File::complete).transpose(),
            _ => Ok(None),
        }
    }
}

impl File {
    fn learn(&mut self, fact: Fact, text: &str, document: &RemoteUrl) -> Result<(), Problem> {
        match fact {
            Fact::Size => {
                let size = parse_size(text)?;
                if self.expected.size.replace(size).is_some_and(|other| other != size) {
                    return Err(Problem::TwoValues("size".to_owned()));
                }
            }
            Fact::Hash(algorithm) => {
                let before = self.expected.digests.clone();
                insert_hash(&mut self.expected, algorithm, text)?;
                let other = before.get(algorithm);
                if other.is_some() && other != self.expected.digests.get(algorithm) {
                    return Err(Problem::TwoValues(format!("hash type={algorithm}")));
                }
            }
            Fact::Url { priority } => {
                if self.urls.len() == MOST_URLS {
                    return Err(Problem::TooManyUrls(MOST_URLS));
                }
                let urls = &mut self.urls;
                urls.extend(resolve_url(document, text)?.map(|url| (priority, url)));
            }
        }
        Ok(())
    }

    fn complete(mut self) -> Result<Entry, Problem> {
        if self.urls.is_empty() {
            return Err(Problem::NoUrl);
        }
        // Stable: among equals the document's order is kept.
        self.urls.sort_by_key(|(priority, _)| *priority);
        Ok(Entry {
            relative_path: self.relative_path,
            expected: self.expected,
            urls: self.urls.into_iter().map(|(_, url)| url).collect(),
            place: self.place,
        })
    }
}

fn insert_hash(expected: &mut Expected, algorithm: Algorithm, text: &str) -> Result<(), Problem> {
    if text.len() > 2 * Algorithm::Sha512.digest_len() {
        return Err(Problem::TooLong(2 * Algorithm::Sha512.digest_len()));
    }
    expected.digests.insert_hex(algorithm, text).map_err(|error: InvalidDigest| error.into())
}

/// Which of the elements inside `file` this is. `None`: one that is passed over.
fn fact(name: &str, tag: &BytesStart<'_>) -> Result<Option<Fact>, Problem> {
    Ok(match name {
        "size" => Some(Fact::Size),
        // Names from IANA's registry of hash functions; unknown ones may stand beside known ones.
        "hash" => {
            let name = attribute(tag, "type")?.ok_or(Problem::NoAttribute("type"))?;
            name.trim().parse().ok().map(Fact::Hash)
        }
        "url" => {
            let priority = attribute(tag, "priority")?.and_then(|text| text.trim().parse().ok());
            Some(Fact::Url { priority: priority.unwrap_or(LAST_PRIORITY).min(LAST_PRIORITY) })
        }
        _ => None,
    })
}

/// An attribute without prefix, its references resolved.
fn attribute<'t>(tag: &'t BytesStart<'_>, name: &str) -> Result<Option<Cow<'t, str>>, Problem> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attribute.key.as_ref() == name {
            return Ok(Some(attribute.normalized_value(XmlVersion::Explicit1_0)?));
        }
    }
    Ok(None)
}

/// A character reference or one of the five predefined entities.
fn resolve(entity: &BytesRef<'_>) -> Result<String, Problem> {
    if let Some(character) = entity.resolve_char_ref()? {
        return Ok(character.to_string());
    }
    let name = entity.xml10_content();
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| Problem::Entity(shown(&name)))
}

/// The address if it can be fetched, resolved against the document's.
fn resolve_url(document: &RemoteUrl, text: &str) -> Result<Option<RemoteUrl>, Problem> {
    let url = document.expose().join(text).map_err(|_| Problem::Url(shown(text)))?;
    let fetchable = match url.scheme() {
        "http" | "https" => true,
        "file" => document.expose().scheme() == "file",
        _ => false,
    };
    Ok(fetchable.then(|| RemoteUrl::from_url(url)))
}

#[cfg(test)]
mod tests;
