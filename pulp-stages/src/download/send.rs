//! One request through its redirects to the head of the final answer; and what the HTTP library's
//! errors mean.

use std::{error::Error, io};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use pulp_models::RemoteUrl;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use url::Url;

use super::{DownloadError, Inner, client::basic, error::Cause, redirect::Hop, retry::retry_after};

/// A head, with the body still to come. In flight until the permit is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) response: reqwest::Response,
    /// Who answered.
    pub(super) url: RemoteUrl,
    /// The URL that was asked for, if it is another.
    pub(super) redirected_from: Option<RemoteUrl>,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Sent {
    /// The error that this status is, for whoever hoped for another.
    pub(super) fn unexpected_status(&self) -> DownloadError {
        DownloadError::Status {
            url: self.url.clone().into(),
            status: self.response.status(),
            redirected_from: self.redirected_from.clone().map(Box::new),
        }
    }
}

impl Inner {
    /// Sends `hop` and follows redirects. A host's `Retry-After` is heeded by whoever comes next.
    pub(super) async fn send(&self, mut hop: Hop) -> Result<Sent, DownloadError> {
        if !matches!(hop.url.scheme(), "http" | "https") {
            return Err(DownloadError::Scheme { url: RemoteUrl::from_url(hop.url).into() });
        }
        let permit = self.limits.enter(&hop.url).await;
        loop {
            let response = self.authorized(&hop).await?;
            self.heed_pause(&hop.url, &response)?;
            if !hop.advance(response.status(), response.headers())? {
                let redirected_from = hop.redirected_from().cloned().map(RemoteUrl::from_url);
                let url = RemoteUrl::from_url(hop.url);
                return Ok(Sent { response, url, redirected_from, permit });
            }
            self.limits.wait_for_pause(&hop.url).await;
        }
    }

    /// One request and the head of its answer; `authorization` is sent unless `hop` has one.
    pub(super) async fn exchange(
        &self,
        hop: &Hop,
        authorization: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, DownloadError> {
        let (client, own) = self.clients.for_url(&hop.url);
        let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
        request.headers_mut().clone_from(own);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        if !hop.headers.is_empty() {
            request.headers_mut().extend(hop.headers.clone());
        }
        *request.body_mut() = hop.body.clone().map(Into::into);

        self.limits.one_request().await;
        self.counters.request();
        let url = || Box::new(RemoteUrl::from_url(hop.url.clone()));
        let idle = self.settings.idle_timeout();
        let response = timeout(idle, client.execute(request))
            .await
            .map_err(|_| DownloadError::Idle { url: url(), received: 0, after: idle })?
            .map_err(|error| self.explain(error, url(), 0))?;
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(DownloadError::ProxyAuthentication { url: url() });
        }
        Ok(response)
    }

    /// Passes on what the host of `url` says about pauses.
    fn heed_pause(&self, url: &Url, response: &reqwest::Response) -> Result<(), DownloadError> {
        if !matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            return Ok(());
        }
        let limit = self.settings.retry_after_limit();
        match retry_after(response.headers()) {
            Some(wait) if wait > limit => {
                let url = RemoteUrl::from_url(url.clone()).into();
                return Err(DownloadError::RetryAfter { url, wait, limit });
            }
            Some(wait) => self.limits.pause(url, wait),
            None => {}
        }
        Ok(())
    }

    /// Sorts the HTTP library's errors. `received` counts the bytes of the file so far.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub(super) fn explain(
        &self,
        error: reqwest::Error,
        url: Box<RemoteUrl>,
        received: u64,
    ) -> DownloadError {
        let source = Cause::innermost(&error);
        if error.is_connect() && error.is_timeout() {
            DownloadError::ConnectTimeout { url, after: self.settings.connect_timeout() }
        } else if chain(&error).any(is_refused_certificate) {
            DownloadError::Tls { url, source }
        } else if chain(&error).any(is_refused_tunnel) {
            DownloadError::ProxyAuthentication { url }
        } else if error.is_connect() {
            DownloadError::Connect { url, source }
        } else {
            DownloadError::Broken { url, received, source }
        }
    }
}

/// The headers of a request for `url`: those given, and the credentials that the URL itself holds.
pub(super) fn with_credentials_of(url: &Url, mut headers: HeaderMap) -> HeaderMap {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy();
    if !url.username().is_empty() && !headers.contains_key(header::AUTHORIZATION) {
        let password = url.password().unwrap_or_default();
        headers.insert(header::AUTHORIZATION, basic(&decode(url.username()), &decode(password)));
    }
    headers
}

/// An error, its source, and so on; including what an `io::Error` wraps, which is no source of it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// TLS failures that will be the same next time.
fn is_refused_certificate(error: &(dyn Error + 'static)) -> bool {
    use rustls::Error::{
        AlertReceived, InvalidCertificate, InvalidMessage, NoCertificatesPresented,
        PeerIncompatible,
    };
    matches!(
        error.downcast_ref(),
        Some(
            AlertReceived(_)
                | InvalidCertificate(_)
                | InvalidMessage(_)
                | NoCertificatesPresented
                | PeerIncompatible(_)
        )
    )
}

/// 407 in answer to `CONNECT`. The library's error type is private: only its text tells.
fn is_refused_tunnel(error: &(dyn Error + 'static)) -> bool {
    error.source().is_none() && error.to_string().contains("proxy authorization required")
}
