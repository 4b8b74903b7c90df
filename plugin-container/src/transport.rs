//! How requests to a registry travel: over the framework's downloader.
//!
//! The registry client, the token server's client and the line's downloads of blobs all go this
//! way, so limits, retries, `Retry-After`, proxies and certificates are the same for all of them,
//! and so is the authorisation, which the downloader asks of the [`Authenticator`].

use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use pulp_models::{ArtifactStore, RemoteSettings, RemoteUrl, Secret};
use pulp_stages::download::{Authorize, Downloader, HttpRequest, SettingsError};
use url::Url;

use crate::{
    auth::{
        Authenticator, Credentials, CredentialsError, DockerConfig, Scope, TokenRequest,
        TokenTransport,
    },
    client::{Answer, Request, Transport, TransportError},
    options::{self, ContainerRemoteOptions},
};

/// Largest answer of a token server that is read, in bytes.
const MAX_TOKEN: usize = 1024 * 1024;
/// How often a body that breaks off is asked for again; the head has the downloader's own retries.
const BODY_ATTEMPTS: u32 = 3;

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// The Docker configuration cannot be read.
    #[error("Failed to read `{path}`")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Docker configuration cannot be understood.
    #[error("Failed to use `{path}`")]
    DockerConfig {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: CredentialsError,
    },
    /// The remote's settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Makes the downloader of the registry at `url`, which answers its challenges. Credentials are the
/// remote's own, else those of the Docker configuration that its options name.
pub fn downloader(
    url: &RemoteUrl,
    settings: &RemoteSettings,
    options: &ContainerRemoteOptions,
    store: ArtifactStore,
) -> Result<Downloader, AuthorizationError> {
    let credentials = match (&settings.username, &options.docker_config) {
        (Some(username), _) => Credentials::Basic {
            username: username.clone(),
            password: settings.password.clone().unwrap_or_default(),
        },
        (None, Some(path)) => docker_credentials(path, url, options)?,
        (None, None) => Credentials::Anonymous,
    };
    // Sends credentials only where the authenticator says so.
    let plain = RemoteSettings { username: None, password: None, ..settings.clone() };
    let plain = Downloader::new(url, &plain, store)?;
    let tokens = Arc::new(Tokens(plain.clone()));
    let authenticator = Authenticator::new(options::registry_base(url), credentials, tokens);
    Ok(plain.authorized(Arc::new(authenticator)))
}

fn docker_credentials(
    path: &std::path::Path,
    url: &RemoteUrl,
    options: &ContainerRemoteOptions,
) -> Result<Credentials, AuthorizationError> {
    let bytes = std::fs::read(path)
        .map_err(|source| AuthorizationError::Read { path: path.into(), source })?;
    let url = url.expose();
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let name = options.upstream_name.as_ref().map_or("", |name| name.as_str());
    DockerConfig::parse(&bytes)
        .and_then(|config| config.credentials(&host, name))
        .map_err(|source| AuthorizationError::DockerConfig { path: path.into(), source })
}

/// The registry client's requests.
pub struct HttpTransport(pub Downloader);

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let mut attempt = 1;
        loop {
            let mut http =
                HttpRequest::new(request.method.clone(), RemoteUrl::from_url(request.url.clone()));
            if let Some(accept) = request.accept {
                http.headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            let response = self.0.request(http).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            if request.method == Method::HEAD {
                return Ok(Answer { status, headers, body: Bytes::new() });
            }
            match response.bytes(request.max_size).await {
                Ok(body) => return Ok(Answer { status, headers, body }),
                Err(error) if attempt < BODY_ATTEMPTS && error.is_worth_retrying() => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Requests to the token server.
struct Tokens(Downloader);

#[async_trait]
impl TokenTransport for Tokens {
    async fn exchange(&self, request: TokenRequest) -> Result<(u16, Bytes), String> {
        let mut http = HttpRequest::new(Method::GET, RemoteUrl::from_url(request.url));
        if let Some(authorization) = &request.authorization {
            let value = header_value(authorization).map_err(|error| error.to_string())?;
            http.headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(form) = &request.form {
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            http.method = Method::POST;
            http.headers.insert(header::CONTENT_TYPE, form_type);
            http.body = Some(Bytes::from(form.expose().to_owned()));
        }
        let text = |error: &dyn Error| crate::survey::chain(error);
        let response = self.0.request(http).await.map_err(|error| text(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes(MAX_TOKEN).await.map_err(|error| text(&error))?;
        Ok((status, body))
    }
}

#[async_trait]
impl Authorize for Authenticator {
    async fn authorization(
        &self,
        url: &Url,
    ) -> Result<Option<HeaderValue>, Box<dyn Error + Send + Sync>> {
        let header = self.header(&Scope::of(url)).await?;
        Ok(header.as_ref().map(header_value).transpose()?)
    }

    fn challenged(
        &self,
        url: &Url,
        sent: Option<&HeaderValue>,
        answer: &HeaderMap,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let sent = sent.and_then(|sent| sent.to_str().ok()).map(Secret::new);
        let lines = answer.get_all(header::WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        Ok(Self::challenged(self, &Scope::of(url), sent.as_ref(), lines)?)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

fn header_value(secret: &Secret) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
