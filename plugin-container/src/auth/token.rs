//! Bearer tokens: asking a token server for one, and how long it is good for.
//!
//! The protocol is the distribution project's "Token Authentication Specification" (GET with
//! `service` and `scope`) and its OAuth 2 form (POST) for identity tokens. When to ask is decided
//! by the authenticator; how the request travels, by a [`TokenTransport`].

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pulp_models::Secret;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{AuthError, Credentials};

/// Lifetime of a token whose server doesn't say, as the specification has it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// The least that a token is used for: a server whose clock is wrong must not make us ask for a
/// token per request. If it really expired, the next 401 says so.
const LEAST_LIFETIME: Duration = Duration::from_secs(10);

/// One request to a token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// With the query.
    pub url: Url,
    /// Value of `Authorization`, if there is one to send.
    pub authorization: Option<Secret>,
    /// Body of a POST, `application/x-www-form-urlencoded`; `None` is a GET.
    pub form: Option<Secret>,
}

/// The way to a token server. Implemented over the remote's downloader, so that proxy, certificates
/// and limits hold; the tests script it.
#[async_trait]
pub trait TokenTransport: Send + Sync {
    /// Sends `request` and returns status and body; the body is at most some KiB long. An error is
    /// a text that says why no answer came.
    async fn exchange(&self, request: TokenRequest) -> Result<(u16, Bytes), String>;
}

/// A token and when to stop using it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The value of an `Authorization` header.
    pub(super) header: Secret,
    pub(super) expires: Instant,
}

/// Where the tokens of one scope come from, as a challenge told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    /// As challenged; several are separated by spaces.
    pub(super) scope: String,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<f64>,
    issued_at: Option<String>,
}

impl Source {
    /// Asks for a token.
    pub(super) async fn token(
        &self,
        transport: &dyn TokenTransport,
        credentials: &Credentials,
    ) -> Result<Token, AuthError> {
        let asked = Instant::now();
        let (status, body) = transport
            .exchange(self.request(credentials))
            .await
            .map_err(|reason| AuthError::TokenServer { realm: self.shown_realm(), reason })?;
        if !(200..300).contains(&status) {
            return Err(AuthError::TokenRefused { realm: self.shown_realm(), status });
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|source| {
            AuthError::TokenAnswer { realm: self.shown_realm(), source: source.into() }
        })?;
        let lifetime = answer.lifetime(jiff::Timestamp::now());
        let token = [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.expose().is_empty())
            .ok_or_else(|| AuthError::NoToken { realm: self.shown_realm() })?;
        let header = Secret::new(format!("Bearer {}", token.expose()));
        Ok(Token { header, expires: asked + lifetime })
    }

    fn request(&self, credentials: &Credentials) -> TokenRequest {
        let mut url = self.realm.clone();
        let scopes = self.scope.split_ascii_whitespace();
        if let Credentials::IdentityToken(token) = credentials {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose())
                .append_pair("client_id", "pulp")
                .append_pair("service", self.service.as_deref().unwrap_or_default());
            form.append_pair("scope", &scopes.collect::<Vec<_>>().join(" "));
            let form = Some(Secret::new(form.finish()));
            return TokenRequest { url, authorization: None, form };
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
        }
        TokenRequest { url, authorization: credentials.basic_header(), form: None }
    }

    /// The realm without a query, which may hold anything.
    fn shown_realm(&self) -> String {
        pulp_models::RemoteUrl::from_url(self.realm.clone()).to_string()
    }
}

impl Answer {
    /// How long the token may be used from now on. A token may be older than its answer, but both
    /// clocks may be wrong, so `issued_at` only counts where it makes sense.
    fn lifetime(&self, now: jiff::Timestamp) -> Duration {
        let whole = match self.expires_in {
            Some(seconds) if seconds > 0.0 => {
                Duration::try_from_secs_f64(seconds.min(86_400.0)).unwrap_or(DEFAULT_LIFETIME)
            }
            _ => DEFAULT_LIFETIME,
        };
        let age = self
            .issued_at
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .and_then(|issued| Duration::try_from(now.duration_since(issued)).ok())
            .unwrap_or_default();
        // Renewed a little early, so that it doesn't expire on its way.
        let margin = (whole / 10).min(Duration::from_secs(10));
        whole.saturating_sub(age).saturating_sub(margin).max(LEAST_LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(json: &str) -> u64 {
        let now = "2024-01-01T00:01:00Z".parse().expect("valid");
        serde_json::from_str::<Answer>(json).expect("parses").lifetime(now).as_secs()
    }

    #[test]
    fn a_lifetime_is_what_is_left_of_it() {
        assert_eq!(lifetime("{}"), 54);
        assert_eq!(lifetime(r#"{"expires_in": 300}"#), 290);
        assert_eq!(lifetime(r#"{"expires_in": 300, "issued_at": "2024-01-01T00:00:00Z"}"#), 230);
        assert_eq!(
            lifetime(r#"{"expires_in": 300, "issued_at": "2024-01-01T00:00:00.5+00:00"}"#),
            230
        );
    }

    #[test]
    fn clocks_that_are_wrong_do_not_make_us_ask_all_the_time() {
        assert_eq!(lifetime(r#"{"expires_in": 300, "issued_at": "2020-01-01T00:00:00Z"}"#), 10);
        assert_eq!(lifetime(r#"{"expires_in": 300, "issued_at": "2030-01-01T00:00:00Z"}"#), 290);
        assert_eq!(lifetime(r#"{"expires_in": -1, "issued_at": "yesterday"}"#), 54);
        assert_eq!(lifetime(r#"{"expires_in": 1e300}"#), 86_390);
    }
}
