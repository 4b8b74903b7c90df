//! A distribution's release file, fetched and believed, or refused.
//!
//! First thing of every sync: what is fetched here decides whether anything else is. A verified
//! `InRelease` suffices; `Release` with `Release.gpg` is the other way, and is mirrored beside it
//! for old clients when it says the same ([`complete`]). Rules: apt's (Debian's repository format,
//! "Release files"), and no way back in time unless the options allow it ([`check_dates`]).
//!
//! [`complete`]: ReleaseFetcher::complete

use std::collections::HashMap;

use bytes::Bytes;
use pulp_models::{
    Key, RelativePath, RemoteUrl,
    store::{ArtifactStore, Verified as VerifiedBytes},
};
use pulp_stages::{
    Blame as _,
    download::{DownloadError, DownloadRequest, Downloader},
    options::OptionsError,
    sync::{SyncError, Warnings},
};

use crate::{
    content::ReleaseFile,
    openpgp::{Keyring, RefusedSignature, Verified, VerifyError},
    release::Release,
};

mod dates;

pub use dates::{DateProblem, check_dates, future_date};

/// The largest release file in bytes. Debian's have 150 KB, Ubuntu's 400 KB.
const MAX_RELEASE: u64 = 64 << 20;
/// The largest detached signature in bytes.
const MAX_SIGNATURE: u64 = 1 << 20;

/// A distribution of the remote: its name, and where its release file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// As the user wrote it.
    pub name: String,
    /// Path of the release file's directory below the repository's root, with a slash at its end;
    /// empty for a flat repository at the root.
    pub directory: String,
}

impl Distribution {
    /// Reads a distribution's name.
    pub fn new(name: &str) -> Result<Self, SyncError> {
        let invalid = |error| {
            OptionsError::new(format!(
                "distribution `{name}` is no path: {error}; write it as in apt's sources, e.g. \
                 `bookworm`, `stable/updates`, `./`"
            ))
        };
        let flat = name.ends_with('/');
        let path = name.trim_start_matches("./").trim_matches('/');
        let directory = match path {
            "" | "." if flat => String::new(),
            path => format!("{}/", RelativePath::new(path).map_err(invalid)?),
        };
        let directory = if flat { directory } else { format!("dists/{directory}") };
        Ok(Self { name: name.to_owned(), directory })
    }

    /// Whether it has no components.
    pub fn is_flat(&self) -> bool {
        self.name.ends_with('/')
    }

    /// The path below the repository's root of a file that its release file lists.
    pub fn path(&self, below: &str) -> Result<RelativePath, SyncError> {
        RelativePath::new(&format!("{}{below}", self.directory))
            .map_err(|error| SyncError::plugin(error.to_string()))
    }
}

/// A release file that was believed.
#[derive(Debug)]
pub struct SignedRelease {
    /// What it says.
    pub release: Release,
    /// Its text, without any signature.
    pub text: Vec<u8>,
    /// The files that hold it, by name: `InRelease`, or `Release` and `Release.gpg`.
    pub files: Vec<(&'static str, VerifiedBytes)>,
    /// Fingerprints of the keys whose signatures are good; empty if no keyring was given.
    pub signed_by: Vec<String>,
}

impl SignedRelease {
    /// Names this state of the distribution.
    pub fn fingerprint(&self, distribution: &Distribution) -> Key {
        let key = Key::of("deb.release").field(&distribution.name);
        let add = |key: pulp_models::key::KeyBuilder, (name, file): &(&str, VerifiedBytes)| {
            key.field(name).field(file.sha256().0)
        };
        self.files.iter().fold(key, add).finish()
    }
}

/// There is no release file where one should be.
#[derive(Debug, thiserror::Error)]
#[error("Neither `InRelease` nor `Release` is there")]
struct NoReleaseFile;

/// Fetches release files of one remote.
#[derive(Clone)]
pub struct ReleaseFetcher {
    /// The repository's root.
    pub url: RemoteUrl,
    /// Reaches it.
    pub downloads: Downloader,
    /// Whom to believe; `None` believes everybody.
    pub keyring: Option<Keyring>,
    /// What was mirrored the last time, by distribution, and where its files are: a release file
    /// whose signature has not changed is not fetched again.
    pub known: HashMap<String, ReleaseFile>,
    /// See `known`.
    pub store: ArtifactStore,
    /// Where bad signatures beside good ones are reported.
    pub warnings: Warnings,
    /// The time at which signatures and dates are judged, in seconds since the epoch.
    pub now: i64,
}

impl ReleaseFetcher {
    /// Fetches and verifies the release file of `distribution`.
    pub async fn fetch(&self, distribution: &Distribution) -> Result<SignedRelease, SyncError> {
        let first = match self.optional(distribution, "InRelease", MAX_RELEASE).await? {
            None => None,
            Some(bytes) => match self.verify_in_release(distribution, &bytes).await {
                Ok(verified) => {
                    return self.read(distribution, verified, vec![("InRelease", bytes)]);
                }
                Err(refused) => Some(refused),
            },
        };
        let mut detached = self.fetch_detached(distribution).await;
        if matches!(detached, Err(SyncError::Upstream { .. })) {
            // The two files may be of different days, if upstream changed between the requests.
            detached = self.fetch_detached(distribution).await;
        }
        match (first, detached) {
            (None, Ok(Some((verified, files)))) => self.read(distribution, verified, files),
            (Some(refused), Ok(Some((verified, files)))) => {
                self.warnings.add(format!(
                    "`{}InRelease` was refused, `Release` with `Release.gpg` is good: {}",
                    distribution.directory,
                    with_causes(&refused)
                ));
                self.read(distribution, verified, files)
            }
            // What is wrong with the first choice says more than what is wrong with the second.
            (Some(refused), _) => Err(refused),
            (None, Err(error)) => Err(error),
            (None, Ok(None)) => {
                let directory = distribution.directory.trim_end_matches('/');
                Err(SyncError::upstream(&self.url.join_path(directory), NoReleaseFile).with_hint(
                    "check the URL (it ends before `dists/`) and the distribution's name",
                ))
            }
        }
    }

