//! `file://` URLs: regular files below the folders that the remote's settings allow.

use std::{
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bytes::{Bytes, BytesMut};
use pulp_models::RemoteUrl;
use tokio::{fs::File, io::AsyncReadExt as _, task::spawn_blocking};

use super::{DownloadError, Validators};

/// How many bytes are read at a time.
const PIECE: usize = 512 * 1024;

/// An open file.
pub(super) struct OpenFile {
    url: RemoteUrl,
    file: File,
    /// Made of length and time of the last change.
    pub(super) validators: Validators,
}

/// Opens `url` if it lies in one of the `allowed` folders, after all symbolic links are resolved.
pub(super) async fn open(url: &RemoteUrl, allowed: &[PathBuf]) -> Result<OpenFile, DownloadError> {
    let not_allowed = || DownloadError::FileNotAllowed { url: url.clone().into() };
    // A host other than `localhost`, or a path that is none.
    let path = url.expose().to_file_path().map_err(|()| not_allowed())?;
    let allowed = allowed.to_vec();
    let opened = spawn_blocking(move || open_below(&path, &allowed)).await;
    match opened.map_err(io::Error::other) {
        Ok(Ok(Some((file, validators)))) => {
            Ok(OpenFile { url: url.clone(), file: File::from_std(file), validators })
        }
        Ok(Ok(None)) => Err(not_allowed()),
        Ok(Err(source)) | Err(source) => {
            Err(DownloadError::File { url: url.clone().into(), source })
        }
    }
}

impl OpenFile {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = self.file.read_buf(&mut piece).await;
        match read {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(piece.freeze())),
            Err(source) => Err(DownloadError::File { url: self.url.clone().into(), source }),
        }
    }
}

/// `None` if it is not allowed. What is outside is not distinguished from what does not exist there.
fn open_below(path: &Path, allowed: &[PathBuf]) -> io::Result<Option<(std::fs::File, Validators)>> {
    let inside = |path: &Path| {
        allowed.iter().any(|folder| folder.canonicalize().is_ok_and(|real| path.starts_with(real)))
    };
    let named = allowed.iter().any(|folder| path.starts_with(folder));
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if named => return Err(error),
        Err(_) => return Ok(None),
    };
    if !inside(&real) {
        return Ok(None);
    }
    // Before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(&real)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = std::fs::File::open(&real)?;
    let metadata = file.metadata()?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", metadata.len(), changed.as_nanos());
    Ok(Some((file, Validators { etag: Some(etag), last_modified: None })))
}
