//! The authenticator against a scripted token server; time is paused.

use std::{sync::atomic::AtomicUsize, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;

use super::*;

/// Counts requests, hands out `t1`, `t2`, … valid for `lifetime` seconds, and takes a second.
struct Server {
    asked: Mutex<Vec<TokenRequest>>,
    count: AtomicUsize,
    status: Mutex<u16>,
}

#[async_trait]
impl TokenTransport for Server {
    async fn exchange(&self, request: TokenRequest) -> Result<(u16, Bytes), String> {
        tokio::time::sleep(Duration::from_secs(1)).await; // paused: no time passes
        self.asked.lock().expect("not poisoned").push(request);
        let number = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let body = format!(r#"{{"access_token": "t{number}", "expires_in": 100}}"#);
        Ok((*self.status.lock().expect("not poisoned"), body.into()))
    }
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            count: AtomicUsize::default(),
            status: Mutex::new(200),
        })
    }

    fn asked(&self) -> Vec<TokenRequest> {
        self.asked.lock().expect("not poisoned").clone()
    }

    fn authenticator(self: &Arc<Self>, credentials: Credentials) -> Authenticator {
        let registry = "http://registry:5000/".parse().expect("valid");
        Authenticator::new(registry, credentials, self.clone())
    }
}

fn user() -> Credentials {
    Credentials::Basic { username: "me".into(), password: "pw".into() }
}

fn scope(name: &str) -> Scope {
    Scope::pull(name.parse().expect("valid"))
}

fn challenge(authenticator: &Authenticator, sent: Option<&Secret>, line: &str) {
    let lines = [line.as_bytes()];
    authenticator.challenged(&scope("lab/many"), sent, lines).expect("can be answered");
}

async fn header(authenticator: &Authenticator) -> Option<String> {
    let header = authenticator.header(&scope("lab/many")).await.expect("is authorised");
    header.map(|header| header.expose().to_owned())
}

