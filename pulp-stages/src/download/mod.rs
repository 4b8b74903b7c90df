//! Downloads: from URLs to verified bytes.
//!
//! One [`Downloader`] per remote owns its connections, credentials and limits. [`Downloader::fetch`]
//! gets one file, trying again, resuming, and moving on to the next URL as the remote's settings say;
//! the body streams once, through a verifier of the artifact store, and comes back as
//! [`Verified`] or as a [`DownloadError`]. It knows nothing of content units, of policies or of
//! the database. [`Downloader::request`] is the same machinery for whatever else a plugin has to ask
//! over HTTP.
//!
//! ```text
//! fetch ── attempts on each URL (retry) ── hops (send, redirect) ── one exchange (client, limits)
//!      └── body (body, resume) ── Verifier ── Verified
//! ```
//!
//! Cancelling any of these is safe: a dropped download leaves no task, no permit, no file behind.

mod authorize;
mod body;
mod client;
mod error;
mod fetch;
mod file;
mod limits;
mod proxy;
mod redirect;
mod request;
mod resume;
mod retry;
mod send;
mod statistics;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderMap;
use pulp_models::{
    Algorithm, Expected, RemoteSettings, RemoteUrl,
    store::{ArtifactStore, Growing, Verified},
};

pub use authorize::Authorize;
pub use client::SettingsError;
pub use error::{Cause, DownloadError, Location, RedirectProblem};
pub use redirect::MAX_REDIRECTS;
pub use request::{HttpRequest, HttpResponse};
pub use resume::Validators;
pub use statistics::DownloadStatistics;

/// The largest body, in bytes, that is taken when neither its size nor a limit is given: 16 GiB.
pub const DEFAULT_LIMIT: u64 = 16 << 30;

/// What to fetch.
#[derive(Debug, Clone, Default)]
pub struct DownloadRequest {
    /// Where the file is, in order of preference. They are taken to be one and the same file.
    pub urls: Vec<RemoteUrl>,
    /// What is known of it; bytes that differ are refused.
    pub expected: Expected,
    /// Digests to compute besides SHA-256 and what is expected.
    pub also: Vec<Algorithm>,
    /// Headers of this request, in place of the remote's of the same name. They are sent to the
    /// origin of the URL; what says *what* is wanted (`Accept`) follows redirects elsewhere.
    pub headers: HeaderMap,
    /// The most bytes to take if no size is expected. Default: [`DEFAULT_LIMIT`].
    pub limit: Option<u64>,
    /// Whether wrong bytes are the end of it: a URL that gave some is not asked again. Default: no.
    pub final_mismatch: bool,
}

impl DownloadRequest {
    /// Any bytes from `url`.
    pub fn new(url: RemoteUrl) -> Self {
        Self { urls: vec![url], ..Self::default() }
    }

    /// The same, but only these bytes.
    #[must_use]
    pub fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }
}

/// A file that came, whole and right.
#[derive(Debug)]
pub struct Downloaded {
    /// Its bytes.
    pub verified: Verified,
    /// Which of the URLs had it.
    pub url: RemoteUrl,
    /// Where redirects led in the end; often `url` itself.
    pub final_url: RemoteUrl,
    /// For asking again later.
    pub validators: Validators,
    /// The headers of the answer; none for `file://`.
    pub headers: HeaderMap,
}

/// The outcome of a conditional download.
#[derive(Debug)]
pub enum IfChanged {
    /// The file is another one, or the server could not tell.
    Changed(Box<Downloaded>),
    /// The server says it is the same.
    NotModified,
}

/// Downloads for one remote. Cheap to clone; clones share connections, limits and statistics.
#[derive(Debug, Clone)]
pub struct Downloader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: RemoteSettings,
    store: ArtifactStore,
    clients: Arc<client::Clients>,
    authorize: Option<Arc<dyn Authorize>>,
    limits: limits::Limits,
    counters: Arc<statistics::Counters>,
}

impl Downloader {
    /// For the remote at `url`: credentials, custom headers and client certificate go to that origin
    /// and to no other, whatever URLs are fetched later.
    ///
    /// Reads the system's certificates from disk the first time in a process.
    pub fn new(
        url: &RemoteUrl,
        settings: &RemoteSettings,
        store: ArtifactStore,
    ) -> Result<Self, SettingsError> {
        Self::in_environment(url, settings, store, process_environment)
    }

