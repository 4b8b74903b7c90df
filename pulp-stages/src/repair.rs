//! Repair: finds stored bytes that are missing or corrupt, and fetches them again.
//!
//! Which files there are comes from the database, where they may be had from the remotes that are
//! noted beside them. Corrupt bytes are taken away before anything else, so that nobody is served
//! them, and what is fetched replaces them only once it is verified.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt as _, stream};
use pulp_models::{
    DbError, Expected, RemoteId, RepositoryId, Sha256,
    remote::{self, Remote},
    remote_artifact::{self, RemoteArtifact},
    repair::{self, Scope, StoredFile},
    repository,
    store::{Condition, StoreError},
};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    download::{DownloadRequest, Downloader},
    installation::Installation,
    plugin::Plugins,
    progress::Reporter,
};

/// Files that are checked, and fetched, at once.
const CONCURRENCY: usize = 5;
/// Files that are read from the database at once.
const PAGE: u32 = 1000;

/// What was found and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Files that were looked at.
    pub checked: u64,
    /// Files that were not there.
    pub missing: u64,
    /// Files that held something else.
    pub corrupted: u64,
    /// Files of both kinds that are there again.
    pub repaired: u64,
}

/// A repair that had to stop. What was repaired before stays so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was cancelled.
    #[error("Repair was cancelled")]
    Cancelled,
}

/// Repairs what `scope` says. With `verify`, every byte is read; without, only missing files are
/// found. What cannot be fetched again is told as a warning.
pub async fn repair(
    installation: &Installation,
    plugins: &Plugins,
    scope: Scope,
    verify: bool,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<Repaired, RepairError> {
    let _store = installation.share_store().await?;
    let repair = Repair { installation, plugins, verify, reporter, downloaders: Mutex::default() };
    let mut sum = Repaired::default();
    let mut after = None;
    loop {
        let begin = after.take();
        let page = installation
            .db
            .read(move |connection| repair::page(connection, scope, begin, PAGE))
            .await?;
        let Some(last) = page.last() else { break };
        after = Some((last.content, last.relative_path.clone()));
        // Several files may have the same bytes.
        let mut seen = HashSet::new();
        let distinct = page.into_iter().filter(|file| seen.insert(file.sha256));
        let mut running =
            stream::iter(distinct.map(|file| repair.file(file))).buffer_unordered(CONCURRENCY);
        while let Some(outcome) = running.next().await {
            outcome?.count(&mut sum);
            if cancel.is_cancelled() {
                return Err(RepairError::Cancelled);
            }
        }
    }
    if sum.repaired < sum.missing + sum.corrupted {
        forget_syncs(installation, scope).await?;
    }
    Ok(sum)
}

/// Makes the next sync run whatever upstream says: it may bring back what is lost.
async fn forget_syncs(installation: &Installation, scope: Scope) -> Result<(), DbError> {
    let db = &installation.db;
    db.write(move |connection| {
        let repositories: Vec<RepositoryId> = match scope {
            Scope::Version(repository, _) => vec![repository],
            Scope::Everything => repository::list(connection)?.iter().map(|row| row.id).collect(),
        };
        for id in repositories {
            repository::set_last_sync(connection, id, None)?;
        }
        Ok(())
    })
    .await
}

/// How one file was.
struct Outcome {
    condition: Condition,
    repaired: bool,
}

impl Outcome {
    fn count(&self, sum: &mut Repaired) {
        sum.checked += 1;
        sum.missing += u64::from(self.condition == Condition::Missing);
        sum.corrupted += u64::from(self.condition == Condition::Corrupt);
        sum.repaired += u64::from(self.repaired);
    }
}

struct Repair<'a> {
    installation: &'a Installation,
    plugins: &'a Plugins,
    verify: bool,
    reporter: &'a dyn Reporter,
    /// By remote; `None` for one that cannot be used.
    downloaders: Mutex<HashMap<RemoteId, Option<Downloader>>>,
}

impl Repair<'_> {
    async fn file(&self, file: StoredFile) -> Result<Outcome, RepairError> {
        let store = &self.installation.store;
        let condition = if self.verify {
            store.check(&file.sha256).await?
        } else if store.exists(&file.sha256).await? {
            Condition::Intact
        } else {
            Condition::Missing
        };
        if condition == Condition::Intact {
            return Ok(Outcome { condition, repaired: false });
        }
        store.remove(&[file.sha256]).await?;
        let repaired = self.fetch(&file).await?;
        if !repaired {
            let what = if condition == Condition::Missing { "is missing" } else { "was corrupt" };
            self.reporter.warning(&format!(
                "`{}` ({}) {what}, and none of its sources has it",
                file.relative_path, file.sha256
            ));
        }
        Ok(Outcome { condition, repaired })
    }

    /// Tries the sources in their order; any that gives the same bytes will do.
    async fn fetch(&self, file: &StoredFile) -> Result<bool, RepairError> {
        let (content, path) = (file.content, file.relative_path.clone());
        let sources = self
            .installation
            .db
            .read(move |connection| remote_artifact::sources(connection, content, &path))
            .await?;
        for source in sources {
            let Some(downloader) = self.downloader(source.remote).await? else { continue };
            match downloader.fetch(&request(&source, file.sha256, file.size)).await {
                Ok(downloaded) => {
                    self.installation.store.save(vec![downloaded.verified]).await?;
                    return Ok(true);
                }
                Err(error) => tracing::info!(%error, "Failed to fetch a file again"),
            }
        }
        Ok(false)
    }

    async fn downloader(&self, id: RemoteId) -> Result<Option<Downloader>, RepairError> {
        let mut downloaders = self.downloaders.lock().await;
        if let Some(known) = downloaders.get(&id) {
            return Ok(known.clone());
        }
        let remote: Remote =
            self.installation.db.read(move |connection| remote::get_by_id(connection, id)).await?;
        let store = self.installation.store.clone();
        let downloader = self.plugins.downloader(&remote, store).ok();
        downloaders.insert(id, downloader.clone());
        Ok(downloader)
    }
}

fn request(source: &RemoteArtifact, sha256: Sha256, size: u64) -> DownloadRequest {
    let expected = Expected { size: Some(size), digests: sha256.into() };
    DownloadRequest::new(source.url.clone()).expecting(expected)
}
