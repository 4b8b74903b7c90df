//! The first stage: from the survey's tags to blobs, manifests and tags, in three levels.
//!
//! 1. *Tags to manifests.* A chunk of tags at a time, the trees of manifests below them are read
//!    (`tree`); broken ones are told apart before anything of them is declared.
//! 2. *Manifests to blobs.* Configurations and layers are put, each digest once per sync, with a
//!    content future for every configuration that a new manifest is described by.
//! 3. *Blobs to manifests.* When a chunk's configurations are saved, its manifests are put with
//!    what the configurations say, and its tags (`finish`). Where the remote says to go on without
//!    blobs that upstream doesn't give, all of the chunk's are awaited.
//!
//! Reading the next chunk and waiting for the configurations of the last one overlap, so neither
//! upstream nor the line stands still; what is in memory is a few chunks, whatever the number of
//! tags, and of every tag, manifest and blob so much as tells it from others. Units refer to each
//! other by digest, so no future is awaited for an id.

mod finish;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use pulp_models::{ArtifactStore, RemoteId};
use pulp_stages::{
    Blame as _, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Resolution, Stage,
    StageError, plugin::PluginFailure, progress::Counter,
};
use tokio::sync::mpsc;

use self::finish::{Chunk, Finisher, Pending};
use crate::{
    client::{Registry, RegistryClientError},
    content::{BlobContent, ContainerContent, TagContent},
    digest::{Digest, ShortDigest},
    manifest::{Descriptor, Manifest},
    media_type,
    options::ContainerRemoteOptions,
    reference::{Reference, Tag},
    signing::Signing,
    survey::{LeftOut, Survey, Surveying, subject_of_companion},
    tree::{Flaw, MAX_DEPTH, Read, Reading, TreeError, Trees},
};

/// Tags whose trees are read at once.
const CHUNK: usize = 100;
/// Chunks that may wait for their configurations while further ones are read.
const WAITING: usize = 2;

type Unit = DeclarativeContent<ContainerContent>;
/// Is told what is left out.
type LeaveOut = Arc<dyn Fn(LeftOut) + Send + Sync>;

/// Reads the repository that a survey describes; see the module.
pub(crate) struct ReadRegistry {
    pub(crate) survey: Survey,
    pub(crate) registry: Registry,
    pub(crate) trees: Trees,
    pub(crate) signing: Signing,
    pub(crate) options: Arc<ContainerRemoteOptions>,
    pub(crate) concurrency: usize,
    pub(crate) store: ArtifactStore,
    pub(crate) remote: RemoteId,
    /// Whether layers are left to the first request.
    pub(crate) deferred: bool,
    /// Whether to go on without what upstream doesn't have, or has broken.
    pub(crate) tolerant: bool,
    pub(crate) left_out: LeaveOut,
    /// Tags whose manifests were read.
    pub(crate) processed: Counter,
}

/// The blobs of a chunk, to be put.
#[derive(Default)]
struct Blobs {
    configs: Vec<Unit>,
    layers: Vec<Unit>,
    /// What becomes of those that the line may give up.
    awaited: Vec<(Digest, Resolution<ContainerContent>)>,
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
        let finisher = Finisher {
            store: self.store,
            output: output.clone(),
            left_out: Arc::clone(&self.left_out),
            lost: HashSet::new(),
            broken: HashMap::new(),
        };
        let mut reader = Reader {
            output,
            chunks,
            trees: self.trees,
            signing: self.signing,
            registry: self.registry,
            options: self.options,
            concurrency: self.concurrency,
            remote: self.remote,
            deferred: self.deferred,
            tolerant: self.tolerant,
            left_out: self.left_out,
            processed: self.processed,
            seen: HashMap::new(),
        };
        let survey = self.survey;
        let read = async move { reader.read_all(survey).await.map_err(blamed) };
        tokio::try_join!(read, finisher.finish_all(waiting))?;
        Ok(())
    }
}

/// Names the URL that a registry's useless answer came from: then it is upstream that is to blame.
fn blamed(error: StageError) -> StageError {
    let answer = match error.find::<TreeError>() {
        Some(TreeError::Registry(answer)) => Some(answer),
        Some(TreeError::Database(_)) => None,
        None => error.find::<RegistryClientError>(),
    };
    match answer.map(|answer| answer.url().clone()) {
        Some(url) => error.url(&url),
        None => error,
    }
}

/// Levels one and two.
struct Reader {
    output: Outbox<ContainerContent>,
    chunks: mpsc::Sender<Chunk>,
    trees: Trees,
    signing: Signing,
    registry: Registry,
    options: Arc<ContainerRemoteOptions>,
    concurrency: usize,
    remote: RemoteId,
    deferred: bool,
    tolerant: bool,
    left_out: LeaveOut,
    processed: Counter,
    /// Blobs that were put, and whether their download was deferred.
    seen: HashMap<ShortDigest, bool>,
}

