//! Which packages of all indices are mirrored, where one stanza alone cannot tell: the newest ones
//! of each name, what they need ([`Follow`]), and the sources that they were built from.
//!
//! A first pass over the indices fills the [`Catalog`], which holds of each package its name, its
//! version and its relations and nothing else; [`Catalog::choose`] decides; the second pass
//! ([`crate::units`]) makes units of the stanzas that were chosen. The same stanzas in the same
//! order give the same choice.

use std::collections::{HashMap, HashSet};

use pulp_models::Key;
use serde::{Deserialize, Serialize};

use crate::{
    options::DebRemoteOptions,
    package::PackageFields,
    query::Query,
    relation::{self, Relation, compare_versions},
    selection::Family,
    source::SourceFields,
    stanza::{RawStanza, Stanza},
    units::{IndexSource, beginning},
};

mod follow;

/// Up to which of their relations packages bring others with them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// `Pre-Depends` and `Depends`.
    Depends,
    /// And `Recommends`.
    Recommends,
    /// And `Suggests`.
    Suggests,
}

/// A stanza that is no package, or none of the wanted architectures.
const NONE: u32 = u32::MAX;

/// What all indices list.
pub struct Catalog {
    filters: Vec<Query>,
    follow: Option<Follow>,
    newest: Option<usize>,
    entries: Vec<Entry>,
    /// For each index the entries of its stanzas.
    indices: Vec<Vec<u32>>,
    /// Entries by their place in a version: packages of architecture `all` stand in many indices.
    places: HashMap<[u8; 16], u32>,
    /// Distributions and architectures, each kept once.
    words: Vec<Box<str>>,
    packages: Names,
    installer_packages: Names,
}

/// Packages that can meet a relation, by name.
#[derive(Default)]
struct Names {
    real: HashMap<Box<str>, Vec<u32>>,
    provided: HashMap<Box<str>, Vec<Provider>>,
}

/// A package that provides a name, and in which version.
type Provider = (u32, Option<Box<str>>);

/// One package.
struct Entry {
    family: Family,
    /// Index into the words.
    distribution: u16,
    /// Index into the words.
    architecture: u16,
    name: Box<str>,
    version: Box<str>,
    /// The source package's name and version, if they differ from its own.
    source: Option<Box<(String, String)>>,
    /// What it needs, as far as that is followed; groups with commas between.
    needs: Box<str>,
    multi_arch: MultiArch,
    /// The lower the better.
    priority: u8,
    is_chosen: bool,
}

/// Whom a package serves besides its own architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MultiArch {
    No,
    /// Relations that say `:any`.
    Allowed,
    /// Everybody.
    Foreign,
}

/// What is to be mirrored.
#[derive(Debug, Default)]
pub struct Choice {
    indices: Vec<Vec<u32>>,
    is_chosen: Vec<bool>,
    /// Dependencies that nothing upstream meets, in words.
    pub unmet: Vec<String>,
}

impl Choice {
    /// Whether the `stanza`th stanza of the `index`th index is wanted, both counted from 0.
    pub fn is_chosen(&self, index: usize, stanza: usize) -> bool {
        let entry = self.indices.get(index).and_then(|stanzas| stanzas.get(stanza));
        entry.and_then(|entry| self.is_chosen.get(*entry as usize)).copied().unwrap_or(false)
    }
}

impl Catalog {
    /// An empty one, if the options want more than one stanza can tell.
    pub fn of(options: &DebRemoteOptions) -> Option<Self> {
        let with_sources = options.sources && !options.filters.is_empty();
        if options.follow.is_none() && options.newest.is_none() && !with_sources {
            return None;
        }
        Some(Self {
            filters: options.filters.clone(),
            follow: options.follow,
            newest: options.newest.map(|count| count.get() as usize),
            entries: Vec::new(),
            indices: Vec::new(),
            places: HashMap::new(),
            words: Vec::new(),
            packages: Names::default(),
            installer_packages: Names::default(),
        })
    }

    /// Begins the next index.
    pub fn begin_index(&mut self) {
        self.indices.push(Vec::new());
    }

    /// Adds the next stanza of the index that was begun last.
    pub fn add(&mut self, source: &IndexSource, stanza: &RawStanza) {
        let entry = self.entry(source, &stanza.view()).unwrap_or(NONE);
        if let Some(index) = self.indices.last_mut() {
            index.push(entry);
        }
    }

    /// Decides what is mirrored.
    pub fn choose(mut self) -> Choice {
        self.keep_newest();
        let unmet = if self.follow.is_some() { self.follow() } else { Vec::new() };
        self.add_sources();
        let is_chosen = self.entries.iter().map(|entry| entry.is_chosen).collect();
        Choice { indices: self.indices, is_chosen, unmet }
    }

