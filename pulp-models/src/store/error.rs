//! How the artifact store fails.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Mismatch, Sha256};

/// A failure of the artifact store itself; the bytes at hand may well be the right ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused; a full disk arrives here with
    /// [`io::ErrorKind::StorageFull`] as the source's kind.
    #[error("Failed to {operation} `{}`", path.display())]
    Io {
        /// A verb: `write`, `rename`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no such artifact.
    #[error("Artifact `{0}` is not in the store")]
    Missing(Sha256),
    /// A symbolic link, folder or device lies where an artifact belongs; it is not followed.
    #[error("`{}` is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// The artifact is larger than the reader is willing to hold in memory.
    #[error(
        "Artifact `{sha256}` is too large to read at once: {size} bytes, at most {limit} expected"
    )]
    TooLarge {
        /// Which artifact.
        sha256: Sha256,
        /// Its size in bytes.
        size: u64,
        /// What the reader allows, in bytes.
        limit: u64,
    },
    /// Others held the store lock for all of the time one was willing to wait.
    #[error("The artifact store is in use by other tasks: waited {} s", .waited.as_secs())]
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// The runtime ended before the work could begin.
    #[error("The process is shutting down")]
    ShuttingDown,
}

impl StoreError {
    /// For `map_err`: names the operation and the path.
    pub(super) fn io<'a>(
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }
}

/// Why received bytes did not become [`Verified`](super::Verified).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// They are the wrong bytes; another source may have the right ones.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// They could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The verifier had failed before; what it holds is incomplete.
    #[error("The bytes were refused before")]
    AlreadyFailed,
}

/// Runs `work` on the blocking pool. A panic there continues here.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// The result of a task on the blocking pool.
pub(super) fn joined<T>(
    result: Result<Result<T, StoreError>, tokio::task::JoinError>,
) -> Result<T, StoreError> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(StoreError::ShuttingDown),
        },
    }
}
