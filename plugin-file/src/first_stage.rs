//! The first stage: from upstream's list to one unit per file.
//!
//! The list is fetched whole before the line starts (its digest tells whether anything changed) and
//! then parsed in chunks on the blocking pool, so that what is in memory does not grow with the
//! number of files beyond the list itself.

use std::io::{BufReader, Read};

use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use pulp_models::{Key, RelativePath, RemoteUrl, store::Verified};
use pulp_stages::{
    declarative::{DeclarationError, DeclarativeArtifact, DeclarativeContent},
    inbox::Inbox,
    outbox::Outbox,
    plugin::PluginFailure,
    progress::Counter,
    stage::{Blame as _, Stage, StageError},
    sync::{Origin, SyncContext, SyncError},
};

use crate::{
    File,
    content::{FileContent, FileUnit, UpstreamList},
    entry::{Entry, ParseError},
    upstream_format::{self, UpstreamFormat},
};

/// Reads a list of files; see the module.
pub(crate) struct ReadList {
    entries: Box<dyn Iterator<Item = Result<Entry, ParseError>> + Send>,
    url: RemoteUrl,
    origin: Origin,
    /// The list itself, if it is to be kept.
    list: Option<DeclarativeContent<FileUnit>>,
    parsed: Counter,
}

impl ReadList {
    /// Prepares to read `list`, which was fetched from the remote's URL.
    pub(crate) fn new(list: Verified, context: &SyncContext<File>) -> Result<Self, SyncError> {
        let url = &context.remote.url;
        let format = match context.options.format {
            Some(format) => format,
            None => detect(url, &list).at_url(url)?,
        };
        let algorithm = context.options.algorithm;
        let reader = BufReader::new(list.reader());
        let entries = upstream_format::entries(format, algorithm, url, reader);
        let keeps_list =
            context.mirror && context.repository_options.verbatim_manifest == Some(true);
        Ok(Self {
            list: keeps_list.then(|| list_unit(url, list)).transpose()?,
            entries,
            url: url.clone(),
            origin: context.origin(),
            parsed: context.progress.counter("sync.parsing.metadata", "Parsing Metadata"),
        })
    }
}

fn unit(entry: Entry, origin: Origin) -> Result<DeclarativeContent<FileUnit>, StageError> {
    let content = FileContent::new(entry.relative_path.clone(), &entry.expected);
    let (path, mut urls) = (entry.relative_path, entry.urls.into_iter());
    let first = urls.next().ok_or_else(|| DeclarationError::NoSource(path.clone()))?;
    let artifact = origin.artifact(path, first, entry.expected).mirrors(urls);
    Ok(DeclarativeContent::new(FileUnit::File(content), vec![artifact]))
}

/// Tells the list's format by its name, or else by its first bytes.
fn detect(url: &RemoteUrl, list: &Verified) -> Result<UpstreamFormat, StageError> {
    let mut beginning = Vec::new();
    list.reader().take(UpstreamFormat::BEGINNING as u64).read_to_end(&mut beginning)?;
    Ok(UpstreamFormat::detect(url, &beginning)?)
}

/// The list as a unit that a version holds and publishes under the name that it has upstream.
fn list_unit(url: &RemoteUrl, list: Verified) -> Result<DeclarativeContent<FileUnit>, SyncError> {
    let name = url.expose().path_segments().and_then(|mut all| all.next_back()).unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8_lossy();
    let name = RelativePath::new(&name).map_err(|error| {
        PluginFailure::new(format!("Failed to name the list at `{url}`: {error}"))
            .with_hint("without `--verbatim-manifest`, no name is needed")
    })?;
    let content = UpstreamList { name: name.clone(), sha256: list.sha256() };
    let artifact = DeclarativeArtifact::from_verified(name, list);
    Ok(DeclarativeContent::new(FileUnit::List(content), vec![artifact]))
}

/// Names upstream's state by the digest of its list.
pub(crate) fn fingerprint(list: &Verified) -> Key {
    Key::of(UpstreamList::TYPE).field(list.sha256().0).finish()
}

#[async_trait]
impl Stage<FileUnit> for ReadList {
    fn name(&self) -> &'static str {
        "ReadList"
    }

    async fn run(
        self: Box<Self>,
        _input: Inbox<FileUnit>,
        output: Outbox<FileUnit>,
    ) -> Result<(), StageError> {
        let Self { entries, url, origin, list, parsed } = *self;
        if let Some(list) = list {
            output.put(list).await?;
        }
        let units = entries.map(move |entry| {
            parsed.add(1);
            unit(entry.at_url(&url)?, origin)
        });
        output.put_parsed(units).await
    }
}
