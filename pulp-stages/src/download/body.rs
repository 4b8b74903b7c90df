//! A body as it arrives: silence and slowness are noticed, bytes are counted and paced.

use std::time::Duration;

use bytes::Bytes;
use pulp_models::RemoteUrl;
use tokio::time::{Instant, timeout};

use super::{DownloadError, Inner};

/// The body of one answer.
#[derive(Debug)]
pub(super) struct Body {
    response: reqwest::Response,
    url: RemoteUrl,
    /// Of the whole file, so with what an earlier answer brought.
    received: u64,
    rate: Rate,
}

impl Body {
    /// `from` is where in the file this body begins.
    pub(super) fn new(response: reqwest::Response, url: RemoteUrl, from: u64) -> Self {
        Self { response, url, received: from, rate: Rate::default() }
    }

    /// The next piece; `None` at the proper end. After an error there is nothing more.
    pub(super) async fn next(&mut self, inner: &Inner) -> Result<Option<Bytes>, DownloadError> {
        let idle = inner.settings.idle_timeout();
        let begin = Instant::now();
        let piece = timeout(idle, self.response.chunk())
            .await
            .map_err(|_| DownloadError::Idle {
                url: self.url.clone().into(),
                received: self.received,
                after: idle,
            })?
            .map_err(|error| inner.explain(error, self.url.clone().into(), self.received))?;
        let Some(piece) = piece else {
            return Ok(None);
        };
        self.received += piece.len() as u64;
        inner.counters.bytes(piece.len());
        let (minimum, window) =
            (inner.settings.minimum_rate(), inner.settings.minimum_rate_window());
        let waited = begin.elapsed();
        if let Some(rate) = self.rate.add(piece.len() as u64, waited, window)
            && rate < minimum
        {
            return Err(DownloadError::TooSlow {
                url: self.url.clone().into(),
                rate,
                minimum,
                window,
            });
        }
        inner.limits.received(piece.len()).await;
        Ok(Some(piece))
    }
}

/// The rate over the time spent waiting for bytes: when it is us who are slow, nobody is to blame.
#[derive(Debug, Default)]
struct Rate {
    bytes: u64,
    waited: Duration,
}

impl Rate {
    /// Bytes per second, each time a window is full.
    fn add(&mut self, bytes: u64, waited: Duration, window: Duration) -> Option<u64> {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < window {
            return None;
        }
        let Self { bytes, waited } = std::mem::take(self);
        Some(
            u64::try_from(u128::from(bytes) * 1_000_000 / waited.as_micros().max(1))
                .unwrap_or(u64::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_once_per_window() {
        let (mut rate, window) = (Rate::default(), Duration::from_secs(10));
        assert_eq!(rate.add(500, Duration::from_secs(6), window), None);
        assert_eq!(rate.add(500, Duration::from_secs(4), window), Some(100));
        assert_eq!(rate.add(9_999, Duration::from_secs(9), window), None);
        assert_eq!(rate.add(1, Duration::from_secs(91), window), Some(100));
    }
}
