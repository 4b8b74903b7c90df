//! From a content artifact to a response, wherever its bytes are: in the store, on their way, or
//! still upstream.
//!
//! [`super::resolve`] and plugins' own routes come before, with a [`Servable`] in hand.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pulp_models::{
    ContentId, Digests, Expected, RelativePath, Sha256, Timestamp, store::StoreError,
};

use super::{
    ContentApp, ResponseOptions,
    conditional::Validators,
    demand::{Demand, FileKey, Stored},
    fill_reader::{self, Beginning},
    media_type,
    response::{Plan, Representation, etag, explain, system_time},
    sendfile::Wish,
};

/// Something that can be served: bytes in the store, or a content artifact, which may have to be
/// fetched first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servable {
    pub(super) stored: Option<Stored>,
    pub(super) key: Option<FileKey>,
    pub(super) modified: Option<Timestamp>,
}

impl Servable {
    /// Bytes in the artifact store, such as generated metadata.
    pub fn artifact(sha256: Sha256, size: u64) -> Self {
        Self { stored: Some(Stored { sha256, size }), key: None, modified: None }
    }

    /// A content artifact, stored or on demand. `relative_path` is its path within the content.
    pub fn content(content: ContentId, relative_path: RelativePath) -> Self {
        let key = FileKey { content, relative_path };
        Self { stored: None, key: Some(key), modified: None }
    }

    /// The same, and where its bytes are if `stored` (digest and size) says so: saves a query.
    #[must_use]
    pub fn stored_as(mut self, stored: Option<(Sha256, u64)>) -> Self {
        self.stored = stored.map(|(sha256, size)| Stored { sha256, size });
        self
    }

    /// Sets what `Last-Modified` says: when these bytes became visible under their URL.
    #[must_use]
    pub(super) fn modified(mut self, time: Timestamp) -> Self {
        self.modified = Some(time);
        self
    }
}

/// One request for a [`Servable`].
struct Delivery<'a> {
    app: &'a ContentApp,
    method: &'a Method,
    request: &'a HeaderMap,
    servable: &'a Servable,
    options: ResponseOptions,
}

impl ContentApp {
    /// Answers a GET or HEAD request with a servable: conditions, ranges, hold-back, single flight and
    /// failing sources are all taken care of.
    ///
    /// Without [`ResponseOptions::content_type`] the extension of the content artifact's own path
    /// tells the type. Dropping the response stops nothing but this client's transfer.
    pub async fn serve_artifact(
        &self,
        method: &Method,
        request: &HeaderMap,
        servable: &Servable,
        options: ResponseOptions,
    ) -> Response {
        let delivery = Delivery { app: self, method, request, servable, options };
        delivery.run().await
    }
}

impl Delivery<'_> {
    async fn run(&self) -> Response {
        if let Some(stored) = self.servable.stored {
            match self.send_stored(stored).await {
                Err(StoreError::Missing(_)) if self.servable.key.is_some() => {}
                outcome => return outcome.unwrap_or_else(|error| broken(&error)),
            }
        }
        match &self.servable.key {
            Some(key) => self.on_demand(key).await,
            None => explain(StatusCode::NOT_FOUND, "There are no bytes"),
        }
    }

    /// Fails only if there is no sound file.
    async fn send_stored(&self, stored: Stored) -> Result<Response, StoreError> {
        let known = Expected { size: Some(stored.size), digests: Digests::from(stored.sha256) };
        let (head, range) = match self.representation(&known).plan(self.method, self.request) {
            Plan::Answer(response) => return Ok(self.without_bytes(response)),
            Plan::Send(head, range) => (head, range.unwrap_or(0..stored.size)),
        };
        let wish = Wish::default();
        let body = self.app.inner.stored.open(stored, range, wish.clone()).await?;
        self.app.inner.metrics.from_store.add(1);
        let mut response = Response::from_parts(head, body);
        response.extensions_mut().insert(wish);
        Ok(response)
    }

    async fn on_demand(&self, key: &FileKey) -> Response {
        let fills = &self.app.inner.fills;
        let (fill, listener) = match fills.running(key) {
            Some(running) => running,
            None => match fills.demand(key).await {
                Err(error) => return error.response(),
                Ok(Demand::Stored(stored)) => return self.send_stored_or_fail(stored).await,
                Ok(Demand::Offered(offer)) => {
                    // What needs no bytes needs no transfer.
                    let plan = self.representation(&offer.expected).plan(self.method, self.request);
                    if let Plan::Answer(response) = plan {
                        return self.without_bytes(response);
                    }
                    fills.join(key, offer)
                }
            },
        };
        // Once it is verified, the size is known even if upstream never said it.
        let mut known = fill.expected.clone();
        known.size = known.size.or_else(|| listener.borrow().size());
        let (head, range) = match self.representation(&known).plan(self.method, self.request) {
            Plan::Answer(response) => return self.without_bytes(response),
            Plan::Send(head, range) => (head, range),
        };
        match fill_reader::begin(listener, range).await {
            Err(error) => error.response(),
            Ok(Beginning::Stored(stored)) => self.send_stored_or_fail(stored).await,
            Ok(Beginning::Empty) => Response::from_parts(head, Body::empty()),
            Ok(Beginning::Bytes(first, rest)) => {
                self.app.inner.metrics.from_fill.add(1);
                let first = stream::iter([Ok::<Bytes, std::io::Error>(first)]);
                Response::from_parts(head, Body::from_stream(first.chain(rest.into_stream())))
            }
        }
    }

    async fn send_stored_or_fail(&self, stored: Stored) -> Response {
        self.send_stored(stored).await.unwrap_or_else(|error| broken(&error))
    }

    /// Counts an answer that needs no bytes.
    fn without_bytes(&self, response: Response) -> Response {
        self.app.inner.metrics.without_bytes.add(1);
        response
    }

    fn representation(&self, known: &Expected) -> Representation {
        let etag = self.options.etag.clone().or_else(|| etag(&known.digests));
        Representation {
            validators: Validators::new(etag, self.servable.modified.map(system_time)),
            content_type: self.content_type(),
            size: known.size,
            headers: self.options.headers.clone(),
        }
    }

    fn content_type(&self) -> HeaderValue {
        let path = self.servable.key.as_ref().map_or("", |key| key.relative_path.as_str());
        self.options.content_type.clone().unwrap_or_else(|| media_type::of(path))
    }
}

/// The answer when a stored artifact cannot be read and nobody else has it.
fn broken(error: &StoreError) -> Response {
    tracing::error!(%error, "Failed to serve a stored artifact");
    let text = "The artifact store cannot deliver it\nhint: `pulp check --repair` finds and replaces missing artifacts";
    explain(StatusCode::INTERNAL_SERVER_ERROR, text)
}
