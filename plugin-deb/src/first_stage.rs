//! The first stage of an apt sync: from release files over index files to packages.
//!
//! [`prepare`] fetches and verifies the release files, which name upstream's state and decide
//! whether anything else happens. The stage then declares each release file and the index files
//! that it lists, awaits their resolution ([`crate::index_fetch`] has got the bytes, the line
//! stores them), and reads the packages out of the stored indices ([`crate::units`]). All
//! distributions and all their indices go on at once; the channel behind the stage sets the pace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pulp_models::{Key, RemoteUrl, Timestamp, remote::Policy, version};
use pulp_stages::{
    DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Resolution, SavedArtifact, Stage,
    StageError,
    installation::Installation,
    plugin::{FirstStage, Plugin},
    progress::Counter,
    sync::{SyncContext, SyncError, Warnings},
};

use crate::{
    Deb,
    compression::Bound,
    content::{self, DebContent, IndexFile, ReleaseFile},
    index_fetch::{FetchedIndex, FetchedVariant, IndexFetcher},
    options::DebRemoteOptions,
    selection::{Family, Index, Selection, select},
    units::{IndexSource, UnitMaker},
    upstream::{Distribution, ReleaseFetcher, SignedRelease, check_dates},
};

mod needs;

use needs::{is_mandatory, is_read, is_repeated};

/// Listed files of one distribution that are fetched at once (the remote's own limit counts too).
const FETCHES: usize = 8;
/// Indices of one distribution that are parsed at once.
const PARSERS: usize = 2;

/// Fetches the release files; see the module.
pub(crate) async fn prepare(
    context: &SyncContext<Deb>,
) -> Result<FirstStage<DebContent>, SyncError> {
    let options = &context.options;
    if options.distributions.is_empty() {
        return Err(SyncError::plugin("No distribution is chosen")
            .with_hint("name at least one, as in `--distribution bookworm`"));
    }
    let keyring = options
        .keyring()
        .map_err(|error| SyncError::plugin(format!("The remote's keyring: {error}")))?;
    if keyring.is_none() {
        context.warn("No keyring is given: nobody vouches for the release files");
    }
    let fetcher = ReleaseFetcher {
        url: context.remote.url.clone(),
        downloads: context.downloads.clone(),
        keyring,
        warnings: context.warnings.clone(),
        now: Timestamp::now().as_seconds(),
    };
    let last_dates = last_dates(context).await?;
    let mut fingerprint = Key::of(Deb::NAME);
    let mut distributions = Vec::new();
    for name in &options.distributions {
        let distribution = Distribution::new(name)?;
        let signed = fetcher.fetch(&distribution).await?;
        let last = last_dates.get(name).copied();
        check_dates(&distribution, &signed.release, last, options, fetcher.now)?;
        fingerprint = fingerprint.field(signed.fingerprint(&distribution).0);
        distributions.push((distribution, signed));
    }
    let counter = |code, message| context.progress.counter(code, message);
    let stage = DebFirstStage {
        fetcher,
        distributions,
        indices: IndexFetcher {
            installation: context.installation.clone(),
            downloads: context.downloads.clone(),
            remote: context.remote.clone(),
        },
        installation: context.installation.clone(),
        url: context.remote.url.clone(),
        options: options.clone(),
        deferred: context.policy != Policy::Immediate,
        warnings: context.warnings.clone(),
        fetched: counter("sync.downloading.metadata", "Downloading Metadata Files"),
        parsed: counter("sync.parsing.packages", "Parsing Packages"),
    };
    Ok(FirstStage { fingerprint: Some(fingerprint.finish()), stage: Box::new(stage) })
}

/// The dates of the release files of the repository's latest version, by distribution.
async fn last_dates(context: &SyncContext<Deb>) -> Result<HashMap<String, i64>, SyncError> {
    let repository = context.repository.id;
    let units = context
        .installation
        .db
        .read(move |connection| {
            let latest = version::latest(connection, repository)?;
            let columns = version::Columns::Metadata;
            let kind = Some(content::RELEASE_FILE);
            version::page(connection, repository, latest, kind, columns, None, 1000)
        })
        .await?;
    let release = |json: &str| serde_json::from_str::<ReleaseFile>(json).ok();
    let releases = units.iter().filter_map(|unit| release(&unit.metadata));
    Ok(releases.filter_map(|release| Some((release.distribution, release.date?))).collect())
}

