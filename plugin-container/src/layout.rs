//! OCI image layouts (image-spec, `image-layout.md`): a registry's repository as a folder, or as one
//! tar archive of such a folder.
//!
//! A remote whose URL is `file:///…` names either, and is mirrored like a registry, so that content
//! can cross an air gap: [`LayoutTransport`] answers the registry client's requests from the files,
//! and blobs are downloaded by their `file://` URLs; those in an [`archive`] are read where they lie.
//! All reading goes through the downloader, which looks only into allowed folders. Writing a layout is
//! `export`'s business.
//!
//! Signatures that are kept beside manifests have no place in the specification's layouts. They lie in
//! files of ours in folder `signatures`, named as in a lookaside store, which others do not look at.

mod archive;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pulp_models::RemoteUrl;
use pulp_stages::download::{DownloadError, DownloadRequest, Downloader};
use serde_json::json;
use tokio::sync::OnceCell;

use self::archive::Places;
use crate::{
    client::{
        Answer, Request, Transport, TransportError,
        signatures::{MAX_SIGNATURE, MAX_SIGNATURES, SUPPORTS_SIGNATURES, listed},
    },
    content::SignatureContent,
    digest::Digest,
    manifest::{Descriptor, Manifest},
    reference::{Reference, Tag},
};

/// Annotation that gives a manifest of `index.json` its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Names what a layout holds.
const INDEX: &str = "index.json";
/// Largest `index.json` that is read, in bytes: some 100,000 tags.
const MAX_INDEX: usize = 64 * 1024 * 1024;

/// Answers requests for a registry's API from a folder.
pub(crate) struct LayoutTransport {
    base: RemoteUrl,
    downloads: Downloader,
    /// `None` within: it is a folder.
    places: OnceCell<Option<Places>>,
    index: OnceCell<Vec<Descriptor>>,
}

