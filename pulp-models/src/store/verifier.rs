//! The verifier: takes bytes as they arrive, counts and hashes them, and ends with [`Verified`] ones
//! or with the reason why they are not.
//!
//! A download feeds it; [`ArtifactStore::save`](super::ArtifactStore::save) takes what it yields. It
//! knows nothing of where bytes come from, nor of retries: a resumed transfer goes on pushing at
//! [`Verifier::received`].
//!
//! Small bodies never leave the async worker: up to [`IN_MEMORY`] bytes are hashed in
//! [`Verifier::finish`], which takes about as long as a hop to the blocking pool and back would cost,
//! and are written later, with their whole batch. Larger bodies go to a temporary file, hashed and
//! written on the blocking pool in blocks of [`BLOCK`] bytes: one hop per block, the next block being
//! received meanwhile.

use std::{
    io::{IoSlice, Write},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    StoreError, Verified, VerifyError,
    error::{blocking, joined},
    growing::{Growing, Parts, Progress, SharedParts},
    verified::Body,
    workspace::{TempFile, Workspace},
};
use crate::{Algorithm, Expected, Hasher, Mismatch, Sha256};

/// The largest body, in bytes, that waits for its batch in memory.
pub const IN_MEMORY: usize = 64 * 1024;
/// How many bytes of a larger body are handed to the blocking pool at a time. A verifier holds at
/// most about twice as much in memory.
pub const BLOCK: u64 = 512 * 1024;

/// Turns arriving bytes into [`Verified`] ones. Dropping it removes its temporary file.
#[derive(Debug)]
pub struct Verifier {
    expected: Expected,
    received: u64,
    /// How many of the received bytes a write was started for.
    handed: u64,
    parts: SharedParts,
    sink: Sink,
    progress: Option<watch::Sender<Progress>>,
}

#[derive(Debug)]
enum Sink {
    Idle(Spill),
    Busy(JoinHandle<Result<Spill, StoreError>>),
    Failed,
}

