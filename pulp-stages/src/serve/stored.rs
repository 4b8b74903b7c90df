//! Bodies from the artifact store.
//!
//! The first read happens before the response's head is sent, in the same hop to the blocking pool
//! that opens the file: small files are done with it, and a missing file can still be answered
//! properly. Small files that were asked for lately are kept in memory, and what the system has in
//! its cache is read without a hop: a hop costs more than to copy what it reads. Large buffers are shared and limited in number, so that many slow clients do not take
//! much memory: readers beyond the limit get along with small ones.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::body::Body as ResponseBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pulp_models::{
    Sha256,
    store::{ArtifactStore, StoreError},
};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{cache::Cache, demand::Stored};

/// Bytes per read while there are large buffers left.
const LARGE: usize = 256 * 1024;
/// Bytes per read of everybody else.
const SMALL: usize = 16 * 1024;
/// Large buffers in use at once: 64 MiB.
const LARGE_BUFFERS: usize = 256;

/// The artifact store as a server reads it. Clones share what they keep.
#[derive(Debug, Clone)]
pub(super) struct StoredBytes {
    store: ArtifactStore,
    buffers: Arc<Buffers>,
    small: Arc<Cache<Sha256, Bytes>>,
}

impl StoredBytes {
    /// Keeps so many small files in memory.
    pub(super) fn new(store: ArtifactStore, small_files: usize) -> Self {
        Self { store, buffers: Arc::default(), small: Arc::new(Cache::new(small_files)) }
    }

    /// Opens an artifact and reads the beginning of `range`, which lies within its size.
    pub(super) async fn open(
        &self,
        artifact: Stored,
        range: Range<u64>,
    ) -> Result<ResponseBody, StoreError> {
        let is_small = artifact.size <= SMALL as u64;
        if is_small && let Some(whole) = self.small.get(&artifact.sha256) {
            return Ok(part(&whole, &range).into());
        }
        let this = self.clone();
        let open = move || {
            if is_small {
                this.open_small(artifact, &range)
            } else {
                this.open_large(artifact, range)
            }
        };
        spawn_blocking(open).await.map_err(|_| StoreError::ShuttingDown)?
    }

    fn open_small(&self, artifact: Stored, range: &Range<u64>) -> Result<ResponseBody, StoreError> {
        let (file, _) = self.store.open_artifact_blocking(&artifact.sha256)?;
        let buffer = read(&file, &(0..artifact.size), &self.buffers);
        let whole = buffer.map_err(|error| self.unreadable(artifact, error))?;
        self.small.insert(artifact.sha256, whole.clone());
        Ok(part(&whole, range).into())
    }

    fn open_large(
        &self,
        artifact: Stored,
        mut range: Range<u64>,
    ) -> Result<ResponseBody, StoreError> {
        let (file, _) = self.store.open_artifact_blocking(&artifact.sha256)?;
        let first = read(&file, &range, &self.buffers);
        let first = first.map_err(|error| self.unreadable(artifact, error))?;
        range.start += first.len() as u64;
        let buffers = self.buffers.clone();
        let state = State::Ready(first);
        Ok(ResponseBody::new(StoredBody { file: Arc::new(file), range, state, buffers }))
    }

    /// Large buffers that responses hold.
    #[cfg(test)]
    pub(super) fn buffers_in_use(&self) -> usize {
        self.buffers.lock().in_use
    }

    fn unreadable(&self, artifact: Stored, source: io::Error) -> StoreError {
        StoreError::Io { operation: "read", path: self.store.path(&artifact.sha256), source }
    }
}

/// A range that lies within the whole.
fn part(whole: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(whole.len());
    whole.slice(at(range.start)..at(range.end))
}

/// Reads once: as much of `range` as a buffer takes, never nothing unless the range is empty.
fn read(file: &File, range: &Range<u64>, buffers: &Arc<Buffers>) -> io::Result<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut buffer = buffers.take(wanted);
    let length = buffer.bytes.len().min(wanted);
    file.read_exact_at(&mut buffer.bytes[..length], range.start)?;
    buffer.length = length;
    Ok(Bytes::from_owner(buffer))
}

/// The same without waiting for a disk; `None` if that cannot be.
fn read_cached(file: &File, range: &Range<u64>, buffers: &Arc<Buffers>) -> Option<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut buffer = buffers.take(wanted);
    let length = buffer.bytes.len().min(wanted);
    buffer.length = pread_cached(file, &mut buffer.bytes[..length], range.start)?;
    Some(Bytes::from_owner(buffer))
}

#[cfg(target_os = "linux")]
fn pread_cached(file: &File, bytes: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let slices = &mut [io::IoSliceMut::new(bytes)];
    preadv2(file, slices, offset, ReadWriteFlags::NOWAIT).ok().filter(|length| *length > 0)
}

#[cfg(not(target_os = "linux"))]
fn pread_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

/// A range of an artifact as a response's body. An error in the middle of it cuts the connection.
#[derive(Debug)]
struct StoredBody {
    file: Arc<File>,
    /// What has not been read yet.
    range: Range<u64>,
    state: State,
    buffers: Arc<Buffers>,
}

#[derive(Debug)]
enum State {
    Idle,
    Ready(Bytes),
    Reading(JoinHandle<io::Result<Bytes>>),
}

