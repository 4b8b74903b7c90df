//! Serving: distributions under `/pulp/content/`, with verified on-demand.
//!
//! ```text
//! server ── router ── request_path ── catalog ── resolve ── deliver ── stored      (bytes in the store)
//!                                       │           │          └────── fill_reader (bytes on their way)
//!                               distributions   published paths            │
//!                                                                     fill ── demand ── downloads
//! ```
//!
//! What a client receives is either read from the artifact store or followed while it is fetched, and
//! in the second case the end of every response is withheld until the whole file is verified: wrong
//! bytes never arrive as a complete response. Nothing in here knows a repository type; plugins with a
//! protocol of their own mount routes ([`crate::plugin::Plugin::routes`]) and answer through
//! [`ContentApp::serve_artifact`].

mod catalog;
mod conditional;
mod cool_down;
mod crowd;
mod deliver;
mod demand;
mod fill;
mod fill_error;
mod fill_reader;
mod guarded_body;
mod guarded_io;
mod listing;
mod lookup;
mod media_type;
mod metrics;
mod observe;
mod pace;
mod buffers;
mod cache;
mod range;
mod request_path;
mod resolve;
mod response;
mod scrape;
mod sendfile;
mod server;
mod settings;
mod status;
mod stored;
mod tls;
pub mod users;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    middleware,
    response::Response,
    routing::{any, get},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority};

pub use deliver::Servable;
pub use response::ResponseOptions;
pub use server::{ServerSettings, serve, serve_metrics};
pub use settings::{Challenge, DistributionSettings, Left, ServeSettings};
pub use tls::{Tls, TlsError};

use crate::{installation::Installation, plugin::Plugins};
use cache::Cache;
use catalog::Catalogs;
use fill::Fills;
use metrics::Metrics;
use request_path::RequestPath;
use resolve::{Found, ResolvedPath};
use response::{explain, html, redirect};
use stored::StoredBytes;

/// Below this path lies what is distributed.
pub const CONTENT_PREFIX: &str = "/pulp/content/";

/// Everything that answers requests. Cheap to clone; clones share caches and fills.
#[derive(Clone)]
pub struct ContentApp {
    inner: Arc<Inner>,
}

struct Inner {
    installation: Installation,
    plugins: Plugins,
    settings: ServeSettings,
    catalogs: Catalogs,
    resolved: Cache<ResolvedPath, Servable>,
    stored: StoredBytes,
    fills: Fills,
    metrics: Arc<Metrics>,
}