    /// As [`new`](Self::new), but `authorize` says what `Authorization` the remote's origin gets;
    /// user name and password of `settings` are not sent by themselves.
    pub fn authorized_by(
        authorize: Arc<dyn Authorize>,
        url: &RemoteUrl,
        settings: &RemoteSettings,
        store: ArtifactStore,
    ) -> Result<Self, SettingsError> {
        let settings = RemoteSettings { username: None, password: None, ..settings.clone() };
        Ok(Self::new(url, &settings, store)?.authorized(authorize))
    }

    /// Another one for the same remote, with `authorize` to say what `Authorization` the remote's
    /// origin gets, which may use `self` to find out: it is another only in that. Connections, paces,
    /// statistics and the pauses that hosts ask for are the same for both; requests in flight are
    /// counted apart, since one that waits for its authorisation is in flight.
    #[must_use]
    pub fn authorized(&self, authorize: Arc<dyn Authorize>) -> Self {
        let Inner { settings, store, clients, limits, counters, .. } = &*self.inner;
        let inner = Inner {
            settings: settings.clone(),
            store: store.clone(),
            clients: Arc::clone(clients),
            authorize: Some(authorize),
            limits: limits.beside(settings),
            counters: Arc::clone(counters),
        };
        Self { inner: Arc::new(inner) }
    }

    fn in_environment(
        url: &RemoteUrl,
        settings: &RemoteSettings,
        store: ArtifactStore,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let inner = Inner {
            clients: Arc::new(client::Clients::new(url, settings, environment)?),
            authorize: None,
            limits: limits::Limits::new(settings),
            counters: Arc::default(),
            settings: settings.clone(),
            store,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fetches one file.
    pub async fn fetch(&self, request: &DownloadRequest) -> Result<Downloaded, DownloadError> {
        self.fetch_followed(request, &mut |_| {}).await
    }

    /// [`fetch`](Self::fetch), with `follow` called for each new beginning of the body: readers of an
    /// earlier one have to give up, unless they can start again.
    pub async fn fetch_followed(
        &self,
        request: &DownloadRequest,
        follow: &mut (dyn FnMut(Growing) + Send + Sync),
    ) -> Result<Downloaded, DownloadError> {
        match fetch::Fetch::new(&self.inner, request, None, Some(follow)).run().await? {
            IfChanged::Changed(downloaded) => Ok(*downloaded),
            IfChanged::NotModified => unreachable!("only a conditional request may end so"),
        }
    }

    /// Fetches one file unless it is still what `validators` describe.
    pub async fn fetch_if_changed(
        &self,
        request: &DownloadRequest,
        validators: &Validators,
    ) -> Result<IfChanged, DownloadError> {
        fetch::Fetch::new(&self.inner, request, Some(validators), None).run().await
    }

    /// Any other request, by the same rules: limits, retries, redirects, who gets credentials.
    ///
    /// The answer comes back whatever its status, except that 429 and 5xx are errors once the
    /// attempts are used up. `POST` and `PATCH` are sent again only if the server cannot have acted on
    /// them: no connection, 429, 503. An answer counts as in flight until its body is read to the
    /// end or it is dropped: do not hold one while asking for the next.
    pub async fn request(&self, request: HttpRequest) -> Result<HttpResponse, DownloadError> {
        request::run(&self.inner, request).await
    }

    /// Opens a `file://` URL, if the settings allow it, for those who look into it before they fetch
    /// parts of it.
    pub async fn open_file(&self, url: &RemoteUrl) -> Result<std::fs::File, DownloadError> {
        let allowed = &self.inner.settings.allowed_file_paths;
        Ok(file::open(url, allowed).await?.into_file().await)
    }

    /// The URL of `length` bytes of the local file at `url`, from `first` on.
    pub fn part_of_file(url: &RemoteUrl, first: u64, length: u64) -> RemoteUrl {
        file::part(url, first, length)
    }

    /// What was done so far.
    pub fn statistics(&self) -> DownloadStatistics {
        self.inner.counters.snapshot()
    }
}

fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
