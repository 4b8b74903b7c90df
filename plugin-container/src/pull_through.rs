//! Pull-through: what a client asks for first is fetched first then, and kept.
//!
//! A repository with the option `pull_through` names a remote; every name below its distribution
//! stands for a repository of that registry (`Behind`), as far as [`RepositoryGlob`]s allow. The
//! first client that asks for one of its tags or manifests starts a sync of just that into a
//! repository of its own; everybody who asks meanwhile waits for the same sync, which goes on if
//! the client leaves. Nothing is kept for a name of which upstream has nothing, and no more
//! repositories are than the option `pull_through_limit` says. Later requests ask upstream at most
//! once per tag and `max_age` whether the tag moved, and are answered from here if upstream does
//! not answer. Blobs come on demand, as after any sync. Who may ask is decided before, in `routes`.

mod command;
mod failure;
mod glob;
mod tags;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use pulp_models::{
    Connection, Db, DbError, VersionNumber,
    lock::RepositoryLock,
    remote::{self, Remote},
    repository::{self, NewRepository, Repository},
    version,
};
use pulp_stages::{
    installation::Installation,
    options,
    plugin::{AnyPlugin as _, Plugin},
    progress::Silent,
    repository_settings::RepositorySettings,
    sync::SyncRequest,
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use self::command::{command, run as run_command};
pub use self::glob::RepositoryGlob;
use self::tags::TagLists;
use crate::{
    Container,
    client::Registry,
    digest::Digest,
    errors::RegistryError,
    options::{ContainerRemoteOptions, registry_base},
    reference::{Reference, RepositoryName},
    transport::HttpTransport,
};

/// Syncs at once; further ones wait.
const AT_ONCE: usize = 8;
/// How long upstream is not asked again for what it doesn't have, or could not give.
const PAUSE: Duration = Duration::from_secs(30);
/// Outcomes that are remembered.
const MOST_REMEMBERED: usize = 100_000;
/// While a client waits, upstream has to be quicker than in a sync, unless the remote says otherwise.
const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(20);
const RETRIES: u32 = 1;

/// What a name below a pull-through distribution stands for.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    /// The remote's name.
    pub(crate) remote: String,
    /// What it is called upstream.
    pub(crate) upstream: RepositoryName,
    /// The repository that pulls through.
    pub(crate) parent: String,
    /// The repository that keeps what was fetched. There is none before something was.
    pub(crate) repository: String,
    /// Most repositories that are kept for the parent.
    pub(crate) limit: usize,
    /// How long a tag counts as unmoved.
    pub(crate) max_age: Duration,
}

/// Fetches what is behind names. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PullThrough {
    inner: Arc<Inner>,
}

struct Inner {
    installation: Installation,
    flights: Mutex<HashMap<Key, Flight>>,
    remembered: Mutex<HashMap<Key, (Outcome, Instant)>>,
    lists: TagLists,
    room: Semaphore,
}

/// A repository's name and what is asked of it.
type Key = (String, Reference);

/// A fetch under way; whether it changed anything.
type Flight = Shared<BoxFuture<'static, Result<bool, RegistryError>>>;

/// What upstream said last.
#[derive(Clone)]
enum Outcome {
    /// What is here is what is there, or has to do.
    Current,
    /// It has no such thing, or could not give it.
    Failed(RegistryError),
}

