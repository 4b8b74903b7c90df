//! An installation of its own for each test, and what is done to it.

use std::{collections::BTreeMap, num::NonZeroU32, ops::Deref, path::PathBuf, sync::Arc};

use clap::Command;
use plugin_file::File;
use pulp_models::{
    Connection, RemoteId, RemoteSettings, RemoteUrl, Secret, Sha256,
    alternate_content_source::{self, AlternateContentSource, NewAlternateContentSource},
    publication,
    remote::{self, NewRemote, Policy, Remote},
    remote_artifact,
    repository::{self, NewRepository, Repository},
    testing::TestDatabase,
    version::{self, Columns},
};
use pulp_stages::{
    plugin::{AnyPlugin, CommandContext, CommandError},
    progress::Silent,
    publish,
    repository_settings::RepositorySettings,
    sync::{RefreshRequest, Refreshed, SyncError, SyncRequest, SyncSummary},
    testing,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The framework's lab, and what is asked of many remotes and repositories; gone when dropped.
pub(crate) struct Lab(testing::Lab<File>);

impl Deref for Lab {
    type Target = testing::Lab<File>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// What a repository's latest publication serves, as far as it is stored: path → SHA-256.
pub(crate) type Served = BTreeMap<String, Sha256>;

impl Lab {
    pub(crate) async fn new(database: TestDatabase) -> Self {
        Self(testing::Lab::new(File, database).await)
    }

    /// A local file to upload.
    pub(crate) fn local(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.folder().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// A remote that is asked once for each file.
    pub(crate) async fn remote(&self, name: &str, url: RemoteUrl, policy: Policy) -> Remote {
        self.remote_with(name, url, policy, RemoteSettings::default()).await
    }

    /// The same, with so many requests at once.
    pub(crate) async fn remote_limited(&self, name: &str, url: RemoteUrl, at_once: u32) -> Remote {
        let download_concurrency = NonZeroU32::new(at_once);
        let settings = RemoteSettings { download_concurrency, ..RemoteSettings::default() };
        self.remote_with(name, url, Policy::Immediate, settings).await
    }

    /// The same, with a login.
    pub(crate) async fn remote_with_login(
        &self,
        name: &str,
        url: RemoteUrl,
        username: &str,
        password: &str,
    ) -> Remote {
        let (username, password) = (Some(username.to_owned()), Some(Secret::new(password)));
        let settings = RemoteSettings { username, password, ..RemoteSettings::default() };
        self.remote_with(name, url, Policy::Immediate, settings).await
    }

    async fn remote_with(
        &self,
        name: &str,
        url: RemoteUrl,
        policy: Policy,
        settings: RemoteSettings,
    ) -> Remote {
        let new = NewRemote {
            name: name.to_owned(),
            plugin: "file".to_owned(),
            url,
            policy,
            settings: RemoteSettings { max_retries: Some(0), ..settings },
            options: Value::Null,
        };
        let create = move |connection: &mut _| remote::create(connection, &new);
        self.installation.db.write(create).await.expect("a remote")
    }

    /// A repository that publishes itself.
    pub(crate) async fn repository(&self, name: &str, options: Value) -> Repository {
        let settings =
            RepositorySettings { autopublish: true, options, ..RepositorySettings::default() };
        let options = settings.to_value().expect("settings");
        let new = NewRepository { options, ..NewRepository::new(name, "file") };
        let create = move |connection: &mut _| repository::create(connection, &new);
        self.installation.db.write(create).await.expect("a repository")
    }

    /// An alternate content source.
    pub(crate) async fn source(
        &self,
        name: &str,
        remote: &Remote,
        paths: &[&str],
    ) -> AlternateContentSource {
        let new = NewAlternateContentSource {
            name: name.to_owned(),
            remote: remote.id,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            enabled: true,
        };
        let create =
            move |connection: &mut Connection| alternate_content_source::create(connection, &new);
        self.installation.db.write(create).await.expect("a source")
    }

    pub(crate) async fn refresh(&self, name: &str) -> Result<Refreshed, SyncError> {
        let name = name.to_owned();
        let read =
            move |connection: &mut Connection| alternate_content_source::get(connection, &name);
        let source = self.installation.db.read(read).await.expect("a source");
        let (cancel, reporter) = (CancellationToken::new(), Arc::new(Silent));
        let request = RefreshRequest { source, cancel, reporter };
        AnyPlugin::refresh(&File, &self.installation, request).await
    }

    /// Where a file of the latest version can be fetched from, as it is remembered.
    pub(crate) async fn sources(
        &self,
        repository: &Repository,
        path: &str,
    ) -> Vec<(RemoteId, RemoteUrl)> {
        let (id, path) = (repository.id, path.parse().expect("a path"));
        let read = move |connection: &mut Connection| {
            let latest = version::latest(connection, id)?;
            let file = version::find_file(connection, id, latest, &path)?.expect("a file");
            remote_artifact::sources(connection, file.content, &path)
        };
        let sources = self.installation.db.read(read).await.expect("read");
        sources.into_iter().map(|source| (source.remote, source.url)).collect()
    }

    pub(crate) async fn sync(
        &self,
        repository: &Repository,
        remote: &Remote,
        mirror: bool,
    ) -> Result<SyncSummary, SyncError> {
        let request = SyncRequest {
            repository: repository.clone(),
            remote: remote.clone(),
            mirror,
            optimize: true,
            dry_run: false,
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        let summary = AnyPlugin::sync(&File, &self.installation, request).await?;
        let (cancel, reporter) = (CancellationToken::new(), Arc::new(Silent));
        publish::autopublish(&File, &self.installation, repository, cancel, reporter)
            .await
            .expect("published");
        Ok(summary)
    }

    /// Runs `pulp file …`.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<Value, CommandError> {
        let command = Command::new("file").no_binary_name(true).subcommands(File.commands());
        let matches = command
            .try_get_matches_from(words)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let (name, matches) = matches.subcommand().expect("a subcommand");
        let context = CommandContext {
            installation: self.installation.clone(),
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        AnyPlugin::run_command(&File, &context, name, matches).await
    }

    /// The types of the units in the latest version, with their numbers.
    pub(crate) async fn present(&self, repository: &Repository) -> BTreeMap<String, u64> {
        let version = self.installation.version(repository, None).await.expect("a version");
        version.counts.present
    }

    /// What the newest publication serves.
    pub(crate) async fn served(&self, repository: &Repository) -> Served {
        let id = repository.id;
        let read = move |connection: &mut _| {
            let newest = publication::newest(connection, id)?.expect("published");
            let units =
                version::page(connection, id, newest.version, None, Columns::Keys, None, 1000)?;
            let ids: Vec<_> = units.iter().map(|unit| unit.id).collect();
            let artifacts = pulp_models::content_artifact::load(connection, &ids)?;
            let mut served = Served::new();
            for artifact in artifacts.into_values().flatten() {
                if let Some(sha256) = artifact.artifact {
                    served.insert(artifact.relative_path.to_string(), sha256);
                }
            }
            for path in ["PULP_MANIFEST", "SHA256SUMS"] {
                let row = publication::find(connection, newest.id, path)?;
                if let Some(publication::Published::Metadata { sha256, .. }) = row {
                    served.insert(path.to_string(), sha256);
                }
            }
            Ok(served)
        };
        self.installation.db.read(read).await.expect("read")
    }

    /// The stored bytes of what is served at `path`.
    pub(crate) async fn bytes(&self, repository: &Repository, path: &str) -> Vec<u8> {
        let sha256 = self.served(repository).await[path];
        self.installation.store.read(&sha256, 1 << 30).await.expect("stored").to_vec()
    }
}

/// A `PULP_MANIFEST` of these files.
pub(crate) fn manifest(files: &[(&str, &[u8])]) -> String {
    let line =
        |(path, bytes): &(&str, &[u8])| format!("{path},{},{}\n", Sha256::of(bytes), bytes.len());
    files.iter().map(line).collect()
}