const BEARER: &str =
    r#"Bearer realm="https://auth/token?a=b",service="s",scope="repository:x:pull""#;

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_until_it_expires_and_renewed_once_for_all() {
    let server = Server::new();
    let authenticator = server.authenticator(user());
    assert_eq!(header(&authenticator).await, None, "nothing is sent unasked");
    challenge(&authenticator, None, BEARER);
    let all = join_all((0..50).map(|_| header(&authenticator))).await;
    assert!(all.iter().all(|header| header.as_deref() == Some("Bearer t1")));
    tokio::time::advance(Duration::from_secs(80)).await;
    assert_eq!(header(&authenticator).await.as_deref(), Some("Bearer t1"));
    tokio::time::advance(Duration::from_secs(20)).await;
    let all = join_all((0..50).map(|_| header(&authenticator))).await;
    assert!(all.iter().all(|header| header.as_deref() == Some("Bearer t2")));

    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let url = "https://auth/token?a=b&service=s&scope=repository%3Ax%3Apull";
    assert_eq!(asked[0].url.as_str(), url);
    assert_eq!(asked[0].authorization, user().basic_header());
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_early_is_replaced_once_however_many_requests_failed() {
    let server = Server::new();
    let authenticator = server.authenticator(Credentials::Anonymous);
    challenge(&authenticator, None, BEARER);
    assert_eq!(header(&authenticator).await.as_deref(), Some("Bearer t1"));
    let old = Secret::new("Bearer t1");
    challenge(&authenticator, Some(&old), BEARER);
    challenge(&authenticator, Some(&old), BEARER);
    assert_eq!(header(&authenticator).await.as_deref(), Some("Bearer t2"));
    challenge(&authenticator, Some(&old), BEARER);
    assert_eq!(header(&authenticator).await.as_deref(), Some("Bearer t2"));
    assert_eq!(server.asked().len(), 2);
    assert_eq!(server.asked()[0].authorization, None);
}

#[tokio::test(start_paused = true)]
async fn a_missing_scope_is_filled_in_and_a_relative_realm_resolved() {
    let server = Server::new();
    let authenticator = server.authenticator(user());
    challenge(&authenticator, None, r#"Basic realm="x", Bearer realm="/token""#);
    header(&authenticator).await;
    let url = "http://registry:5000/token?scope=repository%3Alab%2Fmany%3Apull";
    assert_eq!(server.asked()[0].url.as_str(), url);
}

#[tokio::test(start_paused = true)]
async fn an_identity_token_is_exchanged_by_post() {
    let server = Server::new();
    let authenticator = server.authenticator(Credentials::IdentityToken("i&d".into()));
    challenge(&authenticator, None, BEARER);
    header(&authenticator).await;
    let asked = server.asked().remove(0);
    assert_eq!(asked.url.as_str(), "https://auth/token?a=b");
    assert_eq!(
        asked.form.expect("is a POST").expose(),
        "grant_type=refresh_token&refresh_token=i%26d&client_id=pulp&service=s&scope=repository%3Ax%3Apull"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_every_waiter_and_is_forgotten() {
    let server = Server::new();
    let authenticator = server.authenticator(user());
    challenge(&authenticator, None, BEARER);
    *server.status.lock().expect("not poisoned") = 403;
    let scope = scope("lab/many");
    let all = join_all((0..3).map(|_| authenticator.header(&scope))).await;
    assert!(all.iter().all(|r| matches!(r, Err(AuthError::TokenRefused { status: 403, .. }))));
    assert_eq!(server.asked().len(), 1);
    *server.status.lock().expect("not poisoned") = 200;
    assert_eq!(header(&authenticator).await.as_deref(), Some("Bearer t2"));
}

#[tokio::test(start_paused = true)]
async fn basic_is_sent_when_asked_for_and_not_repeated_when_refused() {
    let server = Server::new();
    let authenticator = server.authenticator(user());
    challenge(&authenticator, None, r#"Basic realm="x""#);
    let sent = authenticator.header(&scope("other")).await.expect("is authorised");
    assert_eq!(sent, user().basic_header());
    let again = authenticator.challenged(&scope("other"), sent.as_ref(), [&b"Basic realm=x"[..]]);
    assert!(matches!(again, Err(AuthError::Refused)));
}

#[test]
fn what_cannot_be_answered_is_said() {
    let check = |credentials: Credentials, line: &str, message: &str| {
        let authenticator = Server::new().authenticator(credentials);
        let lines = [line.as_bytes()];
        let error = authenticator.challenged(&scope("a"), None, lines).expect_err(line);
        assert!(error.to_string().contains(message), "{line}: {error}");
    };
    check(Credentials::Anonymous, "Basic realm=x", "needs a user name");
    check(Credentials::IdentityToken("t".into()), "Basic", "identity token");
    check(user(), "Negotiate", "`negotiate`, which is neither");
    check(user(), "Bearer service=x", "no token server");
    check(user(), "Bearer realm=\"ftp://x/\"", "no token server");
    check(user(), "Bearer realm=\"http://elsewhere/t?secret\"", "not sent to the token server");
}

#[test]
fn a_scope_is_found_in_the_urls_of_the_specification() {
    let check = |url: &str, expected: &str| {
        assert_eq!(Scope::of(&url.parse().expect("valid")).parameter(), expected, "{url}");
    };
    check("http://h/v2/", "");
    check("http://h/v2/_catalog", "");
    check("http://h/v2/lab/many/tags/list?n=1", "repository:lab/many:pull");
    check("http://h/prefix/v2/a/blobs/sha256:00", "repository:a:pull");
    check("http://h/v2/a/blobs/b/manifests/v1", "repository:a/blobs/b:pull");
    check("http://h/extensions/v2/a/signatures/sha256:00", "repository:a:pull");
    check("http://h/v2/A/manifests/v1", "");
}