    /// Adds `Release` and `Release.gpg` to a release file that came as `InRelease`, if upstream has
    /// them and they say the same. Gives the reason if they were left out.
    pub async fn complete(
        &self,
        distribution: &Distribution,
        release: &mut SignedRelease,
    ) -> Result<Option<String>, SyncError> {
        if release.files.iter().any(|(name, _)| *name == "Release") {
            return Ok(None);
        }
        let Some(bytes) = self.optional(distribution, "Release", MAX_RELEASE).await? else {
            return Ok(None);
        };
        let directory = &distribution.directory;
        if body(&bytes, MAX_RELEASE).await?.trim_ascii_end() != release.text.trim_ascii_end() {
            return Ok(Some(format!(
                "`{directory}Release` differs from `{directory}InRelease` and was left out"
            )));
        }
        if let Some(signature) = self.optional(distribution, "Release.gpg", MAX_SIGNATURE).await? {
            match self.verify_detached(distribution, &bytes, &signature).await {
                Ok(_) => release.files.push(("Release.gpg", signature)),
                Err(refused) => {
                    let reason = with_causes(&refused);
                    return Ok(Some(format!("`{directory}Release.gpg` was left out: {reason}")));
                }
            }
        }
        release.files.push(("Release", bytes));
        Ok(None)
    }

