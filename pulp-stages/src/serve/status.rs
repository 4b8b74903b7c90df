//! How the server is: for people, load balancers and monitoring.
//!
//! `/healthz` says that the process answers, `/status` (also `/pulp/api/v3/status/`, where Pulp has
//! it) whether it can work, as JSON.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;

use super::ContentApp;

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

/// Answers 503 if the database does not.
pub(super) async fn status(State(app): State<ContentApp>) -> (StatusCode, Json<Status>) {
    let connected = app.inner.installation.db.read(|_| Ok(())).await.is_ok();
    let version = env!("CARGO_PKG_VERSION");
    let plugins = app.inner.plugins.iter().map(|plugin| plugin.name());
    let versions =
        std::iter::once("core").chain(plugins).map(|component| Component { component, version });
    let status = Status {
        versions: versions.collect(),
        database_connection: Connection { connected },
        fills: app.inner.fills.count(),
    };
    let code = if connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(status))
}

/// Always 200: that it answers is all it says.
pub(super) async fn health() -> &'static str {
    "ok\n"
}
