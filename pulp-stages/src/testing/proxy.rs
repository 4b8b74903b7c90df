//! A forward proxy: tunnels (`CONNECT`) and absolute-form requests (RFC 9110, 7.3 and 9.3.6).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use pulp_models::ProxyUrl;
use tokio::{io::copy_bidirectional, net::TcpStream};

use super::{
    Authority,
    listener::{Listener, Service},
    upstream::basic,
};

struct Shared {
    login: Option<String>,
    tunnels: AtomicUsize,
    forwarded: AtomicUsize,
    refused: AtomicUsize,
}

/// A running proxy that counts what passes. Dropping it closes every connection to it.
pub struct ForwardProxy {
    shared: Arc<Shared>,
    listener: Listener,
    scheme: &'static str,
}

impl ForwardProxy {
    /// Starts one that anybody may use.
    pub async fn start() -> Self {
        Self::listen(None, None).await
    }

    /// Starts one that wants these with basic authentication.
    pub async fn start_with_auth(username: &str, password: &str) -> Self {
        Self::listen(Some(basic(username, password)), None).await
    }

    /// Starts one that is itself reached by TLS.
    pub async fn start_tls(authority: &Authority) -> Self {
        Self::listen(None, Some(authority.server(false))).await
    }

    async fn listen(
        login: Option<String>,
        tls: Option<tokio_rustls::rustls::ServerConfig>,
    ) -> Self {
        let shared = Arc::new(Shared {
            login,
            tunnels: AtomicUsize::new(0),
            forwarded: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = Listener::start(Arc::clone(&shared), tls).await;
        Self { shared, listener, scheme }
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> ProxyUrl {
        let text = format!("{}://{}", self.scheme, self.listener.address());
        text.parse().expect("our own address")
    }

    /// Tunnels opened so far.
    pub fn tunnels(&self) -> usize {
        self.shared.tunnels.load(Ordering::Relaxed)
    }

    /// Plain requests passed on so far.
    pub fn forwarded(&self) -> usize {
        self.shared.forwarded.load(Ordering::Relaxed)
    }

    /// Requests answered with 407 so far.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

impl Service for Shared {
    type Body = Either<Incoming, Empty<Bytes>>;

    async fn call(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Answer, io::Error> {
        let shown = request.headers_mut().remove(header::PROXY_AUTHORIZATION);
        if let Some(login) = &self.login
            && shown.as_ref().is_none_or(|shown| shown != login)
        {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(empty(StatusCode::PROXY_AUTHENTICATION_REQUIRED));
        }
        if request.method() == Method::CONNECT {
            self.tunnels.fetch_add(1, Ordering::Relaxed);
            tunnel(request).await
        } else {
            self.forwarded.fetch_add(1, Ordering::Relaxed);
            forward(request).await
        }
    }
}

async fn tunnel(request: Request<Incoming>) -> Result<Answer, io::Error> {
    let target = authority(&request)?;
    let Ok(mut upstream) = TcpStream::connect(&target).await else {
        return Ok(empty(StatusCode::BAD_GATEWAY));
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            // Either side may leave at any time.
            let _ = copy_bidirectional(&mut TokioIo::new(upgraded), &mut upstream).await;
        }
    });
    Ok(empty(StatusCode::OK))
}

async fn forward(mut request: Request<Incoming>) -> Result<Answer, io::Error> {
    let target = authority(&request)?;
    let Ok(stream) = TcpStream::connect(&target).await else {
        return Ok(empty(StatusCode::BAD_GATEWAY));
    };
    let origin_form =
        request.uri().path_and_query().cloned().unwrap_or_else(|| "/".parse().expect("a path"));
    *request.uri_mut() = origin_form.into();
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(response.map(Either::Left))
}

fn authority(request: &Request<Incoming>) -> Result<String, io::Error> {
    let authority = request.uri().authority().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(match authority.port_u16() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:80"),
    })
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = status;
    response
}
