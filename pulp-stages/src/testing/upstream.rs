//! A web server with a tree of files, a script of faults and a log.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use pulp_models::RemoteUrl;

use super::{
    Authority, Fault, answer,
    body::{Ending, ScriptedBody},
    listener::{Listener, Service},
};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct LoggedRequest {
    /// The method.
    pub method: Method,
    /// The path without its leading `/`, percent-decoded, without the query.
    pub path: String,
    /// The query, still encoded.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The protocol it came in.
    pub version: http::Version,
    /// The request's body.
    pub body: Bytes,
}

impl LoggedRequest {
    /// A header's value, if there is exactly such a one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Which validators (RFC 9110, 8.8) a server sends with its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValidatorKind {
    /// A strong `ETag` made of the content, and `Last-Modified`.
    #[default]
    Strong,
    /// A weak `ETag`.
    Weak,
    /// `Last-Modified` only.
    Date,
    /// None.
    None,
}

type Handler = dyn Fn(&LoggedRequest) -> Response<Bytes> + Send + Sync;

#[derive(Default)]
struct Site {
    files: HashMap<String, Bytes>,
    folders: Vec<(String, PathBuf)>,
    handlers: Vec<(String, Arc<Handler>)>,
    faults: HashMap<String, VecDeque<Fault>>,
    everywhere: Vec<Fault>,
    login: Option<String>,
    validators: ValidatorKind,
    down: bool,
    log: Vec<LoggedRequest>,
}

#[derive(Default)]
struct Shared {
    site: Mutex<Site>,
    sent: Arc<AtomicU64>,
}

/// A running upstream. Paths are relative to its root, without a leading `/`. Dropping it closes
/// every connection.
pub struct Upstream {
    shared: Arc<Shared>,
    listener: Listener,
    scheme: &'static str,
}

impl Upstream {
    /// Starts an empty one, plain HTTP.
    pub async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// Starts an empty one with TLS, its certificate from `authority`; speaks HTTP/2 and HTTP/1.1.
    pub async fn start_tls(authority: &Authority) -> Self {
        Self::listen("https", Some(authority.server(false))).await
    }

    /// Like [`start_tls`](Self::start_tls), and clients must show a certificate from `authority`.
    pub async fn start_mutual_tls(authority: &Authority) -> Self {
        Self::listen("https", Some(authority.server(true))).await
    }

    async fn listen(scheme: &'static str, tls: Option<tokio_rustls::rustls::ServerConfig>) -> Self {
        let shared = Arc::<Shared>::default();
        let listener = Listener::start(Arc::clone(&shared), tls).await;
        Self { shared, listener, scheme }
    }

    /// The URL of `path`, which is encoded as needed.
    pub fn url(&self, path: &str) -> RemoteUrl {
        let root: RemoteUrl = self.root().parse().expect("our own address");
        root.join_path(path)
    }

    /// The root's URL as text, without a `/` at its end.
    pub fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.listener.address())
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.put(path, bytes);
        self
    }

    /// Serves the files below `folder`, read anew for each request, under `prefix` (may be empty).
    #[must_use]
    pub fn folder(self, prefix: &str, folder: impl Into<PathBuf>) -> Self {
        self.site().folders.push((prefix.to_owned(), folder.into()));
        self
    }

    /// Answers every request whose path starts with `prefix` by calling `handler`; such requests are
    /// logged, but know no faults.
    #[must_use]
    pub fn handle(
        self,
        prefix: &str,
        handler: impl Fn(&LoggedRequest) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.site().handlers.push((prefix.to_owned(), Arc::new(handler)));
        self
    }

    /// Scripts the next answers to requests for `path`.
    #[must_use]
    pub fn fault(self, path: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.script(path, faults);
        self
    }

    /// Scripts the first answers for each path that has no script of its own.
    #[must_use]
    pub fn fault_everywhere(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.site().everywhere = faults.into_iter().collect();
        self
    }

    /// Answers 401 to whoever does not present these with basic authentication.
    #[must_use]
    pub fn basic_auth(self, username: &str, password: &str) -> Self {
        self.site().login = Some(basic(username, password));
        self
    }

    /// Sets which validators are sent.
    #[must_use]
    pub fn validators(self, validators: ValidatorKind) -> Self {
        self.site().validators = validators;
        self
    }

    /// Adds or replaces a file while running.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        self.site().files.insert(path.to_owned(), bytes.into());
    }

    /// Removes a file while running.
    pub fn remove(&self, path: &str) {
        self.site().files.remove(path);
    }

    /// Like [`fault`](Self::fault), while running; what is left of an earlier script goes first.
    pub fn script(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.site().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    /// Whether it cuts every connection that asks for anything, as if it were dead.
    pub fn set_down(&self, down: bool) {
        self.site().down = down;
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.site().log.clone()
    }

    /// The requests for one path.
    pub fn requests_for(&self, path: &str) -> Vec<LoggedRequest> {
        let site = self.site();
        site.log.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Forgets all requests.
    pub fn clear_log(&self) {
        self.site().log.clear();
    }

    /// Bytes of bodies handed to the sockets so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.listener.connections()
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        self.shared.site()
    }
}

