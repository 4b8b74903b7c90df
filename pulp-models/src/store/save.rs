//! Saving: verified bytes get their final name and are on disk before anybody is told so.
//!
//! A batch is one job on the blocking pool. A few files are made durable one by one (0.6 ms each, and
//! nothing else on the disk is waited for); more of them by one `syncfs` for the whole file system,
//! shared by all batches that wait for one at that moment (500 files of 1 KiB: 25 ms against 150 ms).
//!
//! A file takes its final name by rename, so nobody ever sees a part of one. A file of the right
//! size that is already there is kept: the digest in its name says what it holds, and a crash leaves
//! a wrong size, if anything. But it is made durable like the others: whoever wrote it may not have
//! come so far.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use super::{ArtifactStore, Saved, StoreError, Verified, error::blocking, verified::Body};
/// The largest batch whose files are synced one by one.
const ONE_BY_ONE: usize = 3;

impl ArtifactStore {
    /// Saves a batch, in one job on the blocking pool, and returns once all of it is durable; the
    /// results are in the batch's order. Saving what is already there is harmless, also from several
    /// tasks and processes at once.
    ///
    /// After an error some of the batch may be in the store, which harms nobody. Cancelling the call
    /// does not cancel the job.
    pub async fn save(&self, batch: Vec<Verified>) -> Result<Vec<Saved>, StoreError> {
        let store = self.clone();
        blocking(move || store.save_blocking(batch)).await
    }

    /// [`ArtifactStore::save`] for a thread that may block.
    fn save_blocking(&self, batch: Vec<Verified>) -> Result<Vec<Saved>, StoreError> {
        let each = batch.len() <= ONE_BY_ONE;
        let mut folders = BTreeSet::new();
        let mut saved = Vec::with_capacity(batch.len());
        for verified in batch {
            let (body, result) = verified.into_parts();
            let path = self.path(&result.sha256);
            let folder = path.parent().expect("lies in a folder").to_owned();
            self.place(body, &result, &path, &folder, each)?;
            folders.insert(folder);
            saved.push(result);
        }
        if saved.is_empty() {
            return Ok(saved);
        }
        if each {
            folders.iter().try_for_each(|folder| sync_path(folder))?;
        } else {
            self.inner.disk.sync()?;
        }
        Ok(saved)
    }

    /// Gives `body` its final name; with `sync`, its contents are durable by then.
    fn place(
        &self,
        body: Body,
        result: &Saved,
        path: &Path,
        folder: &Path,
        sync: bool,
    ) -> Result<(), StoreError> {
        if is_there(path, result.size)? {
            return if sync { sync_path(path) } else { Ok(()) };
        }
        let mut temp = match body {
            Body::File(file) => file,
            Body::Memory(bytes) => {
                let temp = self.inner.workspace.temp_file()?;
                temp.file()
                    .as_ref()
                    .write_all(&bytes)
                    .map_err(StoreError::io("write", temp.path()))?;
                temp
            }
        };
        if sync {
            temp.file().sync_all().map_err(StoreError::io("sync", temp.path()))?;
        }
        match temp.move_to(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(folder)?;
                sync_path(&self.inner.artifacts)?;
                temp.move_to(path)
            }
            other => other,
        }
        .map_err(StoreError::io("rename a temporary file to", path))
    }
}

/// Whether a regular file of the right size is at `path`.
fn is_there(path: &Path, size: u64) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_file() && found.len() == size),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("inspect", path)(error)),
    }
}

/// Makes `folder`, which somebody else may be making too.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("create", folder)(error))
        }
        _ => Ok(()),
    }
}

fn sync_path(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", path))
}

/// The file system of the store, synced as a whole: concurrent callers share one `syncfs`.
#[derive(Debug)]
pub(super) struct Disk {
    /// One handle for good: the kernel reports a lost write once to every open handle.
    folder: File,
    path: PathBuf,
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last round that failed. Kept: who waited for it may look after the next one ended well.
    failed: Option<(u64, Arc<io::Error>)>,
}

impl Disk {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = File::open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { folder, path: path.to_owned(), rounds: Mutex::default(), ended: Condvar::new() })
    }

    /// Returns when everything written before the call is durable. Blocks.
    fn sync(&self) -> Result<(), StoreError> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        // A round that has begun may have passed our files already: the next one counts.
        let ours = rounds.begun + 1;
        loop {
            if rounds.ended >= ours {
                return self.outcome(&rounds, ours);
            }
            if rounds.begun == rounds.ended {
                rounds.begun += 1;
                drop(rounds);
                let result = rustix::fs::syncfs(&self.folder);
                rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
                rounds.ended += 1;
                if let Err(error) = result {
                    rounds.failed = Some((rounds.ended, Arc::new(error.into())));
                }
                self.ended.notify_all();
            } else {
                rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn outcome(&self, rounds: &Rounds, ours: u64) -> Result<(), StoreError> {
        match &rounds.failed {
            Some((round, error)) if *round >= ours => {
                let shared = io::Error::new(error.kind(), error.clone());
                Err(StoreError::io("sync", &self.path)(shared))
            }
            _ => Ok(()),
        }
    }
}
