//! Where the bytes of a content artifact are, or may be fetched from; and putting them into the
//! store.
//!
//! Everything here is a few rows and a few files at a time. [`super::fill`] decides when.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pulp_models::{
    Algorithm, ContentId, Expected, RelativePath, RemoteId, RemoteUrl, Sha256, Timestamp,
    alternate_content_source::offers,
    artifact::{self, NewArtifact},
    content_artifact::{self, NewContentArtifact},
    db::{Connection, DbError},
    remote::{self, Policy, Remote},
    remote_artifact::{self, RemoteArtifact},
    store::Verified,
};

use super::fill_error::{FillError, SourceError};
use crate::{
    download::{Downloader, SettingsError},
    installation::Installation,
    plugin::Plugins,
};

/// How long to wait for the store lock, which an orphan cleanup holds for a slice of its work.
const STORE_PATIENCE: Duration = Duration::from_secs(60);

/// Names a content artifact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    pub(super) content: ContentId,
    /// Within the content; not always the path at which it is published.
    pub(super) relative_path: RelativePath,
}

/// Bytes in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

/// What is known of a file that a client asked for.
#[derive(Debug)]
pub(super) enum Demand {
    /// It is in the store.
    Stored(Stored),
    /// It can be fetched.
    Offered(Offer),
}

/// A file that can be fetched.
#[derive(Debug)]
pub(super) struct Offer {
    /// What every source's bytes must be; names at least one digest.
    pub(super) expected: Expected,
    /// In the order in which they are tried; never empty.
    pub(super) sources: Vec<Source>,
}

impl Offer {
    /// Whether no source's remote wants the bytes kept.
    pub(super) fn is_streamed(&self) -> bool {
        self.sources.iter().all(|source| source.policy == Policy::Streamed)
    }
}

/// Where a file can be fetched.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) remote: RemoteId,
    pub(super) policy: Policy,
    pub(super) url: RemoteUrl,
    pub(super) downloader: Downloader,
}

/// Looks files up, and keeps one downloader per remote.
pub(super) struct Sources {
    installation: Installation,
    plugins: Plugins,
    downloaders: Mutex<HashMap<RemoteId, (Timestamp, Downloader)>>,
}

impl Sources {
    pub(super) fn new(installation: Installation, plugins: Plugins) -> Self {
        Self { installation, plugins, downloaders: Mutex::default() }
    }

    /// What is known of a file.
    pub(super) async fn demand(&self, key: &FileKey) -> Result<Demand, FillError> {
        let wanted = key.clone();
        let rows = self.installation.db.read(move |conn| Rows::load(conn, &wanted)).await?;
        if let Some(stored) = rows.stored
            && self.is_present(stored.sha256).await
        {
            return Ok(Demand::Stored(stored));
        }
        if rows.sources.is_empty() {
            return Err(FillError::NoSource);
        }
        let (expected, agreeing) = agreed(rows.sources);
        if expected.digests.is_empty() {
            return Err(FillError::NoDigest);
        }
        let mut sources = self.alternates(&expected, &agreeing).await?;
        let mut unusable = Vec::new();
        for (url, remote) in agreeing {
            match self.source(url, &remote) {
                Ok(source) => sources.push(source),
                Err(error) => unusable.push(error),
            }
        }
        if sources.is_empty() {
            return Err(FillError::Sources(unusable));
        }
        Ok(Demand::Offered(Offer { expected, sources }))
    }

    /// Where alternate content sources have the bytes: tried first, and kept if the best of the
    /// `origins` wants them kept.
    async fn alternates(
        &self,
        expected: &Expected,
        origins: &[(RemoteUrl, Arc<Remote>)],
    ) -> Result<Vec<Source>, FillError> {
        let Some((_, origin)) = origins.first() else { return Ok(Vec::new()) };
        let wanted = expected.clone();
        let read = move |conn: &mut Connection| {
            let mut places = Vec::new();
            for alternate in offers::find(conn, &[&wanted])?.into_iter().flatten() {
                let remote = existing(remote::get_by_id(conn, alternate.remote))?;
                places.extend(remote.map(|remote| (alternate.url, remote)));
            }
            Ok(places)
        };
        let places = self.installation.db.read(read).await?;
        let sources = places.into_iter().filter_map(|(url, remote)| self.source(url, &remote).ok());
        Ok(sources.map(|source| Source { policy: origin.policy, ..source }).collect())
    }

    /// Whether somebody stored the file since it was asked for, or stored the same bytes for other
    /// content; these are linked.
    pub(super) async fn already_stored(
        &self,
        key: &FileKey,
        offer: &Offer,
    ) -> Result<Option<Stored>, FillError> {
        let wanted = key.clone();
        let proofs: Vec<(Algorithm, Vec<u8>)> = offer
            .expected
            .digests
            .iter()
            .filter(|(algorithm, _)| algorithm.is_trusted())
            .map(|(algorithm, digest)| (algorithm, digest.to_vec()))
            .collect();
        // Until the link is written, nothing may delete what is found.
        let _guard = self.installation.store.shared(STORE_PATIENCE).await?;
        let lookup = move |conn: &mut Connection| {
            if let Some(stored) = linked(conn, &wanted)? {
                return Ok(Some((stored, true)));
            }
            let found = artifact::find_by_digest(conn, &proofs)?;
            let found = found.into_values().next();
            Ok(found.map(|(sha256, size)| (Stored { sha256, size }, false)))
        };
        let Some((stored, linked)) = self.installation.db.read(lookup).await? else {
            return Ok(None);
        };
        if !self.is_present(stored.sha256).await
            || offer.expected.size.is_some_and(|size| size != stored.size)
        {
            return Ok(None);
        }
        if !linked && !offer.is_streamed() {
            self.link(key, stored.sha256, None).await?;
        }
        Ok(Some(stored))
    }

