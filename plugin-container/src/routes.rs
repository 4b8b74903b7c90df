//! `/v2/` at the root of the host: the registry that clients pull from and push to.
//!
//! Dispatches by path and method, adds what every answer has, and turns errors into the
//! specification's JSON. The handlers are in `pull`, `push_blob` and `push_manifest`; rows come from
//! `lookup`; bytes from the framework's [`ContentApp`]. A repository is served under the base path
//! of its distribution, and takes pushes if its options say so.

mod endpoint;
mod index;
pub(crate) mod lookup;
mod pull;
mod push_blob;
mod push_manifest;
mod uploads;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pulp_models::{Db, DbError, RepositoryId};
use pulp_stages::serve::ContentApp;

use self::{
    endpoint::Endpoint,
    index::VersionLists,
    lookup::Site,
    pull::Asked,
    uploads::{Pending, Uploads},
};
use crate::{
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Everything that answers `/v2/`. Shared by all requests.
struct RegistryRoutes {
    app: ContentApp,
    lists: VersionLists,
    uploads: Uploads,
    pending: Pending,
    /// Who may change a repository next, within this process.
    turns: Mutex<HashMap<RepositoryId, Weak<tokio::sync::Mutex<()>>>>,
}

/// A repository that takes pushes.
struct Writable {
    repository: RepositoryId,
    /// What it serves now.
    site: Site,
}

/// The routes, over what the framework serves.
pub(crate) fn router(app: &ContentApp) -> Router {
    let routes = Arc::new(RegistryRoutes {
        app: app.clone(),
        lists: VersionLists::new(app.installation().db.clone()),
        uploads: Uploads::default(),
        pending: Pending::default(),
        turns: Mutex::default(),
    });
    Router::new()
        .route("/v2", any(answer))
        .route("/v2/", any(answer))
        .route("/v2/{*path}", any(answer))
        .with_state(routes)
}

async fn answer(State(routes): State<Arc<RegistryRoutes>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (method, headers, query) = (&head.method, &head.headers, head.uri.query());
    let asked = Asked { method, headers, path, query };
    let below = path.strip_prefix("/v2").unwrap_or(path).trim_start_matches('/');
    let mut response = match Endpoint::parse(below) {
        Ok(endpoint) => routes
            .dispatch(asked, endpoint, body)
            .await
            .unwrap_or_else(RegistryError::into_response),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

impl RegistryRoutes {
    async fn dispatch(
        &self,
        asked: Asked<'_>,
        endpoint: Endpoint,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let reads = *asked.method == Method::GET || *asked.method == Method::HEAD;
        match (asked.method.as_str(), endpoint) {
            (_, Endpoint::Base) if reads => Ok(base()),
            (_, Endpoint::Catalog) if reads => self.catalog(asked).await,
            (_, Endpoint::Tags(name)) if reads => self.tags(asked, &name).await,
            (_, Endpoint::Referrers(name, digest)) if reads => {
                self.referrers(asked, &name, digest).await
            }
            (_, Endpoint::Manifest(name, reference)) if reads => {
                self.manifest(asked, &name, reference).await
            }
            (_, Endpoint::Blob(name, digest)) if reads => self.blob(asked, &name, digest).await,
            (_, Endpoint::Upload(name, id)) if reads => self.upload_status(name, &id).await,
            ("POST", Endpoint::Uploads(name)) => self.begin_upload(asked, name, body).await,
            ("PATCH", Endpoint::Upload(name, id)) => {
                self.continue_upload(asked, name, &id, body).await
            }
            ("PUT", Endpoint::Upload(name, id)) => self.finish_upload(asked, name, &id, body).await,
            ("DELETE", Endpoint::Upload(name, id)) => self.cancel_upload(name, &id).await,
            ("PUT", Endpoint::Manifest(name, reference)) => {
                self.put_manifest(asked, name, reference, body).await
            }
            ("DELETE", Endpoint::Manifest(name, reference)) => {
                self.delete_manifest(name, reference).await
            }
            ("DELETE", Endpoint::Blob(name, digest)) => self.delete_blob(name, digest).await,
            (method, _) => {
                let message = format!("`{method}` makes no sense here");
                Err(RegistryError::new(ErrorCode::Unsupported, message))
            }
        }
    }

    /// The repository, if it takes pushes.
    async fn writable(&self, name: &RepositoryName) -> Result<Writable, RegistryError> {
        let wanted = name.clone();
        let found = self.db().read(move |conn| lookup::writable(conn, &wanted)).await;
        match found.map_err(|error| internal(&error))? {
            Some((site, true)) => Ok(Writable { repository: site.repository, site }),
            Some((_, false)) => Err(RegistryError::new(
                ErrorCode::Denied,
                format!("Repository `{name}` takes no pushes"),
            )),
            None => Err(unknown_name(name)),
        }
    }

    /// To be locked by whoever changes the repository.
    fn turn(&self, repository: RepositoryId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&repository).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(repository, Arc::downgrade(&turn));
        turn
    }

    fn db(&self) -> &Db {
        &self.app.installation().db
    }

    async fn site(&self, name: &RepositoryName) -> Result<Site, RegistryError> {
        let wanted = name.clone();
        let site = self.db().read(move |conn| lookup::site(conn, &wanted)).await;
        site.map_err(|error| internal(&error))?.ok_or_else(|| unknown_name(name))
    }
}

fn unknown_name(name: &RepositoryName) -> RegistryError {
    RegistryError::new(ErrorCode::NameUnknown, format!("There is no repository `{name}`"))
        .with_detail(serde_json::json!({"name": name}))
}

/// `/v2/` says that this is a registry.
fn base() -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}")
        .into_response()
}

/// Logged here, where it is handled; the client learns only that it isn't to blame.
fn internal(error: &DbError) -> RegistryError {
    tracing::error!(%error, "Failed to answer a registry request");
    RegistryError::new(ErrorCode::Unknown, "The registry failed to read its database")
}

/// As [`internal`], for everything but the database.
fn failed(error: &dyn std::error::Error) -> RegistryError {
    tracing::error!(error = %crate::survey::chain(error), "Failed to answer a registry request");
    RegistryError::new(ErrorCode::Unknown, "The registry failed to keep what was sent")
}
