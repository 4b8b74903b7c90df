//! Bodies from the artifact store.
//!
//! The first read happens before the response's head is sent, in the same hop to the blocking pool
//! that opens the file: small files are done with it, and a missing file can still be answered
//! properly. Large buffers are shared and limited in number, so that many slow clients do not take
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

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pulp_models::{
    Sha256,
    store::{ArtifactStore, StoreError},
};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes per read while there are large buffers left.
const LARGE: usize = 256 * 1024;
/// Bytes per read of everybody else.
const SMALL: usize = 16 * 1024;
/// Large buffers in use at once: 64 MiB.
const LARGE_BUFFERS: usize = 256;

/// Opens an artifact and reads the beginning of `range`, which lies within its size.
pub(super) async fn open(
    store: &ArtifactStore,
    buffers: &Arc<Buffers>,
    sha256: Sha256,
    range: Range<u64>,
) -> Result<StoredBody, StoreError> {
    let (store, buffers) = (store.clone(), buffers.clone());
    let opened = spawn_blocking(move || {
        let (file, _) = store.open_artifact_blocking(&sha256)?;
        let mut body = StoredBody { file: Arc::new(file), range, state: State::Idle, buffers };
        let first = read(&body.file, &body.range, &body.buffers).map_err(|source| {
            StoreError::Io { operation: "read", path: store.path(&sha256), source }
        })?;
        body.range.start += first.len() as u64;
        body.state = State::Ready(first);
        Ok(body)
    });
    opened.await.map_err(|_| StoreError::ShuttingDown)?
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

/// A range of an artifact as a response's body. An error in the middle of it cuts the connection.
#[derive(Debug)]
pub(super) struct StoredBody {
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

impl StoredBody {
    pub(super) fn into_response_body(self) -> axum::body::Body {
        axum::body::Body::new(self)
    }
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
pub(super) struct Buffers(Mutex<Spare>);

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

    /// Large buffers that responses hold.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.lock().in_use
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
    use http_body_util::BodyExt as _;
    use pulp_models::store::Verified;

    use super::*;

    async fn store_with(bytes: Vec<u8>) -> (tempfile::TempDir, ArtifactStore, Sha256) {
        let home = tempfile::tempdir().expect("a folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        let saved = store.save(vec![Verified::from_bytes(bytes.into())]).await.expect("saves");
        (home, store, saved[0].sha256)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
    }

    #[tokio::test]
    async fn every_range_gets_exactly_its_bytes() {
        let bytes = pattern(3 * LARGE + 17);
        let (_home, store, sha256) = store_with(bytes.clone()).await;
        let buffers = Arc::new(Buffers::default());
        let end = bytes.len();
        for range in [0..end, 0..1, end - 1..end, LARGE - 1..LARGE + 1, 5..5, 1..2 * LARGE + 2] {
            let part = range.start as u64..range.end as u64;
            let body = open(&store, &buffers, sha256, part).await.expect("opens");
            assert_eq!(body.size_hint().exact(), Some(range.len() as u64));
            let read = body.collect().await.expect("reads").to_bytes();
            assert_eq!(read, &bytes[range]);
        }
        assert_eq!(buffers.lock().in_use, 0);
    }

    #[tokio::test]
    async fn readers_beyond_the_limit_get_small_buffers_and_all_bytes() {
        let bytes = pattern(2 * LARGE);
        let (_home, store, sha256) = store_with(bytes.clone()).await;
        let buffers = Arc::new(Buffers::default());
        let held: Vec<_> = (0..LARGE_BUFFERS).map(|_| buffers.take(LARGE)).collect();
        assert_eq!(buffers.take(LARGE).bytes.len(), SMALL);
        let whole = 0..bytes.len() as u64;
        let body = open(&store, &buffers, sha256, whole).await.expect("opens");
        assert_eq!(body.collect().await.expect("reads").to_bytes(), bytes);
        drop(held);
        let spare = buffers.lock();
        assert_eq!((spare.in_use, spare.free.len()), (0, LARGE_BUFFERS));
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error_not_an_end() {
        let (_home, store, sha256) = store_with(pattern(2 * LARGE)).await;
        let buffers = Arc::new(Buffers::default());
        let body = open(&store, &buffers, sha256, 0..2 * LARGE as u64).await.expect("opens");
        let file = File::options().write(true).open(store.path(&sha256)).expect("opens");
        file.set_len(LARGE as u64 + 1).expect("shortened");
        assert!(body.collect().await.is_err());
        let missing = open(&store, &buffers, Sha256::of(b"other"), 0..1).await;
        assert!(matches!(missing, Err(StoreError::Missing(_))));
    }
}
