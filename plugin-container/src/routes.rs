//! `/v2/` at the root of the host: the registry that clients pull from and push to.
//!
//! Asks at the `gate` who is there, dispatches by path and method, adds what every answer has, and
//! turns errors into the specification's JSON. The handlers are in `pull`, `push_blob`,
//! `push_manifest` and `token`; rows come from `lookup`; bytes from the framework's [`ContentApp`]. A
//! repository is served under the base path of its distribution, to whom its options allow; what is
//! below that of a pull-through repository is fetched when it is first asked for.

mod endpoint;
mod gate;
mod token;
pub(crate) mod lookup;
mod index;
mod pull;
mod push_blob;
mod push_manifest;
mod signatures;
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
use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use pulp_models::{Db, DbError, RepositoryId};
use pulp_stages::serve::ContentApp;

use self::{
    endpoint::Endpoint,
    gate::Gate,
    index::VersionLists,
    lookup::Site,
    pull::Asked,
    uploads::{Pending, Uploads},
};
use crate::{
    access::Action,
    client::signatures::SUPPORTS_SIGNATURES,
    errors::{ErrorCode, RegistryError},
    pull_through::PullThrough,
    reference::RepositoryName,
};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Everything that answers `/v2/`. Shared by all requests.
struct RegistryRoutes {
    app: ContentApp,
    gate: Gate,
    through: PullThrough,
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
        gate: Gate::new(app),
        through: PullThrough::new(app.installation()),
        lists: VersionLists::new(app.installation().db.clone()),
        uploads: Uploads::default(),
        pending: Pending::default(),
        turns: Mutex::default(),
    });
    Router::new()
        .route("/v2", any(answer))
        .route("/v2/", any(answer))
        .route("/v2/{*path}", any(answer))
        .route("/extensions/v2/{*path}", any(answer))
        .with_state(routes)
}

async fn answer(State(routes): State<Arc<RegistryRoutes>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match routes.respond(&head, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response.headers_mut().insert(SUPPORTS_SIGNATURES, HeaderValue::from_static("1"));
    response
}

impl RegistryRoutes {
    async fn respond(&self, head: &Parts, body: Body) -> Result<Response, RegistryError> {
        let path = head.uri.path();
        let endpoint = if let Some(below) = path.strip_prefix("/extensions/v2/") {
            Endpoint::parse_extension(below)?
        } else {
            let below = path.strip_prefix("/v2").unwrap_or(path);
            Endpoint::parse(below.trim_start_matches('/'))?
        };
        let caller = self.caller(head, &endpoint).await?;
        let (method, headers, query) = (&head.method, &head.headers, head.uri.query());
        let asked = Asked { head, caller: &caller, method, headers, path, query };
        self.dispatch(asked, endpoint, body).await
    }

    async fn dispatch(
        &self,
        asked: Asked<'_>,
        endpoint: Endpoint,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let reads = *asked.method == Method::GET || *asked.method == Method::HEAD;
        match (asked.method.as_str(), endpoint) {
            (_, Endpoint::Base) if reads => self.base(asked),
            (_, Endpoint::Token) if reads => self.token(asked).await,
            (_, Endpoint::Catalog) if reads => self.catalog(asked).await,
            (_, Endpoint::Tags(name)) if reads => self.tags(asked, &name).await,
            (_, Endpoint::Referrers(name, digest)) if reads => {
                self.referrers(asked, &name, digest).await
            }
            (_, Endpoint::Signatures(name, digest)) if reads => {
                self.signatures(asked, &name, digest).await
            }
            (_, Endpoint::Manifest(name, reference)) if reads => {
                self.manifest(asked, &name, reference).await
            }
            (_, Endpoint::Blob(name, digest)) if reads => self.blob(asked, &name, digest).await,
            (_, Endpoint::Upload(name, id)) if reads => self.upload_status(asked, name, &id).await,
            ("POST", Endpoint::Uploads(name)) => self.begin_upload(asked, name, body).await,
            ("PATCH", Endpoint::Upload(name, id)) => {
                self.continue_upload(asked, name, &id, body).await
            }
            ("PUT", Endpoint::Upload(name, id)) => self.finish_upload(asked, name, &id, body).await,
            ("DELETE", Endpoint::Upload(name, id)) => self.cancel_upload(asked, name, &id).await,
            ("PUT", Endpoint::Manifest(name, reference)) => {
                self.put_manifest(asked, name, reference, body).await
            }
            ("DELETE", Endpoint::Manifest(name, reference)) => {
                self.delete_manifest(asked, name, reference).await
            }
            ("DELETE", Endpoint::Blob(name, digest)) => self.delete_blob(asked, name, digest).await,
            (method, endpoint) => {
                Err(unsupported(format!("`{method}` makes no sense here"), endpoint.methods()))
            }
        }
    }

    /// The repository, if it takes pushes.
    async fn writable(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
    ) -> Result<Writable, RegistryError> {
        let place = self.allowed(asked, name, Action::Push).await?;
        let site = place.site(name)?;
        if !place.is_newest {
            let message = format!("`{name}` serves one version for good and takes no pushes");
            return Err(takes_none(asked.method, message));
        }
        Ok(Writable { repository: site.repository, site })
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
}

/// That a repository takes no pushes from anybody. Where nothing can be deleted, the specification
/// wants that to be said as of a method that isn't there ("Content Management").
fn takes_none(method: &Method, message: String) -> RegistryError {
    if *method == Method::DELETE {
        unsupported(message, "GET, HEAD")
    } else {
        RegistryError::new(ErrorCode::Denied, message)
    }
}

/// That only `methods` mean something.
fn unsupported(message: String, methods: &'static str) -> RegistryError {
    RegistryError::new(ErrorCode::Unsupported, message)
        .with_header(header::ALLOW, HeaderValue::from_static(methods))
}

fn unknown_name(name: &RepositoryName) -> RegistryError {
    RegistryError::new(ErrorCode::NameUnknown, format!("There is no repository `{name}`"))
        .with_detail(serde_json::json!({"name": name}))
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
