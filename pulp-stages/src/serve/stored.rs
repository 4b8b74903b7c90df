//! Bodies from the artifact store.
//!
//! The first read happens before the response's head is sent: small files are done with it, and a
//! missing file can still be answered properly. Small files that were asked for lately are kept in
//! memory. What the system has in its cache it sends to the client by itself where the connection
//! allows that ([`super::sendfile`]), or it is read without a hop: a hop costs more than to copy
//! what it reads.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
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

use super::{
    buffers::{Buffers, SMALL},
    cache::Cache,
    demand::Stored,
    sendfile::{self, Wish},
};

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

    /// Opens an artifact and reads the beginning of `range`, which lies within its size. The body
    /// uses the lane that `wish` gets, if any.
    pub(super) async fn open(
        &self,
        artifact: Stored,
        range: Range<u64>,
        wish: Wish,
    ) -> Result<ResponseBody, StoreError> {
        if is_small(artifact)
            && let Some(whole) = self.small.get(&artifact.sha256)
        {
            return Ok(part(&whole, &range).into());
        }
        if let Some(body) = self.open_cached(artifact, &range, &wish) {
            return Ok(body);
        }
        let this = self.clone();
        let open = move || this.open_blocking(artifact, range, wish);
        spawn_blocking(open).await.map_err(|_| StoreError::ShuttingDown)?
    }

    /// The same for what the system has in its cache.
    fn open_cached(
        &self,
        artifact: Stored,
        range: &Range<u64>,
        wish: &Wish,
    ) -> Option<ResponseBody> {
        let file = self.store.open_artifact_cached(&artifact.sha256)?;
        if is_small(artifact) {
            let whole = read_cached(&file, &(0..artifact.size), &self.buffers)?;
            return (whole.len() as u64 == artifact.size)
                .then(|| self.small(artifact, &whole, range));
        }
        pread_cached(&file, &mut [0], range.start)?;
        Some(self.large(file, range.clone(), wish.clone()))
    }

    fn open_blocking(
        &self,
        artifact: Stored,
        range: Range<u64>,
        wish: Wish,
    ) -> Result<ResponseBody, StoreError> {
        let (file, _) = self.store.open_artifact_blocking(&artifact.sha256)?;
        let unreadable = |source| {
            let path = self.store.path(&artifact.sha256);
            StoreError::Io { operation: "read", path, source }
        };
        if is_small(artifact) {
            let whole = read(&file, &(0..artifact.size), &self.buffers).map_err(unreadable)?;
            return Ok(self.small(artifact, &whole, &range));
        }
        if !range.is_empty() {
            // Has the system fetch what follows, too.
            file.read_exact_at(&mut [0], range.start).map_err(unreadable)?;
        }
        Ok(self.large(file, range, wish))
    }

    fn small(&self, artifact: Stored, whole: &Bytes, range: &Range<u64>) -> ResponseBody {
        self.small.insert(artifact.sha256, whole.clone());
        part(whole, range).into()
    }

    fn large(&self, file: File, range: Range<u64>, wish: Wish) -> ResponseBody {
        let (file, buffers, state) = (Arc::new(file), self.buffers.clone(), State::Idle);
        ResponseBody::new(StoredBody { file, range, state, buffers, wish })
    }
}

/// Whether it is read whole, and kept in memory.
fn is_small(artifact: Stored) -> bool {
    artifact.size <= SMALL as u64
}

/// A range that lies within the whole.
fn part(whole: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(whole.len());
    whole.slice(at(range.start)..at(range.end))
}

/// Reads once: as much of `range` as a buffer takes, never nothing unless the range is empty.
fn read(file: &File, range: &Range<u64>, buffers: &Arc<Buffers>) -> io::Result<Bytes> {
    let wanted = length(range);
    let mut buffer = buffers.take(wanted);
    let room = buffer.room(wanted);
    file.read_exact_at(room, range.start)?;
    let length = room.len();
    Ok(buffer.filled(length))
}

/// The same without waiting for a disk; `None` if that cannot be.
fn read_cached(file: &File, range: &Range<u64>, buffers: &Arc<Buffers>) -> Option<Bytes> {
    let wanted = length(range);
    let mut buffer = buffers.take(wanted);
    let length = pread_cached(file, buffer.room(wanted), range.start)?;
    Some(buffer.filled(length))
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

/// Whether sending the beginning of `range` will most likely not wait for a disk.
fn is_cached(file: &File, range: &Range<u64>) -> bool {
    let last = range.end.min(range.start + sendfile::LONGEST) - 1;
    [range.start, last].into_iter().all(|at| pread_cached(file, &mut [0], at).is_some())
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
    wish: Wish,
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
                    if let Some(lane) = this.wish.lane()
                        && is_cached(&this.file, &this.range)
                    {
                        let stand_in = lane.stand_in(&this.file, &this.range);
                        this.range.start += stand_in.len() as u64;
                        return Poll::Ready(Some(Ok(Frame::data(stand_in.into()))));
                    }
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

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use pulp_models::store::Verified;

    use super::{super::buffers::LARGE, *};

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
            let body = stored.open(artifact, part, Wish::default()).await.expect("opens");
            assert_eq!(body.size_hint().exact(), Some(range.len() as u64));
            let read = body.collect().await.expect("reads").to_bytes();
            assert_eq!(read, &bytes[range.clone()]);
        }
        assert_eq!(stored.buffers.in_use(), 0);
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
            let body = stored.open(artifact, 10..90, Wish::default()).await?;
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
    async fn a_file_that_became_shorter_is_an_error_not_an_end() {
        let (_home, stored, artifact) = store_with(pattern(2 * LARGE)).await;
        let body = stored.open(artifact, 0..artifact.size, Wish::default()).await.expect("opens");
        let path = stored.store.path(&artifact.sha256);
        let file = File::options().write(true).open(path).expect("opens");
        file.set_len(LARGE as u64 + 1).expect("shortened");
        assert!(body.collect().await.is_err());
        let other = Stored { sha256: Sha256::of(b"other"), ..artifact };
        assert!(matches!(
            stored.open(other, 0..1, Wish::default()).await,
            Err(StoreError::Missing(_))
        ));
    }
}