impl ContentApp {
    /// For one installation. Reads nothing yet.
    pub fn new(installation: Installation, plugins: Plugins, settings: ServeSettings) -> Self {
        let metrics = Arc::new(Metrics::new());
        let inner = Inner {
            catalogs: Catalogs::new(installation.clone(), plugins.clone(), &settings),
            resolved: Cache::new(settings.resolved_paths),
            stored: StoredBytes::new(installation.store.clone(), settings.small_files),
            fills: Fills::new(
                installation.clone(),
                plugins.clone(),
                settings.source_cool_down,
                metrics.clone(),
            ),
            metrics,
            installation,
            plugins,
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The installation that is served.
    pub fn installation(&self) -> &Installation {
        &self.inner.installation
    }

    /// The URL that clients use for `path`, an absolute path that is already encoded: below
    /// [`ServeSettings::public_url`], or the path itself.
    pub fn public_url(&self, path: &str) -> String {
        let public = self.inner.settings.public_url.as_ref();
        let base = public.map_or("", |url| url.as_str().trim_end_matches('/'));
        format!("{base}{path}")
    }

    /// How this server is to behave.
    pub fn settings(&self) -> &ServeSettings {
        &self.inner.settings
    }

    /// The whole URL of `path`, as [`public_url`](Self::public_url) takes it, for a client that sent
    /// `head`. Without a configured URL it is made of the host that the client named, `None` if that
    /// is none; a proxy that ends TLS in front of the server says so by `X-Forwarded-Proto`.
    pub fn absolute_url(&self, head: &http::request::Parts, path: &str) -> Option<String> {
        let settings = &self.inner.settings;
        if settings.public_url.is_some() {
            return Some(self.public_url(path));
        }
        let host = match head.uri.authority() {
            Some(authority) => authority.as_str(),
            None => head.headers.get(header::HOST)?.to_str().ok()?,
        };
        let host: Authority = host.parse().ok()?;
        if host.as_str().contains('@') {
            // A user's name is no part of a host (RFC 9110 §7.2), and would mislead who follows it.
            return None;
        }
        let forwarded = head.headers.get("x-forwarded-proto");
        let is_secure = settings.is_secure || forwarded.is_some_and(|scheme| scheme == "https");
        let scheme = if is_secure { "https" } else { "http" };
        Some(format!("{scheme}://{host}{path}"))
    }

    /// All routes, the plugins' own among them; `/metrics` unless it is served apart.
    pub fn router(&self) -> Router {
        let mut router = if self.inner.settings.metrics_apart {
            self.health_routes()
        } else {
            self.metrics_routes()
        };
        router = router
            .route("/pulp/content", any(content))
            .route(CONTENT_PREFIX, any(content))
            .route("/pulp/content/{*path}", any(content))
            .route("/pulp/api/v3/status/", get(status::status))
            .route("/status", get(status::status))
            .fallback(nothing_here);
        let mut router = router.with_state(self.clone());
        for plugin in self.inner.plugins.iter() {
            router = router.merge(plugin.routes(self));
        }
        router.layer(middleware::from_fn_with_state(self.clone(), observe::observe))
    }

    /// What monitoring asks for, and nothing else.
    pub(super) fn metrics_router(&self) -> Router {
        self.metrics_routes().with_state(self.clone())
    }

    fn metrics_routes(&self) -> Router<Self> {
        self.health_routes().route("/metrics", get(scrape::metrics))
    }

    #[expect(clippy::unused_self, reason = "the routes of an app")]
    fn health_routes(&self) -> Router<Self> {
        Router::new()
            .route("/healthz", get(status::health))
            .route("/livez", get(status::health))
            .route("/readyz", get(status::ready))
    }

    /// Ends all fills. Responses that follow one are cut.
    pub async fn close(&self) {
        self.inner.fills.close().await;
    }

    async fn content(&self, method: &Method, uri: &Uri, request: &HeaderMap) -> Response {
        if method != Method::GET && method != Method::HEAD {
            let mut response = explain(StatusCode::METHOD_NOT_ALLOWED, "Content can only be read");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(below) = uri.path().strip_prefix(CONTENT_PREFIX) else {
            return redirect(&self.public_url(CONTENT_PREFIX));
        };
        let path = match RequestPath::parse(below) {
            Ok(path) => path,
            Err(problem) => return explain(StatusCode::BAD_REQUEST, problem),
        };
        match self.resolve(&path).await {
            Ok(Found::File(servable, content_type)) => {
                let content_type = Some(content_type);
                let options = ResponseOptions { content_type, ..ResponseOptions::default() };
                self.serve_artifact(method, request, &servable, options).await
            }
            Ok(Found::Folder(entries)) => html(listing::page(path.as_str(), entries)),
            Ok(Found::SlashMissing) => redirect(&self.public_url(&format!("{}/", uri.path()))),
            Ok(Found::Elsewhere(path)) => redirect(&self.public_url(&path)),
            Ok(Found::Nothing(reason)) => explain(StatusCode::NOT_FOUND, reason),
            Err(error) => {
                tracing::error!(path = path.as_str(), %error, "Failed to look up a path");
                let text = "The database cannot be read";
                explain(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        }
    }
}

async fn content(
    State(app): State<ContentApp>,
    method: Method,
    uri: Uri,
    request: HeaderMap,
) -> Response {
    app.content(&method, &uri, &request).await
}

async fn nothing_here() -> Response {
    explain(StatusCode::NOT_FOUND, format_args!("Content is served under {CONTENT_PREFIX}"))
}
