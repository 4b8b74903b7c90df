//! Requests, tokens and downloads against a registry on the loopback that wants tokens.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request as Asked, State},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use pulp_stages::download::DownloadRequest;

use super::*;
use crate::{client::Registry, digest::Digest, reference::Reference};

const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const BLOB: &[u8] = b"a layer";

/// Hands out `t1`, `t2`, …; only the newest is good, and only for `uses` requests.
#[derive(Default)]
struct Server {
    uses: usize,
    tokens: AtomicUsize,
    used: Mutex<usize>,
    refused: AtomicUsize,
    /// `Authorization` of requests for tokens.
    credentials: Mutex<Vec<Option<String>>>,
}

impl Server {
    async fn start(uses: usize) -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self { uses, ..Self::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state((Arc::clone(&server), address));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, address)
    }

    fn accepts(&self, sent: Option<&str>) -> bool {
        let mut used = self.used.lock().expect("not poisoned");
        let newest = format!("Bearer t{}", self.tokens.load(Ordering::SeqCst));
        if sent != Some(&*newest) || *used >= self.uses {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        *used += 1;
        true
    }
}

async fn answer(
    State((server, address)): State<(Arc<Server>, SocketAddr)>,
    asked: Asked,
) -> Response {
    let sent = asked.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let path = asked.uri().path();
    if path == "/token" {
        server.credentials.lock().expect("not poisoned").push(sent.map(ToOwned::to_owned));
        *server.used.lock().expect("not poisoned") = 0;
        let number = server.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!(
            asked.uri().query(),
            Some("a=b,c&service=lab&scope=repository%3Alab%2Fx%3Apull")
        );
        return format!(r#"{{"token": "t{number}", "expires_in": 300}}"#).into_response();
    }
    if !server.accepts(sent) {
        // Without a scope, and with `=` and a comma in a value.
        let challenge = format!(r#"Bearer realm="http://{address}/token?a=b,c", service="lab""#);
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    if path.contains("/blobs/") {
        return BLOB.into_response();
    }
    ([(header::CONTENT_TYPE, "application/vnd.oci.image.index.v1+json")], MANIFEST).into_response()
}

struct Lab {
    downloads: Downloader,
    registry: Registry,
    _home: tempfile::TempDir,
}

async fn lab(address: SocketAddr, settings: RemoteSettings) -> Lab {
    let home = tempfile::tempdir().expect("a temporary folder");
    let store = ArtifactStore::open(home.path()).await.expect("a store");
    let url: RemoteUrl = format!("http://{address}").parse().expect("valid");
    let options = ContainerRemoteOptions::default();
    let downloads = downloader(&url, &settings, &options, store).expect("usable settings");
    let name = "lab/x".parse().expect("valid");
    let transport = Arc::new(HttpTransport(downloads.clone()));
    let registry = Registry::new(&options::registry_base(&url), &name, 4096, transport);
    Lab { downloads, registry, _home: home }
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(60), future).await.expect("it ends")
}

#[tokio::test]
async fn a_token_serves_manifests_and_blobs_and_is_renewed_when_refused() {
    let (server, address) = Server::start(40).await;
    let settings = RemoteSettings {
        username: Some("me".into()),
        password: Some("pw".into()),
        ..RemoteSettings::default()
    };
    let lab = lab(address, settings).await;
    let reference = Reference::Digest(Digest::sha256(MANIFEST.as_bytes()));
    let requests = futures::stream::iter(0..100)
        .map(|_| lab.registry.manifest(&reference))
        .buffer_unordered(8)
        .try_collect::<Vec<_>>();
    assert_eq!(bounded(requests).await.expect("all came").len(), 100);

    let digest = Digest::sha256(BLOB);
    let request = DownloadRequest::new(lab.registry.blob_url(&digest))
        .expecting(digest.expected(Some(BLOB.len() as u64)));
    bounded(lab.downloads.fetch(&request)).await.expect("the blob came");

    assert_eq!(server.tokens.load(Ordering::SeqCst), 3, "one per forty requests");
    // The first ones before anything is known, then those in flight when a token ended.
    assert!(server.refused.load(Ordering::SeqCst) <= 3 * 8);
    let credentials = server.credentials.lock().expect("not poisoned");
    assert!(credentials.iter().all(|sent| sent.as_deref() == Some("Basic bWU6cHc=")));
}

#[tokio::test]
async fn a_registry_that_refuses_its_own_token_is_asked_once_more_and_no_further() {
    let (server, address) = Server::start(0).await;
    let lab = lab(address, RemoteSettings::default()).await;
    let reference = "v1".parse().expect("valid");
    let error = bounded(lab.registry.manifest(&reference)).await.expect_err("refused");
    assert!(error.to_string().contains("status 401"), "{error}");
    assert_eq!(server.refused.load(Ordering::SeqCst), 2);
    assert_eq!(*server.credentials.lock().expect("not poisoned"), [None]);
}

#[tokio::test]
async fn a_docker_configuration_is_read_for_its_registry() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let path = home.path().join("config.json");
    std::fs::write(&path, r#"{"auths": {"registry:5000": {"auth": "bWU6cHc="}}}"#)
        .expect("written");
    let options = ContainerRemoteOptions {
        upstream_name: Some("lab/x".parse().expect("valid")),
        docker_config: Some(path),
        ..ContainerRemoteOptions::default()
    };
    let url = "http://registry:5000".parse().expect("valid");
    let path = options.docker_config.as_deref().expect("set");
    let found = docker_credentials(path, &url, &options).expect("readable");
    assert_eq!(found, Credentials::Basic { username: "me".into(), password: "pw".into() });
    let missing = docker_credentials(&home.path().join("none"), &url, &options);
    assert!(matches!(missing, Err(AuthorizationError::Read { .. })));
}
