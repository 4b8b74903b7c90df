//! The kit itself, as far as the downloads' own tests do not show it.

use http::{Method, StatusCode};
use pulp_models::{RemoteSettings, store::ArtifactStore};

use super::{Fault, Upstream};
use crate::download::{Downloader, HttpRequest};

async fn get(upstream: &Upstream, path: &str) -> (StatusCode, bytes::Bytes) {
    let home = tempfile::tempdir().expect("a folder");
    let store = ArtifactStore::open(home.path()).await.expect("a store");
    let settings = RemoteSettings { max_retries: Some(0), ..RemoteSettings::default() };
    let url = upstream.url(path);
    let downloader = Downloader::new(&url, &settings, store).expect("valid settings");
    match downloader.request(HttpRequest::new(Method::GET, url)).await {
        Ok(answer) => (answer.status(), answer.bytes(1_000).await.expect("a body")),
        Err(error) => (error.status().expect("an answer"), bytes::Bytes::new()),
    }
}

#[tokio::test]
async fn a_folder_is_served_as_it_is_at_that_moment_and_nothing_beside_it() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(root.path().join("tree")).expect("created");
    std::fs::write(root.path().join("secret"), "x").expect("written");
    let upstream = Upstream::start().await.folder("pub", root.path().join("tree"));
    assert_eq!(get(&upstream, "pub/a b").await.0, StatusCode::NOT_FOUND);
    std::fs::write(root.path().join("tree/a b"), "x").expect("written");
    assert_eq!(get(&upstream, "pub/a b").await, (StatusCode::OK, "x".into()));
    assert_eq!(get(&upstream, "pub/..%2Fsecret").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn faults_everywhere_are_used_up_path_by_path() {
    let upstream = Upstream::start()
        .await
        .file("a", "a")
        .file("b", "b")
        .file("c", "c")
        .fault("c", [Fault::None])
        .fault_everywhere([Fault::Status(418)]);
    for path in ["a", "b"] {
        assert_eq!(get(&upstream, path).await.0, StatusCode::IM_A_TEAPOT);
        assert_eq!(get(&upstream, path).await.0, StatusCode::OK);
    }
    assert_eq!(get(&upstream, "c").await.0, StatusCode::OK);
    upstream.remove("a");
    assert_eq!(get(&upstream, "a").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dropped_upstream_answers_no_more() {
    let upstream = Upstream::start().await.file("f", "x");
    let address = upstream.url("f").expose().socket_addrs(|| None).expect("an address")[0];
    assert_eq!(get(&upstream, "f").await.0, StatusCode::OK);
    drop(upstream);
    // The listener closes as soon as its task is gone.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
