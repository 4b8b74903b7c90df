//! TLS as a remote wants it: which certificates to trust, which to show.

use std::sync::{Arc, OnceLock};

use pulp_models::RemoteSettings;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::client::SettingsError;

/// A configuration for HTTP/2 and HTTP/1.1; `with_identity` says whether it shows the client
/// certificate, if there is one. Trusts the system's certificates and `ca_cert`.
pub(super) fn config(
    settings: &RemoteSettings,
    with_identity: bool,
) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions");
    let builder = if settings.tls_validation() {
        builder.with_root_certificates(roots(settings)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unvalidated(provider)))
    };
    let identity = identity(settings)?.filter(|_| with_identity);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
            SettingsError::new("client_key", format!("does not fit `client_cert`: {error}"))
        })?,
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(settings: &RemoteSettings) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system_certificates().iter().cloned());
    if let Some(pem) = &settings.ca_cert {
        for certificate in certificates("ca_cert", pem)? {
            roots
                .add(certificate)
                .map_err(|error| SettingsError::new("ca_cert", error.to_string()))?;
        }
    }
    Ok(roots)
}

/// The system's certificates, read once per process. A system without any trusts nobody, which is
/// noticed when a certificate is refused.
fn system_certificates() -> &'static [CertificateDer<'static>] {
    static CERTIFICATES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in loaded.errors {
            tracing::warn!(error = %error, "Failed to read system certificates");
        }
        loaded.certs
    })
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(settings: &RemoteSettings) -> Result<Option<Identity>, SettingsError> {
    let (cert, key) = match (&settings.client_cert, &settings.client_key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SettingsError::new("client_key", "is missing")),
        (None, Some(_)) => return Err(SettingsError::new("client_cert", "is missing")),
        (Some(cert), Some(key)) => (cert, key),
    };
    let chain = certificates("client_cert", cert)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|error| SettingsError::new("client_key", error.to_string()))?;
    Ok(Some((chain, key)))
}

fn certificates(
    setting: &'static str,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| SettingsError::new(setting, error.to_string()))?;
    if found.is_empty() {
        return Err(SettingsError::new(setting, "holds no certificate in PEM format"));
    }
    Ok(found)
}

/// What `tls_validation: false` asks for: any certificate for any name will do. Signatures are still
/// checked, so that the handshake is one.
#[derive(Debug)]
struct Unvalidated(Arc<CryptoProvider>);

impl ServerCertVerifier for Unvalidated {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
