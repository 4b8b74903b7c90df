//! Authorisation at an upstream registry.
//!
//! An [`Authenticator`] belongs to one remote. It is asked for a header before a request and told
//! of a 401 after it; it learns from the challenge whether the registry wants Basic or Bearer, keeps
//! one token per scope until it expires, and renews it once however many requests wait for it. It
//! sends nothing itself: requests to the token server go through a [`TokenTransport`].

pub mod challenge;
pub mod credentials;
pub mod token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use pulp_models::Secret;
use tokio::time::Instant;
use url::Url;

use self::token::{Source, Token};
pub use self::{
    challenge::Challenge,
    credentials::{Credentials, CredentialsError, DockerConfig},
    token::{TokenRequest, TokenTransport},
};
use crate::reference::RepositoryName;

/// What a request needs: the right to pull from one repository, or none in particular.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope(Option<RepositoryName>);

/// Why a request cannot be authorised. Cloneable, since all waiters for one token get the same.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The registry wants something that we don't have or cannot do.
    #[error("The registry asks for authorisation by `{schemes}`, which {reason}")]
    Unanswerable {
        /// The challenges' schemes.
        schemes: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The same header would be refused again.
    #[error("The registry refused the credentials")]
    Refused,
    /// The realm is not a URL that we would send credentials to.
    #[error(
        "Credentials are not sent to the token server `{0}`: it is neither `https` nor the registry's own host"
    )]
    InsecureRealm(String),
    /// No answer from the token server.
    #[error("Failed to reach the token server `{realm}`: {reason}")]
    TokenServer {
        /// Its URL.
        realm: String,
        /// As the transport told.
        reason: String,
    },
    /// The token server said no.
    #[error("The token server `{realm}` refused a token with status {status}")]
    TokenRefused {
        /// Its URL.
        realm: String,
        /// HTTP status.
        status: u16,
    },
    /// The token server's answer is not what the specification says.
    #[error("Failed to parse the answer of the token server `{realm}`")]
    TokenAnswer {
        /// Its URL.
        realm: String,
        /// Where and why.
        source: Arc<serde_json::Error>,
    },
    /// The answer has neither `token` nor `access_token`.
    #[error("The token server `{realm}` answered without a token")]
    NoToken {
        /// Its URL.
        realm: String,
    },
}

/// Authorisation for the requests of one remote. Shared by all of them.
pub struct Authenticator {
    registry: Url,
    credentials: Credentials,
    transport: Arc<dyn TokenTransport>,
    learned: Mutex<Learned>,
}

/// What the registry's challenges told so far. The lock is never held across an await.
#[derive(Default)]
struct Learned {
    /// The registry asked for Basic.
    basic: bool,
    /// Where tokens come from, and the current one, per scope.
    bearer: HashMap<Scope, (Source, Option<Renewal>)>,
}

/// A token that is being asked for, or was.
type Renewal = Shared<BoxFuture<'static, Result<Token, AuthError>>>;

impl Scope {
    /// Pulling from `repository`.
    pub fn pull(repository: RepositoryName) -> Self {
        Self(Some(repository))
    }

    /// What a request for `url` needs, by the paths of the distribution specification.
    pub fn of(url: &Url) -> Self {
        let path = url.path();
        let name = path.split_once("/v2/").map(|(_, after)| after).and_then(|after| {
            ["/manifests/", "/blobs/", "/tags/", "/referrers/", "/signatures/"]
                .iter()
                .filter_map(|marker| after.rfind(marker))
                .max()
                .map(|end| &after[..end])
        });
        Self(name.and_then(|name| name.parse().ok()))
    }

    /// As a token server wants it.
    fn parameter(&self) -> String {
        self.0.as_ref().map(|name| format!("repository:{name}:pull")).unwrap_or_default()
    }
}

impl Authenticator {
    /// For the registry at `registry`. Nothing is sent before a challenge asks for it.
    pub fn new(
        registry: Url,
        credentials: Credentials,
        transport: Arc<dyn TokenTransport>,
    ) -> Self {
        Self { registry, credentials, transport, learned: Mutex::default() }
    }

