//! The first stage of a copy: reads the sources' versions, chooses, and emits units.
//!
//! Two passes where one stanza alone cannot tell, as in a sync: the first fills the catalog, the
//! second emits what it chose. A source stands for one index, its packages for that index's
//! stanzas. Units go out with the files that are known of them, stored or not.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use pulp_models::{
    ContentId, DbError, Digests, RelativePath, RepositoryId, VersionNumber,
    content_artifact::{self, ContentArtifact},
    remote_artifact::{self, RemoteArtifact},
    store::Saved,
    version::{self, Columns},
};
use pulp_stages::{
    Content as _, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Stage, StageError,
    installation::Installation, sync::Warnings,
};

use crate::{
    catalog::{Catalog, Choice},
    compression::{Bound, Compression},
    content::{DebContent, Package, SourcePackage},
    options::DebRemoteOptions,
    selection::Family,
    stanza::RawStanza,
    units::{IndexSource, beginning},
};

/// Units that are read at a time.
const PAGE: u32 = 1000;

/// A version to copy from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) repository: RepositoryId,
    pub(super) version: VersionNumber,
}

/// See the module.
pub(super) struct CopyPackages {
    pub(super) installation: Installation,
    pub(super) sources: Vec<Source>,
    /// Which packages: the part of a remote's options that says so.
    pub(super) selection: DebRemoteOptions,
    pub(super) distribution: Option<String>,
    pub(super) component: Option<String>,
    pub(super) warnings: Warnings,
}

#[async_trait]
impl Stage<DebContent> for CopyPackages {
    fn name(&self) -> &'static str {
        "CopyPackages"
    }

    async fn run(
        self: Box<Self>,
        _input: Inbox<DebContent>,
        output: Outbox<DebContent>,
    ) -> Result<(), StageError> {
        let choice = self.choose(&output).await?;
        let mut seen: HashSet<[u8; 16]> = HashSet::new();
        let mut finds_any = false;
        for number in 0..self.sources.len() {
            let (mut pages, mut position) = (Pages::of(self.sources[number]), 0);
            while let Some(page) = pages.next(&self.installation).await? {
                for Found { id, unit } in page.units {
                    let Some(unit) = self.moved(unit) else { continue };
                    let is_wanted = match &choice {
                        Some(choice) => choice.is_chosen(number, position),
                        None => self.matches(&unit),
                    };
                    position += 1;
                    finds_any |= is_wanted;
                    let is_new = |place: pulp_models::Key| seen.insert(beginning(&place.0));
                    if is_wanted && unit.repo_key().is_none_or(is_new) {
                        let artifacts = artifacts(id, &page.artifacts, &page.remote_artifacts)?;
                        output.put(DeclarativeContent::new(unit, artifacts)).await?;
                    }
                }
            }
        }
        if !finds_any {
            self.warnings.add("No source has a package that is to be copied".to_owned());
        }
        Ok(())
    }
}

impl CopyPackages {
    /// The first pass, if one stanza alone cannot tell.
    async fn choose(&self, output: &Outbox<DebContent>) -> Result<Option<Choice>, StageError> {
        let Some(mut catalog) = Catalog::of(&self.selection) else { return Ok(None) };
        for (number, source) in self.sources.iter().enumerate() {
            catalog.begin_index();
            let mut pages = Pages::of(*source);
            while let Some(page) = pages.next(&self.installation).await? {
                for unit in page.units.into_iter().filter_map(|found| self.moved(found.unit)) {
                    let (index, stanza) = index_of(&unit, number);
                    catalog.add(&index, &stanza);
                }
            }
        }
        let choice = output.scope().spawn_blocking(move || catalog.choose()).await?;
        for unmet in &choice.unmet {
            self.warnings.add(format!("No source has what is needed: {unmet}"));
        }
        Ok(Some(choice))
    }

    fn matches(&self, unit: &DebContent) -> bool {
        let filters = &self.selection.filters;
        let (_, stanza) = index_of(unit, 0);
        filters.is_empty() || filters.iter().any(|query| query.matches(&stanza.view()))
    }

    /// The package at its new place; `None` if it is none, or of a kind that is not wanted.
    fn moved(&self, unit: DebContent) -> Option<DebContent> {
        let place = |distribution: &mut String, component: &mut String| {
            if let Some(new) = &self.distribution {
                distribution.clone_from(new);
            }
            if let Some(new) = &self.component {
                component.clone_from(new);
            }
        };
        match unit {
            DebContent::Package(mut package) => {
                place(&mut package.distribution, &mut package.component);
                Some(DebContent::Package(package))
            }
            DebContent::SourcePackage(mut package) if self.selection.sources => {
                place(&mut package.distribution, &mut package.component);
                Some(DebContent::SourcePackage(package))
            }
            _ => None,
        }
    }
}

