//! `/v2/_token`: a token for a password, or for nothing (Docker's token authentication, which every
//! registry client speaks).
//!
//! `GET` with `service` and any number of `scope`s, each `repository:<name>:<actions>` or
//! `registry:catalog:*`. What the caller may not do is left out without a word, so that nothing is
//! learned of repositories that it may not see.

use axum::response::Response;
use pulp_models::Timestamp;
use serde_json::json;

use super::{RegistryRoutes, internal, lookup, pull};
use crate::{
    access::{
        Action, Caller,
        token::{Grants, LIFETIME},
    },
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

/// Scopes in one request; a client needs one, or two to mount.
const MOST_SCOPES: usize = 50;

/// What one scope asks for.
#[derive(Debug, PartialEq, Eq)]
enum Scope {
    Repository(RepositoryName, Action),
    Catalog,
}

impl RegistryRoutes {
    pub(super) async fn token(&self, asked: pull::Asked<'_>) -> Result<Response, RegistryError> {
        let tokens = self.gate.door.as_ref().and_then(|door| door.tokens.as_ref());
        let tokens = tokens.ok_or_else(|| {
            RegistryError::new(ErrorCode::NameUnknown, "This server gives out no tokens")
        })?;
        let query = url::form_urlencoded::parse(asked.query.unwrap_or_default().as_bytes());
        let asked_for: Vec<_> = query.filter(|(key, _)| key == "scope").collect();
        let scopes = asked_for.iter().flat_map(|(_, value)| value.split(' ')).filter_map(parse);
        let scopes: Vec<_> = scopes.take(MOST_SCOPES).collect();
        let grants = self.grants(asked.caller, scopes).await?;
        let now = Timestamp::now();
        let token = tokens.sign(asked.caller.user.as_deref(), &grants, now);
        let issued = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
        let document = json!({
            "token": token,
            "access_token": token,
            "expires_in": LIFETIME,
            "issued_at": issued.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        Ok(pull::json_response(asked.method, &document, "application/json"))
    }

    /// What of the scopes the caller may have.
    async fn grants(&self, caller: &Caller, scopes: Vec<Scope>) -> Result<Grants, RegistryError> {
        let user = caller.user.clone();
        let grants = self.db().read(move |conn| {
            let mut grants = Grants::default();
            for scope in &scopes {
                let Scope::Repository(name, action) = scope else {
                    grants = grants.with_catalog();
                    continue;
                };
                let Some(place) = lookup::place(conn, name)? else { continue };
                let may = |action| place.rights.allow(user.as_deref(), action);
                if *action == Action::Push && may(Action::Push) {
                    grants = grants.with(name.clone(), Action::Push);
                } else if may(Action::Pull) {
                    grants = grants.with(name.clone(), Action::Pull);
                }
            }
            Ok(grants)
        });
        grants.await.map_err(|error| internal(&error))
    }
}

/// A scope that means something here. Repository names may hold a port's colon, so the actions are
/// what follows the last one.
fn parse(text: &str) -> Option<Scope> {
    let (kind, rest) = text.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    match kind {
        "registry" if name == "catalog" => Some(Scope::Catalog),
        "repository" => {
            let mut actions = actions.split(',');
            let changes = actions.any(|action| matches!(action, "push" | "delete" | "*"));
            let action = if changes { Action::Push } else { Action::Pull };
            Some(Scope::Repository(name.parse().ok()?, action))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        let repository =
            |name: &str, action| Some(Scope::Repository(name.parse().expect("valid"), action));
        for (text, expected) in [
            ("repository:a/b:pull", repository("a/b", Action::Pull)),
            ("repository:a/b:pull,push", repository("a/b", Action::Push)),
            ("repository:a/b:*", repository("a/b", Action::Push)),
            ("repository:a/b:delete", repository("a/b", Action::Push)),
            ("registry:catalog:*", Some(Scope::Catalog)),
            ("repository:A:pull", None),
            ("repository:a", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