    /// The value of `Authorization` to send with a request that needs `scope`, or `None` if nothing
    /// was asked for yet. A token about to expire is renewed first, once for all who wait.
    /// Cancelling one waiter harms no other.
    pub async fn header(&self, scope: &Scope) -> Result<Option<Secret>, AuthError> {
        let renewal = {
            let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            let basic = learned.basic;
            match learned.bearer.get_mut(scope) {
                Some((source, slot)) => {
                    if slot.as_ref().is_none_or(is_stale) {
                        *slot = Some(self.renewal(source.clone()));
                    }
                    slot.clone()
                }
                None if basic => return Ok(self.credentials.basic_header()),
                None => None,
            }
        };
        match renewal {
            Some(renewal) => Ok(Some(renewal.await?.header)),
            None => Ok(None),
        }
    }

    /// Learns from a 401 to a request that needed `scope` and was sent with `sent`, whose
    /// `WWW-Authenticate` lines are `lines`. `Ok` means: ask for the header again and repeat the
    /// request, once.
    pub fn challenged<'a>(
        &self,
        scope: &Scope,
        sent: Option<&Secret>,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), AuthError> {
        let challenges = Challenge::parse_all(lines);
        let named = |scheme: &str| challenges.iter().find(|found| found.scheme == scheme);
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bearer) = named("bearer") {
            let source = self.source(scope, bearer)?;
            let slot = learned.bearer.entry(scope.clone()).or_insert((source.clone(), None));
            // A token that another waiter renewed meanwhile is kept.
            let refused = slot.1.as_ref().is_some_and(|renewal| is_header(renewal, sent));
            if refused || slot.0 != source {
                *slot = (source, None);
            }
            return Ok(());
        }
        if named("basic").is_some() && self.credentials.basic_header().is_some() {
            if sent.is_some_and(|sent| sent.expose().starts_with("Basic ")) {
                return Err(AuthError::Refused);
            }
            learned.basic = true;
            return Ok(());
        }
        let schemes: Vec<_> = challenges.iter().map(|found| &*found.scheme).collect();
        let reason = match (named("basic"), &self.credentials) {
            (Some(_), Credentials::Anonymous) => "needs a user name and a password",
            (Some(_), _) => "cannot be answered with an identity token",
            (None, _) => "is neither `basic` nor `bearer`",
        };
        Err(AuthError::Unanswerable { schemes: schemes.join(", "), reason })
    }

    fn source(&self, scope: &Scope, bearer: &Challenge) -> Result<Source, AuthError> {
        let realm = bearer.parameter("realm").and_then(|realm| self.registry.join(realm).ok());
        let realm = realm.filter(|realm| matches!(realm.scheme(), "http" | "https")).ok_or(
            AuthError::Unanswerable {
                schemes: "bearer".into(),
                reason: "names no token server in `realm`",
            },
        )?;
        let private = self.credentials != Credentials::Anonymous;
        if private && realm.scheme() != "https" && realm.host() != self.registry.host() {
            return Err(AuthError::InsecureRealm(
                pulp_models::RemoteUrl::from_url(realm).to_string(),
            ));
        }
        let text = |name| bearer.parameter(name).filter(|value| !value.is_empty());
        Ok(Source {
            realm,
            service: text("service").map(Into::into),
            scope: text("scope").map_or_else(|| scope.parameter(), Into::into),
        })
    }

    fn renewal(&self, source: Source) -> Renewal {
        let transport = Arc::clone(&self.transport);
        let credentials = self.credentials.clone();
        async move { source.token(&*transport, &credentials).await }.boxed().shared()
    }
}

/// Whether a new token must be asked for. One that is on its way is not stale; an error is never
/// kept.
fn is_stale(renewal: &Renewal) -> bool {
    match renewal.peek() {
        Some(Ok(token)) => token.expires <= Instant::now(),
        Some(Err(_)) => true,
        None => false,
    }
}

fn is_header(renewal: &Renewal, sent: Option<&Secret>) -> bool {
    matches!(renewal.peek(), Some(Ok(token)) if Some(&token.header) == sent)
}

#[cfg(test)]
mod tests;