impl PullThrough {
    pub(crate) fn new(installation: &Installation) -> Self {
        let inner = Inner {
            installation: installation.clone(),
            flights: Mutex::default(),
            remembered: Mutex::default(),
            lists: TagLists::default(),
            room: Semaphore::new(AT_ONCE),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Makes `reference` what it is upstream, `here` being what it is here. Says whether anything
    /// changed. What is here stays good if upstream has nothing better to say.
    pub(crate) async fn refresh(
        &self,
        behind: &Behind,
        reference: &Reference,
        here: Option<Digest>,
    ) -> Result<bool, RegistryError> {
        let key = (behind.repository.clone(), reference.clone());
        match (self.inner.recall(&key), here) {
            (Some(Outcome::Current), Some(_)) => return Ok(false),
            (Some(Outcome::Failed(error)), None) => return Err(error),
            _ => {}
        }
        match (self.fly(key.clone(), behind, here).await, here) {
            (Err(error), Some(_)) => {
                tracing::warn!(
                    repository.name = behind.repository,
                    reference = %reference,
                    ?error,
                    "Upstream cannot say whether a tag moved; the one that is here is served"
                );
                self.inner.remember(key, Outcome::Current, behind.max_age.min(PAUSE));
                Ok(false)
            }
            (outcome, _) => outcome,
        }
    }

    /// Joins the fetch for `key`, or starts it.
    fn fly(&self, key: Key, behind: &Behind, here: Option<Digest>) -> Flight {
        let mut flights = lock(&self.inner.flights);
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let landing = Landing { inner: Arc::clone(&self.inner), key: key.clone() };
        let behind = behind.clone();
        let task = tokio::spawn(async move {
            let Landing { inner, key } = &landing;
            let outcome = inner.fetch(&behind, &key.1, here).await;
            let (remembered, time) = match &outcome {
                Ok(_) => (Outcome::Current, behind.max_age),
                Err(error) => (Outcome::Failed(error.clone()), PAUSE),
            };
            inner.remember(key.clone(), remembered, time);
            outcome
        });
        let flight = async move { task.await.unwrap_or_else(|_| Err(failure::broken_off())) };
        let flight = flight.boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }
}

/// Takes a fetch off the list when it ends, however it does.
struct Landing {
    inner: Arc<Inner>,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.inner.flights).remove(&self.key);
    }
}

