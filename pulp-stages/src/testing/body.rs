//! A response body that follows a script: how fast, and how it ends.

use std::{
    collections::VecDeque,
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// What follows the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// A proper end.
    Proper,
    /// The connection is cut.
    Cut,
    /// Silence.
    Stall,
    /// Zeros, for ever.
    Endless,
}

/// Yields `chunks`, then `ending`; each byte is counted in `sent` when the server takes it.
pub(super) struct ScriptedBody {
    chunks: VecDeque<Bytes>,
    ending: Ending,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Polls left before a cut, so that the server has flushed what it took.
    grace: u8,
    sent: Arc<AtomicU64>,
}

const ZEROS: &[u8] = &[0; 16 * 1024];

impl ScriptedBody {
    /// The body as one chunk.
    pub(super) fn new(bytes: Bytes, ending: Ending, sent: Arc<AtomicU64>) -> Self {
        let chunks = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) };
        Self { chunks, ending, pause: None, grace: 8, sent }
    }

    /// `size` bytes at a time, with `pause` before every chunk but the first.
    pub(super) fn drip(mut self, size: usize, pause: Duration) -> Self {
        let whole: Vec<Bytes> = self.chunks.drain(..).collect();
        for mut bytes in whole {
            while bytes.len() > size {
                self.chunks.push_back(bytes.split_to(size));
            }
            self.chunks.push_back(bytes);
        }
        self.pause = Some((pause, Box::pin(tokio::time::sleep(Duration::ZERO))));
        self
    }

    fn count(&self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some((pause, sleep)) = &mut self.pause {
            ready!(sleep.as_mut().poll(cx));
            let next = tokio::time::Instant::now() + *pause;
            sleep.as_mut().reset(next);
        }
        if let Some(bytes) = self.chunks.pop_front() {
            return self.count(bytes);
        }
        match self.ending {
            Ending::Proper => Poll::Ready(None),
            Ending::Stall => Poll::Pending,
            Ending::Endless => self.count(Bytes::from_static(ZEROS)),
            Ending::Cut if self.grace == 0 => {
                Poll::Ready(Some(Err(io::Error::other("cut by the script"))))
            }
            Ending::Cut => {
                self.grace -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty() && self.ending == Ending::Proper
    }

    fn size_hint(&self) -> SizeHint {
        match self.ending {
            Ending::Proper => {
                SizeHint::with_exact(self.chunks.iter().map(|bytes| bytes.len() as u64).sum())
            }
            _ => SizeHint::default(),
        }
    }
}
