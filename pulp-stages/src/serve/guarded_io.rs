//! A connection that cannot be held open for nothing.
//!
//! Wraps a client's socket below TLS and HTTP. Two limits: the first bytes must arrive in time (the
//! HTTP library waits for them without limit, to tell the protocol), and while a client is sent
//! something it must take it at a minimum average rate. Time in which nothing is to be sent does not
//! count, so slow fills harm nobody; waiting for the next request is limited in [`super::server`].

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{metrics::Traffic, pace::Pace};

/// As many bytes as the HTTP library needs to tell HTTP/2 (RFC 9113 §3.4) from HTTP/1.
const PREFACE: usize = 24;

/// How slow a client may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the first bytes of a connection.
    pub(super) opening: Duration,
    /// Time spent waiting for the client after which its rate is judged.
    pub(super) window: Duration,
    /// Bytes that a client must take in each window.
    pub(super) minimum: u64,
}

/// A socket under [`Patience`].
#[derive(Debug)]
pub(super) struct GuardedIo<S> {
    socket: S,
    traffic: Arc<Traffic>,
    /// Bytes read, up to [`PREFACE`].
    read: usize,
    opening: Pin<Box<Sleep>>,
    pace: Pace,
}

impl<S> GuardedIo<S> {
    /// Guards `socket`; what goes through it is counted in `traffic`.
    pub(super) fn new(socket: S, patience: Patience, traffic: Arc<Traffic>) -> Self {
        let opening = Box::pin(sleep_until(Instant::now() + patience.opening));
        let pace = Pace::new(patience.window, patience.minimum);
        Self { socket, traffic, read: 0, opening, pace }
    }

    /// Judges the outcome of an attempt to write.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        attempt: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = attempt {
            let taken = outcome.as_ref().map_or(0, |taken| *taken as u64);
            self.pace.moved(taken);
            self.traffic.sent.add(taken);
            return Poll::Ready(outcome);
        }
        let too_slow = |()| Err(too_slow("The client takes too little"));
        self.pace.poll_too_slow(context).map(too_slow)
    }
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.traffic.received.add((buffer.filled().len() - before) as u64);
        if self.read >= PREFACE {
            return outcome;
        }
        match outcome {
            Poll::Ready(outcome) => {
                self.read += buffer.filled().len() - before;
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                ready!(self.opening.as_mut().poll(context));
                Poll::Ready(Err(too_slow("The client says nothing")))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.judge(context, attempt)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.judge(context, attempt)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PATIENCE: Patience = Patience {
        opening: Duration::from_secs(10),
        window: Duration::from_secs(60),
        minimum: 1000,
    };

    fn guarded<S>(socket: S) -> GuardedIo<S> {
        GuardedIo::new(socket, PATIENCE, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_cut() {
        let (socket, mut client) = duplex(64);
        let mut guarded = guarded(socket);
        client.write_all(b"PRI").await.expect("room");
        let begin = Instant::now();
        let error = guarded.read_exact(&mut [0; PREFACE]).await.expect_err("never comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_first_bytes_reading_has_no_limit() {
        let (socket, mut client) = duplex(64);
        let mut guarded = guarded(socket);
        client.write_all(&[0; PREFACE]).await.expect("room");
        guarded.read_exact(&mut [0; PREFACE]).await.expect("there");
        let read = guarded.read_u8();
        let hour = tokio::time::timeout(Duration::from_secs(3600), read);
        assert!(hour.await.is_err(), "still waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_after_one_window() {
        let (socket, _client) = duplex(100);
        let mut guarded = guarded(socket);
        let begin = Instant::now();
        let error = guarded.write_all(&[0; 5000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_makes_progress_is_served_to_the_end() {
        let (socket, mut client) = duplex(100);
        let mut guarded = guarded(socket);
        let reader = tokio::spawn(async move {
            let mut total = 0;
            let mut buffer = [0; 100];
            while total < 20_000 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                total += client.read(&mut buffer).await.expect("open");
            }
        });
        guarded.write_all(&vec![0; 20_000]).await.expect("20 bytes per second are enough");
        drop(guarded);
        reader.await.expect("joined");
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_anything_to_send_does_not_count() {
        let (socket, mut client) = duplex(100);
        let mut guarded = guarded(socket);
        for _ in 0..5 {
            guarded.write_all(&[0; 10]).await.expect("room");
            tokio::time::sleep(Duration::from_secs(600)).await;
            client.read_exact(&mut [0; 10]).await.expect("there");
        }
    }
}
