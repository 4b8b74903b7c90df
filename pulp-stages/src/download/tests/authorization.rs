//! Challenges: who answers them, how often, and who never gets to see the answer.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header};
use pulp_models::{RemoteSettings, RemoteUrl};
use url::Url;

use super::{
    super::{Authorize, DownloadRequest, Downloader, client::basic},
    Lab, bounded, expected, settings, told,
};
use crate::testing::{Fault, Upstream};

/// Sends nothing until it is challenged, then the password it was made with.
#[derive(Debug)]
struct WhenAsked {
    password: &'static str,
    challenges: Mutex<Vec<bool>>,
}

#[async_trait]
impl Authorize for WhenAsked {
    async fn authorization(
        &self,
        _url: &Url,
    ) -> Result<Option<HeaderValue>, Box<dyn Error + Send + Sync>> {
        let challenged = !self.challenges.lock().expect("not poisoned").is_empty();
        Ok(challenged.then(|| basic("me", self.password)))
    }

    fn challenged(
        &self,
        _url: &Url,
        sent: Option<&HeaderValue>,
        answer: &HeaderMap,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        assert!(answer.contains_key(header::WWW_AUTHENTICATE));
        let mut challenges = self.challenges.lock().expect("not poisoned");
        challenges.push(sent.is_some());
        if challenges.len() > 2 { Err("asked too often".into()) } else { Ok(()) }
    }
}

fn downloader(lab: &Lab, url: &RemoteUrl, password: &'static str) -> Downloader {
    let authorize = Arc::new(WhenAsked { password, challenges: Mutex::default() });
    Downloader::authorized_by(authorize, url, &settings(), lab.store.clone()).expect("valid")
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_remembered_by_whoever_answers() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x").basic_auth("me", "pw");
    let downloader = downloader(&lab, &upstream.url(""), "pw");
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(b"x"));
    for requests in [2, 3] {
        bounded(downloader.fetch(&request)).await.expect("it came");
        assert_eq!(upstream.requests().len(), requests);
    }
    assert!(!upstream.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_second_refusal_is_final_and_a_challenge_without_answer_an_error() {
    let lab = Lab::new().await;
    let upstream = Upstream::start().await.file("f", "x").basic_auth("me", "pw");
    let downloader = downloader(&lab, &upstream.url(""), "wrong");
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(b"x"));
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(told(&bounded(downloader.fetch(&request)).await.expect_err("refused")));
    }
    insta::assert_snapshot!(errors[0], @"`http://HOST/f` answered 401 Unauthorized");
    insta::assert_snapshot!(errors[2], @"Failed to get authorisation for `http://HOST/f`: asked too often");
}

#[tokio::test]
async fn another_origin_is_neither_given_nor_asked_for_authorisation() {
    let lab = Lab::new().await;
    let elsewhere = Upstream::start().await.file("f", "x");
    let upstream = Upstream::start()
        .await
        .file("g", "x")
        .basic_auth("me", "pw")
        .fault("f", [Fault::Redirect(307, elsewhere.url("f").expose().to_string())]);
    let downloader = downloader(&lab, &upstream.url(""), "pw");
    for path in ["g", "f"] {
        let request = DownloadRequest::new(upstream.url(path)).expecting(expected(b"x"));
        bounded(downloader.fetch(&request)).await.expect("it came");
    }
    assert!(!elsewhere.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_pause_is_shared_with_whoever_asks_for_the_authorisation() {
    let lab = Lab::new().await;
    let upstream = Upstream::start()
        .await
        .file("token", "t")
        .file("f", "x")
        .fault("token", [Fault::RetryAfter(429, "1".into())]);
    let settings = RemoteSettings { max_retries: Some(0), ..settings() };
    let plain = lab.downloader(&upstream.url(""), &settings);
    let authorize = Arc::new(WhenAsked { password: "pw", challenges: Mutex::default() });
    let authorized = plain.authorized(authorize);
    let begin = Instant::now();
    let token = DownloadRequest::new(upstream.url("token"));
    bounded(plain.fetch(&token)).await.expect_err("it asks for time");
    let request = DownloadRequest::new(upstream.url("f")).expecting(expected(b"x"));
    bounded(authorized.fetch(&request)).await.expect("it came");
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(authorized.statistics().requests, 2, "both are counted");
}