/// See the module.
struct DebFirstStage {
    fetcher: ReleaseFetcher,
    distributions: Vec<(Distribution, SignedRelease)>,
    indices: IndexFetcher,
    installation: Installation,
    url: RemoteUrl,
    options: DebRemoteOptions,
    deferred: bool,
    warnings: Warnings,
    fetched: Counter,
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
            .map(|(distribution, signed)| stage.mirror(distribution, signed, &output));
        futures::future::try_join_all(work).await?;
        Ok(())
    }
}

impl DebFirstStage {
    /// Mirrors one distribution.
    async fn mirror(
        &self,
        distribution: Distribution,
        mut signed: SignedRelease,
        output: &Outbox<DebContent>,
    ) -> Result<(), StageError> {
        self.fetcher.complete(&distribution, &mut signed).await?;
        let selection = select(&signed.release, &distribution.name, &self.options.wanted());
        for warning in &selection.warnings {
            self.warnings.add(format!("`{}`: {warning}", distribution.name));
        }
        let by_hash = signed.release.acquire_by_hash;
        let all_in_each = signed.release.all_in_each_architecture;
        let release = self.declare_release(&distribution, signed, &selection, output).await?;
        // The first future: the release file is stored before anything that it lists is asked for.
        release.await?;

        let maker = self.unit_maker();
        let has_packages = selection.indices.iter().any(|index| is_mandatory(index.family));
        if !has_packages && !self.options.ignore_missing_package_indices {
            return Err(SyncError::plugin(format!(
                "The release file of `{}` lists no packages of what was asked for",
                distribution.name
            ))
            .into());
        }
        let redundant = |index: &Index| all_in_each && is_repeated(index, &selection.indices);
        let jobs: Vec<(Index, bool)> = selection
            .indices
            .iter()
            .map(|index| (index.clone(), is_read(index) && !redundant(index)))
            .collect();
        let missing = Mutex::new(Vec::new());
        let (at, maker, missing_) = (&distribution, &maker, &missing);
        stream::iter(jobs)
            .map(|(index, is_read)| async move {
                let fetched = self.indices.fetch(at, &index, by_hash).await?;
                self.fetched.add(1);
                let declared =
                    self.declare_index(at, index, fetched, by_hash, missing_, output).await?;
                Ok::<_, StageError>(declared.filter(|_| is_read))
            })
            .buffer_unordered(FETCHES)
            .try_filter_map(|declared| std::future::ready(Ok(declared)))
            .try_for_each_concurrent(PARSERS, |declared| self.parse(at, declared, maker, output))
            .await?;
        self.warn_of_missing(&distribution, &missing.into_inner().unwrap_or_default());
        Ok(())
    }

