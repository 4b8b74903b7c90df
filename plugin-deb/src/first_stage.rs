//! The first stage of an apt sync: from release files over index files to packages.
//!
//! [`prepare`] fetches and verifies the release files, which name upstream's state and decide
//! whether anything else happens. The stage then gathers the metadata of each distribution
//! ([`gather`]), declares the release file and the index files that it lists, awaits their
//! resolution (the line stores them), and reads the packages out of the stored indices
//! ([`crate::units`]); twice, if all of them together decide what is mirrored ([`crate::catalog`]).
//! Distributions and indices go on side by side; the channel behind the stage sets the pace.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use pulp_models::{Connection, Key, RemoteUrl, Sha256, Timestamp, remote::Policy, version};
use pulp_stages::{
    Blame as _, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Resolution, SavedArtifact,
    Stage, StageError,
    installation::Installation,
    options::OptionsError,
    plugin::{FirstStage, Plugin},
    progress::Counter,
    sync::{SyncContext, SyncError, Warnings},
};

use crate::{
    Deb,
    catalog::{Catalog, Choice},
    compression::{Bound, Compression},
    content::{DebContent, IndexFile, ReleaseFile},
    index_fetch::{FetchedIndex, FetchedVariant, IndexFetcher},
    index_reader::read_stanzas,
    options::DebRemoteOptions,
    selection::{Family, Index, Selection},
    units::{IndexSource, UnitMaker},
    upstream::{Distribution, ReleaseFetcher, SignedRelease},
};

mod gather;
mod needs;
mod patches;

use gather::{Gathered, Gatherer};
use needs::{is_mandatory, is_read, is_repeated};

/// Indices that are parsed at once.
const PARSERS: usize = 4;

/// Fetches the release files; see the module.
pub(crate) async fn prepare(
    context: &SyncContext<Deb>,
) -> Result<FirstStage<DebContent>, SyncError> {
    let options = &context.options;
    if options.distributions.is_empty() {
        let advice =
            "no distribution is chosen; name at least one, as in `--distribution bookworm`";
        return Err(OptionsError::new(advice).into());
    }
    let keyring = options
        .keyring()
        .map_err(|error| SyncError::plugin(format!("The remote's keyring: {error}")))?;
    if keyring.is_none() {
        context.warn("No keyring is given: nobody vouches for the release files");
    }
    let counter = |code, message| context.progress.counter(code, message);
    let gatherer = Gatherer {
        releases: ReleaseFetcher {
            url: context.remote.url.clone(),
            downloads: context.downloads.clone(),
            keyring,
            known: last_releases(context, &options.distributions).await?,
            store: context.installation.store.clone(),
            warnings: context.warnings.clone(),
            now: Timestamp::now().as_seconds(),
        },
        indices: IndexFetcher {
            installation: context.installation.clone(),
            downloads: context.downloads.clone(),
            remote: context.remote.clone(),
        },
        options: options.clone(),
        warnings: context.warnings.clone(),
        fetched: counter("sync.downloading.metadata", "Downloading Metadata Files"),
    };
    let mut fingerprint = Key::of(Deb::NAME);
    let mut distributions = Vec::new();
    for name in &options.distributions {
        let distribution = Distribution::new(name)?;
        let signed = gatherer.releases.fetch(&distribution).await?;
        gatherer.check_dates(&distribution, &signed)?;
        fingerprint = fingerprint.field(signed.fingerprint(&distribution).0);
        distributions.push((distribution, signed));
    }
    let stage = DebFirstStage {
        gatherer,
        distributions,
        installation: context.installation.clone(),
        url: context.remote.url.clone(),
        options: options.clone(),
        deferred: context.policy != Policy::Immediate,
        warnings: context.warnings.clone(),
        parsed: counter("sync.parsing.packages", "Parsing Packages"),
    };
    Ok(FirstStage { fingerprint: Some(fingerprint.finish()), stage: Box::new(stage) })
}

/// The release files that the repository's latest version has of these distributions.
async fn last_releases(
    context: &SyncContext<Deb>,
    distributions: &[String],
) -> Result<HashMap<String, ReleaseFile>, SyncError> {
    let repository = context.repository.id;
    let names = distributions.to_vec();
    let find = move |connection: &mut Connection| {
        let latest = version::latest(connection, repository)?;
        let mut releases = HashMap::new();
        for name in names {
            let place = ReleaseFile::place(&name);
            let unit = version::at_repo_key(connection, repository, latest, &place)?;
            let release = unit.and_then(|unit| serde_json::from_str(&unit.metadata).ok());
            releases.extend(release.map(|release| (name, release)));
        }
        Ok(releases)
    };
    Ok(context.installation.db.read(find).await?)
}

