//! Reading artifacts, and looking at what the store holds.
//!
//! Functions named `…_blocking` are for threads that may block, such as a publisher's; the others hop
//! to the blocking pool once per call.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::fs::OFlags;

use super::{ArtifactStore, StoreError, error::blocking};
use crate::{Hasher, Sha256};

/// What [`ArtifactStore::check`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The bytes are what the name says.
    Intact,
    /// There is no such file.
    Missing,
    /// The file holds something else.
    Corrupt,
}

/// What one folder of the store holds; see [`ArtifactStore::list`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Artifacts with their sizes in bytes, sorted by digest.
    pub artifacts: Vec<(Sha256, u64)>,
    /// What does not belong there: other names, links, folders.
    pub foreign: Vec<PathBuf>,
}

impl ArtifactStore {
    /// Opens an artifact for reading; also returns its size in bytes.
    pub async fn open_artifact(
        &self,
        sha256: &Sha256,
    ) -> Result<(tokio::fs::File, u64), StoreError> {
        let (store, sha256) = (self.clone(), *sha256);
        let (file, size) = blocking(move || store.open_artifact_blocking(&sha256)).await?;
        Ok((tokio::fs::File::from_std(file), size))
    }

    /// [`ArtifactStore::open_artifact`] for a thread that may block.
    pub fn open_artifact_blocking(&self, sha256: &Sha256) -> Result<(File, u64), StoreError> {
        let path = self.path(sha256);
        match open_regular(&path) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing(*sha256))
            }
            other => other,
        }
    }

    /// The same without waiting for a disk; `None` if that cannot be, or if there is no such file.
    pub fn open_artifact_cached(&self, sha256: &Sha256) -> Option<File> {
        open_cached(&self.path(sha256))
    }

    /// Reads a whole artifact; fails when it is larger than `limit` bytes.
    pub async fn read(&self, sha256: &Sha256, limit: u64) -> Result<Bytes, StoreError> {
        let (store, sha256) = (self.clone(), *sha256);
        blocking(move || store.read_blocking(&sha256, limit)).await
    }

    /// [`ArtifactStore::read`] for a thread that may block.
    pub fn read_blocking(&self, sha256: &Sha256, limit: u64) -> Result<Bytes, StoreError> {
        let (mut file, size) = self.open_artifact_blocking(sha256)?;
        if size > limit {
            return Err(StoreError::TooLarge { sha256: *sha256, size, limit });
        }
        let mut whole = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact(&mut whole).map_err(StoreError::io("read", &self.path(sha256)))?;
        Ok(whole.into())
    }

    /// Whether the artifact's file is there.
    pub async fn exists(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        let (store, sha256) = (self.clone(), *sha256);
        blocking(move || match store.open_artifact_blocking(&sha256) {
            Ok(_) => Ok(true),
            Err(StoreError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// When the artifact's file was written, if it is there. A link tells its own time.
    pub async fn modified(&self, sha256: &Sha256) -> Result<Option<SystemTime>, StoreError> {
        let path = self.path(sha256);
        blocking(move || match fs::symlink_metadata(&path).and_then(|found| found.modified()) {
            Ok(time) => Ok(Some(time)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("inspect", &path)(error)),
        })
        .await
    }

    /// Reads and hashes the artifact again, on the blocking pool.
    pub async fn check(&self, sha256: &Sha256) -> Result<Condition, StoreError> {
        let (store, sha256) = (self.clone(), *sha256);
        blocking(move || match store.open_artifact_blocking(&sha256) {
            Ok((file, _)) => {
                let actual = digest(file).map_err(StoreError::io("read", &store.path(&sha256)))?;
                Ok(if actual == sha256 { Condition::Intact } else { Condition::Corrupt })
            }
            Err(StoreError::Missing(_)) => Ok(Condition::Missing),
            Err(StoreError::NotAFile(_)) => Ok(Condition::Corrupt),
            Err(error) => Err(error),
        })
        .await
    }

    /// Lists the artifacts whose digest begins with the byte `first`: 256 calls, in ascending order,
    /// see the whole store sorted, holding one part in 256 at a time.
    pub async fn list(&self, first: u8) -> Result<Listed, StoreError> {
        let prefix = hex::encode([first]);
        let folder = self.inner.artifacts.join(&prefix);
        blocking(move || list_folder(&folder, &prefix)).await
    }
}

/// Opens `path` unless its last component is a symbolic link or no regular file.
fn open_regular(path: &Path) -> Result<(File, u64), StoreError> {
    // Opening a pipe would otherwise wait for a writer.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Err(error) if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::LOOP) => {
            return Err(StoreError::NotAFile(path.to_owned()));
        }
        other => other.map_err(StoreError::io("open", path))?,
    };
    let metadata = file.metadata().map_err(StoreError::io("inspect", path))?;
    if !metadata.is_file() {
        return Err(StoreError::NotAFile(path.to_owned()));
    }
    Ok((file, metadata.len()))
}

#[cfg(target_os = "linux")]
fn open_cached(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, FileType, Mode, ResolveFlags, fstat, openat2};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let is_file = FileType::from_raw_mode(fstat(&file).ok()?.st_mode).is_file();
    is_file.then(|| file.into())
}

#[cfg(not(target_os = "linux"))]
fn open_cached(_: &Path) -> Option<File> {
    None
}

fn digest(mut file: File) -> io::Result<Sha256> {
    let mut hasher = Hasher::new([]);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish().1),
            length => hasher.update(&buffer[..length]),
        }
    }
}

fn list_folder(folder: &Path, prefix: &str) -> Result<Listed, StoreError> {
    let mut listed = Listed::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listed),
        other => other.map_err(StoreError::io("list", folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let path = entry.path();
        let metadata = match entry.metadata() {
            // Removed since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(StoreError::io("inspect", &path))?,
        };
        match artifact_name(prefix, &entry.file_name()) {
            Some(sha256) if metadata.is_file() => listed.artifacts.push((sha256, metadata.len())),
            _ => listed.foreign.push(path),
        }
    }
    listed.artifacts.sort_unstable();
    listed.foreign.sort_unstable();
    Ok(listed)
}

/// The digest that a file name stands for; names in upper case are not ours.
fn artifact_name(prefix: &str, name: &std::ffi::OsStr) -> Option<Sha256> {
    let digest = format!("{prefix}{}", name.to_str()?);
    digest.parse::<Sha256>().ok().filter(|sha256| sha256.to_string() == digest)
}
