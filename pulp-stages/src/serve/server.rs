//! The web server: sockets, TLS, limits and an orderly end.
//!
//! Knows nothing of repositories; [`super::ContentApp::router`] answers. Each connection is a task of
//! its own and holds at most a few buffers, so that slow clients cost memory only, and
//! [`GuardedIo`](super::guarded_io) ends the ones that take (nearly) nothing.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use axum::{Router, body::Body};
use futures::TryFutureExt as _;
use http::{Request, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    ContentApp, Tls,
    crowd::{Crowd, Place},
    guarded_body::GuardedBody,
    guarded_io::{GuardedIo, Patience},
    metrics::Metrics,
    observe::Client,
    pace::Pace,
    sendfile::{FileSocket, Lane},
};

/// Limits of the server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Connections at once; further ones wait in the system's queue. Default: 4,096.
    pub max_connections: usize,
    /// Connections at once of one client address (of one /64 network for IPv6); further ones are
    /// closed. A proxy before the server is one address. Default: 1,024.
    pub max_connections_per_client: usize,
    /// Longest head of a request in bytes, at least 8,192. Default: 131,072.
    pub max_head: usize,
    /// For a TLS handshake, for the head of a request, and between two requests of a connection.
    /// Default: 30 s.
    pub header_timeout: Duration,
    /// Over how much time spent waiting for a client its rate is judged. Default: 60 s.
    pub stall_window: Duration,
    /// Bytes per second that a client must take of a response, or send of a request's body, on
    /// average while it is waited for. Default: 1024.
    pub minimum_rate: u64,
    /// Streams at once of one HTTP/2 connection. Default: 128.
    pub max_streams: u32,
    /// How long responses may go on after the shutdown began. Default: 4 s.
    pub shutdown_grace: Duration,
    /// Certificate and key; without them the server speaks plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_client: 1024,
            max_head: 128 * 1024,
            header_timeout: Duration::from_secs(30),
            stall_window: Duration::from_secs(60),
            minimum_rate: 1024,
            max_streams: 128,
            shutdown_grace: Duration::from_secs(4),
            tls: None,
        }
    }
}

/// How often HTTP/2 clients are asked whether they live, and how long they may take to answer.
const PING: Duration = Duration::from_secs(20);
/// The pause after an accept failed for want of file descriptors or memory.
const BREATHER: Duration = Duration::from_millis(50);

/// Serves `app` on every listener until `shutdown` is cancelled.
///
/// Then no connection is accepted any more, responses under way may end within
/// [`ServerSettings::shutdown_grace`], and what is left is cut, running fills included. Dropping the
/// future cuts every connection at once.
pub async fn serve(
    listeners: Vec<TcpListener>,
    app: ContentApp,
    shutdown: CancellationToken,
    settings: ServerSettings,
) {
    run(listeners, app.router(), app.inner.metrics.clone(), shutdown, settings).await;
    app.close().await;
}

/// Serves `/metrics`, `/healthz` and `/readyz` of `app`, whose settings say
/// [`metrics_apart`](super::ServeSettings::metrics_apart), for monitoring alone, in plain HTTP.
pub async fn serve_metrics(listener: TcpListener, app: ContentApp, shutdown: CancellationToken) {
    // What monitoring does is not counted among what clients do.
    let uncounted = Arc::new(Metrics::new());
    let settings = ServerSettings::default();
    run(vec![listener], app.metrics_router(), uncounted, shutdown, settings).await;
}

async fn run(
    listeners: Vec<TcpListener>,
    router: Router,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    settings: ServerSettings,
) {
    let crowd = Crowd::new(&settings, metrics.clone());
    let limits = Arc::new(Limits::new(&settings, metrics));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listeners, &crowd) => accepted,
        };
        match accepted {
            Ok(Some((socket, address, place))) => {
                let (limits, router) = (limits.clone(), router.clone());
                let watcher = graceful.watcher();
                connections.spawn(async move {
                    limits.connection(socket, address, router, watcher).await;
                    drop(place);
                });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "Failed to accept a connection");
                sleep(BREATHER).await;
            }
        }
    }
    drop(listeners);
    let orderly = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if timeout(settings.shutdown_grace, orderly).await.is_err() {
        tracing::warn!("Cutting connections that did not end in time");
    }
    connections.shutdown().await;
}

/// The next connection of any listener, once there is room for it; `None` if its client has too many.
async fn accept(
    listeners: &[TcpListener],
    crowd: &Crowd,
) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
    let room = crowd.room().await?;
    let accepted = poll_fn(|context| {
        let mut ready = listeners.iter().map(|listener| listener.poll_accept(context));
        ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
    });
    let (socket, address) = accepted.await?;
    Ok(crowd.enter(address.ip(), room).map(|place| (socket, address, place)))
}

/// What every connection is subject to.
struct Limits {
    http: auto::Builder<TokioExecutor>,
    patience: Patience,
    tls: Option<Tls>,
    metrics: Arc<Metrics>,
}

impl Limits {
    fn new(settings: &ServerSettings, metrics: Arc<Metrics>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(settings.max_head);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.max_streams)
            .max_header_list_size(u32::try_from(settings.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let window = settings.stall_window;
        let patience = Patience {
            opening: settings.header_timeout,
            window,
            minimum: settings.minimum_rate.saturating_mul(window.as_secs()),
        };
        Self { http, patience, tls: settings.tls.clone(), metrics }
    }

    /// Serves one connection to its end. What goes wrong with it concerns nobody else.
    async fn connection(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        router: Router,
        watcher: Watcher,
    ) {
        // Responses are written in large pieces; waiting for more would only delay the last one.
        let _ = socket.set_nodelay(true);
        let socket = FileSocket::new(socket);
        let lane = socket.lane();
        let socket = GuardedIo::new(socket, self.patience, self.metrics.traffic.clone());
        let Some(tls) = &self.tls else {
            return self.http(socket, lane, address, router, watcher).await;
        };
        match timeout(self.patience.opening, tls.accept(socket)).await {
            Ok(Ok(socket)) => self.http(socket, None, address, router, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "A TLS handshake failed"),
            Err(_) => tracing::debug!("A TLS handshake took too long"),
        }
    }

    async fn http<S>(
        &self,
        socket: S,
        lane: Option<Lane>,
        address: SocketAddr,
        router: Router,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Patience { window, minimum, .. } = self.patience;
        let service = service_fn(move |request: Request<Incoming>| {
            let lane = lane.clone().filter(|_| request.version() < Version::HTTP_2);
            let (mut head, body) = request.into_parts();
            head.extensions.insert(Client(address));
            let body = GuardedBody::guard(Body::new(body), Pace::new(window, minimum));
            let answer = router.clone().oneshot(Request::from_parts(head, body));
            answer.map_ok(move |mut response| {
                if response.status() == StatusCode::NOT_MODIFIED {
                    // The router counts the bytes of the answer to a HEAD; clients would take that
                    // for the length of what they have (RFC 9110 §8.6).
                    response.headers_mut().remove(header::CONTENT_LENGTH);
                }
                if let Some(lane) = lane {
                    lane.fulfil(&response);
                }
                response
            })
        });
        let connection = self.http.serve_connection(TokioIo::new(socket), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "A connection was cut");
        }
    }
}
