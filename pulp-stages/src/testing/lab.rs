//! An installation and an upstream of its own for each test, and what is done to them.
//!
//! The verbs are those of the command line, called as the command line calls them. One remote, one
//! repository and one distribution are enough for most tests; more are made through `installation`.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use pulp_models::{
    RemoteSettings, RemoteUrl, Sha256, content_artifact,
    distribution::{self, NewDistribution, Target},
    remote::{self, NewRemote, Policy, Remote},
    repository::{self, NewRepository, Repository},
    testing::TestDatabase,
    version::{self, Columns, Version},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Served, Upstream};
use crate::{
    installation::Installation,
    plugin::{AnyPlugin, Plugin, Plugins},
    progress::Silent,
    publish::{PublishError, PublishRequest, Published},
    repository_settings::RepositorySettings,
    sync::{SyncError, SyncRequest, SyncSummary},
};

/// An installation with an empty database, and an empty upstream; gone when dropped.
pub struct Lab<P: Plugin> {
    /// The plugin that is tested.
    pub plugin: P,
    /// Database and artifact store.
    pub installation: Installation,
    /// What it synchronises from.
    pub upstream: Upstream,
    folder: TempDir,
    _database: TestDatabase,
}

impl<P: Plugin> Lab<P> {
    /// The base path of the lab's distribution.
    pub const BASE_PATH: &'static str = "lab";

    /// A new one on `database`.
    pub async fn new(plugin: P, database: TestDatabase) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join("home");
        let installation = Installation::open(&home, Some(database.url())).await.expect("opens");
        let upstream = Upstream::start().await;
        Self { plugin, installation, upstream, folder, _database: database }
    }

    /// A folder for what a test needs besides.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The lab's remote; made, or changed to what is given here. It asks once for each file.
    pub async fn remote(&self, url: RemoteUrl, policy: Policy, options: Value) -> Remote {
        let settings = RemoteSettings {
            max_retries: Some(0),
            retry_delay: Some(Duration::from_millis(1)),
            ..RemoteSettings::default()
        };
        self.remote_with(url, policy, settings, options).await
    }

    /// The same with settings of one's own.
    pub async fn remote_with(
        &self,
        url: RemoteUrl,
        policy: Policy,
        settings: RemoteSettings,
        options: Value,
    ) -> Remote {
        let (name, plugin) = ("upstream".to_owned(), P::NAME.to_owned());
        let new = NewRemote { name, plugin, url, policy, settings, options };
        let set = move |connection: &mut _| match remote::get(connection, &new.name) {
            Ok(found) => {
                let new = new.clone();
                let changed = Remote {
                    url: new.url,
                    policy: new.policy,
                    settings: new.settings,
                    options: new.options,
                    ..found
                };
                remote::update(connection, &changed).map(|()| changed)
            }
            Err(_) => remote::create(connection, &new),
        };
        self.installation.db.write(set).await.expect("a remote")
    }

    /// The lab's repository, as it is now; made when it is not there.
    pub async fn repository(&self) -> Repository {
        self.repository_with(RepositorySettings::default()).await
    }

    /// The same, made with these settings.
    pub async fn repository_with(&self, settings: RepositorySettings) -> Repository {
        let options = settings.to_value().expect("settings are JSON");
        let new = NewRepository { options, ..NewRepository::new("repository", P::NAME) };
        let get = move |connection: &mut _| match repository::get(connection, &new.name) {
            Ok(found) => Ok(found),
            Err(_) => repository::create(connection, &new),
        };
        self.installation.db.write(get).await.expect("a repository")
    }

    /// A sync of the lab's repository, to be changed or given to [`AnyPlugin::sync`].
    pub async fn request(&self, remote: Remote) -> SyncRequest {
        SyncRequest {
            repository: self.repository().await,
            remote,
            mirror: false,
            optimize: true,
            dry_run: false,
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        }
    }

    /// Synchronises the lab's repository.
    pub async fn sync(&self, remote: Remote, mirror: bool) -> Result<SyncSummary, SyncError> {
        let request = SyncRequest { mirror, ..self.request(remote).await };
        AnyPlugin::sync(&self.plugin, &self.installation, request).await
    }

    /// The repository's latest version.
    pub async fn version(&self) -> Version {
        let repository = self.repository().await;
        self.installation.version(&repository, None).await.expect("there is always one")
    }

    /// The paths of the latest version's files, with the digest of what is stored.
    pub async fn files(&self) -> BTreeMap<String, Option<Sha256>> {
        let id = self.repository().await.id;
        let read = move |connection: &mut _| {
            let latest = version::latest(connection, id)?;
            let mut files = BTreeMap::new();
            let mut after = None;
            loop {
                let keys = Columns::Keys;
                let page = version::page(connection, id, latest, None, keys, after, 1000)?;
                let Some(last) = page.last() else { return Ok(files) };
                after = Some(last.id);
                let ids: Vec<_> = page.iter().map(|unit| unit.id).collect();
                let found = content_artifact::load(connection, &ids)?.into_values().flatten();
                files.extend(found.map(|one| (one.relative_path.to_string(), one.artifact)));
            }
        };
        self.installation.db.read(read).await.expect("read")
    }

    /// Publishes the latest version.
    pub async fn publish(&self, options: Value) -> Result<Published, PublishError> {
        let request = PublishRequest {
            repository: self.repository().await,
            version: None,
            options,
            checkpoint: false,
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        AnyPlugin::publish(&self.plugin, &self.installation, request).await
    }

    /// Serves what is newest in the repository at [`BASE_PATH`](Self::BASE_PATH), until dropped.
    pub async fn serve(&self) -> Served {
        let new = NewDistribution {
            name: Self::BASE_PATH.to_owned(),
            plugin: P::NAME.to_owned(),
            base_path: Self::BASE_PATH.parse().expect("a base path"),
            target: Target::Repository(self.repository().await.id),
            options: json!({}),
        };
        let create = move |connection: &mut _| match distribution::get(connection, &new.name) {
            Ok(found) => Ok(found),
            Err(_) => distribution::create(connection, &new),
        };
        self.installation.db.write(create).await.expect("a distribution");
        Served::start(self.installation.clone(), self.plugins()).await
    }

    /// The plugin as a program composes it.
    pub fn plugins(&self) -> Plugins {
        let mut plugins = Plugins::default();
        plugins.add(self.plugin.clone());
        plugins
    }
}

/// An error with all its causes, as it is told to people.
pub fn report(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
