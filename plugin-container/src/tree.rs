//! Trees of manifests: from the digests that tags name down through indexes to images.
//!
//! [`Trees::read`] takes a handful of roots and reads everything below them, level by level: from
//! the database what any repository already holds, the rest from upstream, many at once. It tells
//! broken trees from good ones before anything of them is declared. Blobs are not read here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _};
use pulp_models::{Db, DbError, content};
use pulp_stages::Content as _;

use crate::{
    client::{Registry, RegistryClientError},
    content::{ContainerContent, ManifestContent},
    digest::{Digest, ShortDigest},
    manifest::{Descriptor, Manifest},
    options::ContainerRemoteOptions,
    reference::Reference,
    survey::chain,
};

/// Indexes within indexes beyond this depth are broken; referrers of referrers are left out.
pub(crate) const MAX_DEPTH: usize = 8;

/// Reads manifests and remembers which trees were good.
pub(crate) struct Trees {
    registry: Registry,
    db: Db,
    options: Arc<ContainerRemoteOptions>,
    concurrency: usize,
    /// Manifests of good trees so far.
    done: HashSet<ShortDigest>,
    /// Manifests that are not mirrored, and why.
    refused: HashMap<Digest, Flaw>,
}

/// Why a manifest is not mirrored.
#[derive(Debug, Clone)]
pub(crate) enum Flaw {
    /// It, or one below it, cannot be used.
    Broken(Arc<str>),
    /// Upstream has it not, and need not have all that its indexes list: the others are good.
    Absent(Arc<str>),
    /// It, or one below it, is not signed.
    Unsigned,
}

/// A manifest that was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) manifest: Manifest,
    /// What the database holds of it already.
    pub(crate) known: Option<Box<ManifestContent>>,
}

/// Why trees could not be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TreeError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The registry could not be reached; nothing can be said of its manifests.
    #[error(transparent)]
    Registry(#[from] RegistryClientError),
}

/// The manifests below some roots.
pub(crate) struct Reading {
    nodes: HashMap<Digest, Read>,
}

impl Reading {
    /// The manifests that were read and not given out yet.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.nodes.values().map(|read| &read.manifest)
    }
}

impl Trees {
    pub(crate) fn new(
        registry: Registry,
        db: Db,
        options: Arc<ContainerRemoteOptions>,
        concurrency: usize,
    ) -> Self {
        let (done, refused) = (HashSet::new(), HashMap::new());
        Self { registry, db, options, concurrency, done, refused }
    }

    /// Reads everything below `roots` that was not read before.
    pub(crate) async fn read(&mut self, roots: &[Digest]) -> Result<Reading, TreeError> {
        let mut reading = Reading { nodes: HashMap::new() };
        let mut level: Vec<Digest> = roots.to_vec();
        for _ in 0..MAX_DEPTH {
            level.retain(|digest| self.is_new(digest) && !reading.nodes.contains_key(digest));
            level.sort_unstable();
            level.dedup();
            if level.is_empty() {
                return Ok(reading);
            }
            let found = self.read_level(&level).await?;
            level = found.iter().flat_map(|read| self.wanted_children(read)).collect();
            reading.nodes.extend(found.into_iter().map(|read| (read.manifest.digest, read)));
        }
        for digest in level {
            if self.is_new(&digest) && !reading.nodes.contains_key(&digest) {
                let reason = format!("Indexes are nested more than {MAX_DEPTH} deep");
                self.refused.insert(digest, Flaw::Broken(reason.into()));
            }
        }
        Ok(reading)
    }

