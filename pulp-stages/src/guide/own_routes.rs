//! Routes of your own: protocols that are more than files at paths.
//!
//! [`Plugin::routes`](crate::plugin::Plugin::routes) gives an axum router that is merged with the
//! server's. It keeps a [`ContentApp`](crate::serve::ContentApp), which has the installation and
//! answers with artifacts: stored or on demand, whole or a range, conditional, verified.
//!
//! ```
//! use axum::{Json, Router, extract::State, routing::get};
//! use pulp_stages::serve::ContentApp;
//! use serde_json::{Value, json};
//!
//! fn routes(app: &ContentApp) -> Router {
//!     Router::new().route("/notes/v1/names", get(names)).with_state(app.clone())
//! }
//!
//! async fn names(State(app): State<ContentApp>) -> Json<Value> {
//!     let db = &app.installation().db;
//!     // One closure on the blocking pool: no connection is held across an `await`.
//!     match db.read(pulp_models::repository::list).await {
//!         Ok(rows) => Json(json!(rows.iter().map(|row| &row.name).collect::<Vec<_>>())),
//!         Err(_) => Json(json!({ "error": "The database cannot be read" })),
//!     }
//! }
//! # let _ = routes;
//! ```
//!
//! Rules of a good neighbour:
//!
//! - Take a prefix that is yours (`/v2/`, `/notes/`); a second route of the same path does not start.
//! - Serve files by [`ContentApp::serve_artifact`](crate::serve::ContentApp::serve_artifact), never by
//!   reading the store: ranges, on-demand and withheld ends come with it.
//! - Look at what is asked for before anything is done: bounds for every body, path and parameter.
//! - What changes a repository goes through [`add_content`](crate::sync::add_content): under the lock,
//!   as a task, to a version.
//! - URLs that clients are told come from
//!   [`ContentApp::public_url`](crate::serve::ContentApp::public_url).
