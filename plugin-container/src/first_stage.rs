//! The first stage: from the survey's tags to blobs, manifests and tags, in three levels.
//!
//! 1. *Tags to manifests.* A chunk of tags at a time, the trees of manifests below them are read
//!    (`tree`); broken ones are told apart before anything of them is declared.
//! 2. *Manifests to blobs.* Configurations and layers are put, each digest once per sync, with a
//!    content future for every configuration that a new manifest is described by.
//! 3. *Blobs to manifests.* When a chunk's configurations are saved, its manifests are put with
//!    what the configurations say, and its tags.
//!
//! Reading the next chunk and waiting for the configurations of the last one overlap, so neither
//! upstream nor the line stands still; what is in memory is a few chunks, whatever the number of
//! tags. Units refer to each other by digest, so no future is awaited for an id.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, future::join_all};
use pulp_models::{ArtifactStore, Key, RemoteId};
use pulp_stages::{
    DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Resolution, ResolutionError, Resolved,
    Stage, StageError, progress::Counter,
};
use tokio::sync::mpsc;

use crate::{
    client::Registry,
    content::{BlobContent, ContainerContent, ManifestContent, TagContent},
    digest::Digest,
    manifest::{ConfigFacts, Descriptor, Manifest},
    media_type,
    options::ContainerRemoteOptions,
    reference::Tag,
    survey::{LeftOut, Survey, subject_of_companion},
    tree::{Read, Trees},
};

/// Tags whose trees are read at once.
const CHUNK: usize = 100;
/// Chunks that may wait for their configurations while further ones are read.
const WAITING: usize = 2;
/// Largest configuration that is looked into, in bytes.
const MAX_CONFIG: u64 = 8 * 1024 * 1024;

type Unit = DeclarativeContent<ContainerContent>;

/// Reads the repository that a survey describes; see the module.
pub(crate) struct ReadRegistry {
    pub(crate) survey: Survey,
    pub(crate) registry: Registry,
    pub(crate) trees: Trees,
    pub(crate) options: Arc<ContainerRemoteOptions>,
    pub(crate) concurrency: usize,
    pub(crate) store: ArtifactStore,
    pub(crate) remote: RemoteId,
    /// Whether layers are left to the first request.
    pub(crate) deferred: bool,
    pub(crate) left_out: Arc<dyn Fn(LeftOut) + Send + Sync>,
    /// Tags whose manifests were read.
    pub(crate) processed: Counter,
}

/// What a chunk of tags leaves to be put when its configurations are there.
#[derive(Default)]
struct Chunk {
    manifests: Vec<Pending>,
    tags: Vec<TagContent>,
}

/// A manifest whose configuration is on its way, or that needs none.
struct Pending {
    read: Read,
    config: Option<Resolution<ContainerContent>>,
}

/// A root of a tree: a digest, and the tag that names it, if one does.
type Root = (Option<Tag>, Digest);

#[async_trait]
impl Stage<ContainerContent> for ReadRegistry {
    fn name(&self) -> &'static str {
        "ReadRegistry"
    }

    async fn run(
        self: Box<Self>,
        _input: Inbox<ContainerContent>,
        output: Outbox<ContainerContent>,
    ) -> Result<(), StageError> {
        let (chunks, waiting) = mpsc::channel(WAITING);
        let finisher = Finisher { store: self.store, output: output.clone() };
        let mut reader = Reader {
            output,
            chunks,
            trees: self.trees,
            registry: self.registry,
            options: self.options,
            concurrency: self.concurrency,
            remote: self.remote,
            deferred: self.deferred,
            left_out: self.left_out,
            processed: self.processed,
            seen: HashMap::new(),
        };
        let survey = self.survey;
        let read = async move { reader.read_all(survey).await };
        tokio::try_join!(read, finisher.finish_all(waiting))?;
        Ok(())
    }
}

/// Levels one and two.
struct Reader {
    output: Outbox<ContainerContent>,
    chunks: mpsc::Sender<Chunk>,
    trees: Trees,
    registry: Registry,
    options: Arc<ContainerRemoteOptions>,
    concurrency: usize,
    remote: RemoteId,
    deferred: bool,
    left_out: Arc<dyn Fn(LeftOut) + Send + Sync>,
    processed: Counter,
    /// Blobs that were put, and whether their download was deferred.
    seen: HashMap<Key, bool>,
}