/// An archive that cannot be walked.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no tar archive; one that is compressed has to be unpacked first")]
struct NoArchive(RemoteUrl, #[source] std::io::Error);

/// An archive that holds no layout, or not all of it: what makes it one comes last.
#[derive(Debug, thiserror::Error)]
#[error("Archive `{0}` has no `index.json`: it is not a layout, or was cut off")]
struct NoIndex(RemoteUrl);

impl LayoutTransport {
    /// Over the layout at `base`, a `file://` URL.
    pub(crate) fn new(base: url::Url, downloads: Downloader) -> Self {
        let base = RemoteUrl::from_url(base);
        Self { base, downloads, places: OnceCell::new(), index: OnceCell::new() }
    }

    /// Where the file called `name` lies.
    fn url(&self, name: &str) -> RemoteUrl {
        let place = self.places.get().and_then(Option::as_ref).map(|places| places.get(name));
        match place {
            Some(Some((first, length))) => Downloader::part_of_file(&self.base, *first, *length),
            // What an archive lacks is nowhere, as with a folder.
            Some(None) | None => self.base.join_path(name),
        }
    }

    /// Finds out whether it is a folder or an archive, and walks the archive.
    async fn look(&self) -> Result<(), TransportError> {
        let walk = || async {
            let file = match self.downloads.open_file(&self.base).await {
                Ok(file) => file,
                Err(error @ DownloadError::FileNotAllowed { .. }) => return Err(error.into()),
                // Whatever is wrong with a folder is said of its files.
                Err(_) => return Ok(None),
            };
            let walked = tokio::task::spawn_blocking(move || archive::places(file)).await?;
            let places = walked.map_err(|error| NoArchive(self.base.clone(), error))?;
            Ok::<_, TransportError>(Some(places))
        };
        self.places.get_or_try_init(walk).await.map(drop)
    }

    /// The manifests of `index.json` that have no tag.
    pub(crate) async fn untagged(&self) -> Result<Vec<Digest>, TransportError> {
        let index = self.index().await?;
        Ok(index.iter().filter(|entry| tag(entry).is_none()).map(|entry| entry.digest).collect())
    }

    async fn index(&self) -> Result<&[Descriptor], TransportError> {
        let read = || async {
            self.look().await?;
            if let Some(Some(places)) = self.places.get()
                && !places.contains_key(INDEX)
            {
                return Err(NoIndex(self.base.clone()).into());
            }
            let raw = self.read(self.url(INDEX), MAX_INDEX).await?;
            let index = Manifest::parse(
                raw,
                Some("application/vnd.oci.image.index.v1+json"),
                None,
                MAX_INDEX,
            )?;
            Ok::<_, TransportError>(index.children)
        };
        self.index.get_or_try_init(read).await.map(Vec::as_slice)
    }

    async fn read(&self, url: RemoteUrl, limit: usize) -> Result<Bytes, TransportError> {
        let limit = limit as u64;
        let request = DownloadRequest { limit: Some(limit), ..DownloadRequest::new(url) };
        let downloaded = self.downloads.fetch(&request).await?;
        Ok(downloaded.verified.bytes(limit)?)
    }

    async fn manifest(&self, request: &Request, name: &str) -> Result<Answer, TransportError> {
        let reference: Reference = name.parse()?;
        let index = self.index().await?;
        let listed = match &reference {
            Reference::Tag(wanted) => {
                index.iter().find(|entry| tag(entry).as_ref() == Some(wanted))
            }
            Reference::Digest(digest) => index.iter().find(|entry| entry.digest == *digest),
        };
        let digest = match (&reference, listed) {
            (Reference::Digest(digest), _) => *digest,
            (Reference::Tag(_), Some(entry)) => entry.digest,
            (Reference::Tag(_), None) => return Ok(answer(StatusCode::NOT_FOUND, Bytes::new())),
        };
        let body = if request.method == Method::HEAD {
            Bytes::new()
        } else {
            match self.read(self.url(&blob_name(&digest)), request.max_size).await {
                Ok(body) => body,
                Err(error) if is_missing(&*error) => {
                    return Ok(answer(StatusCode::NOT_FOUND, Bytes::new()));
                }
                Err(error) => return Err(error),
            }
        };
        let mut answer = answer(StatusCode::OK, body);
        let stated = HeaderName::from_static("docker-content-digest");
        answer.headers.insert(stated, HeaderValue::from_str(&digest.to_string())?);
        let media_type = listed.map(|entry| entry.media_type.as_str()).unwrap_or_default();
        if let Ok(media_type) = HeaderValue::from_str(media_type) {
            answer.headers.insert(header::CONTENT_TYPE, media_type);
        }
        Ok(answer)
    }

    /// The signatures of a manifest, as a registry lists them.
    async fn signatures(&self, manifest: &Digest) -> Result<Answer, TransportError> {
        self.look().await?;
        let mut found = Vec::new();
        for number in 1..=MAX_SIGNATURES {
            match self.read(self.url(&signature_name(manifest, number)), MAX_SIGNATURE).await {
                Ok(bytes) => found.extend(SignatureContent::of(manifest, bytes)),
                Err(error) if is_missing(&*error) => break,
                Err(error) => return Err(error),
            }
        }
        let list: Vec<_> = found.iter().map(listed).collect();
        Ok(answer(StatusCode::OK, json!({"signatures": list}).to_string().into()))
    }
}

#[async_trait]
impl Transport for LayoutTransport {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let path = request.url.path().to_owned();
        if path.ends_with("/tags/list") {
            let tags: Vec<Tag> = self.index().await?.iter().filter_map(tag).collect();
            let body = json!({"tags": tags}).to_string();
            return Ok(answer(StatusCode::OK, body.into()));
        }
        if let Some((_, name)) = path.rsplit_once("/manifests/") {
            return self.manifest(&request, name).await;
        }
        if let Some((_, digest)) = path.rsplit_once("/signatures/") {
            return self.signatures(&digest.parse()?).await;
        }
        let mut nothing = answer(StatusCode::NOT_FOUND, Bytes::new());
        nothing.headers.insert(SUPPORTS_SIGNATURES, HeaderValue::from_static("1"));
        Ok(nothing)
    }

    /// What was mirrored of some platforms only is exported so.
    fn is_sparse(&self) -> bool {
        true
    }

    /// Asked for after manifests were, so an archive is walked by then.
    fn blob_url(&self, digest: &Digest) -> Option<RemoteUrl> {
        Some(self.url(&blob_name(digest)))
    }
}

/// The name of a blob's, or a manifest's, file.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The name of the file of a manifest's first, second, … signature.
pub(crate) fn signature_name(manifest: &Digest, number: usize) -> String {
    format!("signatures/{}={}/signature-{number}", manifest.algorithm(), manifest.hex())
}

fn answer(status: StatusCode, body: Bytes) -> Answer {
    Answer { status, headers: HeaderMap::new(), body }
}

/// The tag of an entry of `index.json`. Some tools write the whole reference there.
fn tag(entry: &Descriptor) -> Option<Tag> {
    let name = entry.annotations.get(REF_NAME)?;
    name.parse().ok().or_else(|| name.rsplit_once(':')?.1.parse().ok())
}

fn is_missing(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    match error.downcast_ref::<DownloadError>() {
        Some(DownloadError::File { source, .. }) => matches!(
            source.kind(),
            // The second: below an archive there is nothing.
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
        ),
        _ => false,
    }
}
