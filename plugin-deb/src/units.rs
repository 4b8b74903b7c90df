//! From a stored index file to content units: the second level of discovery.
//!
//! Runs on the blocking pool: decompressing, parsing and hashing a big index take a second, in
//! which units go into the line a batch at a time. What cannot be used of an index (a stanza
//! without `Filename`, an unsafe path, a second stanza for the same package) is left out and named;
//! the index as such is mirrored all the same.

use std::{
    collections::HashMap,
    io::{BufReader, Read},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use pulp_models::{RemoteId, RemoteUrl, Sha256};
use pulp_stages::{Content as _, DeclarativeArtifact, DeclarativeContent, Outbox, sync::Warnings};

use crate::{
    catalog::Choice,
    compression::{Bound, Compression},
    content::{DebContent, InstallerFile, Package, SourcePackage},
    index_reader::{ReadError, read_stanzas},
    package::PackageFields,
    query::Query,
    selection::Family,
    source::SourceFields,
    stanza::RawStanza,
};

/// Units that go into the line together.
const BATCH: usize = 256;

/// The largest list of the installer's files in bytes; Debian's have 100 KB.
const MAX_SUMS: u64 = 16 << 20;

/// Where an index file stands and how it is to be read.
#[derive(Debug, Clone)]
pub struct IndexSource {
    /// Its path, for errors and warnings.
    pub file: String,
    /// Its number among the indices of a sync, counted from 0.
    pub number: usize,
    /// How it is compressed.
    pub compression: Compression,
    /// What it may decompress to.
    pub bound: Bound,
    /// What its stanzas are: packages, installer packages or sources.
    pub family: Family,
    /// The distribution that lists it.
    pub distribution: String,
    /// Its component; empty in flat repositories.
    pub component: String,
    /// In a flat repository, the architectures that are wanted; all if empty.
    pub architectures: Vec<String>,
}

impl IndexSource {
    /// Whether packages of this architecture are wanted.
    pub fn wants(&self, architecture: &str) -> bool {
        self.architectures.is_empty()
            || architecture == "all"
            || self.architectures.iter().any(|wanted| wanted == architecture)
    }
}

/// The units made so far: their place in a version, and which unit it is, each by the beginning of
/// its key.
type Seen = HashMap<[u8; 16], [u8; 8]>;

/// Makes units of the stanzas of index files. Clones share what was seen.
#[derive(Clone)]
pub struct UnitMaker {
    /// The repository's root.
    pub url: RemoteUrl,
    /// The remote of the units' artifacts.
    pub remote: RemoteId,
    /// Whether the artifacts are left to the first request.
    pub deferred: bool,
    /// Queries of which a package must match one, if there is any.
    pub filters: Vec<Query>,
    /// Instead of the queries: what was chosen from all indices together.
    pub choice: Option<Arc<Choice>>,
    /// Where stanzas that were left out are named.
    pub warnings: Warnings,
    /// The units made so far. The packages of architecture `all` stand in the index of every
    /// architecture.
    pub seen: Arc<Mutex<Seen>>,
}

impl UnitMaker {
    /// Reads an index file to its end and puts its units into the line. Gives the number of
    /// stanzas.
    pub fn read(
        &self,
        source: &IndexSource,
        reader: impl Read + Send,
        output: &Outbox<DebContent>,
    ) -> Result<u64, ReadError> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut number = 0;
        let count =
            read_stanzas(&source.file, reader, source.compression, source.bound, |stanza| {
                if self.wants(source, number, &stanza) {
                    match self.unit(source, &stanza) {
                        Ok(Some(unit)) => batch.push(unit),
                        Ok(None) => {}
                        Err(problem) => self.warnings.add(format!("`{}`: {problem}", source.file)),
                    }
                }
                number += 1;
                if batch.len() < BATCH {
                    return ControlFlow::Continue(());
                }
                self.put(std::mem::take(&mut batch), output)
            })?;
        // A line that is over says so itself: nobody wants the rest.
        let _ = self.put(batch, output);
        Ok(count)
    }

    /// Reads a `SHA256SUMS` of the Debian installer, which names files below its own directory, and
    /// puts them into the line. Gives the number of files.
    pub fn read_installer(
        &self,
        source: &IndexSource,
        reader: impl Read + Send,
        output: &Outbox<DebContent>,
    ) -> Result<u64, ReadError> {
        let failed = |error| ReadError::Decompress { file: source.file.clone(), source: error };
        let reader = BufReader::new(reader);
        let mut text = Vec::new();
        let mut decoder =
            source.compression.decoder(reader, Bound::AtMost(MAX_SUMS)).map_err(failed)?;
        decoder.read_to_end(&mut text).map_err(failed)?;
        let directory = source.file.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut batch = Vec::new();
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            match self.installer_file(directory, line) {
                Ok(unit) => batch.push(unit),
                Err(problem) => {
                    let line = number + 1;
                    self.warnings.add(format!("`{}`, line {line}: {problem}", source.file));
                }
            }
        }
        let count = batch.len() as u64;
        // A line that is over says so itself: nobody wants the rest.
        let _ = self.put(batch, output);
        Ok(count)
    }

    fn installer_file(
        &self,
        directory: &str,
        line: &str,
    ) -> Result<DeclarativeContent<DebContent>, String> {
        let (digest, path) = line.split_once([' ', '\t']).ok_or("it is not digest and path")?;
        // A star stands before the names of files that were read in binary.
        let path = path.trim_start().trim_start_matches('*');
        let path = path.strip_prefix("./").unwrap_or(path);
        let path = pulp_models::RelativePath::new(&format!("{directory}/{path}"))
            .map_err(|error| error.to_string())?;
        let sha256: Sha256 = digest
            .parse()
            .map_err(|error: pulp_models::digest::InvalidDigest| error.to_string())?;
        let expected = pulp_models::Expected { size: None, digests: sha256.into() };
        let artifact = self.artifact(path.clone(), expected)?;
        let content = DebContent::InstallerFile(InstallerFile { path, sha256 });
        Ok(DeclarativeContent::new(content, vec![artifact]))
    }

    /// Puts those of `units` into the line that were not seen before.
    fn put(
        &self,
        mut units: Vec<DeclarativeContent<DebContent>>,
        output: &Outbox<DebContent>,
    ) -> ControlFlow<()> {
        let keys: Vec<_> = units
            .iter()
            .map(|unit| {
                let (place, key) = unit.content.repo_key().zip(unit.content.natural_key())?;
                Some((beginning(&place.0), beginning(&key.0)))
            })
            .collect();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let mut keys = keys.into_iter();
            units.retain(|unit| {
                let Some((place, key)) = keys.next().flatten() else { return true };
                match seen.get(&place) {
                    None => {
                        seen.insert(place, key);
                        true
                    }
                    Some(same) if *same == key => false,
                    Some(_) => {
                        self.warnings.add(format!(
                            "{unit} is listed twice with different stanzas; the first counts"
                        ));
                        false
                    }
                }
            });
        }
        match output.blocking_put_all(units) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Whether the `number`th stanza of an index is mirrored, as far as options select packages.
    fn wants(&self, source: &IndexSource, number: usize, stanza: &RawStanza) -> bool {
        match &self.choice {
            Some(choice) => choice.is_chosen(source.number, number),
            None if self.filters.is_empty() => true,
            None => {
                let view = stanza.view();
                self.filters.iter().any(|query| query.matches(&view))
            }
        }
    }

    /// The unit of a stanza; `None` if its architecture is not wanted.
    fn unit(
        &self,
        source: &IndexSource,
        stanza: &RawStanza,
    ) -> Result<Option<DeclarativeContent<DebContent>>, String> {
        let (distribution, component) = (&source.distribution, &source.component);
        let view = stanza.view();
        if source.family == Family::Sources {
            let fields = SourceFields::read(&view).map_err(|error| error.to_string())?;
            let package =
                SourcePackage::new(&fields, stanza.bytes.clone(), distribution, component);
            let files = fields.files.into_iter();
            let artifacts = files
                .map(|(path, expected)| self.artifact(path, expected))
                .collect::<Result<_, _>>()?;
            let content = DebContent::SourcePackage(package);
            return Ok(Some(DeclarativeContent::new(content, artifacts)));
        }
        let fields = PackageFields::read(&view).map_err(|error| error.to_string())?;
        if !source.wants(fields.architecture) {
            return Ok(None);
        }
        let artifact = self.artifact(fields.filename.clone(), fields.expected.clone())?;
        let is_installer = source.family == Family::InstallerPackages;
        let bytes = stanza.bytes.clone();
        let package = Package::new(&fields, bytes, distribution, component, is_installer);
        Ok(Some(DeclarativeContent::new(DebContent::Package(package), vec![artifact])))
    }

    /// Without a digest that proves anything, bytes are fetched at once: later they could be others.
    fn artifact(
        &self,
        path: pulp_models::RelativePath,
        expected: pulp_models::Expected,
    ) -> Result<DeclarativeArtifact, String> {
        let url = self.url.join_path(path.as_str());
        let deferred = self.deferred && expected.digests.is_trusted();
        let artifact = DeclarativeArtifact::new(path, vec![url], expected)
            .map_err(|error| error.to_string())?;
        Ok(artifact.remote(self.remote).deferred(deferred))
    }
}

/// The first bytes of a digest.
pub(crate) fn beginning<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest[..N]);
    bytes
}
