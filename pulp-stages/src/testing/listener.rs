//! Accepts connections on loopback and serves them with HTTP/1.1 or HTTP/2 until dropped.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// A listening server. All its connections are closed when it is dropped.
pub(super) struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers one request; an error cuts the connection.
pub(super) trait Service: Send + Sync + 'static {
    /// What the answers are made of.
    type Body: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static;

    fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Self::Body>, io::Error>> + Send;
}

impl Listener {
    pub(super) async fn start<S: Service>(service: Arc<S>, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let accept = accept(listener, service, tls, Arc::clone(&connections));
        Self { address, connections, accepting: tokio::spawn(accept).abort_handle() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    tls: Option<TlsAcceptor>,
    count: Arc<AtomicUsize>,
) {
    // Dropping the set with this task ends every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        count.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
        let (service, tls) = (Arc::clone(&service), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, service).await,
                // A failed handshake is the client's news.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, service).await;
                    }
                }
            }
        });
    }
}

async fn serve<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<S>,
) {
    let service = service_fn(move |request| Arc::clone(&service).call(request));
    let server = auto::Builder::new(TokioExecutor::new());
    // Connections that scripts cut end in errors here.
    let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
