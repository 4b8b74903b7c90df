//! How often and when to try again. Knows neither URLs nor bodies.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use pulp_models::RemoteSettings;

use super::DownloadError;

/// The attempts on one URL.
#[derive(Debug)]
pub(super) struct Attempts {
    made: u32,
    allowed: u32,
    delay: Duration,
}

impl Attempts {
    pub(super) fn new(settings: &RemoteSettings) -> Self {
        let allowed = settings.max_retries().saturating_add(1);
        Self { made: 0, allowed, delay: settings.retry_delay() }
    }

    /// Counts one more attempt, which is about to begin.
    pub(super) fn begin(&mut self) {
        self.made += 1;
    }

    /// How many began so far.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// How long to wait before the next attempt after `error`; `None` when there is to be none.
    /// A pause that the host asked for comes on top: the limits see to it.
    pub(super) fn next_delay(&self, error: &DownloadError) -> Option<Duration> {
        (error.is_worth_retrying() && self.made < self.allowed).then(|| self.backoff())
    }

    /// 1, 2, 4 … times the delay, at most 60 times; of that, the second half at random, so that those
    /// who failed together do not return together.
    fn backoff(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.made.saturating_sub(1)).unwrap_or(u32::MAX).min(60);
        self.delay.saturating_mul(factor).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// The value of `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is taken relative to the
/// server's own clock where it shows one.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = headers
        .get(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let date = headers(&[
            ("date", "Sat, 03 Jan 2026 10:00:00 GMT"),
            ("retry-after", "Sat, 03 Jan 2026 10:01:30 GMT"),
        ]);
        assert_eq!(retry_after(&date), Some(Duration::from_secs(90)));
        let past = headers(&[("retry-after", "Sat, 03 Jan 1998 10:01:30 GMT")]);
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn delays_double_within_their_jitter_and_end_with_the_attempts() {
        let settings = RemoteSettings { max_retries: Some(9), ..RemoteSettings::default() };
        let mut attempts = Attempts::new(&settings);
        let url: pulp_models::RemoteUrl = "http://host/".parse().expect("valid");
        let error = DownloadError::Idle { url: url.into(), received: 0, after: Duration::ZERO };
        for most in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            attempts.begin();
            let delay = attempts.next_delay(&error).expect("attempts are left").as_secs_f64();
            assert!(delay <= f64::from(most) && delay >= f64::from(most) / 2.0, "{delay} {most}");
        }
        attempts.begin();
        assert_eq!(attempts.next_delay(&error), None);
        assert_eq!(attempts.made(), 10);
    }
}
