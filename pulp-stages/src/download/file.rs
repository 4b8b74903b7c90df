//! `file://` URLs: regular files below the folders that the remote's settings allow, or parts of them.
//!
//! A fragment `#bytes=FIRST-LENGTH` names a part: what lies in an archive is read where it is.

use std::{
    io::{self, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use pulp_models::RemoteUrl;
use tokio::{fs::File, io::AsyncReadExt as _, task::spawn_blocking};

use super::{DownloadError, Validators};

/// How many bytes are read at a time.
const PIECE: usize = 512 * 1024;

/// An open file.
pub(super) struct OpenFile {
    url: RemoteUrl,
    file: File,
    /// Bytes of the part that are not read yet; `None` is up to the file's end.
    left: Option<u64>,
    /// Made of length and time of the last change.
    pub(super) validators: Validators,
}

/// Opens `url` if it lies in one of the `allowed` folders, after all symbolic links are resolved.
pub(super) async fn open(url: &RemoteUrl, allowed: &[PathBuf]) -> Result<OpenFile, DownloadError> {
    let not_allowed = || DownloadError::FileNotAllowed { url: url.clone().into() };
    // A host other than `localhost`, or a path that is none.
    let path = url.expose().to_file_path().map_err(|()| not_allowed())?;
    let (allowed, part) = (allowed.to_vec(), part_of(url));
    let opened = spawn_blocking(move || {
        let mut opened = open_below(&path, &allowed)?;
        if let (Some((file, _)), Some((first, _))) = (&mut opened, part) {
            file.seek(SeekFrom::Start(first))?;
        }
        Ok(opened)
    });
    match opened.await.map_err(io::Error::other) {
        Ok(Ok(Some((file, validators)))) => {
            let left = part.map(|(_, length)| length);
            Ok(OpenFile { url: url.clone(), file: File::from_std(file), left, validators })
        }
        Ok(Ok(None)) => Err(not_allowed()),
        Ok(Err(source)) | Err(source) => {
            Err(DownloadError::File { url: url.clone().into(), source })
        }
    }
}

impl OpenFile {
    /// The next piece; `None` at the end. A part that ends too early is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let limit =
            self.left.map_or(PIECE, |left| PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let mut piece = BytesMut::with_capacity(limit).limit(limit);
        let read = self.file.read_buf(&mut piece).await;
        let ended = io::ErrorKind::UnexpectedEof;
        match (read, &mut self.left) {
            (Ok(0), Some(1..)) => Err(self.failed(ended.into())),
            (Ok(0), _) => Ok(None),
            (Ok(read), left) => {
                if let Some(left) = left {
                    *left -= read as u64;
                }
                Ok(Some(piece.into_inner().freeze()))
            }
            (Err(source), _) => Err(self.failed(source)),
        }
    }

    /// The file itself, for those who read more of it than one pass.
    pub(super) async fn into_file(self) -> std::fs::File {
        self.file.into_std().await
    }

    fn failed(&self, source: io::Error) -> DownloadError {
        DownloadError::File { url: self.url.clone().into(), source }
    }
}

/// The URL of `length` bytes of the file at `url`, from `first` on.
pub(super) fn part(url: &RemoteUrl, first: u64, length: u64) -> RemoteUrl {
    let mut url = url.expose().clone();
    url.set_fragment(Some(&format!("bytes={first}-{length}")));
    RemoteUrl::from_url(url)
}

fn part_of(url: &RemoteUrl) -> Option<(u64, u64)> {
    let (first, length) = url.expose().fragment()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, length.parse().ok()?))
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