    /// The manifests of the tree below `root` that were not given out before, children first; or
    /// why the tree cannot be used.
    pub(crate) fn take(&mut self, root: &Digest, reading: &mut Reading) -> Result<Vec<Read>, Flaw> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        self.walk(root, reading, &mut seen, &mut order)?;
        self.done.extend(order.iter().map(Digest::short));
        Ok(order.iter().filter_map(|digest| reading.nodes.remove(digest)).collect())
    }

    /// Gives out no tree that `digest` is part of, from now on.
    pub(crate) fn refuse(&mut self, digest: Digest, flaw: Flaw) {
        self.refused.insert(digest, flaw);
    }

    /// Whether `digest` belongs to a tree that was given out.
    pub(crate) fn is_done(&self, digest: &Digest) -> bool {
        self.done.contains(&digest.short())
    }

    /// How many manifests were found to be absent.
    pub(crate) fn absent(&self) -> usize {
        self.refused.values().filter(|flaw| matches!(flaw, Flaw::Absent(_))).count()
    }

    fn is_new(&self, digest: &Digest) -> bool {
        !self.is_done(digest) && !self.refused.contains_key(digest)
    }

    /// Depth is bounded by what was read, and a digest cannot contain itself.
    fn walk(
        &mut self,
        digest: &Digest,
        reading: &Reading,
        seen: &mut HashSet<Digest>,
        order: &mut Vec<Digest>,
    ) -> Result<(), Flaw> {
        if self.is_done(digest) || !seen.insert(*digest) {
            return Ok(());
        }
        if let Some(flaw) = self.refused.get(digest) {
            return Err(flaw.clone());
        }
        let Some(read) = reading.nodes.get(digest) else {
            return Err(Flaw::Broken("It was not read".into()));
        };
        for child in self.wanted_children(read) {
            if let Err(flaw) = self.walk(&child, reading, seen, order) {
                if matches!(flaw, Flaw::Absent(_)) {
                    continue;
                }
                self.refused.insert(*digest, flaw.clone());
                return Err(flaw);
            }
        }
        order.push(*digest);
        Ok(())
    }

    fn wanted_children(&self, read: &Read) -> Vec<Digest> {
        let children = self.options.platforms().apply(&read.manifest.children);
        children.into_iter().map(|child: &Descriptor| child.digest).collect()
    }

    async fn read_level(&mut self, level: &[Digest]) -> Result<Vec<Read>, TreeError> {
        let mut found = self.read_known(level).await?;
        let known: HashSet<Digest> = found.iter().map(|read| read.manifest.digest).collect();
        let missing = level.iter().copied().filter(|digest| !known.contains(digest));
        let registry = &self.registry;
        let fetched: Vec<_> = futures::stream::iter(missing)
            .map(|digest| async move {
                match registry.manifest(&Reference::Digest(digest)).await {
                    Ok(manifest) => Ok((digest, Ok(manifest))),
                    // Nothing is wrong with the manifest if the registry cannot be reached.
                    Err(error @ RegistryClientError::Transport { .. }) => Err(error),
                    Err(error) => Ok((digest, Err(error))),
                }
            })
            .buffer_unordered(self.concurrency.max(1))
            .try_collect()
            .await?;
        for (digest, result) in fetched {
            match result {
                Ok(manifest) => found.push(Read { manifest, known: None }),
                Err(error) => {
                    let reason = chain(&error).into();
                    let is_absent = error.is_not_found() && registry.is_sparse();
                    let flaw = if is_absent { Flaw::Absent } else { Flaw::Broken };
                    self.refused.insert(digest, flaw(reason));
                }
            }
        }
        Ok(found)
    }

    /// What any repository holds needs no request.
    async fn read_known(&self, level: &[Digest]) -> Result<Vec<Read>, TreeError> {
        let keys: Vec<_> = level.iter().map(ContainerContent::manifest_key).collect();
        let max_size = self.options.max_manifest_size();
        let read = self.db.read(move |connection| {
            let ids: Vec<_> = content::find(connection, &keys)?.into_values().collect();
            let stored = content::load(connection, &ids)?;
            Ok(stored.into_iter().filter_map(|row| parse_known(row, max_size)).collect())
        });
        Ok(read.await?)
    }
}

/// A row that cannot be read is as good as none: the manifest is fetched again.
fn parse_known(row: content::StoredContent, max_size: usize) -> Option<Read> {
    let Ok(ContainerContent::Manifest(known)) = ContainerContent::load(row) else { return None };
    let media_type = known.media_type.as_str().to_owned();
    let raw = known.raw.clone();
    let manifest = Manifest::parse(raw, Some(&media_type), Some(&known.digest), max_size).ok()?;
    Some(Read { manifest, known: Some(known) })
}