/// The index in which a package would stand, and its stanza.
fn index_of(unit: &DebContent, number: usize) -> (IndexSource, RawStanza) {
    let (family, distribution, component, stanza) = match unit {
        DebContent::SourcePackage(SourcePackage { distribution, component, stanza, .. }) => {
            (Family::Sources, distribution.as_str(), component.as_str(), stanza.clone())
        }
        DebContent::Package(Package { distribution, component, stanza, installer, .. }) => {
            let family = if *installer { Family::InstallerPackages } else { Family::Packages };
            (family, distribution.as_str(), component.as_str(), stanza.clone())
        }
        _ => (Family::Packages, "", "", Bytes::new()),
    };
    let index = IndexSource {
        file: String::new(),
        number,
        compression: Compression::Plain,
        bound: Bound::AtMost(0),
        family,
        distribution: distribution.to_owned(),
        component: component.to_owned(),
        architectures: Vec::new(),
    };
    (index, RawStanza { bytes: stanza, line: 1 })
}

/// The files of a unit as a first stage declares them: in the store, or to be fetched on demand.
fn artifacts(
    id: ContentId,
    files: &HashMap<ContentId, Vec<ContentArtifact>>,
    sources: &HashMap<ContentId, Vec<(RelativePath, RemoteArtifact)>>,
) -> Result<Vec<DeclarativeArtifact>, StageError> {
    let files = files.get(&id).into_iter().flatten();
    let declare = |file: &ContentArtifact| {
        let path = &file.relative_path;
        let known = sources.get(&id).into_iter().flatten();
        let known: Vec<_> = known.filter(|(of, _)| of == path).map(|(_, source)| source).collect();
        // Mirrors belong to one remote.
        let remote = known.first().map(|source| source.remote);
        let known = known.into_iter().filter(|source| Some(source.remote) == remote);
        let (urls, mut expected): (Vec<_>, Vec<_>) =
            known.map(|source| (source.url.clone(), source.expected.clone())).unzip();
        let mut artifact = if let (Some(sha256), Some(size)) = (file.artifact, file.size) {
            let saved = Saved { sha256, size, digests: Digests::from(sha256) };
            let mut stored = DeclarativeArtifact::from_saved(path.clone(), saved);
            stored.urls = urls;
            stored
        } else {
            let expected = expected.pop().unwrap_or_default();
            DeclarativeArtifact::new(path.clone(), urls, expected)?.deferred(true)
        };
        artifact.remote = remote;
        Ok(artifact)
    };
    files.map(declare).collect()
}

/// A package of a source.
struct Found {
    id: ContentId,
    unit: DebContent,
}

/// Some packages and what is known of their files.
struct Page {
    units: Vec<Found>,
    artifacts: HashMap<ContentId, Vec<ContentArtifact>>,
    remote_artifacts: HashMap<ContentId, Vec<(RelativePath, RemoteArtifact)>>,
}

/// The content of a version, in upstream's order.
struct Pages {
    source: Source,
    after: Option<ContentId>,
}

impl Pages {
    fn of(source: Source) -> Self {
        Self { source, after: None }
    }

    async fn next(&mut self, installation: &Installation) -> Result<Option<Page>, StageError> {
        let (Source { repository, version: number }, after) = (self.source, self.after);
        let read = move |connection: &mut pulp_models::Connection| {
            let stored =
                version::page(connection, repository, number, None, Columns::All, after, PAGE)?;
            let ids: Vec<ContentId> = stored.iter().map(|unit| unit.id).collect();
            let artifacts = content_artifact::load(connection, &ids)?;
            Ok::<_, DbError>((stored, artifacts, remote_artifact::load(connection, &ids)?))
        };
        let (stored, artifacts, remote_artifacts) = installation.db.read(read).await?;
        let Some(last) = stored.last() else { return Ok(None) };
        self.after = Some(last.id);
        let units = stored
            .into_iter()
            .map(|stored| Ok(Found { id: stored.id, unit: DebContent::load(stored)? }))
            .collect::<Result<_, serde_json::Error>>()?;
        Ok(Some(Page { units, artifacts, remote_artifacts }))
    }
}
