//! Requests other than downloads: existence checks, token services, listings.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use pulp_models::RemoteUrl;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use super::{
    DownloadError, Inner, Validators, body::Body, redirect::Hop, retry::Attempts,
    send::with_credentials_of,
};

/// A request for [`Downloader::request`](super::Downloader::request).
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: RemoteUrl,
    /// Headers, in place of the remote's of the same name.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: Method, url: RemoteUrl) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }
}

/// An answer, whose body is read on demand.
#[derive(Debug)]
pub struct HttpResponse {
    status: StatusCode,
    headers: HeaderMap,
    url: RemoteUrl,
    body: Body,
    inner: Arc<Inner>,
    /// Given back with the last piece.
    permit: Option<OwnedSemaphorePermit>,
}

impl HttpResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Where redirects led.
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// `ETag` and `Last-Modified`.
    pub fn validators(&self) -> Validators {
        Validators::of(&self.headers)
    }

    /// The next piece of the body; `None` at its end. Nothing is tried again from here on.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let piece = self.body.next(&self.inner).await;
        if !matches!(piece, Ok(Some(_))) {
            self.permit = None;
        }
        piece
    }

    /// The rest of the body; fails when it is larger than `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, DownloadError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if whole.len() + piece.len() > limit {
                return Err(DownloadError::TooLarge { url: self.url.into(), limit: limit as u64 });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

pub(super) async fn run(
    inner: &Arc<Inner>,
    request: HttpRequest,
) -> Result<HttpResponse, DownloadError> {
    let mut attempts = Attempts::new(&inner.settings);
    loop {
        attempts.begin();
        let error = match attempt(inner, &request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let delay = attempts.next_delay(&error).filter(|_| may_repeat(&request.method, &error));
        let Some(delay) = delay else {
            return Err(error.after(attempts.made(), 1));
        };
        tracing::debug!(url = %request.url, attempt = attempts.made(), %error, "Trying again");
        inner.counters.retry();
        sleep(delay).await;
    }
}

async fn attempt(inner: &Arc<Inner>, request: &HttpRequest) -> Result<HttpResponse, DownloadError> {
    let url = request.url.expose();
    let headers = with_credentials_of(url, request.headers.clone());
    let hop = Hop::first(request.method.clone(), url.clone(), headers, request.body.clone(), false);
    let sent = inner.send(hop).await?;
    let status = sent.response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(sent.unexpected_status());
    }
    Ok(HttpResponse {
        status,
        headers: sent.response.headers().clone(),
        url: sent.url.clone(),
        body: Body::new(sent.response, sent.url, 0),
        inner: Arc::clone(inner),
        permit: Some(sent.permit),
    })
}

/// Whether the request may be sent again without being acted upon twice.
fn may_repeat(method: &Method, error: &DownloadError) -> bool {
    method.is_idempotent()
        || match error {
            DownloadError::Connect { .. } | DownloadError::ConnectTimeout { .. } => true,
            DownloadError::Status { status, .. } => {
                matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => false,
        }
}