/// What to do with a request, decided under the lock.
enum Plan {
    Handler(Arc<Handler>),
    File(Option<Bytes>, Option<PathBuf>, Fault, ValidatorKind),
    Unauthorized,
    Cut,
}

impl Shared {
    fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_and_plan(&self, request: &LoggedRequest) -> Plan {
        let mut site = self.site();
        site.log.push(request.clone());
        if site.down {
            return Plan::Cut;
        }
        if let Some(login) = &site.login
            && request.header("authorization") != Some(login)
        {
            return Plan::Unauthorized;
        }
        let path = &request.path;
        let handler = site.handlers.iter().find(|(prefix, _)| path.starts_with(prefix));
        if let Some((_, handler)) = handler {
            return Plan::Handler(Arc::clone(handler));
        }
        let site = &mut *site;
        let script = site
            .faults
            .entry(path.clone())
            .or_insert_with(|| site.everywhere.iter().cloned().collect());
        let fault = script.pop_front().unwrap_or(Fault::None);
        if let Fault::Becomes(bytes) = &fault {
            site.files.insert(path.clone(), bytes.clone());
        }
        let on_disk = site.folders.iter().find_map(|(prefix, folder)| {
            let below = path.strip_prefix(prefix)?.trim_start_matches('/');
            (!below.split('/').any(|segment| segment == "..")).then(|| folder.join(below))
        });
        Plan::File(site.files.get(path).cloned(), on_disk, fault, site.validators)
    }

    async fn answer_file(
        &self,
        request: &LoggedRequest,
        file: Option<Bytes>,
        on_disk: Option<PathBuf>,
        fault: Fault,
        validators: ValidatorKind,
    ) -> Result<Response<ScriptedBody>, io::Error> {
        match fault {
            Fault::Disconnect => return Err(io::Error::other("cut by the script")),
            Fault::StallHead => return std::future::pending().await,
            _ => {}
        }
        let file = match (file, on_disk) {
            (None, Some(path)) => tokio::fs::read(path).await.ok().map(Bytes::from),
            (file, _) => file,
        };
        let redirects = matches!(fault, Fault::Redirect(..) | Fault::Status(_));
        Ok(match file {
            Some(file) => answer::of_file(file, &fault, &request.headers, validators, &self.sent),
            None if redirects => {
                answer::of_file(Bytes::new(), &fault, &request.headers, validators, &self.sent)
            }
            None => answer::empty(StatusCode::NOT_FOUND, &self.sent),
        })
    }
}

impl Service for Shared {
    type Body = ScriptedBody;

    async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ScriptedBody>, io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = logged(parts, body);
        match self.log_and_plan(&request) {
            Plan::Cut => Err(io::Error::other("cut by the script")),
            Plan::Unauthorized => {
                let mut response = answer::empty(StatusCode::UNAUTHORIZED, &self.sent);
                let challenge = header::HeaderValue::from_static("Basic realm=\"test\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                Ok(response)
            }
            Plan::Handler(handler) => Ok(handler(&request)
                .map(|bytes| ScriptedBody::new(bytes, Ending::Proper, Arc::clone(&self.sent)))),
            Plan::File(file, on_disk, fault, validators) => {
                self.answer_file(&request, file, on_disk, fault, validators).await
            }
        }
    }
}

fn logged(parts: Parts, body: Bytes) -> LoggedRequest {
    let path = parts.uri.path().trim_start_matches('/');
    LoggedRequest {
        method: parts.method,
        path: percent_decode_str(path).decode_utf8_lossy().into_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        version: parts.version,
        body,
    }
}

/// The value of `Authorization` (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}