    async fn fetch_detached(
        &self,
        distribution: &Distribution,
    ) -> Result<Option<(Verified, Vec<(&'static str, VerifiedBytes)>)>, SyncError> {
        let known = self.known.get(&distribution.name);
        let known = |name: &str| known.and_then(|release| release.digest(name));
        let mut unsigned = None;
        if self.keyring.is_none() && known("Release").is_some() && known("Release.gpg").is_none() {
            unsigned = self.optional(distribution, "Release", MAX_RELEASE).await?;
            if let Some(bytes) = unsigned.take_if(|bytes| known("Release") == Some(bytes.sha256()))
            {
                return Ok(Some((
                    unverified(body(&bytes, MAX_RELEASE).await?.to_vec()),
                    vec![("Release", bytes)],
                )));
            }
        }
        let signature = self.optional(distribution, "Release.gpg", MAX_SIGNATURE).await?;
        let is_known = signature.is_some()
            && signature.as_ref().map(VerifiedBytes::sha256) == known("Release.gpg");
        let stored = match known("Release").filter(|_| is_known) {
            // A signature belongs to one text.
            Some(digest) => {
                self.store.read(&digest, MAX_RELEASE).await.ok().map(VerifiedBytes::from_bytes)
            }
            None => unsigned,
        };
        let release = match stored {
            Some(bytes) => Some(bytes),
            None => self.optional(distribution, "Release", MAX_RELEASE).await?,
        };
        let Some(bytes) = release else { return Ok(None) };
        match signature {
            Some(signature) => {
                let verified = self.verify_detached(distribution, &bytes, &signature).await?;
                Ok(Some((verified, vec![("Release", bytes), ("Release.gpg", signature)])))
            }
            None if self.keyring.is_some() => {
                let url = self.url_of(distribution, "Release");
                Err(SyncError::upstream(&url, VerifyError::NoSignature))
            }
            None => {
                let text = body(&bytes, MAX_RELEASE).await?.to_vec();
                Ok(Some((unverified(text), vec![("Release", bytes)])))
            }
        }
    }

    async fn verify_in_release(
        &self,
        distribution: &Distribution,
        bytes: &VerifiedBytes,
    ) -> Result<Verified, SyncError> {
        let message = body(bytes, MAX_RELEASE).await?;
        let (keyring, now) = (self.keyring.clone(), self.now);
        let judged = blocking(move || match keyring {
            Some(keyring) => keyring.verify_cleartext(&message, now),
            None => crate::openpgp::unverified_text(&message).map(unverified),
        });
        Ok(judged.await?.at_url(&self.url_of(distribution, "InRelease"))?)
    }

    async fn verify_detached(
        &self,
        distribution: &Distribution,
        text: &VerifiedBytes,
        signature: &VerifiedBytes,
    ) -> Result<Verified, SyncError> {
        let text = body(text, MAX_RELEASE).await?;
        let signature = body(signature, MAX_SIGNATURE).await?;
        let (keyring, now) = (self.keyring.clone(), self.now);
        let judged = blocking(move || match keyring {
            Some(keyring) => keyring.verify_detached(&text, &signature, now),
            None => Ok(unverified(text.to_vec())),
        });
        Ok(judged.await?.at_url(&self.url_of(distribution, "Release.gpg"))?)
    }

    fn read(
        &self,
        distribution: &Distribution,
        verified: Verified,
        files: Vec<(&'static str, VerifiedBytes)>,
    ) -> Result<SignedRelease, SyncError> {
        let url = self.url_of(distribution, files[0].0);
        let mut release = Release::parse(&verified.text).at_url(&url)?;
        for warning in std::mem::take(&mut release.warnings) {
            self.warnings.add(format!("`{url}`: {warning}"));
        }
        for RefusedSignature { key, reason } in &verified.refused {
            self.warnings.add(format!("`{url}`: signature by `{key}` is not good: {reason}"));
        }
        let signed_by = verified.good.into_iter().map(|good| good.fingerprint).collect();
        Ok(SignedRelease { release, text: verified.text, files, signed_by })
    }

    /// Fetches a file that need not exist. `403` counts as absent: what S3 says of missing files.
    async fn optional(
        &self,
        distribution: &Distribution,
        name: &str,
        limit: u64,
    ) -> Result<Option<VerifiedBytes>, SyncError> {
        let mut request = DownloadRequest::new(self.url_of(distribution, name));
        request.limit = Some(limit);
        match self.downloads.fetch(&request).await {
            Ok(downloaded) => Ok(Some(downloaded.verified)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a file beside the release file of `distribution` lies.
    pub fn url_of(&self, distribution: &Distribution, name: &str) -> RemoteUrl {
        self.url.join_path(&format!("{}{name}", distribution.directory))
    }
}

/// Whether the answer means that there is no such file.
pub fn is_absent(error: &DownloadError) -> bool {
    use http::StatusCode;
    let missing = matches!(
        error.status(),
        Some(StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN)
    );
    let file = matches!(
        error,
        DownloadError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound
    );
    missing || file
}

fn unverified(text: Vec<u8>) -> Verified {
    Verified { text, good: Vec::new(), refused: Vec::new() }
}

async fn body(bytes: &VerifiedBytes, limit: u64) -> Result<Bytes, SyncError> {
    if bytes.in_memory() > 0 || bytes.size() == 0 {
        return Ok(bytes.bytes(limit)?);
    }
    let mut reader = bytes.reader();
    let size = usize::try_from(bytes.size()).unwrap_or_default();
    blocking(move || {
        let mut whole = Vec::with_capacity(size);
        std::io::Read::read_to_end(&mut reader, &mut whole).map(|_| Bytes::from(whole))
    })
    .await?
    .map_err(|error| SyncError::plugin(format!("Failed to read a temporary file: {error}")))
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SyncError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SyncError::Cancelled)
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