impl Reader {
    async fn read_all(&mut self, survey: Survey) -> Result<(), StageError> {
        let Survey { tags, digests, companions } = survey;
        let mut tags = tags.into_iter();
        loop {
            let roots: Vec<Root> =
                tags.by_ref().take(CHUNK).map(|(tag, digest)| (Some(tag), digest)).collect();
            if roots.is_empty() {
                break;
            }
            self.read_chunk(roots).await?;
        }
        for chunk in digests.chunks(CHUNK) {
            self.read_chunk(chunk.iter().map(|digest| (None, *digest)).collect()).await?;
        }
        self.read_companions(companions).await
    }

    /// Cosign's tags that filters left out belong to what was read. What they attach may have
    /// companions of its own.
    async fn read_companions(&mut self, mut left: Vec<Tag>) -> Result<(), StageError> {
        loop {
            let (belong, others) = left.into_iter().partition::<Vec<_>, _>(|tag| {
                subject_of_companion(tag).is_some_and(|subject| self.trees.is_done(&subject))
            });
            if belong.is_empty() {
                return Ok(());
            }
            left = others;
            for chunk in belong.chunks(CHUNK) {
                let (options, concurrency) = (&*self.options, self.concurrency);
                let found = Survey::resolve(
                    &self.registry,
                    chunk.to_vec(),
                    options,
                    concurrency,
                    &*self.left_out,
                );
                let roots = found.await?.into_iter().map(|(tag, digest)| (Some(tag), digest));
                let roots = roots.collect();
                self.read_chunk(roots).await?;
            }
        }
    }

    /// Reads the trees below `roots`, and, if asked for, whatever refers to them, and so on.
    async fn read_chunk(&mut self, mut roots: Vec<Root>) -> Result<(), StageError> {
        while !roots.is_empty() {
            let read = self.read_roots(roots).await?;
            roots = if self.options.referrers { self.referrers(read).await? } else { Vec::new() };
        }
        Ok(())
    }

    /// The digests of the manifests that were new.
    async fn read_roots(&mut self, roots: Vec<Root>) -> Result<Vec<Digest>, StageError> {
        let digests: Vec<_> = roots.iter().map(|(_, digest)| *digest).collect();
        let mut reading = self.trees.read(&digests).await?;
        let mut chunk = Chunk::default();
        let (mut configs, mut layers) = (Vec::new(), Vec::new());
        let mut new = Vec::new();
        self.processed.add(roots.iter().filter(|(tag, _)| tag.is_some()).count() as u64);
        for (tag, digest) in roots {
            let reads = match self.trees.take(&digest, &mut reading) {
                Ok(reads) => reads,
                Err(reason) => {
                    self.broken(tag, &digest, &reason)?;
                    continue;
                }
            };
            for read in reads {
                new.push(read.manifest.digest);
                let config = self.declare(&read, &mut configs, &mut layers)?;
                chunk.manifests.push(Pending { read, config });
            }
            chunk.tags.extend(tag.map(|name| TagContent { name, tagged_manifest: digest }));
        }
        // Configurations first: they are small, and the manifests wait for them.
        configs.append(&mut layers);
        self.output.put_all(configs).await?;
        // The receiver only goes away with an error of its own, which is the one to report.
        let _ = self.chunks.send(chunk).await;
        Ok(new)
    }

    fn broken(&self, tag: Option<Tag>, digest: &Digest, reason: &str) -> Result<(), StageError> {
        match tag {
            Some(tag) if self.options.skip_broken_tags => {
                (self.left_out)(LeftOut::Broken(tag, reason.into()));
                Ok(())
            }
            Some(tag) => Err(StageError::message(format!(
                "Tag `{tag}` cannot be mirrored: manifest `{digest}`: {reason}"
            ))),
            None => Err(StageError::message(format!(
                "Manifest `{digest}` cannot be mirrored: {reason}"
            ))),
        }
    }

    /// Makes units of the blobs of a manifest that have none yet. Gives a future for the
    /// configuration if the manifest is to be described by it.
    fn declare(
        &mut self,
        read: &Read,
        configs: &mut Vec<Unit>,
        layers: &mut Vec<Unit>,
    ) -> Result<Option<Resolution<ContainerContent>>, StageError> {
        let manifest = &read.manifest;
        let config = manifest.config.as_ref().map(|config| config.digest);
        let described = read.known.is_none() && describes(manifest);
        let mut future = None;
        for blob in manifest.blobs(self.options.include_foreign_layers) {
            let is_config = Some(blob.digest) == config;
            let deferred = self.deferred && !is_config;
            let key = ContainerContent::blob_key(&blob.digest);
            let put = match self.seen.get(&key) {
                None => true,
                // What was left to the first request as a layer is needed now.
                Some(was_deferred) => *was_deferred && !deferred,
            };
            let awaited = is_config && described;
            if !put && !awaited {
                continue;
            }
            self.seen.insert(key, deferred);
            let mut unit = self.blob(blob, deferred)?;
            if awaited {
                future = Some(unit.resolution());
            }
            if is_config { configs.push(unit) } else { layers.push(unit) }
        }
        Ok(future)
    }