    fn unit_maker(&self) -> UnitMaker {
        UnitMaker {
            url: self.url.clone(),
            remote: self.indices.remote.id,
            deferred: self.deferred,
            filters: self.options.filters.clone(),
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
            filtered: !self.options.filters.is_empty(),
            files: files.map(|(name, file)| ((*name).to_owned(), file.sha256())).collect(),
        });
        let mut artifacts = Vec::new();
        for (name, bytes) in signed.files {
            let path = distribution.path(name)?;
            let mut artifact = DeclarativeArtifact::from_verified(path.clone(), bytes);
            artifact.urls = vec![self.url.join_path(path.as_str())];
            artifacts.push(artifact.remote(self.indices.remote.id));
        }
        Ok(output.put_awaitable(DeclarativeContent::new(content, artifacts)).await?)
    }

    /// Declares what was fetched of an index file; `None` if nothing was and that is bearable.
    async fn declare_index(
        &self,
        distribution: &Distribution,
        index: Index,
        fetched: FetchedIndex,
        by_hash: bool,
        missing: &Mutex<Vec<String>>,
        output: &Outbox<DebContent>,
    ) -> Result<Option<Declared>, StageError> {
        let path = distribution.path(index.path.as_str())?;
        if fetched.variants.is_empty() {
            self.missing(&index, &fetched.problems, missing)?;
            return Ok(None);
        }
        for problem in fetched.problems {
            self.warnings.add(format!("Left out a compression of `{path}`: {problem}"));
        }
        let variants = fetched.variants;
        let first = Variant::of(&variants[0]);
        let suffix = |variant: &FetchedVariant| variant.compression.suffix().to_owned();
        let content = DebContent::IndexFile(IndexFile {
            distribution: distribution.name.clone(),
            component: index.component.clone(),
            architecture: index.architecture.clone(),
            family: index.family,
            path,
            files: variants.iter().map(|one| (suffix(one), one.digests.clone())).collect(),
            by_hash,
        });
        let artifacts = variants.into_iter().map(|variant| variant.artifact).collect();
        let unit = DeclarativeContent::new(content, artifacts);
        let resolution = output.put_awaitable(unit).await?;
        Ok(Some(Declared { index, first, resolution }))
    }

    /// Notes a file of which nothing could be had, or fails if it was asked for.
    fn missing(
        &self,
        index: &Index,
        problems: &[String],
        missing: &Mutex<Vec<String>>,
    ) -> Result<(), StageError> {
        let is_optional = !is_mandatory(index.family)
            || index.architecture.as_deref() == Some("all")
            || self.options.ignore_missing_package_indices;
        if !is_optional {
            let error = SyncError::plugin(format!(
                "`{}` cannot be had in any compression: {}",
                index.path,
                problems.join("; ")
            ));
            return Err(error
                .with_hint(
                    "upstream may be changing, then try again; \
                     `--ignore-missing-package-indices` does without",
                )
                .into());
        }
        missing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(index.path.to_string());
        Ok(())
    }

    fn warn_of_missing(&self, distribution: &Distribution, missing: &[String]) {
        /// So many are named.
        const SHOWN: usize = 5;
        if missing.is_empty() {
            return;
        }
        let shown: Vec<_> = missing.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
        let more = match missing.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.warnings.add(format!(
            "`{}` lists files that upstream does not have: {}{more}",
            distribution.name,
            shown.join(", ")
        ));
    }

    /// Waits until an index file is stored and reads its packages.
    async fn parse(
        &self,
        distribution: &Distribution,
        declared: Declared,
        maker: &UnitMaker,
        output: &Outbox<DebContent>,
    ) -> Result<(), StageError> {
        // The second future. The cheapest variant comes first, as it was declared.
        let resolved = declared.resolution.await?;
        let Some(SavedArtifact { sha256: Some(sha256), relative_path, .. }) =
            resolved.artifacts.first()
        else {
            let message = format!("`{}` was resolved without being stored", declared.index.path);
            return Err(StageError::message(message));
        };
        let listed = declared.index.uncompressed.as_ref().and_then(|file| file.size);
        let source = IndexSource {
            file: relative_path.to_string(),
            compression: declared.first.compression,
            bound: Bound::new(listed, declared.first.size),
            family: declared.index.family,
            distribution: distribution.name.clone(),
            component: declared.index.component.clone().unwrap_or_default(),
            architectures: if distribution.is_flat() {
                self.options.architectures.clone()
            } else {
                Vec::new()
            },
        };
        let (store, sha256) = (self.installation.store.clone(), *sha256);
        let (maker, units) = (maker.clone(), output.clone());
        let work = output.scope().spawn_blocking(move || -> Result<u64, StageError> {
            let (file, _) = store.open_artifact_blocking(&sha256)?;
            match source.family {
                Family::Installer => Ok(maker.read_installer(&source, file, &units)?),
                _ => Ok(maker.read(&source, file, &units)?),
            }
        });
        self.parsed.add(work.await??);
        Ok(())
    }
}

/// An index file that went into the line.
struct Declared {
    index: Index,
    first: Variant,
    resolution: Resolution<DebContent>,
}

/// The variant that will be read.
struct Variant {
    compression: crate::compression::Compression,
    size: u64,
}

impl Variant {
    fn of(fetched: &FetchedVariant) -> Self {
        let size = fetched.artifact.size().unwrap_or_default();
        Self { compression: fetched.compression, size }
    }
}
