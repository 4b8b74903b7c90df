//! Level three: manifests and tags, once the blobs that they need are saved.
//!
//! Before: a [`Chunk`] of the level above, whose blobs were put. After: the line, with each manifest
//! before the tags that name it. A manifest whose blob the line gave up (a remote may say `skip`) is
//! left out, and so are the indexes that list it and the tags that name either.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::future::join_all;
use pulp_models::ArtifactStore;
use pulp_stages::{DeclarativeContent, Outbox, Resolution, ResolutionError, Resolved, StageError};
use tokio::sync::mpsc;

use super::{LeaveOut, Unit};
use crate::{
    content::{ContainerContent, ManifestContent, SignatureContent, TagContent},
    digest::Digest,
    manifest::ConfigFacts,
    survey::LeftOut,
    tree::Read,
};

/// Largest configuration that is looked into, in bytes.
const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// What a chunk of tags leaves to be put when its blobs are there.
#[derive(Default)]
pub(super) struct Chunk {
    /// Children first.
    pub(super) manifests: Vec<Pending>,
    pub(super) tags: Vec<TagContent>,
    /// Blobs that were put and may be given up.
    pub(super) blobs: Vec<(Digest, Resolution<ContainerContent>)>,
}

/// A manifest whose configuration is on its way, or that needs none.
pub(super) struct Pending {
    pub(super) read: Read,
    pub(super) config: Option<Resolution<ContainerContent>>,
    pub(super) signatures: Vec<SignatureContent>,
}

pub(super) struct Finisher {
    pub(super) store: ArtifactStore,
    pub(super) output: Outbox<ContainerContent>,
    pub(super) left_out: LeaveOut,
    /// Blobs that the line gave up.
    pub(super) lost: HashSet<Digest>,
    /// Manifests that need one of them, and which.
    pub(super) broken: HashMap<Digest, Digest>,
}

impl Finisher {
    /// Chunks come in the order in which their blobs were put, so a blob of an earlier chunk is
    /// known to be lost before a later one that shares it is finished.
    pub(super) async fn finish_all(
        mut self,
        mut waiting: mpsc::Receiver<Chunk>,
    ) -> Result<(), StageError> {
        while let Some(chunk) = waiting.recv().await {
            self.finish(chunk).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, chunk: Chunk) -> Result<(), StageError> {
        let Chunk { mut manifests, tags, blobs } = chunk;
        let configs = manifests.iter_mut().map(|pending| resolved(pending.config.take()));
        let blobs = blobs.into_iter().map(|(digest, blob)| async move { (digest, blob.await) });
        // All at once, so that the line sees them awaited together and keeps its batches full.
        let (configs, blobs) = tokio::join!(join_all(configs), join_all(blobs));
        for (digest, outcome) in blobs {
            match outcome {
                Ok(_) => {}
                Err(ResolutionError::Dropped { .. }) => drop(self.lost.insert(digest)),
                Err(error) => return Err(error.into()),
            }
        }
        let mut kept = Vec::with_capacity(manifests.len());
        let mut described = Vec::with_capacity(manifests.len());
        for (pending, config) in manifests.into_iter().zip(configs) {
            if !self.is_broken(&pending) {
                kept.push(pending);
                described.push(config?);
            }
        }
        let store = self.store.clone();
        let facts = self.output.scope().spawn_blocking(move || {
            described.iter().map(|config| facts(config.as_deref(), &store)).collect::<Vec<_>>()
        });
        let tags = tags.into_iter().filter(|tag| self.is_whole(tag)).collect();
        let units = units(kept, facts.await?, tags);
        self.output.put_all(units).await?;
        Ok(())
    }

    /// Whether the manifest, or one that it lists, lacks a blob for good.
    fn is_broken(&mut self, pending: &Pending) -> bool {
        if self.lost.is_empty() {
            return false;
        }
        let manifest = &pending.read.manifest;
        let blobs = manifest.blobs(true).map(|blob| &blob.digest);
        let lost = blobs.filter(|blob| self.lost.contains(*blob)).copied().next();
        let child = manifest.children.iter().find_map(|child| self.broken.get(&child.digest));
        let cause = lost.or(child.copied());
        self.broken.extend(cause.map(|blob| (manifest.digest, blob)));
        cause.is_some()
    }

    fn is_whole(&self, tag: &TagContent) -> bool {
        let Some(blob) = self.broken.get(&tag.tagged_manifest) else { return true };
        let reason = format!("blob `{blob}` is missing or corrupt upstream");
        (self.left_out)(LeftOut::Broken(tag.name.clone().into(), reason));
        false
    }
}

/// The units of a chunk's manifests, which `facts` describe, of their signatures and of its tags.
fn units(manifests: Vec<Pending>, facts: Vec<ConfigFacts>, tags: Vec<TagContent>) -> Vec<Unit> {
    let manifests = manifests.into_iter().zip(facts).flat_map(|(pending, facts)| {
        let content = match pending.read.known {
            Some(known) => known,
            None => Box::new(ManifestContent::new(&pending.read.manifest, facts)),
        };
        let signatures = pending.signatures.into_iter().map(ContainerContent::Signature);
        std::iter::once(ContainerContent::Manifest(content)).chain(signatures)
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