impl Inner {
    /// Asks upstream what it has, and syncs that if it is not `here`.
    async fn fetch(
        &self,
        behind: &Behind,
        reference: &Reference,
        here: Option<Digest>,
    ) -> Result<bool, RegistryError> {
        let _room = self.room.acquire().await.map_err(|_| failure::broken_off())?;
        let (remote, mut options) = self.remote(behind).await?;
        let refused = |tag| options.tags().apply(vec![tag]).is_empty();
        if matches!(reference, Reference::Tag(tag) if refused(tag.clone())) {
            return Err(failure::missing(behind, reference));
        }
        let there = self.ask(&remote, &options, behind, reference).await?;
        if here == Some(there) {
            return Ok(false);
        }
        // This and nothing else, whatever the remote's filters would take.
        (options.digests, options.exact_tags) = match reference {
            Reference::Tag(tag) => (Vec::new(), vec![tag.clone()]),
            Reference::Digest(digest) => (vec![*digest], Vec::new()),
        };
        let repository = self.repository(behind).await?;
        let request = SyncRequest {
            repository: repository.clone(),
            remote: patched(remote, &options)?,
            mirror: false,
            optimize: false,
            dry_run: false,
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        match Container.sync(&self.installation, request).await {
            Ok(_) => Ok(true),
            Err(error) => {
                self.forget_empty(&repository).await;
                Err(failure::of_sync(behind, &error))
            }
        }
    }

    /// The remote as it is asked for what is behind a name.
    async fn remote(
        &self,
        behind: &Behind,
    ) -> Result<(Remote, ContainerRemoteOptions), RegistryError> {
        let name = behind.remote.clone();
        let remote = self.installation.db.read(move |conn| remote::get(conn, &name)).await;
        let remote = remote.map_err(|error| failure::ours(&error))?;
        let options = options::parse::<ContainerRemoteOptions>(&remote.options);
        let mut options = options.map_err(|error| failure::ours(&error))?;
        options.upstream_name = Some(behind.upstream.clone());
        Ok((patched(remote, &options)?, options))
    }

    /// The digest that `reference` has upstream.
    async fn ask(
        &self,
        remote: &Remote,
        options: &ContainerRemoteOptions,
        behind: &Behind,
        reference: &Reference,
    ) -> Result<Digest, RegistryError> {
        let registry = self.client(remote, options, behind)?;
        let digest = match reference {
            Reference::Tag(tag) => registry.resolve(tag).await,
            Reference::Digest(_) => {
                registry.manifest(reference).await.map(|manifest| manifest.digest)
            }
        };
        digest.map_err(|error| match error {
            error if error.is_not_found() => failure::missing(behind, reference),
            error => failure::of_registry(behind, &error),
        })
    }

    /// Asks what is behind a name, while a client waits.
    fn client(
        &self,
        remote: &Remote,
        options: &ContainerRemoteOptions,
        behind: &Behind,
    ) -> Result<Registry, RegistryError> {
        let mut quick = remote.clone();
        quick.settings.connect_timeout.get_or_insert(CONNECT);
        quick.settings.idle_timeout.get_or_insert(IDLE);
        quick.settings.max_retries.get_or_insert(RETRIES);
        let store = self.installation.store.clone();
        let downloads = Plugin::downloader(&Container, &quick, store);
        let downloads = downloads.map_err(|error| failure::ours(&error))?;
        let transport = Arc::new(HttpTransport(downloads));
        let (base, limit) = (registry_base(&remote.url), options.max_manifest_size());
        Ok(Registry::new(&base, &behind.upstream, limit, transport))
    }

    /// The repository that keeps what is fetched, made if there is none yet.
    async fn repository(&self, behind: &Behind) -> Result<Repository, RegistryError> {
        let options = RepositorySettings::default().to_value();
        let new = NewRepository {
            description: Some(format!("{} of remote {}", behind.upstream, behind.remote)),
            retain_versions: Some(1),
            options: options.map_err(|error| failure::ours(&error))?,
            ..NewRepository::new(&behind.repository, crate::NAME)
        };
        let kept = get_or_create(&self.installation.db, new, behind).await;
        kept.map_err(|error| failure::ours(&error))?.ok_or_else(|| failure::full(behind))
    }

    /// Deletes a repository into which nothing was synchronised, unless somebody is at it.
    async fn forget_empty(&self, repository: &Repository) {
        let (id, name) = (repository.id, repository.name.clone());
        let Installation { db, .. } = &self.installation;
        let lock = RepositoryLock::try_lock(db, self.installation.home(), id).await;
        let Ok(lock) = lock else { return };
        let delete = move |conn: &mut Connection| match version::latest(conn, id)? {
            VersionNumber(0) => repository::delete(conn, &name),
            _ => Ok(()),
        };
        if let Err(error) = lock.write(delete).await {
            tracing::warn!(repository.name, %error, "Failed to delete an empty repository");
        }
    }

    fn recall(&self, key: &Key) -> Option<Outcome> {
        let remembered = lock(&self.remembered);
        let (outcome, until) = remembered.get(key)?;
        (*until > Instant::now()).then(|| outcome.clone())
    }

    fn remember(&self, key: Key, outcome: Outcome, time: Duration) {
        let mut remembered = lock(&self.remembered);
        let now = Instant::now();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_, (_, until)| *until > now);
        }
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, (outcome, now + time));
    }
}

/// The remote with other options, for one use; its row stays as it is.
fn patched(remote: Remote, options: &ContainerRemoteOptions) -> Result<Remote, RegistryError> {
    let options = serde_json::to_value(options).map_err(|error| failure::ours(&error))?;
    Ok(Remote { options, ..remote })
}

/// `None` if there are as many as there may be.
async fn get_or_create(
    db: &Db,
    new: NewRepository,
    behind: &Behind,
) -> Result<Option<Repository>, DbError> {
    let name = new.name.clone();
    let find = move |conn: &mut Connection| repository::get(conn, &name).map(Some);
    match db.read(find.clone()).await {
        Err(DbError::NotFound { .. }) => {}
        found => return found,
    }
    let (parent, limit) = (behind.parent.clone(), behind.limit);
    let create = move |conn: &mut Connection| {
        if repository::kept_for(conn, &parent)?.len() >= limit {
            return Ok(None);
        }
        repository::create(conn, &new).map(Some)
    };
    match db.write(create).await {
        // Somebody else was faster.
        Err(DbError::AlreadyExists { .. }) => db.read(find).await,
        made => made,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