impl Verifier {
    /// Computes SHA-256, what `expected` names, and what is in `also`.
    pub(super) fn new(workspace: Arc<Workspace>, expected: &Expected, also: &[Algorithm]) -> Self {
        let named = expected.digests.iter().map(|(algorithm, _)| algorithm);
        let mut algorithms: Vec<_> = named.chain(also.iter().copied()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let spill = Spill { hasher: Hasher::new(algorithms), file: None, workspace };
        Self {
            expected: expected.clone(),
            received: 0,
            handed: 0,
            parts: Parts::shared(),
            sink: Sink::Idle(spill),
            progress: None,
        }
    }

    /// How many bytes were taken so far: where to resume.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// A handle for readers that follow the bytes while they arrive.
    pub fn growing(&mut self) -> Growing {
        let received = self.received;
        let sender =
            self.progress.get_or_insert_with(|| watch::Sender::new(Progress::at(received)));
        let progress = sender.subscribe();
        Growing::new(self.parts.clone(), progress, self.expected.size)
    }

    /// Takes the next bytes; waits when a block is full and the one before is still being written.
    ///
    /// Fails at once when there are more bytes than expected. The bytes are taken before the first
    /// await: a cancelled push must not be repeated. After an error the verifier is of no use.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), VerifyError> {
        if matches!(self.sink, Sink::Failed) {
            return Err(VerifyError::AlreadyFailed);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.received += bytes.len() as u64;
        if let Some(expected) = self.expected.size
            && self.received > expected
        {
            return Err(self.refuse(Mismatch::Size { expected, actual: self.received }));
        }
        Parts::lock(&self.parts).push(bytes);
        if let Some(progress) = &self.progress {
            progress.send_modify(|progress| progress.received = self.received);
        }
        if self.received - self.handed >= BLOCK {
            let spill = self.idle().await?;
            let pieces = self.unwritten();
            let parts = self.parts.clone();
            let job = tokio::task::spawn_blocking(move || spill.write(&pieces, &parts));
            self.sink = Sink::Busy(job);
        }
        Ok(())
    }

    /// Ends the body: compares its size and digests with what was expected.
    pub async fn finish(mut self) -> Result<Verified, VerifyError> {
        let mut spill = self.idle().await?;
        let pieces = self.unwritten();
        if self.received <= IN_MEMORY as u64 {
            let bytes = joined_bytes(pieces, self.received);
            spill.hasher.update(&bytes);
            return self.judge(spill.hasher, Body::Memory(bytes));
        }
        let parts = self.parts.clone();
        let spill = blocking(move || spill.write(&pieces, &parts)).await?;
        let file = spill.file.expect("the write made it");
        self.judge(spill.hasher, Body::File(file))
    }

    /// The verdict, which followers hear too.
    fn judge(&mut self, hasher: Hasher, body: Body) -> Result<Verified, VerifyError> {
        let (size, sha256, digests) = hasher.finish();
        if let Err(mismatch) = self.expected.check(size, &digests) {
            return Err(self.refuse(mismatch));
        }
        if let Some(progress) = self.progress.take() {
            progress.send_modify(|progress| progress.verdict = Some(Ok(sha256)));
        }
        Ok(Verified::new(body, size, sha256, digests))
    }

    fn refuse(&mut self, mismatch: Mismatch) -> VerifyError {
        self.sink = Sink::Failed;
        if let Some(progress) = self.progress.take() {
            let verdict = Some(Err(mismatch.clone()));
            progress.send_modify(|progress| progress.verdict = verdict);
        }
        mismatch.into()
    }

    /// Takes the spill, waiting for a write under way. The sink counts as failed until it is put
    /// back, and stays so when that write failed.
    async fn idle(&mut self) -> Result<Spill, VerifyError> {
        if let Sink::Busy(job) = &mut self.sink {
            match joined(job.await) {
                Ok(spill) => self.sink = Sink::Idle(spill),
                Err(error) => {
                    self.sink = Sink::Failed;
                    self.progress = None;
                    return Err(error.into());
                }
            }
        }
        match std::mem::replace(&mut self.sink, Sink::Failed) {
            Sink::Idle(spill) => Ok(spill),
            Sink::Busy(_) | Sink::Failed => Err(VerifyError::AlreadyFailed),
        }
    }

    /// The pieces that no write was started for. Only while no write is under way.
    fn unwritten(&mut self) -> Vec<Bytes> {
        self.handed = self.received;
        Parts::lock(&self.parts).unwritten()
    }
}

/// The part of a verifier that travels to the blocking pool and back.
#[derive(Debug)]
struct Spill {
    hasher: Hasher,
    file: Option<TempFile>,
    workspace: Arc<Workspace>,
}

impl Spill {
    fn write(mut self, pieces: &[Bytes], parts: &SharedParts) -> Result<Self, StoreError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.workspace.temp_file()?),
        };
        for piece in pieces {
            self.hasher.update(piece);
        }
        write_all(file, pieces)?;
        Parts::lock(parts).written(file.file(), pieces.iter().map(Bytes::len).sum());
        Ok(self)
    }
}

/// Appends `pieces` with as few system calls as the operating system allows.
fn write_all(file: &TempFile, pieces: &[Bytes]) -> Result<(), StoreError> {
    /// Linux takes no more per call (`UIO_MAXIOV`).
    const MOST: usize = 1024;
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let few = &rest[..rest.len().min(MOST)];
        match file.file().as_ref().write_vectored(few) {
            Ok(0) => {
                return Err(StoreError::io("write", file.path())(
                    std::io::ErrorKind::WriteZero.into(),
                ));
            }
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::io("write", file.path())(error)),
        }
    }
    Ok(())
}

/// One buffer of exactly the right size: a piece may be a small part of a large network buffer,
/// which must not live as long as the body does.
fn joined_bytes(pieces: Vec<Bytes>, size: u64) -> Bytes {
    let mut whole = BytesMut::with_capacity(usize::try_from(size).unwrap_or_default());
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}

impl Verified {
    /// Takes bytes made here, such as generated metadata: they are what they are. Hashes on the
    /// calling thread.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self::from_bytes_also(bytes, &[])
    }

    /// [`Verified::from_bytes`] with more digests than SHA-256.
    pub fn from_bytes_also(bytes: Bytes, also: &[Algorithm]) -> Self {
        let mut hasher = Hasher::new(also.iter().copied());
        hasher.update(&bytes);
        let (size, sha256, digests) = hasher.finish();
        Self::new(Body::Memory(bytes), size, sha256, digests)
    }
}

/// The verdict on a whole body.
pub(super) type Verdict = Result<Sha256, Mismatch>;