impl Body for StoredBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Ready(_) => {
                    let State::Ready(bytes) = std::mem::replace(&mut this.state, State::Idle)
                    else {
                        continue;
                    };
                    return Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::data(bytes))));
                }
                State::Idle if this.range.is_empty() => return Poll::Ready(None),
                State::Idle => {
                    if let Some(bytes) = read_cached(&this.file, &this.range, &this.buffers) {
                        this.range.start += bytes.len() as u64;
                        this.state = State::Ready(bytes);
                        continue;
                    }
                    let (file, range) = (this.file.clone(), this.range.clone());
                    let buffers = this.buffers.clone();
                    let reading = spawn_blocking(move || read(&file, &range, &buffers));
                    this.state = State::Reading(reading);
                }
                State::Reading(reading) => {
                    let read = ready!(Pin::new(reading).poll(context));
                    this.state = State::Idle;
                    match read.map_err(io::Error::other).flatten() {
                        Ok(bytes) => {
                            this.range.start += bytes.len() as u64;
                            this.state = State::Ready(bytes);
                        }
                        Err(error) => {
                            this.range.start = this.range.end;
                            tracing::error!(%error, "Failed to read a stored artifact");
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.range.is_empty() && matches!(self.state, State::Idle)
    }

    fn size_hint(&self) -> SizeHint {
        let ready = match &self.state {
            State::Ready(bytes) => bytes.len() as u64,
            State::Idle | State::Reading(_) => 0,
        };
        SizeHint::with_exact(self.range.end - self.range.start + ready)
    }
}

/// The large buffers that are not in use, and how many are.
#[derive(Debug, Default)]
struct Buffers(Mutex<Spare>);

#[derive(Debug, Default)]
struct Spare {
    free: Vec<Box<[u8]>>,
    in_use: usize,
}

impl Buffers {
    /// A buffer for a read of `wanted` bytes; may be shorter.
    fn take(self: &Arc<Self>, wanted: usize) -> Buffer {
        if wanted <= SMALL {
            return Buffer::own(wanted);
        }
        let mut spare = self.lock();
        if spare.in_use == LARGE_BUFFERS {
            return Buffer::own(SMALL);
        }
        spare.in_use += 1;
        let free = spare.free.pop();
        drop(spare);
        let bytes = free.unwrap_or_else(|| vec![0; LARGE].into_boxed_slice());
        Buffer { bytes, length: 0, home: Some(self.clone()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that return to [`Buffers`] when the response no longer needs them.
struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    fn own(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), length: 0, home: None }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut spare = home.lock();
            spare.in_use -= 1;
            spare.free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use pulp_models::store::Verified;

    use super::*;

    async fn store_with(bytes: Vec<u8>) -> (tempfile::TempDir, StoredBytes, Stored) {
        let home = tempfile::tempdir().expect("a folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        let size = bytes.len() as u64;
        let saved = store.save(vec![Verified::from_bytes(bytes.into())]).await.expect("saves");
        (home, StoredBytes::new(store, 2), Stored { sha256: saved[0].sha256, size })
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
    }

    async fn check_ranges(length: usize, ranges: &[Range<usize>]) {
        let bytes = pattern(length);
        let (_home, stored, artifact) = store_with(bytes.clone()).await;
        for range in ranges {
            let part = range.start as u64..range.end as u64;
            let body = stored.open(artifact, part).await.expect("opens");
            assert_eq!(body.size_hint().exact(), Some(range.len() as u64));
            let read = body.collect().await.expect("reads").to_bytes();
            assert_eq!(read, &bytes[range.clone()]);
        }
        assert_eq!(stored.buffers_in_use(), 0);
    }

    #[tokio::test]
    async fn every_range_gets_exactly_its_bytes() {
        let end = 3 * LARGE + 17;
        let middle = [LARGE - 1..LARGE + 1, 5..5, 1..2 * LARGE + 2];
        check_ranges(end, &[&[0..end, 0..1, end - 1..end], &middle[..]].concat()).await;
        check_ranges(SMALL, &[1..7, 0..SMALL, 5..5, SMALL - 1..SMALL]).await;
    }

    #[tokio::test]
    async fn a_small_file_is_read_once() {
        let (_home, stored, artifact) = store_with(pattern(100)).await;
        let read = async || {
            let body = stored.open(artifact, 10..90).await?;
            Ok::<_, StoreError>(body.collect().await.expect("reads").to_bytes())
        };
        let first = read().await.expect("it is there");
        std::fs::remove_file(stored.store.path(&artifact.sha256)).expect("removed");
        assert_eq!(read().await.expect("it was kept"), first);
        for number in 0..4_u8 {
            stored.small.insert(Sha256::of(&[number]), Bytes::new());
        }
        assert!(matches!(read().await, Err(StoreError::Missing(_))), "only so many are kept");
    }

    #[tokio::test]
    async fn readers_beyond_the_limit_get_small_buffers_and_all_bytes() {
        let bytes = pattern(2 * LARGE);
        let (_home, stored, artifact) = store_with(bytes.clone()).await;
        let buffers = &stored.buffers;
        let held: Vec<_> = (0..LARGE_BUFFERS).map(|_| buffers.take(LARGE)).collect();
        assert_eq!(buffers.take(LARGE).bytes.len(), SMALL);
        let body = stored.open(artifact, 0..artifact.size).await.expect("opens");
        assert_eq!(body.collect().await.expect("reads").to_bytes(), bytes);
        drop(held);
        let spare = buffers.lock();
        assert_eq!((spare.in_use, spare.free.len()), (0, LARGE_BUFFERS));
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error_not_an_end() {
        let (_home, stored, artifact) = store_with(pattern(2 * LARGE)).await;
        let body = stored.open(artifact, 0..artifact.size).await.expect("opens");
        let path = stored.store.path(&artifact.sha256);
        let file = File::options().write(true).open(path).expect("opens");
        file.set_len(LARGE as u64 + 1).expect("shortened");
        assert!(body.collect().await.is_err());
        let other = Stored { sha256: Sha256::of(b"other"), ..artifact };
        assert!(matches!(stored.open(other, 0..1).await, Err(StoreError::Missing(_))));
    }
}
