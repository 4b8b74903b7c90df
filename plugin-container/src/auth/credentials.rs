//! Who we are to a registry: nobody, a user with a password, or the holder of an identity token.
//!
//! Credentials come from a remote's options or from the `config.json` of Docker, podman and
//! skopeo. Credential helpers are programs and are not run. How credentials become a header is
//! told in `auth`.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pulp_models::Secret;
use serde::Deserialize;

/// What a registry may learn of us. `Debug` shows no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A user name and its password.
    Basic {
        /// Without a colon.
        username: String,
        /// May be empty.
        password: Secret,
    },
    /// An OAuth 2 refresh token, which only a token server takes.
    IdentityToken(Secret),
}

/// A `config.json`, as far as it holds credentials.
#[derive(Debug, Default, Deserialize)]
pub struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
}

/// Why a `config.json` gives no credentials. Never shows what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No JSON, or not of the right form.
    #[error("Failed to parse the Docker configuration")]
    Json(#[from] serde_json::Error),
    /// `auth` is not `base64(user:password)`.
    #[error(
        "Invalid `auth` for `{0}` in the Docker configuration: expected base64 of `user:password`"
    )]
    Auth(String),
}

impl Credentials {
    /// The value of an `Authorization` header for the Basic scheme (RFC 7617).
    pub fn basic_header(&self) -> Option<Secret> {
        match self {
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose());
                Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
            }
            Self::Anonymous | Self::IdentityToken(_) => None,
        }
    }
}

impl DockerConfig {
    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialsError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The credentials for `repository` of the registry at `host` (with its port, if not the
    /// scheme's own). Keys may be hosts, hosts with a path (the longest that fits wins, as in
    /// `containers-auth.json(5)`), or the URLs that old Docker versions wrote.
    pub fn credentials(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Credentials, CredentialsError> {
        let wanted = format!("{}/{repository}", canonical_host(host));
        let best = self
            .auths
            .iter()
            .map(|(key, entry)| (normalise(key), key, entry))
            .filter(|(prefix, _, _)| {
                wanted
                    .strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(prefix, _, _)| prefix.len());
        best.map_or(Ok(Credentials::Anonymous), |(_, key, entry)| entry.credentials(key))
    }
}

impl Entry {
    fn credentials(&self, key: &str) -> Result<Credentials, CredentialsError> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.expose().is_empty())
        {
            return Ok(Credentials::IdentityToken(token.clone()));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.expose().is_empty()) {
            let wrong = || CredentialsError::Auth(key.into());
            let pair = STANDARD.decode(auth.expose().trim()).map_err(|_| wrong())?;
            let pair = String::from_utf8(pair).map_err(|_| wrong())?;
            let (username, password) = pair.split_once(':').ok_or_else(wrong)?;
            // Some versions of Docker padded passwords with NULs.
            let password = password.trim_end_matches('\0');
            return Ok(Credentials::Basic { username: username.into(), password: password.into() });
        }
        match &self.username {
            Some(username) if !username.is_empty() => Ok(Credentials::Basic {
                username: username.clone(),
                password: self.password.clone().unwrap_or_default(),
            }),
            _ => Ok(Credentials::Anonymous),
        }
    }
}

/// `https://index.docker.io/v1/` and `docker.io` are one place, and so on.
fn normalise(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare.split_once('/') {
        Some((host, path)) => format!("{}/{path}", canonical_host(host)),
        None => canonical_host(bare),
    }
}

fn canonical_host(host: &str) -> String {
    match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
            "docker.io".into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Credentials {
        Credentials::Basic { username: username.into(), password: password.into() }
    }

    fn config(json: &str) -> DockerConfig {
        DockerConfig::parse(json.as_bytes()).expect("parses")
    }

    #[test]
    fn the_longest_key_that_fits_wins() {
        let config = config(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnA6dw=="},
                "Host:5000": {"username": "host", "password": "p"},
                "host:5000/lab": {"auth": "bGFiOnAAAA=="},
                "tokens": {"identitytoken": "t", "auth": "YTpi"},
                "helper": {}
            }, "credsStore": "x"}"#,
        );
        for (host, repository, expected) in [
            ("registry-1.docker.io", "library/debian", basic("hub", "p:w")),
            ("host:5000", "other", basic("host", "p")),
            ("HOST:5000", "labs/x", basic("host", "p")),
            ("host:5000", "lab/x", basic("lab", "p")),
            ("tokens", "x", Credentials::IdentityToken("t".into())),
            ("helper", "x", Credentials::Anonymous),
            ("host", "x", Credentials::Anonymous),
        ] {
            let found = config.credentials(host, repository).expect("readable");
            assert_eq!(found, expected, "{host}/{repository}");
        }
    }

    #[test]
    fn errors_show_no_secret() {
        let config =
            config(r#"{"auths": {"a": {"auth": "!hunter2"}, "b": {"auth": "aHVudGVyMg=="}}}"#);
        for host in ["a", "b"] {
            let error = config.credentials(host, "x").expect_err("unreadable").to_string();
            assert!(error.contains(&format!("`{host}`")) && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{config:?} {:?}", basic("a", "hunter2")).contains("hunter2"));
        assert!(DockerConfig::parse(b"7").is_err());
        assert_eq!(
            DockerConfig::parse(b"{}").expect("parses").credentials("a", "b").expect("none"),
            Credentials::Anonymous
        );
    }

    #[test]
    fn a_basic_header_is_built_as_the_rfc_says() {
        let header = basic("Aladdin", "open sesame").basic_header().expect("has one");
        assert_eq!(header.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Credentials::Anonymous.basic_header(), None);
    }
}