    /// The entry of a stanza, made if it is new; `None` if it will not become a unit.
    fn entry(&mut self, source: &IndexSource, stanza: &Stanza<'_>) -> Option<u32> {
        let details = Details::read(stanza, self.follow);
        let (name, version, architecture, built_from) = if source.family == Family::Sources {
            let fields = SourceFields::read(stanza).ok()?;
            (fields.package, fields.version, "source", None)
        } else {
            let fields = PackageFields::read(stanza).ok()?;
            if !source.wants(fields.architecture) {
                return None;
            }
            let built_from = details.source_version(&fields);
            (fields.package, fields.version, fields.architecture, built_from)
        };
        let place = Key::of("deb.place")
            .field([source.family as u8])
            .field(&source.distribution)
            .field(&source.component)
            .field(name)
            .field(version)
            .field(architecture)
            .finish();
        let key = beginning(&place.0);
        if let Some(known) = self.places.get(&key) {
            return Some(*known);
        }
        let id = u32::try_from(self.entries.len()).ok().filter(|id| *id != NONE)?;
        let is_chosen =
            self.filters.is_empty() || self.filters.iter().any(|query| query.matches(stanza));
        let entry = Entry {
            family: source.family,
            distribution: self.word(&source.distribution)?,
            architecture: self.word(architecture)?,
            name: name.into(),
            version: version.into(),
            source: built_from,
            needs: details.needs.into(),
            multi_arch: details.multi_arch,
            priority: details.priority,
            is_chosen,
        };
        self.entries.push(entry);
        self.places.insert(key, id);
        if self.follow.is_some() && source.family != Family::Sources {
            let names = match source.family {
                Family::InstallerPackages => &mut self.installer_packages,
                _ => &mut self.packages,
            };
            names.real.entry(name.into()).or_default().push(id);
            for provided in relation::groups(&details.provides).filter_map(Relation::parse) {
                let version = provided.version.map(|(_, version)| version.into());
                names.provided.entry(provided.name.into()).or_default().push((id, version));
            }
        }
        Some(id)
    }

    /// The number of a distribution or an architecture.
    fn word(&mut self, word: &str) -> Option<u16> {
        let known = self.words.iter().position(|known| **known == *word);
        let at = known.unwrap_or_else(|| {
            self.words.push(word.into());
            self.words.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// Of the chosen ones, keeps the newest of each name and architecture in each distribution.
    fn keep_newest(&mut self) {
        let Some(count) = self.newest else { return };
        let mut chosen: Vec<usize> =
            (0..self.entries.len()).filter(|id| self.entries[*id].is_chosen).collect();
        let series = |entry: &Entry| (entry.family, entry.distribution, entry.architecture);
        chosen.sort_by(|one, other| {
            let (one, other) = (&self.entries[*one], &self.entries[*other]);
            (series(one), &one.name)
                .cmp(&(series(other), &other.name))
                .then_with(|| compare_versions(&other.version, &one.version))
        });
        let same_series = |one: &usize, other: &usize| {
            let (one, other) = (&self.entries[*one], &self.entries[*other]);
            (series(one), &one.name) == (series(other), &other.name)
        };
        let mut superseded = Vec::new();
        for series in chosen.chunk_by(same_series) {
            // One version may stand in several components.
            let versions = series.chunk_by(|one, other| {
                compare_versions(&self.entries[*one].version, &self.entries[*other].version).is_eq()
            });
            superseded.extend(versions.skip(count).flatten().copied());
        }
        for id in superseded {
            self.entries[id].is_chosen = false;
        }
    }

    /// Chooses the sources of the packages that were chosen, from the same distribution.
    fn add_sources(&mut self) {
        let mut wanted = HashSet::new();
        for entry in self.entries.iter().filter(|entry| entry.is_chosen) {
            if entry.family != Family::Sources {
                let (name, version) = entry.built_from();
                wanted.insert((entry.distribution, name.to_owned(), version.to_owned()));
            }
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.family == Family::Sources) {
            let key = (entry.distribution, entry.name.to_string(), entry.version.to_string());
            entry.is_chosen |= wanted.contains(&key);
        }
    }
}

impl Entry {
    /// Name and version of the source package.
    fn built_from(&self) -> (&str, &str) {
        match &self.source {
            Some(source) => (&source.0, &source.1),
            None => (&self.name, &self.version),
        }
    }
}

/// What a stanza says of relations.
struct Details {
    needs: String,
    provides: String,
    source: String,
    multi_arch: MultiArch,
    priority: u8,
}

impl Details {
    fn read(stanza: &Stanza<'_>, follow: Option<Follow>) -> Self {
        let mut details = Self {
            needs: String::new(),
            provides: String::new(),
            source: String::new(),
            multi_arch: MultiArch::No,
            priority: u8::MAX,
        };
        for (name, value) in stanza.fields().flatten() {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            let text = || String::from_utf8_lossy(value);
            let needed_from = match name.len() {
                7 if is("Depends") => Some(Follow::Depends),
                11 if is("Pre-Depends") => Some(Follow::Depends),
                10 if is("Recommends") => Some(Follow::Recommends),
                8 if is("Suggests") => Some(Follow::Suggests),
                8 if is("Provides") => {
                    details.provides = text().into_owned();
                    None
                }
                8 if is("Priority") => {
                    details.priority = priority(value);
                    None
                }
                6 if is("Source") => {
                    details.source = text().into_owned();
                    None
                }
                10 if is("Multi-Arch") => {
                    details.multi_arch = match value {
                        b"foreign" => MultiArch::Foreign,
                        b"allowed" => MultiArch::Allowed,
                        _ => MultiArch::No,
                    };
                    None
                }
                _ => None,
            };
            if needed_from.is_some_and(|from| follow.is_some_and(|follow| follow >= from)) {
                details.needs.push_str(&text());
                details.needs.push(',');
            }
        }
        details
    }

    /// The source package, if it is not what the package's own name and version say.
    fn source_version(&self, fields: &PackageFields<'_>) -> Option<Box<(String, String)>> {
        let in_parentheses = self.source.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let version = in_parentheses.map_or(fields.version, |(version, _)| version.trim());
        let is_own = fields.source == fields.package && version == fields.version;
        (!is_own).then(|| Box::new((fields.source.to_owned(), version.to_owned())))
    }
}

/// The rank of a priority, as apt prefers providers by it.
fn priority(value: &[u8]) -> u8 {
    let ranks: [&[u8]; 5] = [b"required", b"important", b"standard", b"optional", b"extra"];
    let rank = ranks.iter().position(|known| *known == value);
    rank.and_then(|rank| u8::try_from(rank).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
