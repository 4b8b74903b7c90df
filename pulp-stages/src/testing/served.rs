//! An installation that is served on the loopback, and a client that reads every answer to its end.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    installation::Installation,
    plugin::Plugins,
    serve::{ContentApp, ServeSettings, ServerSettings, serve},
};

/// No test waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped or [closed](Self::close).
pub struct Served {
    address: SocketAddr,
    client: reqwest::Client,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

/// An answer, read to its end or to where it broke off.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What arrived of its body.
    pub body: Bytes,
    /// Whether the body ended properly.
    pub whole: bool,
}

impl Answer {
    /// The body of an answer that has this status and is whole.
    ///
    /// # Panics
    /// When it has another one, or broke off.
    #[track_caller]
    pub fn expect(self, status: u16) -> Bytes {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert!(self.whole, "it broke off after {} bytes", self.body.len());
        self.body
    }
}

impl Served {
    pub(super) async fn start(installation: Installation, plugins: Plugins) -> Self {
        let app = ContentApp::new(installation, plugins, ServeSettings::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let server = serve(vec![listener], app, shutdown.clone(), ServerSettings::default());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Self { address, client: client.expect("a client"), shutdown, server: tokio::spawn(server) }
    }

    /// Asks for an absolute path.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(path, &[]).await
    }

    /// Asks for the bytes from `first` to `last`, both included.
    pub async fn range(&self, path: &str, first: usize, last: usize) -> Answer {
        self.ask(path, &[("range", &format!("bytes={first}-{last}"))]).await
    }

    /// Asks with these headers.
    pub async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Answer { status, headers, body: body.into(), whole }
    }

    /// Ends the server; what it was fetching for clients is stored when this returns.
    pub async fn close(mut self) {
        self.shutdown.cancel();
        (&mut self.server).await.expect("the server does not panic");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
