//! A served installation on loopback, filled by hand.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pulp_models::{
    ContentId, Digests, Expected, Key, PublicationId, RelativePath, RemoteId, RemoteSettings,
    RemoteUrl, RepositoryId, Sha256,
    artifact::{self, NewArtifact},
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    distribution::{self, NewDistribution, Target},
    publication::{self, NewPublication, PublishedArtifact},
    remote::{self, NewRemote, Policy},
    remote_artifact::{self, NewRemoteArtifact},
    repository::{self, NewRepository},
    store::Verified,
    version::{self, Completion, Mode},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    installation::Installation,
    plugin::Plugins,
    serve::{ContentApp, ServeSettings, ServerSettings, serve},
};

/// No test waits longer than this for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An installation with one repository, and a server for it.
pub(super) struct Bench {
    pub(super) installation: Installation,
    pub(super) app: ContentApp,
    pub(super) address: SocketAddr,
    pub(super) repository: RepositoryId,
    pub(super) shutdown: CancellationToken,
    pub(super) server: JoinHandle<()>,
    client: reqwest::Client,
    _home: tempfile::TempDir,
}

/// A response read to its end, or to where it broke off.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the body ended properly.
    pub(super) whole: bool,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(10_000)]).into_owned()
    }

    /// Status and text, for messages.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert!(self.whole, "it broke off after {} bytes", self.body.len());
        self
    }
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::with(ServeSettings::default(), ServerSettings::default()).await
    }

    pub(super) async fn with(settings: ServeSettings, server: ServerSettings) -> Self {
        Self::composed(Plugins::default(), settings, server).await
    }

    pub(super) async fn composed(
        plugins: Plugins,
        settings: ServeSettings,
        server: ServerSettings,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let installation = Installation::open(home.path(), None).await.expect("opens");
        let new = NewRepository::new("packages", "file");
        let created = installation.db.write(move |conn| repository::create(conn, &new)).await;
        let app = ContentApp::new(installation.clone(), plugins, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let server = serve(vec![listener], app.clone(), shutdown.clone(), server);
        Self {
            installation,
            app,
            address,
            repository: created.expect("created").id,
            shutdown,
            server: tokio::spawn(server),
            client: client(),
            _home: home,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/pulp/content/{path}", self.address)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(reqwest::Method::GET, path, headers).await
    }

    pub(super) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.request(method, self.url(path)).timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.expect("an answer")).await
    }

    /// A response whose body is not read yet.
    pub(super) async fn open(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).timeout(PATIENCE).send().await.expect("an answer")
    }

    /// What the server says to these very bytes; the connection is closed afterwards.
    pub(super) async fn raw(&self, target: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        read.expect("in time").expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A remote for files of `upstream`.
    pub(super) async fn remote(&self, policy: Policy) -> RemoteId {
        self.remote_with(policy, 0).await
    }

    pub(super) async fn remote_with(&self, policy: Policy, max_retries: u32) -> RemoteId {
        let settings = RemoteSettings {
            max_retries: Some(max_retries),
            retry_delay: Some(Duration::from_millis(1)),
            ..RemoteSettings::default()
        };
        let new = NewRemote {
            name: RemoteId::new().to_string(),
            plugin: "file".to_owned(),
            url: "http://127.0.0.1/".parse().expect("valid"),
            policy,
            settings,
            options: json!({}),
        };
        let created = self.installation.db.write(move |conn| remote::create(conn, &new)).await;
        created.expect("created").id
    }

    /// A file whose bytes are stored.
    pub(super) async fn stored(&self, path: &str, bytes: impl Into<Bytes>) -> ContentId {
        let sha256 = self.artifact(bytes).await;
        self.unit(path, sha256, Some(sha256), Vec::new()).await
    }

    /// Bytes in the store.
    pub(super) async fn artifact(&self, bytes: impl Into<Bytes>) -> Sha256 {
        let verified = vec![Verified::from_bytes(bytes.into())];
        let saved = self.installation.store.save(verified).await.expect("saved").remove(0);
        let (sha256, row) = (saved.sha256, NewArtifact::from(saved));
        let written = self
            .installation
            .db
            .write(move |conn| artifact::insert_artifacts(conn, std::slice::from_ref(&row)));
        written.await.expect("written");
        sha256
    }

    /// A file that is `bytes`, to be had from these sources.
    pub(super) async fn on_demand(
        &self,
        path: &str,
        bytes: &[u8],
        sources: &[(RemoteId, RemoteUrl)],
    ) -> ContentId {
        self.expecting(path, bytes, sources, expectation(bytes)).await
    }

    /// A file of which no more than `expected` is known.
    pub(super) async fn expecting(
        &self,
        path: &str,
        bytes: &[u8],
        sources: &[(RemoteId, RemoteUrl)],
        expected: Expected,
    ) -> ContentId {
        let with = |(remote, url): &(RemoteId, RemoteUrl)| (*remote, url.clone(), expected.clone());
        let sources = sources.iter().map(with).collect();
        self.unit(path, Sha256::of(bytes), None, sources).await
    }

    async fn unit(
        &self,
        path: &str,
        identity: Sha256,
        artifact: Option<Sha256>,
        sources: Vec<(RemoteId, RemoteUrl, Expected)>,
    ) -> ContentId {
        let path = RelativePath::new(path).expect("a path");
        let key = Key::of("file.file").field(path.as_str()).field(identity.0).finish();
        let new = NewContent {
            type_name: "file.file".into(),
            natural_key: key,
            repo_key: None,
            metadata: "{}".to_owned(),
            raw: None,
        };
        let write = move |conn: &mut pulp_models::Connection| {
            content::insert(conn, std::slice::from_ref(&new))?;
            let content = content::find(conn, &[key])?[&key];
            let relative_path = path.clone();
            let row = NewContentArtifact { content, relative_path, artifact };
            content_artifact::upsert(conn, &[row])?;
            let rows: Vec<_> = (0..)
                .zip(&sources)
                .map(|(position, (remote, url, expected))| NewRemoteArtifact {
                    content,
                    relative_path: path.clone(),
                    remote: *remote,
                    position,
                    url: url.clone(),
                    expected: expected.clone(),
                })
                .collect();
            remote_artifact::upsert(conn, &rows)?;
            Ok(content)
        };
        self.installation.db.write(write).await.expect("written")
    }

    /// A new version of exactly these units, published with its files at their own paths.
    pub(super) async fn publish(&self, contents: &[ContentId]) -> PublicationId {
        self.publish_with(contents, Vec::new(), false).await
    }

    pub(super) async fn publish_with(
        &self,
        contents: &[ContentId],
        rows: Vec<PublishedArtifact>,
        checkpoint: bool,
    ) -> PublicationId {
        let (repository, contents) = (self.repository, contents.to_vec());
        let write = move |conn: &mut pulp_models::Connection| {
            let number = version::begin(conn, repository)?;
            version::stage_content(conn, repository, number, &contents)?;
            let completion = Completion::new(Mode::Mirror);
            version::complete_version(conn, repository, number, &completion)?;
            let new = NewPublication {
                repository,
                version: version::latest(conn, repository)?,
                plugin: "file".to_owned(),
                options: json!({}),
                checkpoint,
            };
            let id = publication::create(conn, &new)?;
            publication::add(conn, id, &rows)?;
            publication::complete(conn, id, true)?;
            Ok(id)
        };
        self.installation.db.write(write).await.expect("published")
    }

    /// Serves the repository's newest publication at `base_path`.
    pub(super) async fn distribute(&self, base_path: &str) {
        self.distribute_with(base_path, Target::Repository(self.repository), json!({})).await;
    }

    pub(super) async fn distribute_with(
        &self,
        base_path: &str,
        target: Target,
        options: serde_json::Value,
    ) {
        let new = NewDistribution {
            name: base_path.to_owned(),
            plugin: "file".to_owned(),
            base_path: base_path.parse().expect("a base path"),
            target,
            options,
        };
        let created = self.installation.db.write(move |conn| distribution::create(conn, &new));
        created.await.expect("created");
    }

    /// Publishes these units at the base path `files`.
    pub(super) async fn serve_units(&self, contents: &[ContentId]) {
        self.publish(contents).await;
        self.distribute("files").await;
    }

    pub(super) async fn is_stored(&self, bytes: &[u8]) -> bool {
        self.installation.store.open_artifact(&Sha256::of(bytes)).await.is_ok()
    }

    /// Waits until no file is being fetched.
    pub(super) async fn until_idle(&self) {
        let idle = async {
            while self.app.inner.fills.count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, idle).await.expect("idle in time");
    }

    /// Waits until what is being fetched is; then these bytes are stored.
    pub(super) async fn until_stored(&self, bytes: &[u8]) {
        self.until_idle().await;
        assert!(self.is_stored(bytes).await);
    }

    /// Temporary files of this process, its proof of life left out.
    pub(super) fn temporary_files(&self) -> usize {
        let folders = std::fs::read_dir(self.installation.home().join("tmp")).expect("listed");
        let count = |folder: std::io::Result<std::fs::DirEntry>| {
            let files = std::fs::read_dir(folder.expect("listed").path()).expect("listed");
            files.filter(|file| file.as_ref().is_ok_and(|file| file.file_name() != "alive")).count()
        };
        folders.map(count).sum()
    }

    pub(super) async fn until_no_temporary_files(&self) {
        let gone = async {
            while self.temporary_files() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("removed in time");
    }
}

/// A client that keeps connections and follows no redirect.
pub(super) fn client() -> reqwest::Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client")
}

pub(super) async fn read(mut response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    let whole = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    Answer { status, headers, body, whole }
}

/// Size and SHA-256 of `bytes`.
pub(super) fn expectation(bytes: &[u8]) -> Expected {
    Expected { size: Some(bytes.len() as u64), digests: Digests::from(Sha256::of(bytes)) }
}

/// Bytes in which no two nearby blocks are equal.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect()
}
