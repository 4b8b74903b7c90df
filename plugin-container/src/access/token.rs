//! Tokens: what a client shows in place of its password, for a few minutes and a few repositories.
//!
//! A token is a JSON Web Token (RFC 7519) signed by HMAC-SHA256 with a key of this installation. It
//! names a user, an end, and the access that was asked for and given. Only the one header that we
//! write ourselves is accepted, so no client chooses how it is checked. Rights are compared again with
//! every request ([`super::decide`]): a token can only narrow them.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pulp_models::Timestamp;
use pulp_stages::key_files::{KeyFileError, KeyFiles};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};

use super::Action;
use crate::reference::RepositoryName;

/// How long a token is good for, in seconds.
pub const LIFETIME: i64 = 300;
/// The only header; a signature covers it.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const KEY_BYTES: usize = 32;
/// Among the plugin's key files.
const FILE: &str = "token.key";

/// What a token gives access to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Pushing includes pulling.
    repositories: BTreeMap<RepositoryName, Action>,
    /// Whether the catalog may list all that its user may pull from.
    catalog: bool,
}

/// A key that cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The system has no random numbers.
    #[error("Failed to make the token key: there is no randomness")]
    NoRandomness,
    /// There are too few bytes in its file.
    #[error("The token key is too short")]
    TooShort,
}

/// Signs and checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenKey(Arc<hmac::Key>);

/// What is signed.
#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user; empty is anybody.
    sub: String,
    /// Seconds since the epoch.
    exp: i64,
    iat: i64,
    access: Vec<Access>,
}

/// One entry of `access`, as registries write it.
#[derive(Serialize, Deserialize)]
struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl Grants {
    /// The same, and `action` on `name`.
    #[must_use]
    pub fn with(mut self, name: RepositoryName, action: Action) -> Self {
        let entry = self.repositories.entry(name).or_insert(action);
        if action == Action::Push {
            *entry = action;
        }
        self
    }

    /// The same, and the catalog.
    #[must_use]
    pub fn with_catalog(mut self) -> Self {
        self.catalog = true;
        self
    }

    /// Whether they allow `action` on `name`.
    pub fn hold(&self, name: &RepositoryName, action: Action) -> bool {
        self.repositories.get(name).is_some_and(|held| *held == action || *held == Action::Push)
    }

    /// Whether the catalog is allowed.
    pub fn hold_catalog(&self) -> bool {
        self.catalog
    }

    fn access(&self) -> Vec<Access> {
        let entry = |kind: &str, name: &str, actions: &[&str]| Access {
            kind: kind.into(),
            name: name.into(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        };
        let repositories = self.repositories.iter().map(|(name, action)| match action {
            Action::Pull => entry("repository", name.as_str(), &["pull"]),
            Action::Push => entry("repository", name.as_str(), &["pull", "push"]),
        });
        repositories.chain(self.catalog.then(|| entry("registry", "catalog", &["*"]))).collect()
    }

    fn of(access: Vec<Access>) -> Self {
        access.into_iter().fold(Self::default(), |grants, Access { kind, name, actions }| {
            let has = |wanted: &str| actions.iter().any(|action| action == wanted);
            match (&*kind, name.parse()) {
                ("registry", _) => grants.with_catalog(),
                ("repository", Ok(name)) if has("push") => grants.with(name, Action::Push),
                ("repository", Ok(name)) if has("pull") => grants.with(name, Action::Pull),
                _ => grants,
            }
        })
    }
}

impl TokenKey {
    /// The key of an installation; made by whoever asks first. Several servers of one installation
    /// need the same file.
    pub fn load_or_create(files: &KeyFiles) -> Result<Self, KeyError> {
        let mut found = files.load(FILE)?;
        if found.is_none() {
            let mut bytes = [0; KEY_BYTES];
            SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
            files.create(FILE, &bytes)?;
            // Somebody else may have been faster.
            found = files.load(FILE)?;
        }
        let bytes = found.unwrap_or_default();
        if bytes.len() < KEY_BYTES {
            return Err(KeyError::TooShort);
        }
        Ok(Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))))
    }

    /// A token for `user` that is good until [`LIFETIME`] after `now`.
    pub fn sign(&self, user: Option<&str>, grants: &Grants, now: Timestamp) -> String {
        let issued = seconds(now);
        let claims = Claims {
            sub: user.unwrap_or_default().to_owned(),
            exp: issued + LIFETIME,
            iat: issued,
            access: grants.access(),
        };
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let signed = format!("{}.{}", encode(HEADER), encode(claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// Whose token it is, and what it is good for; `None` if it is none of ours or no longer good.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<(Option<String>, Grants)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).ok()?;
        let claims = signed.strip_prefix(&encode(HEADER))?.strip_prefix('.')?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        if seconds(now) >= claims.exp {
            return None;
        }
        let user = (!claims.sub.is_empty()).then_some(claims.sub);
        Some((user, Grants::of(claims.access)))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn files(home: &std::path::Path) -> KeyFiles {
        KeyFiles::new(home, "container", Arc::default())
    }

    fn key() -> TokenKey {
        let home = tempfile::tempdir().expect("a temporary folder");
        TokenKey::load_or_create(&files(home.path())).expect("made")
    }

    fn grants() -> Grants {
        let name = |name: &str| name.parse::<RepositoryName>().expect(name);
        Grants::default()
            .with(name("a/b"), Action::Push)
            .with(name("a/b"), Action::Pull)
            .with(name("c"), Action::Pull)
            .with_catalog()
    }

    #[test]
    fn a_token_says_who_and_what_until_it_ends() {
        let key = key();
        for user in [Some("alice"), None] {
            let token = key.sign(user, &grants(), NOW);
            let later = NOW.plus_seconds(LIFETIME - 1);
            assert_eq!(key.verify(&token, later), Some((user.map(Into::into), grants())));
            assert_eq!(key.verify(&token, NOW.plus_seconds(LIFETIME)), None);
        }
    }

    #[test]
    fn what_another_key_signed_or_somebody_changed_is_refused() {
        let key = key();
        let token = key.sign(Some("alice"), &grants(), NOW);
        assert_eq!(self::key().verify(&token, NOW), None);
        let parts: Vec<_> = token.split('.').collect();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).expect("base64"));
        let forged = encode(claims.expect("text").replace("alice", "admin"));
        let unsigned = encode(r#"{"alg":"none","typ":"JWT"}"#);
        for wrong in [
            format!("{}.{forged}.{}", parts[0], parts[2]),
            format!("{unsigned}.{}.", parts[1]),
            format!("{unsigned}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            "a.b.c".into(),
            String::new(),
        ] {
            assert_eq!(key.verify(&wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn an_installation_keeps_its_key() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let files = files(home.path());
        let first = TokenKey::load_or_create(&files).expect("made");
        let again = TokenKey::load_or_create(&files).expect("read");
        assert!(again.verify(&first.sign(None, &grants(), NOW), NOW).is_some());
        assert_eq!(files.names().expect("listed"), [FILE]);
    }
}
