//! A remote registry: the requests of the distribution specification's pull side, and what their
//! answers mean.
//!
//! Knows URLs, headers and documents of the specification. How a request travels (limits, retries,
//! authorisation) is the [`Transport`]'s; blobs are not fetched here but declared with
//! [`Registry::blob_url`] for the line to fetch.

pub mod signatures;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pulp_models::RemoteUrl;
use serde::Deserialize;
use url::Url;

use crate::{
    digest::Digest,
    links,
    manifest::{Descriptor, Manifest, ManifestError},
    media_type::MediaType,
    reference::{Reference, RepositoryName, Tag},
};

/// Largest page of a list that is read, in bytes.
const MAX_LIST_SIZE: usize = 64 * 1024 * 1024;
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// One request without a body.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Value of `Accept`.
    pub accept: Option<&'static str>,
    /// A longer body is an error.
    pub max_size: usize,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// No answer: the reason, after all retries.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// Sends requests to one registry. Answers of any status that is not worth a retry come back as
/// answers.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request`.
    async fn send(&self, request: Request) -> Result<Answer, TransportError>;

    /// Where a blob is, if not where registries have it.
    fn blob_url(&self, _digest: &Digest) -> Option<RemoteUrl> {
        None
    }
}

/// Why a registry's answer is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryClientError {
    /// No answer.
    #[error("Failed to fetch `{url}`")]
    Transport {
        /// The request's URL.
        url: RemoteUrl,
        /// Why.
        source: TransportError,
    },
    /// The registry doesn't have it.
    #[error("The registry has no `{url}`")]
    NotFound {
        /// The request's URL.
        url: RemoteUrl,
    },
    /// Another status than a success.
    #[error("The registry answered `{url}` with status {status}{}", told(.message))]
    Status {
        /// The request's URL.
        url: RemoteUrl,
        /// The status.
        status: StatusCode,
        /// The first message of the error document, if there was one.
        message: String,
    },
    /// The body is not the list that it should be.
    #[error("Failed to parse `{url}`")]
    List {
        /// The request's URL.
        url: RemoteUrl,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The body is not the manifest that it should be.
    #[error("Failed to read manifest `{url}`")]
    Manifest {
        /// The request's URL.
        url: RemoteUrl,
        /// Why.
        source: ManifestError,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RegistryClientError {
    /// What was asked for.
    pub const fn url(&self) -> &RemoteUrl {
        match self {
            Self::Transport { url, .. }
            | Self::NotFound { url }
            | Self::Status { url, .. }
            | Self::List { url, .. }
            | Self::Manifest { url, .. } => url,
        }
    }

    /// Whether the registry says that it doesn't have what was asked for.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// One repository of a remote registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    base: Url,
    name: RepositoryName,
    transport: Arc<dyn Transport>,
    max_manifest_size: usize,
}

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// Repository `name` of the registry at `base` (everything before `/v2/`). Docker's hub keeps
    /// repositories without a slash below `library/`.
    pub fn new(
        base: &Url,
        name: &RepositoryName,
        max_manifest_size: usize,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let hub = matches!(base.host_str(), Some("registry-1.docker.io" | "docker.io"));
        let mut base = base.clone();
        if hub {
            // The host of the brand redirects browsers; the registry is another.
            let _ = base.set_host(Some("registry-1.docker.io"));
        }
        let library = (hub && !name.as_str().contains('/'))
            .then(|| format!("library/{name}").parse().ok())
            .flatten();
        let name = library.unwrap_or_else(|| name.clone());
        Self { base, name, transport, max_manifest_size }
    }

    /// The repository's name upstream.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Where the blob is.
    pub fn blob_url(&self, digest: &Digest) -> RemoteUrl {
        let elsewhere = self.transport.blob_url(digest);
        elsewhere.unwrap_or_else(|| RemoteUrl::from_url(self.url(&format!("blobs/{digest}"))))
    }

    /// Where the manifest is.
    pub fn manifest_url(&self, reference: &Reference) -> RemoteUrl {
        RemoteUrl::from_url(self.url(&format!("manifests/{reference}")))
    }

    /// All tags, as listed. Names that are no tags are left out; `refused` is told of them. An
    /// unknown repository is an error, one without tags is empty.
    pub async fn tags(
        &self,
        mut refused: impl FnMut(&str),
    ) -> Result<Vec<Tag>, RegistryClientError> {
        let mut tags = Vec::new();
        let mut visited = HashSet::new();
        let mut next = Some(self.url("tags/list"));
        while let Some(url) = next {
            let answer = self.get(url.clone(), None, MAX_LIST_SIZE).await?;
            let list: TagList =
                serde_json::from_slice(&answer.body).map_err(|source| list_error(&url, source))?;
            for tag in list.tags.unwrap_or_default() {
                match tag.parse() {
                    Ok(tag) => tags.push(tag),
                    Err(_) => refused(&tag),
                }
            }
            next = next_page(&url, &answer.headers);
            // A list that leads back to itself has no end.
            visited.insert(url);
            next = next.filter(|next| !visited.contains(next));
        }
        Ok(tags)
    }

    /// The digest of the manifest that `tag` names now, by `HEAD`; by `GET` where a registry
    /// doesn't support `HEAD` or leaves out the digest.
    pub async fn resolve(&self, tag: &Tag) -> Result<Digest, RegistryClientError> {
        let reference = Reference::Tag(tag.clone());
        let url = self.manifest_url(&reference);
        let answer = self
            .send(Request {
                method: Method::HEAD,
                url: url.expose().clone(),
                accept: Some(MediaType::ACCEPTED),
                max_size: 0,
            })
            .await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(RegistryClientError::NotFound { url });
        }
        match stated_digest(&answer) {
            Some(digest) if answer.status.is_success() => Ok(digest),
            _ => Ok(self.manifest(&reference).await?.digest),
        }
    }

    /// The manifest. One that is asked for by digest has that digest; one by tag has the digest
    /// that the registry states, if it does.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, RegistryClientError> {
        let url = self.manifest_url(reference);
        let accept = Some(MediaType::ACCEPTED);
        let answer = self.get(url.expose().clone(), accept, self.max_manifest_size).await?;
        let stated = stated_digest(&answer);
        let expected = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(_) => stated.as_ref(),
        };
        let content_type = answer.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        Manifest::parse(answer.body, content_type, expected, self.max_manifest_size)
            .map_err(|source| RegistryClientError::Manifest { url, source })
    }

    /// The manifests that refer to `digest`; `None` if the registry has no referrers API.
    pub async fn referrers(
        &self,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryClientError> {
        let mut referrers = Vec::new();
        let mut visited = HashSet::new();
        let mut next = Some(self.url(&format!("referrers/{digest}")));
        while let Some(url) = next {
            let accept = Some("application/vnd.oci.image.index.v1+json");
            let answer = match self.get(url.clone(), accept, self.max_manifest_size).await {
                Err(error) if error.is_not_found() => return Ok(None),
                Err(RegistryClientError::Status { status, .. }) if status.is_client_error() => {
                    return Ok(None);
                }
                answer => answer?,
            };
            let stated = answer.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
            if stated.map(MediaType::parse) != Some(MediaType::OciIndex) {
                // Some servers answer every path with a page of theirs.
                return Ok(None);
            }
            let page = Manifest::parse(answer.body, stated, None, self.max_manifest_size).map_err(
                |source| RegistryClientError::Manifest {
                    url: RemoteUrl::from_url(url.clone()),
                    source,
                },
            )?;
            referrers.extend(page.children);
            next = next_page(&url, &answer.headers);
            visited.insert(url);
            next = next.filter(|next| !visited.contains(next));
        }
        Ok(Some(referrers))
    }

    fn url(&self, below: &str) -> Url {
        let base = RemoteUrl::from_url(self.base.clone());
        base.join_path(&format!("v2/{}/{below}", self.name)).expose().clone()
    }

    /// A successful answer to a `GET`, or what went wrong.
    async fn get(
        &self,
        url: Url,
        accept: Option<&'static str>,
        max_size: usize,
    ) -> Result<Answer, RegistryClientError> {
        let shown = RemoteUrl::from_url(url.clone());
        let answer = self.send(Request { method: Method::GET, url, accept, max_size }).await?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND => Err(RegistryClientError::NotFound { url: shown }),
            status => {
                let message = error_message(&answer.body);
                Err(RegistryClientError::Status { url: shown, status, message })
            }
        }
    }

    async fn send(&self, request: Request) -> Result<Answer, RegistryClientError> {
        let url = RemoteUrl::from_url(request.url.clone());
        self.transport
            .send(request)
            .await
            .map_err(|source| RegistryClientError::Transport { url, source })
    }
}

fn next_page(url: &Url, headers: &HeaderMap) -> Option<Url> {
    links::next_page(url, headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()))
}

fn list_error(url: &Url, source: serde_json::Error) -> RegistryClientError {
    RegistryClientError::List { url: RemoteUrl::from_url(url.clone()), source }
}

fn stated_digest(answer: &Answer) -> Option<Digest> {
    answer.headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.trim().parse().ok()
}

/// The first error of an error document, on one line and not too long.
fn error_message(body: &[u8]) -> String {
    let Ok(document) = serde_json::from_slice::<Errors>(body) else { return String::new() };
    let Some(first) = document.errors.into_iter().next() else { return String::new() };
    let message = if first.message.is_empty() { first.code } else { first.message };
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
