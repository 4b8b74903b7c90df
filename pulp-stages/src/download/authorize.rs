//! Authorisation that has to be asked for: tokens, and whatever else a challenge demands.
//!
//! A plugin whose servers challenge (401) implements [`Authorize`]; the downloader asks it for the
//! `Authorization` of every request to the remote's own origin, tells it of a challenge, and
//! repeats the challenged request once. What a token is and where it comes from is not known here.

use std::{error::Error, fmt};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pulp_models::RemoteUrl;
use url::Url;

use super::{DownloadError, Inner, redirect::Hop};

/// Finds the authorisation of requests. Shared by all requests of a remote, which ask at once.
#[async_trait]
pub trait Authorize: fmt::Debug + Send + Sync {
    /// The value of `Authorization` for a request to `url`; `None` sends none. It may wait for a
    /// token server; the request counts as in flight meanwhile.
    async fn authorization(
        &self,
        url: &Url,
    ) -> Result<Option<HeaderValue>, Box<dyn Error + Send + Sync>>;

    /// Learns from the 401 that a request to `url`, sent with `sent`, was answered with. After
    /// `Ok`, [`authorization`](Self::authorization) is asked again and the request repeated, once.
    fn challenged(
        &self,
        url: &Url,
        sent: Option<&HeaderValue>,
        answer: &HeaderMap,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

impl Inner {
    /// Sends `hop`, with authorisation if the remote's origin is asked.
    pub(super) async fn authorized(&self, hop: &Hop) -> Result<reqwest::Response, DownloadError> {
        let own =
            self.clients.is_home(&hop.url) && !hop.headers.contains_key(header::AUTHORIZATION);
        let Some(authorize) = self.authorize.as_ref().filter(|_| own) else {
            return self.exchange(hop, None).await;
        };
        let refused = |error: Box<dyn Error + Send + Sync>| DownloadError::Unauthorized {
            url: Box::new(RemoteUrl::from_url(hop.url.clone())),
            source: error,
        };
        let sent = authorize.authorization(&hop.url).await.map_err(refused)?;
        let answer = self.exchange(hop, sent.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        authorize.challenged(&hop.url, sent.as_ref(), answer.headers()).map_err(refused)?;
        drop(answer);
        let again = authorize.authorization(&hop.url).await.map_err(refused)?;
        self.exchange(hop, again.as_ref()).await
    }
}