/// See the module.
struct DebFirstStage {
    gatherer: Gatherer,
    distributions: Vec<(Distribution, SignedRelease)>,
    installation: Installation,
    url: RemoteUrl,
    options: DebRemoteOptions,
    deferred: bool,
    warnings: Warnings,
    parsed: Counter,
}

#[async_trait]
impl Stage<DebContent> for DebFirstStage {
    fn name(&self) -> &'static str {
        "DebFirstStage"
    }

    async fn run(
        mut self: Box<Self>,
        _input: Inbox<DebContent>,
        output: Outbox<DebContent>,
    ) -> Result<(), StageError> {
        let distributions = std::mem::take(&mut self.distributions);
        let stage = &*self;
        let work = distributions
            .into_iter()
            .map(|(distribution, signed)| stage.declare(distribution, signed, &output));
        let declared = try_join_all(work).await?.into_iter().flatten();
        let mut stored = Vec::new();
        for (number, index) in declared.enumerate() {
            stored.push(stage.stored(number, index).await?);
        }
        let stored: Arc<[Stored]> = stored.into();
        let maker = stage.unit_maker(stage.choose(&stored, &output).await?);
        let (indices, maker, output) = (0..stored.len(), &maker, &output);
        stream::iter(indices)
            .map(|number| stage.read(&stored, number, maker, output))
            .buffer_unordered(PARSERS)
            .try_collect()
            .await
    }
}

impl DebFirstStage {
    /// Puts a distribution's release file and indices into the line; gives the ones to be read.
    async fn declare(
        &self,
        distribution: Distribution,
        signed: SignedRelease,
        output: &Outbox<DebContent>,
    ) -> Result<Vec<Declared>, StageError> {
        let Gathered { signed, selection, files, on_demand } =
            self.gatherer.gather(&distribution, signed).await?;
        let by_hash = signed.release.acquire_by_hash;
        let all_in_each = signed.release.all_in_each_architecture;
        let release = self.declare_release(&distribution, signed, &selection, output).await?;
        // The first future: the release file is stored before anything that it lists goes on.
        release.await?;
        let distribution = Arc::new(distribution);
        let mut declared = Vec::new();
        for (index, fetched) in files {
            let redundant = all_in_each && is_repeated(&index, &selection.indices);
            let (compression, size) =
                fetched.variants.first().map_or((Compression::Plain, 0), |first| {
                    (first.compression, first.artifact.size().unwrap_or_default())
                });
            let unit = index_unit(&distribution, &index, fetched, by_hash, false)?;
            if redundant || !is_read(&index) {
                output.put(unit).await?;
                continue;
            }
            let resolution = output.put_awaitable(unit).await?;
            let distribution = Arc::clone(&distribution);
            declared.push(Declared { distribution, index, compression, size, resolution });
        }
        for index in on_demand {
            let deferred = self.gatherer.indices.defer(&distribution, &index, by_hash)?;
            output.put(index_unit(&distribution, &index, deferred, by_hash, true)?).await?;
        }
        Ok(declared)
    }

    fn unit_maker(&self, choice: Option<Choice>) -> UnitMaker {
        UnitMaker {
            url: self.url.clone(),
            remote: self.gatherer.indices.remote.id,
            deferred: self.deferred,
            filters: self.options.filters.clone(),
            choice: choice.map(Arc::new),
            warnings: self.warnings.clone(),
            seen: Arc::default(),
        }
    }

    async fn declare_release(
        &self,
        distribution: &Distribution,
        signed: SignedRelease,
        selection: &Selection,
        output: &Outbox<DebContent>,
    ) -> Result<Resolution<DebContent>, StageError> {
        let files = signed.files.iter();
        let content = DebContent::ReleaseFile(ReleaseFile {
            distribution: distribution.name.clone(),
            fields: signed.release.fields,
            components: selection.components.clone(),
            architectures: selection.architectures.clone(),
            date: signed.release.date,
            signed_by: signed.signed_by,
            filtered: self.options.is_filtered(),
            files: files.map(|(name, file)| ((*name).to_owned(), file.sha256())).collect(),
        });
        let mut artifacts = Vec::new();
        for (name, bytes) in signed.files {
            let path = distribution.path(name)?;
            let mut artifact = DeclarativeArtifact::from_verified(path.clone(), bytes);
            artifact.urls = vec![self.url.join_path(path.as_str())];
            artifacts.push(artifact.remote(self.gatherer.indices.remote.id));
        }
        Ok(output.put_awaitable(DeclarativeContent::new(content, artifacts)).await?)
    }

