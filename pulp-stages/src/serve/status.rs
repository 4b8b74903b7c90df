//! How the server is: for people, load balancers and monitoring.
//!
//! `/healthz` (also `/livez`) says that the process answers, `/readyz` whether it can do its work,
//! `/status` (also `/pulp/api/v3/status/`, where Pulp has it) the same with versions, as JSON. None of
//! them tells why something fails: that is for the log.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use pulp_models::store::StoreError;
use serde::Serialize;
use tokio::time::timeout;

use super::ContentApp;

/// Longest that the database or the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status document. Field names are Pulp's where it has them.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    versions: Vec<Component>,
    database_connection: Connection,
    /// Files being fetched for clients.
    fills: usize,
}

#[derive(Debug, Serialize)]
struct Component {
    component: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Connection {
    connected: bool,
}

/// What `/readyz` says.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// Whether the database can be read.
    database: bool,
    /// Whether the artifact store can be read and written.
    store: bool,
}

/// Answers 503 if the database does not.
pub(super) async fn status(State(app): State<ContentApp>) -> (StatusCode, Json<Status>) {
    let connected = database_answers(&app).await;
    let version = env!("CARGO_PKG_VERSION");
    let plugins = app.inner.plugins.iter().map(|plugin| plugin.name());
    let versions =
        std::iter::once("core").chain(plugins).map(|component| Component { component, version });
    let status = Status {
        versions: versions.collect(),
        database_connection: Connection { connected },
        fills: app.inner.fills.count(),
    };
    (code(connected), Json(status))
}

/// Always 200: that it answers is all it says.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Answers 503 unless requests can be served.
pub(super) async fn ready(State(app): State<ContentApp>) -> (StatusCode, Json<Readiness>) {
    let (database, store) = tokio::join!(database_answers(&app), store_answers(&app));
    let ready = database && store;
    (code(ready), Json(Readiness { ready, database, store }))
}

fn code(sound: bool) -> StatusCode {
    if sound { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn database_answers(app: &ContentApp) -> bool {
    let read = app.inner.installation.db.read(|_| Ok(()));
    match timeout(PATIENCE, read).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "The database does not answer");
            false
        }
        Err(_) => {
            tracing::warn!("The database does not answer in time");
            false
        }
    }
}

async fn store_answers(app: &ContentApp) -> bool {
    let probe = app.inner.installation.store.probe();
    let probed = timeout(PATIENCE, probe).await.unwrap_or(Err(StoreError::ShuttingDown));
    probed.inspect_err(|error| tracing::warn!(%error, "The artifact store does not answer")).is_ok()
}
