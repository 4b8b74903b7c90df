//! Reading a body while it is still being received and verified.
//!
//! The verifier appends; any number of readers follow, each at its own pace, from memory for what was
//! received last and from the temporary file for the rest. The file is read through its open handle,
//! so that it may be renamed into the store, or removed, meanwhile. A reader that follows to the end
//! has read verified bytes: until the verdict, the end is withheld.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::verifier::Verdict;
use crate::{Mismatch, Sha256};

/// How many bytes at the end are withheld from readers until the whole body is verified; a body
/// that is no longer than this is withheld whole.
pub const WITHHELD: u64 = 64 * 1024;
/// The most that [`Follower::next`] returns at once.
const CHUNK: u64 = 256 * 1024;

/// Where a verifier stands.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) received: u64,
    pub(super) verdict: Option<Verdict>,
}

impl Progress {
    pub(super) fn at(received: u64) -> Self {
        Self { received, verdict: None }
    }
}

pub(super) type SharedParts = Arc<Mutex<Parts>>;

/// Where the received bytes are: the first `written` of them in the file, the rest in memory.
#[derive(Debug)]
pub(super) struct Parts {
    file: Option<Arc<File>>,
    written: u64,
    tail: VecDeque<Bytes>,
}

impl Parts {
    pub(super) fn shared() -> SharedParts {
        Arc::new(Mutex::new(Self { file: None, written: 0, tail: VecDeque::new() }))
    }

    pub(super) fn lock(parts: &SharedParts) -> MutexGuard<'_, Self> {
        // Every change below is complete before anything can panic.
        parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.tail.push_back(bytes);
    }

    pub(super) fn unwritten(&self) -> Vec<Bytes> {
        self.tail.iter().cloned().collect()
    }

    /// The first `size` bytes in memory are in `file` now; whole pieces only.
    pub(super) fn written(&mut self, file: &Arc<File>, size: usize) {
        self.file.get_or_insert_with(|| file.clone());
        self.written += size as u64;
        let mut rest = size;
        while rest > 0
            && let Some(piece) = self.tail.pop_front()
        {
            rest = rest.saturating_sub(piece.len());
        }
    }

    fn find(&self, offset: u64, most: u64) -> Place {
        let Some(mut skip) = offset.checked_sub(self.written) else {
            let file = self.file.clone().expect("bytes were written to it");
            return Place::File(file, most.min(self.written - offset));
        };
        for piece in &self.tail {
            let length = piece.len() as u64;
            if skip < length {
                let from = usize::try_from(skip).unwrap_or(piece.len());
                let to = usize::try_from(skip.saturating_add(most)).unwrap_or(usize::MAX);
                return Place::Memory(piece.slice(from..to.min(piece.len())));
            }
            skip -= length;
        }
        Place::Memory(Bytes::new())
    }
}

enum Place {
    File(Arc<File>, u64),
    Memory(Bytes),
}

/// A handle on a body that a [`Verifier`](super::Verifier) is receiving. Cheap to clone; outlives the
/// verifier, and works to the end whatever happens to the file's name.
#[derive(Debug, Clone)]
pub struct Growing {
    parts: SharedParts,
    progress: watch::Receiver<Progress>,
    expected_size: Option<u64>,
}

/// Why a followed body cannot be read to its end. What was read of it must not be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// These are the wrong bytes.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The verifier was dropped, or its disk is full: there will be no verdict.
    #[error("The transfer was abandoned")]
    Abandoned,
    /// The temporary file cannot be read.
    #[error("Failed to read a file that is being received")]
    Io(#[from] io::Error),
}

impl Growing {
    pub(super) fn new(
        parts: SharedParts,
        progress: watch::Receiver<Progress>,
        expected_size: Option<u64>,
    ) -> Self {
        Self { parts, progress, expected_size }
    }

    /// The size that upstream promised, in bytes; once verified, the true one.
    pub fn size(&self) -> Option<u64> {
        let progress = self.progress.borrow();
        match progress.verdict {
            Some(Ok(_)) => Some(progress.received),
            _ => self.expected_size,
        }
    }

    /// How many bytes have been received.
    pub fn received(&self) -> u64 {
        self.progress.borrow().received
    }

    /// Waits for the verdict on the whole body.
    pub async fn verified(&self) -> Result<Sha256, FollowError> {
        let mut progress = self.progress.clone();
        let judged = progress.wait_for(|progress| progress.verdict.is_some()).await;
        match judged.as_deref() {
            Ok(Progress { verdict: Some(Ok(sha256)), .. }) => Ok(*sha256),
            Ok(Progress { verdict: Some(Err(mismatch)), .. }) => Err(mismatch.clone().into()),
            Ok(_) | Err(_) => Err(FollowError::Abandoned),
        }
    }

    /// Reads from `offset` up to, not including, `end` (`None`: to the end of the body).
    pub fn follow(&self, offset: u64, end: Option<u64>) -> Follower {
        Follower { growing: self.clone(), offset, end: end.unwrap_or(u64::MAX) }
    }
}

/// One reader's place in a [`Growing`] body.
#[derive(Debug)]
pub struct Follower {
    growing: Growing,
    offset: u64,
    end: u64,
}

impl Follower {
    /// The next bytes, as soon as there are some to give; `None` after the last. Cancel-safe.
    ///
    /// The last [`WITHHELD`] bytes of the range, or of what has been received while the size is not
    /// known, come only after the whole body is verified. An error means that the bytes given so far
    /// may be wrong: a server must cut the connection and not end the response.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FollowError> {
        loop {
            let progress = self.growing.progress.borrow_and_update().clone();
            let available = match progress.verdict {
                Some(Err(mismatch)) => return Err(mismatch.into()),
                Some(Ok(_)) if self.offset >= self.end.min(progress.received) => return Ok(None),
                Some(Ok(_)) => self.end.min(progress.received),
                None => self.unverified(progress.received),
            };
            if self.offset < available {
                let bytes = self.read(available - self.offset).await?;
                self.offset += bytes.len() as u64;
                return Ok(Some(bytes));
            }
            self.growing.progress.changed().await.map_err(|_| FollowError::Abandoned)?;
        }
    }

    /// Where to stop before the verdict.
    fn unverified(&self, received: u64) -> u64 {
        let end = self.end.min(self.growing.expected_size.unwrap_or(received));
        received.min(end.saturating_sub(WITHHELD))
    }

    async fn read(&self, most: u64) -> io::Result<Bytes> {
        let most = most.min(CHUNK);
        let place = Parts::lock(&self.growing.parts).find(self.offset, most);
        match place {
            Place::Memory(bytes) => Ok(bytes),
            Place::File(file, length) => {
                let offset = self.offset;
                let read = tokio::task::spawn_blocking(move || {
                    let mut buffer = BytesMut::zeroed(usize::try_from(length).unwrap_or_default());
                    file.read_exact_at(&mut buffer, offset)?;
                    Ok(buffer.freeze())
                });
                read.await.map_err(io::Error::other)?
            }
        }
    }
}

#[cfg(test)]
mod tests;
