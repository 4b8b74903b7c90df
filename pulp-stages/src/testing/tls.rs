//! A certificate authority for tests, with server and client certificates.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

/// A private authority that nothing trusts unless told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A client's certificate and key, as PEM.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate.
    pub cert: String,
    /// Its private key (PKCS#8).
    pub key: String,
}

impl Authority {
    /// A new authority with its own key.
    #[expect(clippy::new_without_default, reason = "a key is generated: it should be seen")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().expect("a key is generated");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("valid parameters");
        Self { issuer }
    }

    /// The authority's own certificate, as PEM: what a client must trust.
    pub fn ca_cert(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str) -> ClientIdentity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key is generated");
        let cert = params.signed_by(&key, &self.issuer).expect("valid parameters");
        ClientIdentity { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A server for `localhost` and `127.0.0.1`, which may insist on certificates from this authority.
    pub(super) fn server(&self, client_cert_required: bool) -> ServerConfig {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("valid names");
        let key = KeyPair::generate().expect("a key is generated");
        let cert = params.signed_by(&key, &self.issuer).expect("valid parameters");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions");
        let builder = if client_cert_required {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("our own certificate is valid");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
        } else {
            builder.with_no_client_auth()
        };
        let mut config =
            builder.with_single_cert(vec![cert.der().clone()], key).expect("the key fits");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}
