//! How downloads fail: which URL, what was expected, what came, and what to do about it.
//!
//! [`DownloadError::is_worth_retrying`] is the retry policy's whole knowledge of failures; counting
//! attempts and waiting is the business of `retry`.

use std::{fmt, io, time::Duration};

use http::StatusCode;
use pulp_models::{Mismatch, RemoteUrl, store::StoreError};

/// A failed download. URLs print without credentials and query; causes are in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "fields that repeat say the same everywhere: `url` is the last hop's"
)]
pub enum DownloadError {
    /// No connection, for instance since the name is unknown or nobody listens.
    #[error("Failed to connect to `{url}`")]
    Connect { url: Box<RemoteUrl>, source: Cause },
    /// No connection within `connect_timeout`.
    #[error("Failed to connect to `{url}` within {}", Seconds(*.after))]
    ConnectTimeout { url: Box<RemoteUrl>, after: Duration },
    /// A certificate was refused, theirs or ours, or it is no TLS at all.
    #[error("Failed to agree on TLS with `{url}`")]
    Tls { url: Box<RemoteUrl>, source: Cause },
    /// The proxy wants credentials, or others.
    #[error("The proxy refused the request for `{url}`: 407 Proxy Authentication Required")]
    ProxyAuthentication { url: Box<RemoteUrl> },
    /// The server's challenge could not be answered.
    #[error("Failed to get authorisation for `{url}`")]
    Unauthorized { url: Box<RemoteUrl>, source: Box<dyn std::error::Error + Send + Sync> },
    /// Any other status than the one that was hoped for.
    #[error("`{url}` answered {status}")]
    Status {
        url: Box<RemoteUrl>,
        status: StatusCode,
        /// The URL that was asked for, if redirects led elsewhere.
        redirected_from: Option<Box<RemoteUrl>>,
    },
    /// `Retry-After` is longer than `retry_after_limit`.
    #[error("`{url}` asks to wait for {}, at most {} allowed", Seconds(*.wait), Seconds(*.limit))]
    RetryAfter { url: Box<RemoteUrl>, wait: Duration, limit: Duration },
    /// A redirect that is not followed.
    #[error("`{url}` redirects to {location}, {reason}")]
    Redirect {
        url: Box<RemoteUrl>,
        /// Where to.
        location: Location,
        /// Why it is not followed.
        reason: RedirectProblem,
    },
    /// The connection ended too early or the protocol was violated.
    #[error("The transfer of `{url}` broke after {received} bytes")]
    Broken { url: Box<RemoteUrl>, received: u64, source: Cause },
    /// Nothing came for `idle_timeout`.
    #[error("`{url}` was silent for {} after {received} bytes", Seconds(*.after))]
    Idle { url: Box<RemoteUrl>, received: u64, after: Duration },
    /// Slower than `minimum_rate`.
    #[error(
        "`{url}` sent {rate} bytes/s over {}, at least {minimum} expected", Seconds(*.window)
    )]
    TooSlow { url: Box<RemoteUrl>, rate: u64, minimum: u64, window: Duration },
    /// A range was answered with something else, or the file changed since its first part.
    #[error("`{url}` did not continue at byte {from}: {reason}")]
    Resume { url: Box<RemoteUrl>, from: u64, reason: &'static str },
    /// The wrong bytes.
    #[error("`{url}` is not the expected file")]
    Mismatch { url: Box<RemoteUrl>, source: Mismatch },
    /// More bytes than allowed where no size is expected.
    #[error("`{url}` is larger than the limit of {limit} bytes")]
    TooLarge { url: Box<RemoteUrl>, limit: u64 },
    /// A `file://` URL outside of `allowed_file_paths`.
    #[error("Reading `{url}` is not allowed")]
    FileNotAllowed { url: Box<RemoteUrl> },
    /// A `file://` URL that cannot be read.
    #[error("Failed to read `{url}`")]
    File { url: Box<RemoteUrl>, source: io::Error },
    /// The scheme is none that can be downloaded by this call.
    #[error("Scheme of `{url}` is not supported here")]
    Scheme { url: Box<RemoteUrl> },
    /// The request names no URL.
    #[error("There is no URL to download from")]
    NoUrl,
    /// The bytes came, but could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The last failure, after all attempts on all URLs.
    #[error("Gave up after {attempts} attempts on {}", Urls(*.urls))]
    GaveUp {
        /// Attempts made, over all URLs.
        attempts: u32,
        /// How many URLs were tried.
        urls: usize,
        source: Box<DownloadError>,
    },
}