    fn blob(&self, blob: &Descriptor, deferred: bool) -> Result<Unit, StageError> {
        let mut urls = vec![self.registry.blob_url(&blob.digest)];
        if media_type::is_foreign(&blob.media_type) {
            urls.extend(blob.urls.iter().filter_map(|url| url.parse().ok()));
        }
        let artifact = DeclarativeArtifact::new(
            blob.digest.relative_path(),
            urls,
            blob.digest.expected(blob.size),
        )?
        .remote(self.remote)
        .deferred(deferred);
        let content = ContainerContent::Blob(BlobContent { digest: blob.digest });
        Ok(DeclarativeContent::new(content, vec![artifact]))
    }

    /// What refers to `subjects`, as far as it was not read.
    async fn referrers(&self, subjects: Vec<Digest>) -> Result<Vec<Root>, StageError> {
        let registry = &self.registry;
        let found: Vec<_> = futures::stream::iter(subjects)
            .map(|subject| async move { registry.referrers(&subject).await })
            .buffer_unordered(self.concurrency.max(1))
            .try_collect()
            .await?;
        let digests: HashSet<_> = found
            .into_iter()
            .flatten()
            .flatten()
            .map(|referrer| referrer.digest)
            .filter(|digest| !self.trees.is_done(digest))
            .collect();
        Ok(digests.into_iter().map(|digest| (None, digest)).collect())
    }
}

/// Whether the configuration says something of the manifest: only an image's does.
fn describes(manifest: &Manifest) -> bool {
    manifest.config.as_ref().is_some_and(|config| {
        media_type::IMAGE_CONFIGS.contains(&&*config.media_type)
            || config.media_type == "application/octet-stream"
    })
}

/// Level three.
struct Finisher {
    store: ArtifactStore,
    output: Outbox<ContainerContent>,
}

impl Finisher {
    async fn finish_all(self, mut waiting: mpsc::Receiver<Chunk>) -> Result<(), StageError> {
        while let Some(chunk) = waiting.recv().await {
            self.finish(chunk).await?;
        }
        Ok(())
    }

    async fn finish(&self, chunk: Chunk) -> Result<(), StageError> {
        let (reads, configs): (Vec<_>, Vec<_>) =
            chunk.manifests.into_iter().map(|pending| (pending.read, pending.config)).unzip();
        // All at once, so that the line sees them awaited together and keeps its batches full.
        let configs: Vec<_> = join_all(configs.into_iter().map(resolved)).await;
        let configs = configs.into_iter().collect::<Result<Vec<_>, _>>()?;
        let store = self.store.clone();
        let facts = self.output.scope().spawn_blocking(move || {
            configs.iter().map(|config| facts(config.as_deref(), &store)).collect::<Vec<_>>()
        });
        let units = units(reads, facts.await?, chunk.tags);
        self.output.put_all(units).await?;
        Ok(())
    }
}

/// The units of a chunk's manifests, which `facts` describe, and of its tags.
fn units(reads: Vec<Read>, facts: Vec<ConfigFacts>, tags: Vec<TagContent>) -> Vec<Unit> {
    let manifests = reads.into_iter().zip(facts).map(|(read, facts)| {
        let content = match read.known {
            Some(known) => known,
            None => Box::new(ManifestContent::new(&read.manifest, facts)),
        };
        ContainerContent::Manifest(content)
    });
    manifests
        .chain(tags.into_iter().map(ContainerContent::Tag))
        .map(|content| DeclarativeContent::new(content, Vec::new()))
        .collect()
}

async fn resolved(
    config: Option<Resolution<ContainerContent>>,
) -> Result<Option<Arc<Resolved<ContainerContent>>>, ResolutionError> {
    match config {
        Some(config) => config.await.map(Some),
        None => Ok(None),
    }
}

/// What a saved configuration says. One that is too large to be a configuration says nothing.
fn facts(config: Option<&Resolved<ContainerContent>>, store: &ArtifactStore) -> ConfigFacts {
    let artifact = config.and_then(|config| config.artifacts.first());
    artifact
        .and_then(|artifact| artifact.sha256)
        .and_then(|sha256| store.read_blocking(&sha256, MAX_CONFIG).ok())
        .map(|bytes| ConfigFacts::read(&bytes))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
