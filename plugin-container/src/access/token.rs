//! Tokens: what a client shows in place of its password, for a few minutes and a few repositories.
//!
//! A token is a JSON Web Token (RFC 7519) signed by HMAC-SHA256 with a key of this installation. It
//! names a user, an end, and the access that was asked for and given. Only the one header that we
//! write ourselves is accepted, so no client chooses how it is checked. Rights are compared again with
//! every request ([`super::decide`]): a token can only narrow them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pulp_models::Timestamp;
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
#[error("Failed to {operation} the token key `{path}`")]
pub struct KeyError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
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
    /// The key of the installation in `home`; made by whoever asks first. Several servers of one
    /// installation need the same file.
    pub fn load_or_create(home: &Path) -> Result<Self, KeyError> {
        let folder = home.join("keys").join("container");
        let path = folder.join("token.key");
        let failed = |operation| {
            let path = path.clone();
            move |source| KeyError { operation, path, source }
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&folder, &path).map_err(failed("make"))?;
                fs::read(&path).map_err(failed("read"))?
            }
            Err(source) => return Err(failed("read")(source)),
        };
        if bytes.len() < KEY_BYTES {
            return Err(failed("use")(io::Error::other("it is too short")));
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

/// Makes the key under another name first, so that nobody reads half of it; if somebody else was
/// faster, theirs stays.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    let draft = folder.join(format!("token.{}", uuid::Uuid::now_v7()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let made = file.write_all(&bytes).and_then(|()| file.sync_all());
    let placed = made.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    });
    fs::remove_file(&draft)?;
    placed
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

    fn key() -> TokenKey {
        let home = tempfile::tempdir().expect("a temporary folder");
        TokenKey::load_or_create(home.path()).expect("made")
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
    fn an_installation_keeps_its_key_for_its_own_eyes() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a temporary folder");
        let first = TokenKey::load_or_create(home.path()).expect("made");
        let again = TokenKey::load_or_create(home.path()).expect("read");
        assert!(again.verify(&first.sign(None, &grants(), NOW), NOW).is_some());
        let folder = home.path().join("keys/container");
        let names: Vec<_> = fs::read_dir(&folder).expect("there").flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let mode = names[0].metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
