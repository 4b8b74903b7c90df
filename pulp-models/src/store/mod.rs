//! The artifact store: files named by their SHA-256, in a folder.
//!
//! Bytes arrive through a [`Verifier`], become [`Verified`], are [saved](ArtifactStore::save), and only
//! then does a database row name them. The store knows no database: which artifacts are needed is
//! decided in `orphan`, and whether rows and files agree in `check`.
//!
//! ```text
//! HOME/artifacts/aa/bbbb…     the artifact whose digest is aabbbb…
//! HOME/tmp/<process>/         temporary files of one living process
//! HOME/locks/store, store.gate, tmp
//! ```
//!
//! - Files under `artifacts` are complete, verified and never written again; they appear by rename.
//! - They are opened without following symbolic links. The folders above them may be links.
//! - Temporary files die with their owner, or at the next start ([`ArtifactStore::open`]).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{Algorithm, Expected, Sha256};

mod error;
mod growing;
mod lock;
mod read;
mod save;
mod verified;
mod verifier;
mod workspace;

#[cfg(test)]
mod tests;

pub use error::{StoreError, VerifyError};
pub use growing::{FollowError, Follower, Growing, WITHHELD};
pub use lock::StoreGuard;
pub use read::{Condition, Listed};
pub use verified::{Saved, Verified, VerifiedReader};
pub use verifier::{BLOCK, IN_MEMORY, Verifier};

use error::blocking;
use lock::StoreLock;
use save::Disk;
use workspace::Workspace;

/// The artifacts below one HOME. Cheap to clone; clones are one store.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    artifacts: PathBuf,
    workspace: Arc<Workspace>,
    disk: Disk,
    lock: StoreLock,
}

impl ArtifactStore {
    /// Opens the store in `home`, making what does not exist, and removes the temporary files of
    /// processes that died. Neighbours on the same HOME are left alone.
    pub async fn open(home: &Path) -> Result<Self, StoreError> {
        let home = home.to_owned();
        blocking(move || Self::open_blocking(&home)).await
    }

    fn open_blocking(home: &Path) -> Result<Self, StoreError> {
        let (artifacts, tmp, locks) =
            (home.join("artifacts"), home.join("tmp"), home.join("locks"));
        for folder in [&artifacts, &tmp, &locks] {
            fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        let workspace = Arc::new(Workspace::open(&tmp, &locks.join("tmp"))?);
        let disk = Disk::open(&artifacts)?;
        let lock = StoreLock { main: locks.join("store"), gate: locks.join("store.gate") };
        Ok(Self { inner: Arc::new(Inner { artifacts, workspace, disk, lock }) })
    }

    /// A verifier for bytes of which `expected` is known. It computes SHA-256, what `expected` names,
    /// and what is in `also`.
    pub fn verifier(&self, expected: &Expected, also: &[Algorithm]) -> Verifier {
        Verifier::new(self.inner.workspace.clone(), expected, also)
    }

    /// Waits at most `patience` for the lock of those who add artifacts or rely on them staying:
    /// syncs, uploads, fills. Cancel-safe.
    pub async fn shared(&self, patience: Duration) -> Result<StoreGuard, StoreError> {
        self.inner.lock.shared(patience).await
    }

    /// Waits at most `patience` for the lock of those who delete artifacts. Cancel-safe. Newcomers
    /// who want the shared lock wait up to two seconds at a time for an exclusive request.
    pub async fn exclusive(&self, patience: Duration) -> Result<StoreGuard, StoreError> {
        self.inner.lock.exclusive(patience).await
    }

    /// Whether the store can be used: its folder is there, and a temporary file can be made.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let inner = self.inner.clone();
        blocking(move || {
            fs::read_dir(&inner.artifacts).map_err(StoreError::io("list", &inner.artifacts))?;
            inner.workspace.temp_file().map(drop)
        })
        .await
    }

    /// Where the artifact is, or would be.
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        let name = hex::encode(sha256.0);
        let (folder, rest) = name.split_at(2);
        self.inner.artifacts.join(folder).join(rest)
    }

    /// Removes artifacts; those that do not exist are skipped. Returns how many there were. Only
    /// under the exclusive lock, or for one that is known to be corrupt.
    pub async fn remove(&self, digests: &[Sha256]) -> Result<usize, StoreError> {
        let paths: Vec<_> = digests.iter().map(|sha256| self.path(sha256)).collect();
        blocking(move || {
            let mut removed = 0;
            for path in paths {
                match fs::remove_file(&path) {
                    Ok(()) => removed += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(StoreError::io("remove", &path)(error)),
                }
            }
            Ok(removed)
        })
        .await
    }
}
