//! The server's certificate and key.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A certificate chain with its key, ready to serve HTTP/2 and HTTP/1.1. Cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("Failed to read `{path}`")]
    Read {
        /// Which file.
        path: Box<Path>,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate file holds no certificate, or something that is none.
    #[error("`{path}` holds no PEM certificates")]
    Certificate {
        /// Which file.
        path: Box<Path>,
    },
    /// The key file holds no private key (PKCS#8, PKCS#1 or SEC1).
    #[error("`{path}` holds no PEM private key")]
    Key {
        /// Which file.
        path: Box<Path>,
    },
    /// Certificate and key do not fit together, or are of a kind that is not supported.
    #[error("The TLS certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a PEM chain (leaf first) and its PEM key. Blocks for two small files; for start-up.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let pem = read(certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::Certificate { path: certificate.into() })?;
        if chain.is_empty() {
            return Err(TlsError::Certificate { path: certificate.into() });
        }
        let key = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|_| TlsError::Key { path: key.into() })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept<S>(&self, socket: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.accept(socket).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}