    /// Stores the bytes of a file and links them to its content.
    pub(super) async fn keep(&self, key: &FileKey, verified: Verified) -> Result<(), FillError> {
        let store = &self.installation.store;
        let _guard = store.shared(STORE_PATIENCE).await?;
        for saved in store.save(vec![verified]).await? {
            self.link(key, saved.sha256, Some(saved.into())).await?;
        }
        Ok(())
    }

    /// Writes the rows, in one transaction. Under the shared store lock.
    async fn link(
        &self,
        key: &FileKey,
        sha256: Sha256,
        new: Option<NewArtifact>,
    ) -> Result<(), FillError> {
        let row = NewContentArtifact {
            content: key.content,
            relative_path: key.relative_path.clone(),
            artifact: Some(sha256),
        };
        let write = move |conn: &mut Connection| {
            artifact::insert_artifacts(conn, new.as_slice())?;
            content_artifact::upsert(conn, std::slice::from_ref(&row))
        };
        Ok(self.installation.db.write(write).await?)
    }

    async fn is_present(&self, sha256: Sha256) -> bool {
        self.installation.store.open_artifact(&sha256).await.is_ok()
    }

    fn source(&self, url: RemoteUrl, remote: &Remote) -> Result<Source, SourceError> {
        let downloader = self.downloader(remote).map_err(|error| SourceError::Settings {
            remote: remote.name.clone(),
            problem: error.to_string(),
        })?;
        Ok(Source { remote: remote.id, policy: remote.policy, url, downloader })
    }

    /// One per remote, made by the remote's plugin, and made anew when the remote changes.
    fn downloader(&self, remote: &Remote) -> Result<Downloader, SettingsError> {
        let mut downloaders = self.downloaders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((updated, downloader)) = downloaders.get(&remote.id)
            && *updated == remote.updated
        {
            return Ok(downloader.clone());
        }
        let store = self.installation.store.clone();
        let downloader = self.plugins.downloader(remote, store)?;
        downloaders.insert(remote.id, (remote.updated, downloader.clone()));
        Ok(downloader)
    }
}

/// What the database says about a file.
struct Rows {
    stored: Option<Stored>,
    sources: Vec<(RemoteArtifact, Arc<Remote>)>,
}

impl Rows {
    fn load(conn: &mut Connection, key: &FileKey) -> Result<Self, DbError> {
        let stored = linked(conn, key)?;
        let mut remotes: HashMap<RemoteId, Option<Arc<Remote>>> = HashMap::new();
        let mut sources = Vec::new();
        for row in remote_artifact::sources(conn, key.content, &key.relative_path)? {
            let remote = match remotes.entry(row.remote) {
                hash_map::Entry::Occupied(known) => known.get().clone(),
                hash_map::Entry::Vacant(unknown) => {
                    let remote = existing(remote::get_by_id(conn, row.remote))?.map(Arc::new);
                    unknown.insert(remote).clone()
                }
            };
            sources.extend(remote.map(|remote| (row, remote)));
        }
        Ok(Self { stored, sources })
    }
}

fn existing(remote: Result<Remote, DbError>) -> Result<Option<Remote>, DbError> {
    match remote {
        Ok(remote) => Ok(Some(remote)),
        Err(DbError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn linked(conn: &mut Connection, key: &FileKey) -> Result<Option<Stored>, DbError> {
    let files = content_artifact::load(conn, &[key.content])?.remove(&key.content);
    let file = files.into_iter().flatten().find(|file| file.relative_path == key.relative_path);
    Ok(file.and_then(|file| Some(Stored { sha256: file.artifact?, size: file.size? })))
}

/// What the sources say together. They are sources of the same content, so a source that contradicts
/// the ones before it is left out: its bytes would be refused anyway.
fn agreed(rows: Vec<(RemoteArtifact, Arc<Remote>)>) -> (Expected, Vec<(RemoteUrl, Arc<Remote>)>) {
    let mut expected = Expected::default();
    let mut agreeing = Vec::new();
    for (row, remote) in rows {
        let contradicts = row.expected.digests.iter().any(|(algorithm, digest)| {
            expected.digests.get(algorithm).is_some_and(|known| known != digest)
        });
        let sizes = expected.size.zip(row.expected.size);
        if contradicts || sizes.is_some_and(|(known, size)| known != size) {
            continue;
        }
        expected.size = expected.size.or(row.expected.size);
        for (algorithm, digest) in row.expected.digests.iter() {
            // Digests out of the database have the right length.
            let _ = expected.digests.insert(algorithm, digest);
        }
        agreeing.push((row.url, remote));
    }
    (expected, agreeing)
}
