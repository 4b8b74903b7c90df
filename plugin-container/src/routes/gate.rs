//! At the gate: who sent a request, and whether it may do what it asks for.
//!
//! A caller shows nothing, a password (Basic), or a token that it got for one at `/v2/_token`
//! ([`super::token`]). What is missing is said by a challenge; clients learn of it at `/v2/`, which
//! they ask first, so that endpoint challenges everybody who shows nothing. What callers may do is
//! decided by [`crate::access`].

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, StatusCode, header, request::Parts};
use pulp_models::{RepositoryId, Timestamp};
use pulp_stages::{
    plugin::Plugin as _,
    serve::{
        Challenge, ContentApp,
        users::{Busy, Users},
    },
};

use super::{
    RegistryRoutes,
    endpoint::Endpoint,
    internal,
    lookup::{self, Place},
    pull::{Asked, header_value},
    takes_none, unknown_name,
};
use crate::{
    Container,
    access::{self, Action, Caller, Decision, token::TokenKey},
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

/// Where tokens are given out.
const TOKENS: &str = "/v2/_token";

/// What is needed to know callers.
pub(super) struct Gate {
    /// `None`: everybody is anybody.
    pub(super) door: Option<Door>,
    /// Repositories of whose openness the log was told.
    told: Mutex<HashSet<RepositoryId>>,
}

/// How callers show who they are.
pub(super) struct Door {
    users: Users,
    /// `None`: by their password alone.
    pub(super) tokens: Option<TokenKey>,
}

/// What a challenge says beyond its scheme.
#[derive(Clone, Copy, Default)]
struct Wanted<'a> {
    repository: Option<(&'a RepositoryName, Action)>,
    /// Why what was shown is no good (RFC 6750, section 3.1).
    error: Option<&'static str>,
}

impl Gate {
    pub(super) fn new(app: &ContentApp) -> Self {
        let settings = app.settings();
        let keys = app.installation().keys(Container::NAME);
        let tokens = || match settings.challenge {
            Challenge::Basic => None,
            Challenge::Bearer => match TokenKey::load_or_create(&keys) {
                Ok(key) => Some(key),
                Err(error) => {
                    let error = crate::survey::chain(&error);
                    tracing::error!(error, "No tokens can be signed; callers send their passwords");
                    None
                }
            },
        };
        let door = settings.users.clone().map(|users| Door { users, tokens: tokens() });
        Self { door, told: Mutex::default() }
    }
}

impl RegistryRoutes {
    /// Who sent the request. Passwords and tokens that are no good are refused here.
    pub(super) async fn caller(
        &self,
        head: &Parts,
        endpoint: &Endpoint,
    ) -> Result<Caller, RegistryError> {
        let shown = head.headers.get(header::AUTHORIZATION);
        let (Some(door), Some(shown)) = (&self.gate.door, shown) else {
            return Ok(Caller::default());
        };
        let action = if head.method.is_safe() { Action::Pull } else { Action::Push };
        let repository = endpoint.repository().map(|name| (name, action));
        let wanted = Wanted { repository, error: Some("invalid_token") };
        let refused = |message| self.unauthorized(head, endpoint, wanted, message);
        let shown = shown.to_str().unwrap_or_default();
        let (scheme, value) = shown.split_once(' ').unwrap_or((shown, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            let (name, password) =
                credentials(value).ok_or_else(|| refused("The credentials are unreadable"))?;
            // What clients send that have no credentials.
            if name.is_empty() && password.is_empty() {
                return Ok(Caller::default());
            }
            return match door.users.check(&name, &password).await {
                Ok(true) => Ok(Caller { user: Some(name), grants: None }),
                Ok(false) => {
                    tracing::info!(user = name, "A log-in failed");
                    Err(refused("User name or password are wrong"))
                }
                Err(busy) => Err(too_many(busy)),
            };
        }
        let tokens = door.tokens.as_ref().filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        let Some(tokens) = tokens else { return Err(refused("There is no such way to log in")) };
        let told = tokens.verify(value.trim(), Timestamp::now());
        let (user, grants) = told.ok_or_else(|| refused("The token is no longer good"))?;
        if let Some(user) = &user
            && !door.users.contains(user).await
        {
            return Err(refused("The token's user is gone"));
        }
        Ok(Caller { user, grants: Some(grants) })
    }

    /// `/v2/` says that this is a registry, and how to log in.
    pub(super) fn base(&self, asked: Asked<'_>) -> Result<Response, RegistryError> {
        let is_stranger = asked.caller.user.is_none() && asked.caller.grants.is_none();
        let is_open = self.gate.door.is_none() || !is_stranger;
        // Clients that were asked for a password and have none show an empty one.
        if !is_open && !asked.headers.contains_key(header::AUTHORIZATION) {
            let message = "Who are you?";
            return Err(self.unauthorized(asked.head, &Endpoint::Base, Wanted::default(), message));
        }
        let json = HeaderValue::from_static("application/json");
        Ok((StatusCode::OK, [(header::CONTENT_TYPE, json)], "{}").into_response())
    }

    /// What `name` serves, if the caller may do `action` with it.
    pub(super) async fn allowed(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
        action: Action,
    ) -> Result<Place, RegistryError> {
        let wanted = name.clone();
        let found = self.db().read(move |conn| lookup::place(conn, &wanted)).await;
        let found = found.map_err(|error| internal(&error))?;
        let rights = found.as_ref().map(|place| &place.rights);
        let can_log_in = self.gate.door.is_some();
        let challenge = |error| {
            let wanted = Wanted { repository: Some((name, action)), error };
            let message = format!("Repository `{name}` asks who you are");
            self.unauthorized(asked.head, &Endpoint::Base, wanted, &message)
        };
        match (access::decide(asked.caller, name, rights, action, can_log_in), found) {
            (Decision::Allowed, Some(place)) => {
                if action == Action::Push && asked.caller.user.is_none() {
                    self.tell_of_stranger(name, place.site(name)?.repository);
                }
                Ok(place)
            }
            (Decision::OtherToken, _) => Err(challenge(Some("insufficient_scope"))),
            (Decision::LogIn, _) => Err(challenge(None)),
            (Decision::Denied, Some(place)) => {
                let message = if place.rights.is_pushed_to() && !can_log_in {
                    format!(
                        "Repository `{name}` takes pushes of users only, and this server has none \
                         (`pulp serve --users-file`)"
                    )
                } else if place.rights.is_pushed_to() {
                    format!("You may not push to repository `{name}`")
                } else {
                    let message = format!("Repository `{name}` takes no pushes");
                    return Err(takes_none(asked.method, message));
                };
                Err(RegistryError::new(ErrorCode::Denied, message))
            }
            (Decision::Hidden | Decision::Allowed | Decision::Denied, _) => Err(unknown_name(name)),
        }
    }

    /// Nobody should have to find out by surprise.
    fn tell_of_stranger(&self, name: &RepositoryName, repository: RepositoryId) {
        let mut told = self.gate.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(repository) {
            tracing::warn!(
                repository.name = %name,
                "Somebody pushes without a password; the repository's `anonymous_push` allows it"
            );
        }
    }

    /// A refusal with a challenge.
    fn unauthorized(
        &self,
        head: &Parts,
        endpoint: &Endpoint,
        wanted: Wanted<'_>,
        message: &str,
    ) -> RegistryError {
        let tokens = self.gate.door.as_ref().and_then(|door| door.tokens.as_ref());
        let realm = tokens
            .filter(|_| *endpoint != Endpoint::Token)
            .and_then(|_| self.app.absolute_url(head, TOKENS));
        let challenge = match realm {
            Some(realm) => bearer(&realm, wanted),
            None => "Basic realm=\"registry\"".to_owned(),
        };
        RegistryError::new(ErrorCode::Unauthorized, message)
            .with_header(header::WWW_AUTHENTICATE, header_value(&challenge))
    }
}

fn bearer(realm: &str, wanted: Wanted<'_>) -> String {
    let host = realm.split_once("://").map_or(realm, |(_, rest)| rest);
    let service = host.split('/').next().unwrap_or_default();
    let challenge = format!("Bearer realm=\"{realm}\",service=\"{service}\"");
    let scope = wanted.repository.map(|(name, action)| {
        let actions = match action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
        };
        format!("scope=\"repository:{name}:{actions}\"")
    });
    let error = wanted.error.map(|error| format!("error=\"{error}\""));
    let parts: Vec<_> = [Some(challenge), scope, error].into_iter().flatten().collect();
    parts.join(",")
}

fn too_many(busy: Busy) -> RegistryError {
    RegistryError::new(ErrorCode::TooManyRequests, busy.to_string())
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"))
}

/// User name and password of Basic (RFC 7617).
fn credentials(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_the_token_server_and_the_scope() {
        let name: RepositoryName = "team/app".parse().expect("valid");
        let wanted =
            Wanted { repository: Some((&name, Action::Push)), error: Some("insufficient_scope") };
        insta::assert_snapshot!(
            bearer("https://host:5000/v2/_token", wanted),
            @r#"Bearer realm="https://host:5000/v2/_token",service="host:5000",scope="repository:team/app:pull,push",error="insufficient_scope""#
        );
        insta::assert_snapshot!(
            bearer("http://h/v2/_token", Wanted::default()),
            @r#"Bearer realm="http://h/v2/_token",service="h""#
        );
    }

    #[test]
    fn a_password_may_hold_colons() {
        let shown = STANDARD.encode("alice:a:b");
        assert_eq!(credentials(&shown), Some(("alice".into(), "a:b".into())));
        for wrong in ["", "%", &STANDARD.encode("alice"), &STANDARD.encode([0xff, b':'])] {
            assert_eq!(credentials(wrong), None, "{wrong}");
        }
    }
}
