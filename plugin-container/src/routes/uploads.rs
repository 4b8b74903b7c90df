//! Uploads under way: bytes that clients send in one or many requests until they say what they are.
//!
//! A session holds a verifier of the artifact store, which hashes and writes as bytes arrive, so an
//! upload of any size takes no memory. Sessions live in this process and end with it, or when
//! nobody goes on with them; a client whose session is gone begins anew. Blobs that were uploaded
//! and that no manifest names yet are [`Pending`]: they belong to their repository, though no
//! version has them.

use std::{
    collections::HashMap,
    sync::{self, Arc, PoisonError, Weak},
    time::Duration,
};

use pulp_models::{Algorithm, ArtifactStore, ContentId, Expected, RepositoryId, store::Verifier};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    digest::Digest,
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

/// A session that nobody touched for so long is ended.
const IDLE: Duration = Duration::from_secs(3600);
/// Sessions at once; more are refused until some end.
const MOST: usize = 10_000;
/// How long a blob waits for a manifest. Orphan cleanup leaves new content alone for as long.
const PENDING: Duration = Duration::from_secs(24 * 3600);

/// One upload.
pub(super) struct Upload {
    /// `None` once it failed or was finished: the session is of no more use.
    pub(super) verifier: Option<Verifier>,
}

/// A session, locked by the request that works on it: parallel requests for one session make no
/// sense, but must not mix their bytes.
type Session = Arc<Mutex<Upload>>;

/// A session that a request works on. If that leaves nothing to go on with, as when its client
/// vanishes in the middle, the session ends with it.
pub(super) struct Working<'a> {
    pub(super) upload: OwnedMutexGuard<Upload>,
    uploads: &'a Uploads,
    id: &'a str,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if self.upload.verifier.is_none() {
            self.uploads.end(self.id);
        }
    }
}

/// All sessions.
#[derive(Default)]
pub(super) struct Uploads {
    open: Arc<Open>,
}

/// Sessions by id.
type Open = sync::Mutex<HashMap<String, Entry>>;

/// A session, and what can be told of it without waiting for whoever works on it.
struct Entry {
    name: RepositoryName,
    touched: Instant,
    session: Session,
}

impl Uploads {
    /// Begins a session and gives its id.
    pub(super) fn begin(
        &self,
        store: &ArtifactStore,
        name: RepositoryName,
    ) -> Result<String, RegistryError> {
        let mut open = self.lock();
        if open.len() >= MOST {
            return Err(RegistryError::new(ErrorCode::TooManyRequests, "Too many uploads"));
        }
        // Which algorithm names the blob is only told at the end.
        let verifier = store.verifier(&Expected::default(), &[Algorithm::Sha512]);
        let session = Arc::new(Mutex::new(Upload { verifier: Some(verifier) }));
        let id = Uuid::now_v7().simple().to_string();
        open.insert(id.clone(), Entry { name, touched: Instant::now(), session });
        tokio::spawn(end_when_idle(Arc::downgrade(&self.open), id.clone()));
        Ok(id)
    }

    /// Works on the session, if it belongs to `name`, as soon as nobody else does.
    pub(super) async fn work_on<'a>(
        &'a self,
        name: &RepositoryName,
        id: &'a str,
    ) -> Result<Working<'a>, RegistryError> {
        let upload = self.get(name, id)?.lock_owned().await;
        Ok(Working { upload, uploads: self, id })
    }

    /// Ends the session, if it belongs to `name`; its bytes are gone.
    pub(super) fn give_up(&self, name: &RepositoryName, id: &str) -> Result<(), RegistryError> {
        self.get(name, id).map(|_| self.end(id))
    }

    fn get(&self, name: &RepositoryName, id: &str) -> Result<Session, RegistryError> {
        let mut open = self.lock();
        let entry = open.get_mut(id).filter(|entry| entry.name == *name);
        let entry = entry.ok_or_else(|| unknown(id))?;
        entry.touched = Instant::now();
        Ok(Arc::clone(&entry.session))
    }

    fn end(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a session that nobody goes on with; its bytes must not lie around.
async fn end_when_idle(open: Weak<Open>, id: String) {
    let mut patience = IDLE;
    loop {
        tokio::time::sleep(patience).await;
        let Some(open) = open.upgrade() else { return };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = open.get(&id) else { return };
        let idle = entry.touched.elapsed();
        // A session that is being worked on is not idle, however long its request takes.
        if Arc::strong_count(&entry.session) > 1 {
            patience = IDLE;
        } else if idle < IDLE {
            patience = IDLE.saturating_sub(idle);
        } else {
            open.remove(&id);
            return;
        }
    }
}

/// A session that there is not, or no more.
pub(super) fn unknown(id: &str) -> RegistryError {
    RegistryError::new(ErrorCode::BlobUploadUnknown, format!("There is no upload `{id}`"))
}

/// Blobs by digest, and since when they wait.
type Waiting = HashMap<Digest, (Instant, ContentId)>;

/// Blobs that were uploaded to a repository and are in no version of it.
#[derive(Default)]
pub(super) struct Pending {
    blobs: sync::Mutex<HashMap<RepositoryId, Waiting>>,
}

impl Pending {
    pub(super) fn add(&self, repository: RepositoryId, digest: Digest, content: ContentId) {
        let mut blobs = self.lock();
        let pending = blobs.entry(repository).or_default();
        pending.retain(|_, (since, _)| since.elapsed() < PENDING);
        pending.insert(digest, (Instant::now(), content));
    }

    pub(super) fn get(&self, repository: RepositoryId, digest: &Digest) -> Option<ContentId> {
        self.lock().get(&repository)?.get(digest).map(|(_, content)| *content)
    }

    /// Says whether it was there.
    pub(super) fn remove(&self, repository: RepositoryId, digest: &Digest) -> bool {
        self.lock().get_mut(&repository).is_some_and(|blobs| blobs.remove(digest).is_some())
    }

    fn lock(&self) -> sync::MutexGuard<'_, HashMap<RepositoryId, Waiting>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_nobody_goes_on_with_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        let (uploads, name) = (Uploads::default(), "a/b".parse::<RepositoryName>().expect("valid"));
        let id = uploads.begin(&store, name.clone()).expect("begins");
        for _ in 0..3 {
            tokio::time::sleep(IDLE * 3 / 4).await;
            drop(uploads.get(&name, &id).expect("goes on"));
        }
        let working = uploads.get(&name, &id).expect("goes on");
        tokio::time::sleep(IDLE * 5).await;
        assert!(uploads.lock().contains_key(&id), "it was worked on");
        drop(working);
        tokio::time::sleep(IDLE * 2).await;
        assert!(uploads.lock().is_empty());
    }

    #[tokio::test]
    async fn a_session_ends_with_the_request_that_leaves_nothing_of_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        let (uploads, name) = (Uploads::default(), "a/b".parse::<RepositoryName>().expect("valid"));
        let id = uploads.begin(&store, name.clone()).expect("begins");
        drop(uploads.work_on(&name, &id).await.expect("is there"));
        let mut working = uploads.work_on(&name, &id).await.expect("is there still");
        drop(working.upload.verifier.take());
        drop(working);
        assert!(uploads.lock().is_empty());
        assert!(uploads.work_on(&name, &id).await.is_err());
    }

    #[tokio::test]
    async fn a_session_is_its_repositorys() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        let uploads = Uploads::default();
        let id = uploads.begin(&store, "a/b".parse().expect("valid")).expect("begins");
        assert!(uploads.get(&"a/c".parse().expect("valid"), &id).is_err());
    }
}
