//! Verified bytes: the only ones that can be saved, parsed, or served to their end.
//!
//! They come from a [`Verifier`](super::Verifier), or were made here ([`Verified::from_bytes`]); the
//! type has no other constructor. Saving them is the business of `save`.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use bytes::{Buf as _, Bytes};

use super::{StoreError, workspace::TempFile};
use crate::{Digests, Sha256};

/// Bytes of the right size and with the right digests, in memory or in a temporary file, which is
/// removed when this is dropped unsaved.
#[derive(Debug)]
pub struct Verified {
    pub(super) body: Body,
    size: u64,
    sha256: Sha256,
    digests: Digests,
}

#[derive(Debug)]
pub(super) enum Body {
    Memory(Bytes),
    File(TempFile),
}

impl Verified {
    pub(super) fn new(body: Body, size: u64, sha256: Sha256, digests: Digests) -> Self {
        Self { body, size, sha256, digests }
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The key under which the store will keep them.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// All computed digests, SHA-256 among them.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// How many bytes of memory this holds: none when the body lies in a file.
    pub fn in_memory(&self) -> usize {
        match &self.body {
            Body::Memory(bytes) => bytes.len(),
            Body::File(_) => 0,
        }
    }

    /// Reads the body from its beginning; from a file, so for blocking threads. Independent of other
    /// readers, and valid after the body was saved or dropped.
    pub fn reader(&self) -> VerifiedReader {
        VerifiedReader(match &self.body {
            Body::Memory(bytes) => Source::Memory(bytes.clone()),
            Body::File(file) => Source::File { file: file.file().clone(), offset: 0 },
        })
    }

    /// The whole body; fails when it is larger than `limit` bytes. From a file, so for blocking
    /// threads; free of charge when it is in memory.
    pub fn bytes(&self, limit: u64) -> Result<Bytes, StoreError> {
        if self.size > limit {
            return Err(StoreError::TooLarge { sha256: self.sha256, size: self.size, limit });
        }
        match &self.body {
            Body::Memory(bytes) => Ok(bytes.clone()),
            Body::File(file) => {
                let mut whole = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
                file.file()
                    .read_exact_at(&mut whole, 0)
                    .map_err(StoreError::io("read", file.path()))?;
                Ok(whole.into())
            }
        }
    }

    pub(super) fn into_parts(self) -> (Body, Saved) {
        (self.body, Saved { sha256: self.sha256, size: self.size, digests: self.digests })
    }
}

/// An artifact that is in the store, durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its key.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// All digests that were computed, SHA-256 among them.
    pub digests: Digests,
}

/// Reads a [`Verified`] body; made by [`Verified::reader`].
#[derive(Debug)]
pub struct VerifiedReader(Source);

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File { file: Arc<File>, offset: u64 },
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Memory(bytes) => {
                let length = buffer.len().min(bytes.len());
                bytes.copy_to_slice(&mut buffer[..length]);
                Ok(length)
            }
            Source::File { file, offset } => {
                let length = file.read_at(buffer, *offset)?;
                *offset += length as u64;
                Ok(length)
            }
        }
    }
}
