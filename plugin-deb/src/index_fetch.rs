//! One listed file, fetched in whatever compressions upstream really has.
//!
//! Upstreams list files that they do not serve (the uncompressed ones, mostly) and now and then
//! serve one compression that is not what they list. So every listed compressed variant is tried,
//! by hash first where that is offered; what is absent or wrong is noted, and the file counts as
//! missing only when nothing of it is left.

use pulp_models::{Digests, Expected, RelativePath, RemoteUrl, Sha256, artifact, remote::Remote};
use pulp_stages::{
    DeclarativeArtifact,
    download::{DownloadError, DownloadRequest, Downloader},
    installation::Installation,
    sync::SyncError,
};

use crate::{
    compression::Compression,
    selection::{Index, Variant, by_hash},
    upstream::{Distribution, is_absent, with_causes},
};

/// Fetches listed files of one remote.
#[derive(Clone)]
pub struct IndexFetcher {
    /// Where stored artifacts are looked up.
    pub installation: Installation,
    /// Reaches upstream.
    pub downloads: Downloader,
    /// The remote.
    pub remote: Remote,
}

/// What there is of a listed file.
#[derive(Debug)]
pub struct FetchedIndex {
    /// The variants that exist, the one that is cheapest to read first.
    pub variants: Vec<FetchedVariant>,
    /// The variants that are listed, but absent or wrong.
    pub problems: Vec<Problem>,
}

/// A listed file that cannot be had.
#[derive(Debug)]
pub struct Problem {
    /// Its path below the repository's root.
    pub path: RelativePath,
    /// Whether there is no such file; else there is another one than was listed.
    pub is_absent: bool,
    /// What was answered.
    pub reason: String,
}

/// A variant that exists: downloaded, or known to be in the store.
#[derive(Debug)]
pub struct FetchedVariant {
    /// How it is compressed.
    pub compression: Compression,
    /// The artifact for the line.
    pub artifact: DeclarativeArtifact,
    /// The digests that the release file lists.
    pub digests: Digests,
}

impl IndexFetcher {
    /// Fetches the compressed variants of `index`, or the plain one if there is no other; of several
    /// only the one that is cheapest to read, if `one` is enough.
    pub async fn fetch(
        &self,
        distribution: &Distribution,
        index: &Index,
        use_hashes: bool,
        one: bool,
    ) -> Result<FetchedIndex, SyncError> {
        let mut fetched = FetchedIndex { variants: Vec::new(), problems: Vec::new() };
        let stored = self.stored(&index.variants).await?;
        for variant in &index.variants {
            if (one || variant.compression == Compression::Plain) && !fetched.variants.is_empty() {
                break;
            }
            let path = distribution.path(variant.path.as_str())?;
            let urls = self.urls(&path, &variant.expected, use_hashes);
            let is_stored =
                variant.expected.digests.sha256().is_some_and(|digest| stored.contains(&digest));
            let artifact = if is_stored {
                declare(path, urls, &variant.expected)?
            } else {
                match self.download(&urls, &variant.expected).await {
                    Ok(bytes) => {
                        let mut artifact = DeclarativeArtifact::from_verified(path, bytes);
                        artifact.urls = urls;
                        artifact
                    }
                    Err(error) if is_tolerable(&error) => {
                        let (is_absent, reason) = (is_absent(&error), with_causes(&error));
                        fetched.problems.push(Problem { path, is_absent, reason });
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            fetched.variants.push(FetchedVariant {
                compression: variant.compression,
                artifact: artifact.remote(self.remote.id),
                digests: variant.expected.digests.clone(),
            });
        }
        Ok(fetched)
    }

    /// The same without fetching anything: the first client that asks for it does.
    pub fn defer(
        &self,
        distribution: &Distribution,
        index: &Index,
        use_hashes: bool,
    ) -> Result<FetchedIndex, SyncError> {
        let mut variants = Vec::new();
        for variant in &index.variants {
            if variant.compression == Compression::Plain && !variants.is_empty() {
                break;
            }
            let path = distribution.path(variant.path.as_str())?;
            let urls = self.urls(&path, &variant.expected, use_hashes);
            let artifact = declare(path, urls, &variant.expected)?;
            variants.push(FetchedVariant {
                compression: variant.compression,
                artifact: artifact.remote(self.remote.id).deferred(true),
                digests: variant.expected.digests.clone(),
            });
        }
        Ok(FetchedIndex { variants, problems: Vec::new() })
    }

    async fn download(
        &self,
        urls: &[RemoteUrl],
        expected: &Expected,
    ) -> Result<pulp_models::store::Verified, DownloadError> {
        let mut request = DownloadRequest::default().expecting(expected.clone());
        request.urls = urls.to_vec();
        Ok(self.downloads.fetch(&request).await?.verified)
    }

    fn urls(&self, path: &RelativePath, expected: &Expected, use_hashes: bool) -> Vec<RemoteUrl> {
        let hashed = if use_hashes { by_hash(path, expected) } else { None };
        let paths = hashed.iter().chain([path]);
        paths.map(|path| self.remote.url.join_path(path.as_str())).collect()
    }

    /// Those of the variants that are in the store already.
    async fn stored(&self, variants: &[Variant]) -> Result<Vec<Sha256>, SyncError> {
        let digests: Vec<Sha256> =
            variants.iter().filter_map(|variant| variant.expected.digests.sha256()).collect();
        let found = self
            .installation
            .db
            .read(move |connection| artifact::find_artifacts(connection, &digests))
            .await?;
        Ok(found.into_keys().collect())
    }
}

fn declare(
    path: RelativePath,
    urls: Vec<RemoteUrl>,
    expected: &Expected,
) -> Result<DeclarativeArtifact, SyncError> {
    DeclarativeArtifact::new(path, urls, expected.clone())
        .map_err(|error| SyncError::plugin(error.to_string()))
}

/// Whether another variant may do: this one is absent, or is not what was listed.
fn is_tolerable(error: &DownloadError) -> bool {
    match error {
        DownloadError::Mismatch { .. } => true,
        DownloadError::GaveUp { source, .. } => is_tolerable(source),
        error => is_absent(error),
    }
}
