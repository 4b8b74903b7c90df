//! `repomd.xml` and `primary.xml` are lists of records: elements of one name, whose children are
//! facts. Records come one at a time, so that memory does not grow with the document.

use std::{collections::HashMap, error::Error, io::BufRead, str::FromStr};

use pulp_models::{Algorithm, Digests};
use quick_xml::{Reader, XmlVersion, events::BytesStart, events::Event};

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is no XML.
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
    /// The document ends within a record.
    #[error("The document is cut off")]
    CutOff,
    /// A record lacks something.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A record's fact is not what it should be.
    #[error("`{0}` cannot be `{1}`")]
    Invalid(String, String, #[source] Box<dyn Error + Send + Sync>),
}

/// The records of a document, in order: those of its elements that have one name.
pub struct Records<R> {
    xml: Reader<R>,
    element: &'static str,
    buffer: Vec<u8>,
}

/// Facts by name: `name` is the text of a child, `name@key` its attribute, `@key` the record's own.
#[derive(Debug, Default)]
pub struct Record(HashMap<String, String>);

impl<R: BufRead> Records<R> {
    /// Those elements of `reader` that are called `element`.
    pub fn new(reader: R, element: &'static str) -> Self {
        Self { xml: Reader::from_reader(reader), element, buffer: Vec::new() }
    }

    fn next_record(&mut self) -> Result<Option<Record>, RecordError> {
        let mut found: Option<Record> = None;
        let (mut depth, mut child) = (0_usize, String::new());
        loop {
            self.buffer.clear();
            let event = self.xml.read_event_into(&mut self.buffer)?;
            let Some(record) = &mut found else {
                match event {
                    Event::Start(tag) if tag.local_name().as_ref() == self.element => {
                        found.insert(Record::default()).learn("", &tag)?;
                    }
                    Event::Eof => return Ok(None),
                    _ => {}
                }
                continue;
            };
            match event {
                Event::Start(tag) => {
                    depth += 1;
                    if depth == 1 {
                        tag.local_name().as_ref().clone_into(&mut child);
                        record.learn(&child, &tag)?;
                    }
                }
                Event::Empty(tag) if depth == 0 => {
                    record.learn(tag.local_name().as_ref(), &tag)?;
                }
                Event::Text(text) if depth == 1 => {
                    let known = record.0.entry(child.clone()).or_default();
                    known.push_str(text.xml10_content().trim());
                }
                Event::End(_) if depth == 0 => return Ok(found),
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(RecordError::CutOff),
                _ => {}
            }
        }
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

impl Record {
    fn learn(&mut self, element: &str, tag: &BytesStart<'_>) -> Result<(), RecordError> {
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(quick_xml::Error::from)?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0)?;
            self.0.insert(format!("{element}@{}", attribute.key.as_ref()), value.into_owned());
        }
        Ok(())
    }

    /// A fact, if it is there.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A fact that must be there.
    pub fn get(&self, name: &str) -> Result<&str, RecordError> {
        self.find(name).ok_or_else(|| RecordError::Missing(name.to_owned()))
    }

    /// A fact that must be there, as what it means.
    pub fn parse<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        name: &str,
    ) -> Result<T, RecordError> {
        let text = self.get(name)?;
        text.parse().map_err(|error: T::Err| invalid(name, text, error))
    }

    /// The checksum of the record's file. Old repositories call SHA-1 `sha`.
    pub fn digests(&self) -> Result<Digests, RecordError> {
        let old = self.find("checksum@type") == Some("sha");
        let algorithm = if old { Algorithm::Sha1 } else { self.parse("checksum@type")? };
        let (text, mut digests) = (self.get("checksum")?, Digests::new());
        digests.insert_hex(algorithm, text).map_err(|error| invalid("checksum", text, error))?;
        Ok(digests)
    }
}

fn invalid(name: &str, text: &str, error: impl Error + Send + Sync + 'static) -> RecordError {
    RecordError::Invalid(name.to_owned(), text.to_owned(), Box::new(error))
}