impl DownloadError {
    /// Whether the same request may well succeed a little later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Broken { .. }
            | Self::Idle { .. }
            | Self::TooSlow { .. }
            | Self::Resume { .. }
            | Self::Mismatch { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// Whether these were the wrong bytes, however often they were asked for.
    pub(crate) fn is_mismatch(&self) -> bool {
        match self {
            Self::Mismatch { .. } => true,
            Self::GaveUp { source, .. } => source.is_mismatch(),
            _ => false,
        }
    }

    /// Whether this one file is to blame, and not the way to it: its server is there and says that
    /// it doesn't give the file, or gives others bytes than it should.
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Mismatch { .. } | Self::TooLarge { .. } => true,
            Self::Status { status, .. } => {
                matches!(status.as_u16(), 403 | 404 | 410 | 451)
            }
            Self::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::GaveUp { source, .. } => source.is_of_the_file(),
            _ => false,
        }
    }

    /// Whether another URL of the same file is worth trying: not when we are the ones who failed.
    pub(super) fn is_upstreams(&self) -> bool {
        !matches!(self, Self::Store(_))
    }

    /// Whether what was received before the failure is still the beginning of the file.
    pub(super) fn leaves_a_beginning(&self) -> bool {
        !matches!(self, Self::Mismatch { .. } | Self::Resume { .. })
    }

    /// The same as the last of `attempts` on `urls` URLs.
    pub(super) fn after(self, attempts: u32, urls: usize) -> Self {
        if attempts > 1 { Self::GaveUp { attempts, urls, source: self.into() } } else { self }
    }

    /// The status of the answer that was the failure, if one was.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::ProxyAuthentication { .. } => Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED),
            Self::GaveUp { source, .. } => source.status(),
            _ => None,
        }
    }

    /// One sentence of advice, without a full stop.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::ConnectTimeout { .. } => "raise `connect_timeout` if the upstream is only slow",
            Self::Idle { .. } => "raise `idle_timeout` if the upstream is only slow",
            Self::TooSlow { .. } => "lower `minimum_rate`, or set it to 0, to put up with it",
            Self::RetryAfter { .. } => "raise `retry_after_limit` to wait, or lower `rate_limit`",
            Self::Tls { .. } => {
                "set `ca_cert` to trust a private authority, `client_cert` and `client_key` if the \
                 upstream wants them; or write `http://` if it speaks no TLS"
            }
            Self::ProxyAuthentication { .. } => "check `proxy_username` and `proxy_password`",
            Self::Unauthorized { .. } => "check `username` and `password`",
            Self::Status { status, redirected_from, .. } => {
                status_hint(*status, redirected_from.as_deref())?
            }
            Self::Redirect { reason: RedirectProblem::Downgrade, .. } => {
                "use the `http` URL if an unprotected transfer is acceptable"
            }
            Self::FileNotAllowed { .. } => "add its folder to `allowed_file_paths`",
            Self::Mismatch { .. } => {
                "the upstream is inconsistent, often since it is being updated: try again later, or \
                 let `on_broken` say how to go on"
            }
            Self::GaveUp { source, .. } => return source.hint(),
            _ => return None,
        })
    }
}

fn status_hint(status: StatusCode, redirected_from: Option<&RemoteUrl>) -> Option<&'static str> {
    Some(match status.as_u16() {
        401 | 403 if redirected_from.is_some() => {
            "credentials are not sent to where a redirect leads; use the final URL if you trust it"
        }
        401 => "check `username` and `password`",
        403 => "the upstream forbids it: check credentials, certificates and headers",
        404 | 410 => {
            "check the URL; or the upstream removed the file since its index was written, and \
             `on_broken` says how to go on"
        }
        429 => "lower `download_concurrency` or `rate_limit`",
        500..=599 => "the upstream has a problem: try again later",
        _ => return None,
    })
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectProblem {
    /// There were too many before.
    #[error("the eleventh redirect in a row")]
    TooMany,
    /// This URL was asked already.
    #[error("which closes a loop")]
    Loop,
    /// Neither `http` nor `https`.
    #[error("which is neither `http` nor `https`")]
    Scheme,
    /// From `https` to `http`, with no trusted digest to check the bytes by.
    #[error("which would give up TLS")]
    Downgrade,
    /// The `Location` is no URL reference.
    #[error("which is not a URL")]
    Invalid,
}

/// Where a redirect leads, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(pub(super) Option<Box<RemoteUrl>>);

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(url) => write!(f, "`{url}`"),
            None => f.write_str("an invalid location"),
        }
    }
}

/// What the HTTP or TLS library or the operating system said, without the URL it may have put in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    /// The innermost error of a chain: the outer ones only say that there was an error.
    pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> Self {
        let last = std::iter::successors(Some(error), |error| error.source()).last();
        Self(last.map(ToString::to_string).unwrap_or_default())
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

struct Urls(usize);

impl fmt::Display for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 URL"),
            many => write!(f, "{many} URLs"),
        }
    }
}