impl Reader {
    async fn read_all(&mut self, survey: Survey) -> Result<(), StageError> {
        let Survey { tags, digests, companions } = survey;
        let required = self.options.signed_only;
        let mut tags = tags.entries();
        loop {
            let roots: Vec<Root> =
                tags.by_ref().take(CHUNK).map(|(tag, digest)| (Some(tag), digest)).collect();
            if roots.is_empty() {
                break;
            }
            self.read_chunk(roots, required).await?;
        }
        for chunk in digests.chunks(CHUNK) {
            let roots = chunk.iter().map(|digest| (None, *digest)).collect();
            self.read_chunk(roots, required).await?;
        }
        self.read_companions(companions).await?;
        match self.trees.absent() {
            0 => {}
            absent => (self.left_out)(LeftOut::Absent(absent)),
        }
        Ok(())
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
                let surveying = Surveying {
                    registry: &self.registry,
                    options: &self.options,
                    concurrency: self.concurrency,
                    tolerant: self.tolerant,
                    left_out: &*self.left_out,
                };
                let found = surveying.resolve(chunk.to_vec()).await;
                let found = found.map_err(|error| {
                    let url = error.url().clone();
                    StageError::from(error.at(&url))
                })?;
                let roots = found.entries().map(|(tag, digest)| (Some(tag), digest)).collect();
                self.read_chunk(roots, false).await?;
            }
        }
    }

    /// Reads the trees below `roots`, and, if asked for, whatever refers to them, and so on.
    /// Signatures are `required` of images, and never of what refers to them.
    async fn read_chunk(
        &mut self,
        mut roots: Vec<Root>,
        mut required: bool,
    ) -> Result<(), StageError> {
        for _ in 0..MAX_DEPTH {
            let read = self.read_roots(roots, required).await?;
            required = false;
            roots = if self.options.referrers { self.referrers(read).await? } else { Vec::new() };
            if roots.is_empty() {
                return Ok(());
            }
        }
        // A registry can invent as many as it likes.
        for (_, digest) in roots {
            (self.left_out)(LeftOut::TooDeep(digest));
        }
        Ok(())
    }

    /// The digests of the manifests that were new.
    async fn read_roots(
        &mut self,
        roots: Vec<Root>,
        required: bool,
    ) -> Result<Vec<Digest>, StageError> {
        let digests: Vec<_> = roots.iter().map(|(_, digest)| *digest).collect();
        let mut reading = self.trees.read(&digests).await?;
        let read: Vec<_> = reading.manifests().map(|manifest| manifest.digest).collect();
        let mut signatures = self.signing.of(read).await?;
        if required {
            let images = reading.manifests().filter(|manifest| !manifest.is_index());
            let images: Vec<_> = images.map(|manifest| manifest.digest).collect();
            for digest in self.signing.unsigned(images, &signatures).await? {
                self.trees.refuse(digest, Flaw::Unsigned);
            }
        }
        let mut chunk = Chunk::default();
        let mut blobs = Blobs::default();
        let mut new = Vec::new();
        self.processed.add(roots.iter().filter(|(tag, _)| tag.is_some()).count() as u64);
        for (tag, digest) in roots {
            let Some(reads) = self.tree(tag.as_ref(), &digest, &mut reading)? else { continue };
            for read in reads {
                let digest = read.manifest.digest;
                let config = self.declare(&read, &mut blobs)?;
                let signatures = signatures.remove(&digest).unwrap_or_default();
                chunk.manifests.push(Pending { read, config, signatures });
                new.push(digest);
            }
            chunk.tags.extend(tag.map(|name| TagContent { name, tagged_manifest: digest }));
        }
        chunk.blobs = blobs.awaited;
        // Configurations first: they are small, and the manifests wait for them.
        blobs.configs.append(&mut blobs.layers);
        self.output.put_all(blobs.configs).await?;
        // The receiver only goes away with an error of its own, which is the one to report.
        let _ = self.chunks.send(chunk).await;
        Ok(new)
    }

    /// The new manifests of the tree below `digest`, or nothing if it is left out.
    fn tree(
        &mut self,
        tag: Option<&Tag>,
        digest: &Digest,
        reading: &mut Reading,
    ) -> Result<Option<Vec<Read>>, StageError> {
        let reason = match self.trees.take(digest, reading) {
            Ok(reads) => return Ok(Some(reads)),
            Err(Flaw::Unsigned) => {
                let reference = tag.cloned().map_or(Reference::Digest(*digest), Reference::Tag);
                (self.left_out)(LeftOut::Unsigned(reference));
                return Ok(None);
            }
            Err(Flaw::Broken(reason) | Flaw::Absent(reason)) => reason,
        };
        if self.tolerant {
            let name = tag.cloned().map_or(Reference::Digest(*digest), Reference::Tag);
            (self.left_out)(LeftOut::Broken(name, reason.to_string()));
            return Ok(None);
        }
        let named = tag.map(|tag| format!("Tag `{tag}` cannot be mirrored: manifest"));
        let named = named.unwrap_or_else(|| "Cannot mirror manifest".into());
        let broken = PluginFailure::new(format!("{named} `{digest}`: {reason}"))
            .with_hint("`--on-broken skip` leaves out what upstream has broken");
        Err(broken).at_url(&self.registry.manifest_url(&Reference::Digest(*digest)))
    }

    /// Makes units of the blobs of a manifest that have none yet. Gives a future for the
    /// configuration if the manifest is to be described by it.
    fn declare(
        &mut self,
        read: &Read,
        blobs: &mut Blobs,
    ) -> Result<Option<Resolution<ContainerContent>>, StageError> {
        let manifest = &read.manifest;
        let config = manifest.config.as_ref().map(|config| config.digest);
        let described = read.known.is_none() && describes(manifest);
        let mut future = None;
        for blob in manifest.blobs(self.options.include_foreign_layers) {
            let is_config = Some(blob.digest) == config;
            let deferred = self.deferred && !is_config;
            let key = blob.digest.short();
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
            if self.tolerant && !deferred {
                blobs.awaited.push((blob.digest, unit.resolution()));
            }
            if is_config { blobs.configs.push(unit) } else { blobs.layers.push(unit) }
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

#[cfg(test)]
mod tests;
