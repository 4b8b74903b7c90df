//! A remote registry: the requests of the distribution specification's pull side, and what their
//! answers mean.
//!
//! Knows URLs, headers and documents of the specification. How a request travels (limits, retries,
//! authorisation) is the [`Transport`]'s; blobs are not fetched here but declared with
//! [`Registry::blob_url`] for the line to fetch.

mod error;
mod pages;
pub mod signatures;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pulp_models::RemoteUrl;
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use self::pages::Pages;
pub use self::{error::RegistryClientError, pages::Unending};
use crate::{
    digest::Digest,
    manifest::{Descriptor, Manifest},
    media_type::MediaType,
    reference::{Reference, RepositoryName, Tag},
};

/// Where tags are listed, below a repository's name.
const TAGS: &str = "tags/list";
/// Largest page of a list that is read, in bytes.
const MAX_LIST_SIZE: usize = 64 * 1024 * 1024;
/// Most tags of a repository. The largest that people complain of have some 50,000.
const MAX_TAGS: usize = 1_000_000;
/// Most manifests that refer to one.
const MAX_REFERRERS: usize = 10_000;
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

    /// Whether manifests that indexes list may be missing, and nothing is wrong with the indexes.
    fn is_sparse(&self) -> bool {
        false
    }

    /// Where a blob is, if not where registries have it.
    fn blob_url(&self, _digest: &Digest) -> Option<RemoteUrl> {
        None
    }
}

/// One repository of a remote registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    base: Url,
    name: RepositoryName,
    transport: Arc<dyn Transport>,
    max_manifest_size: usize,
    /// Whether it has the referrers API, as the first answer told.
    has_referrers: Arc<OnceCell<bool>>,
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
        Self { base, name, transport, max_manifest_size, has_referrers: Arc::default() }
    }

    /// The repository's name upstream.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// See [`Transport::is_sparse`].
    pub fn is_sparse(&self) -> bool {
        self.transport.is_sparse()
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
        let mut pages = Pages::new(self.url(TAGS), MAX_TAGS);
        while let Some(url) = pages.next() {
            let answer = self.get(url.clone(), None, MAX_LIST_SIZE).await?;
            let list: TagList =
                serde_json::from_slice(&answer.body).map_err(|source| list_error(&url, source))?;
            for tag in list.tags.unwrap_or_default() {
                pages.count(&tag);
                match tag.parse() {
                    Ok(tag) => tags.push(tag),
                    Err(_) => refused(&tag),
                }
            }
            pages.turn(&url, &answer.headers).map_err(|reason| unending(&url, reason))?;
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

    /// The manifests that refer to `digest`; `None` if the registry has no referrers API. One that has
    /// answers for every digest, so whoever asks first finds that out for all.
    pub async fn referrers(
        &self,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryClientError> {
        let mut first = None;
        let told = &mut first;
        let ask_first = move || async move {
            *told = self.ask_referrers(digest).await?;
            Ok(told.is_some())
        };
        match (*self.has_referrers.get_or_try_init(ask_first).await?, first) {
            (true, None) => self.ask_referrers(digest).await,
            (_, first) => Ok(first),
        }
    }

    async fn ask_referrers(
        &self,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryClientError> {
        let mut referrers = Vec::new();
        let mut pages = Pages::new(self.url(&format!("referrers/{digest}")), MAX_REFERRERS);
        while let Some(url) = pages.next() {
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
            page.children.iter().for_each(|referrer| pages.count(&referrer.digest));
            referrers.extend(page.children);
            pages.turn(&url, &answer.headers).map_err(|reason| unending(&url, reason))?;
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

fn unending(url: &Url, reason: Unending) -> RegistryClientError {
    RegistryClientError::Unending { url: RemoteUrl::from_url(url.clone()), reason }
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
