//! An installation and an apt archive of its own for each test.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, ops::Deref, sync::Arc};

use plugin_deb::{
    Deb,
    compression::{Compression, Encoder},
    openpgp::{KeyAlgorithm, SigningKey},
};
use pulp_models::{
    PublicationId, Sha256, Timestamp, content_artifact,
    publication::{self, Published as Row},
    remote::Policy,
    repository,
    testing::TestDatabase,
    version::{self, Columns},
};
use pulp_stages::{
    plugin::{AnyPlugin, CommandContext},
    progress::Silent,
    publish::{PublishError, PublishRequest, Published},
    sync::{SyncError, SyncRequest, SyncSummary},
    testing::{self, Upstream, report},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// As the framework's lab calls its repository.
pub(crate) const REPOSITORY: &str = "repository";

/// The framework's lab, and what is asked of apt repositories; gone when dropped.
pub(crate) struct Lab(testing::Lab<Deb>);

impl Deref for Lab {
    type Target = testing::Lab<Deb>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// How a test syncs.
pub(crate) struct How {
    pub(crate) options: Value,
    pub(crate) policy: Policy,
    pub(crate) mirror: bool,
    pub(crate) optimize: bool,
}

impl How {
    /// Distribution `stable` with these options besides, on demand, as a mirror.
    pub(crate) fn with(options: &Value) -> Self {
        let mut all = json!({ "distributions": ["stable"] });
        for (name, value) in options.as_object().expect("an object") {
            all[name] = value.clone();
        }
        Self { options: all, policy: Policy::OnDemand, mirror: true, optimize: true }
    }

    pub(crate) fn plain() -> Self {
        Self::with(&json!({}))
    }

    pub(crate) fn immediate(self) -> Self {
        Self { policy: Policy::Immediate, ..self }
    }
}

impl Lab {
    pub(crate) async fn new(database: TestDatabase) -> Self {
        Self(testing::Lab::new(Deb, database).await)
    }

    pub(crate) async fn sync(&self, how: How) -> Result<SyncSummary, SyncError> {
        let remote = self.remote(self.upstream.url(""), how.policy, how.options).await;
        let (mirror, optimize) = (how.mirror, how.optimize);
        let request = SyncRequest { mirror, optimize, ..self.request(remote).await };
        AnyPlugin::sync(&Deb, &self.installation, request).await
    }

    /// The error of a sync that must fail, with its causes.
    pub(crate) async fn failure(&self, how: How) -> String {
        report(&self.sync(how).await.expect_err("the sync must fail"))
    }

    /// Names and versions of the packages of the latest version, e.g. `hello 1.0 amd64`.
    pub(crate) async fn packages(&self) -> Vec<String> {
        self.packages_of(REPOSITORY).await
    }

    /// The same of another repository.
    pub(crate) async fn packages_of(&self, name: &'static str) -> Vec<String> {
        let units = self.units_of(name, Some("deb.package")).await;
        let mut names: Vec<String> = units
            .iter()
            .map(|unit| {
                let value: Value = serde_json::from_str(unit).expect("JSON");
                let text = |name: &str| value[name].as_str().expect("text").to_owned();
                format!("{} {} {}", text("package"), text("version"), text("architecture"))
            })
            .collect();
        names.sort();
        names
    }

    /// The metadata of the latest version's units of a type, or of all.
    pub(crate) async fn units(&self, type_name: Option<&'static str>) -> Vec<String> {
        self.repository().await;
        self.units_of(REPOSITORY, type_name).await
    }

    async fn units_of(&self, name: &'static str, type_name: Option<&'static str>) -> Vec<String> {
        let read = move |connection: &mut _| {
            let id = repository::get(connection, name)?.id;
            let latest = version::latest(connection, id)?;
            version::page(connection, id, latest, type_name, Columns::Metadata, None, 10_000)
        };
        let units = self.installation.db.read(read).await.expect("read");
        units.into_iter().map(|unit| unit.metadata).collect()
    }

    /// Publishes the latest version; gives what it serves, as far as it is
    /// stored.
    pub(crate) async fn publish(&self, options: Value) -> BTreeMap<String, Vec<u8>> {
        self.publish_of(REPOSITORY, options).await
    }

    /// The same of another repository.
    pub(crate) async fn publish_of(
        &self,
        name: &'static str,
        options: Value,
    ) -> BTreeMap<String, Vec<u8>> {
        let published = self.try_publish(name, options).await.expect("published");
        self.served(published.publication).await
    }

    /// Runs a command of the plugin; the error with its causes.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<Value, String> {
        let commands = AnyPlugin::commands(&Deb);
        let command = commands.into_iter().find(|one| one.get_name() == arguments[0]);
        let matches = command.expect("a command").try_get_matches_from(arguments);
        let context = CommandContext {
            installation: self.installation.clone(),
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        let matches = matches.map_err(|error| error.to_string())?;
        let done = AnyPlugin::run_command(&Deb, &context, arguments[0], &matches).await;
        done.map_err(|error| report(&error))
    }

    /// The error of a publication that must fail.
    pub(crate) async fn publish_fails(&self, options: Value) -> String {
        report(&self.try_publish(REPOSITORY, options).await.expect_err("publishing must fail"))
    }

    async fn try_publish(
        &self,
        name: &'static str,
        options: Value,
    ) -> Result<Published, PublishError> {
        let get = move |connection: &mut _| repository::get(connection, name);
        let request = PublishRequest {
            repository: self.installation.db.read(get).await.expect("a repository"),
            version: None,
            options,
            checkpoint: false,
            cancel: CancellationToken::new(),
            reporter: Arc::new(Silent),
        };
        AnyPlugin::publish(&Deb, &self.installation, request).await
    }

    async fn served(&self, id: PublicationId) -> BTreeMap<String, Vec<u8>> {
        let read = move |connection: &mut _| {
            let publication = publication::get(connection, id)?;
            let mut stored = BTreeMap::new();
            if publication.pass_through {
                let (repository, number) = (publication.repository, publication.version);
                let columns = Columns::Keys;
                for unit in
                    version::page(connection, repository, number, None, columns, None, 10_000)?
                {
                    let artifacts = content_artifact::load(connection, &[unit.id])?;
                    stored.extend(
                        artifacts
                            .into_values()
                            .flatten()
                            .filter_map(|one| Some((one.relative_path, one.artifact?))),
                    );
                }
            }
            for row in publication::page(connection, id, "", None, 10_000)? {
                let digest = match row.published {
                    Row::Metadata { sha256, .. } => Some(sha256),
                    Row::Content { content, path } => {
                        let artifacts = content_artifact::load(connection, &[content])?;
                        let mut all = artifacts.into_values().flatten();
                        all.find(|one| one.relative_path == path).and_then(|one| one.artifact)
                    }
                    Row::Nothing => None,
                };
                stored.remove(&row.relative_path);
                stored.extend(digest.map(|digest| (row.relative_path, digest)));
            }
            Ok(stored)
        };
        let stored = self.installation.db.read(read).await.expect("read");
        let mut files = BTreeMap::new();
        for (path, digest) in stored {
            let bytes = self.installation.store.read(&digest, 1 << 30).await.expect("stored");
            files.insert(path.to_string(), bytes.to_vec());
        }
        files
    }
}

/// A distribution that is put upstream, file by file.
pub(crate) struct Dist {
    /// Where its release file lies, with a slash at the end.
    pub(crate) directory: String,
    /// The fields before the hashes.
    pub(crate) head: String,
    /// The listed files by path below the directory.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Listed, but not there.
    pub(crate) absent: Vec<String>,
}

impl Dist {
    /// `dists/stable` with the component `main` for amd64 and arm64.
    pub(crate) fn stable() -> Self {
        Self {
            directory: "dists/stable/".to_owned(),
            head: "Origin: Test\nSuite: stable\nCodename: test\n\
                   Date: Sat, 11 Jul 2026 10:16:37 UTC\n\
                   Architectures: amd64 arm64\nComponents: main\n"
                .to_owned(),
            files: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Lists a file, compressed.
    pub(crate) fn file(mut self, path: &str, text: &str, compressions: &[Compression]) -> Self {
        for compression in compressions {
            let bytes = compress(*compression, text.as_bytes());
            self.files.push((format!("{path}{}", compression.suffix()), bytes));
        }
        self
    }

    /// Lists the packages of amd64 in plain (which is not there, as usual), gz and xz.
    pub(crate) fn packages(self, text: &str) -> Self {
        const PATH: &str = "main/binary-amd64/Packages";
        let all = [Compression::Plain, Compression::Gz, Compression::Xz];
        let mut dist = self.file(PATH, text, &all);
        dist.absent.push(PATH.to_owned());
        dist
    }

    /// The text of its release file.
    pub(crate) fn release(&self) -> String {
        let mut text = format!("{}SHA256:\n", self.head);
        for (path, bytes) in &self.files {
            let _ = writeln!(text, " {} {} {path}", Sha256::of(bytes), bytes.len());
        }
        text
    }

    /// Puts everything upstream, signed if there is a key.
    pub(crate) fn put(&self, upstream: &Upstream, key: Option<&SigningKey>) {
        for (path, bytes) in &self.files {
            if !self.absent.contains(path) {
                upstream.put(&format!("{}{path}", self.directory), bytes.clone());
            }
        }
        for (path, bytes) in self.release_files(key) {
            upstream.put(&path, bytes);
        }
    }

    /// Its release files by path, signed if there is a key.
    pub(crate) fn release_files(&self, key: Option<&SigningKey>) -> Vec<(String, Vec<u8>)> {
        let text = self.release();
        let mut files = Vec::new();
        if let Some(key) = key {
            let now = Timestamp::now().as_seconds();
            files.push(("InRelease", key.sign_cleartext(text.as_bytes(), now).expect("signed")));
            files.push(("Release.gpg", key.sign_detached(text.as_bytes(), now).expect("signed")));
        }
        files.push(("Release", text.into_bytes()));
        let path = |name: &str| format!("{}{name}", self.directory);
        files.into_iter().map(|(name, bytes)| (path(name), bytes)).collect()
    }
}

/// A stanza of a package, and its file upstream.
pub(crate) fn package(
    upstream: &Upstream,
    name: &str,
    version: &str,
    architecture: &str,
) -> String {
    let body = format!("{name} {version} {architecture}").into_bytes();
    let path = format!("pool/{name}_{version}_{architecture}.deb");
    upstream.put(&path, body.clone());
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: Jörg <j@example.org>\nFilename: {path}\nSize: {}\nSHA256: {}\n\
         Description: a\n package\n .\n of ours\n\n",
        body.len(),
        Sha256::of(&body),
    )
}

pub(crate) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).expect("starts");
    encoder.write_all(bytes).expect("writes");
    encoder.finish().expect("ends")
}

pub(crate) fn key() -> SigningKey {
    let now = Timestamp::now().as_seconds();
    SigningKey::create("Test <test@example.org>", KeyAlgorithm::Ed25519, now).expect("a key")
}