    /// Waits until the index file is stored: the second future.
    async fn stored(&self, number: usize, declared: Declared) -> Result<Stored, StageError> {
        let Declared { distribution, index, compression, size, resolution } = declared;
        let resolved = resolution.await?;
        // The cheapest variant comes first, as it was declared.
        let Some(SavedArtifact { sha256: Some(sha256), relative_path, .. }) =
            resolved.artifacts.first()
        else {
            let message = format!("`{}` was resolved without being stored", index.path);
            return Err(StageError::message(message));
        };
        let listed = index.uncompressed.as_ref().and_then(|file| file.size);
        let is_flat = distribution.is_flat();
        let source = IndexSource {
            file: relative_path.to_string(),
            number,
            compression,
            bound: Bound::new(listed, size),
            family: index.family,
            distribution: distribution.name.clone(),
            component: index.component.clone().unwrap_or_default(),
            architectures: if is_flat { self.options.architectures.clone() } else { Vec::new() },
        };
        Ok(Stored { distribution, index, source, sha256: *sha256 })
    }

    /// Reads every index once to find out what is mirrored, if that takes all of them.
    async fn choose(
        &self,
        stored: &Arc<[Stored]>,
        output: &Outbox<DebContent>,
    ) -> Result<Option<Choice>, StageError> {
        let Some(mut catalog) = Catalog::of(&self.options) else { return Ok(None) };
        let (indices, store) = (Arc::clone(stored), self.installation.store.clone());
        let url = self.url.clone();
        let work = output.scope().spawn_blocking(move || -> Result<Choice, StageError> {
            for Stored { source, sha256, .. } in &*indices {
                catalog.begin_index();
                if !is_mandatory(source.family) {
                    continue;
                }
                let (file, _) = store.open_artifact_blocking(sha256)?;
                let (compression, bound) = (source.compression, source.bound);
                read_stanzas(&source.file, file, compression, bound, |stanza| {
                    catalog.add(source, &stanza);
                    ControlFlow::Continue(())
                })
                .at_url(&url.join_path(&source.file))?;
            }
            Ok(catalog.choose())
        });
        let choice = work.await??;
        if !choice.unmet.is_empty() {
            self.warnings.add(format!("Nothing upstream meets: {}", choice.unmet.join("; ")));
        }
        Ok(Some(choice))
    }

    /// Reads the packages of an index, or what else it names.
    async fn read(
        &self,
        stored: &Arc<[Stored]>,
        number: usize,
        maker: &UnitMaker,
        output: &Outbox<DebContent>,
    ) -> Result<(), StageError> {
        if stored[number].source.family == Family::Diffs {
            return self.mirror_patches(&stored[number], output).await;
        }
        let (indices, store) = (Arc::clone(stored), self.installation.store.clone());
        let (maker, units) = (maker.clone(), output.clone());
        let url = self.url.join_path(&stored[number].source.file);
        let work = output.scope().spawn_blocking(move || -> Result<u64, StageError> {
            let Stored { source, sha256, .. } = &indices[number];
            let (file, _) = store.open_artifact_blocking(sha256)?;
            match source.family {
                Family::Installer => maker.read_installer(source, file, &units),
                _ => maker.read(source, file, &units),
            }
            .at_url(&url)
        });
        self.parsed.add(work.await??);
        Ok(())
    }
}

/// The unit of an index file in the variants that were fetched.
fn index_unit(
    distribution: &Distribution,
    index: &Index,
    fetched: FetchedIndex,
    by_hash: bool,
    on_demand: bool,
) -> Result<DeclarativeContent<DebContent>, StageError> {
    let variants = fetched.variants;
    let suffix = |variant: &FetchedVariant| variant.compression.suffix().to_owned();
    let content = DebContent::IndexFile(IndexFile {
        distribution: distribution.name.clone(),
        component: index.component.clone(),
        architecture: index.architecture.clone(),
        family: index.family,
        path: distribution.path(index.path.as_str())?,
        files: variants.iter().map(|one| (suffix(one), one.digests.clone())).collect(),
        by_hash,
        on_demand,
    });
    let artifacts = variants.into_iter().map(|variant| variant.artifact).collect();
    Ok(DeclarativeContent::new(content, artifacts))
}

/// An index file that went into the line and will be read.
struct Declared {
    distribution: Arc<Distribution>,
    index: Index,
    /// How the variant that will be read is compressed, and how long it is.
    compression: Compression,
    size: u64,
    resolution: Resolution<DebContent>,
}

/// An index file that is in the store.
struct Stored {
    distribution: Arc<Distribution>,
    index: Index,
    source: IndexSource,
    sha256: Sha256,
}
