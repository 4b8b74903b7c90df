//! How fast a client is while the server waits for it.
//!
//! Used below HTTP for what a client takes ([`super::guarded_io`]) and above it for what a client
//! sends ([`super::guarded_body`]). Time in which nobody waits for the client does not count.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Judges one direction of one client.
#[derive(Debug)]
pub(super) struct Pace {
    /// Time spent waiting after which the rate is judged.
    window: Duration,
    /// Bytes that the client must move in each window.
    minimum: u64,
    /// Bytes it moved in this window.
    moved: u64,
    /// Time spent waiting in this window, the present wait excluded.
    waited: Duration,
    /// The present wait: when it began, and when the window's time is up.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub(super) fn new(window: Duration, minimum: u64) -> Self {
        Self { window, minimum, moved: 0, waited: Duration::ZERO, waiting: None }
    }

    /// The client moved so many bytes, or the connection ended.
    pub(super) fn moved(&mut self, bytes: u64) {
        if let Some((begin, _)) = self.waiting.take() {
            self.waited += begin.elapsed();
        }
        self.moved += bytes;
    }

    /// The client is waited for; ready once it is too slow.
    pub(super) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let (_, end) = self.waiting.get_or_insert_with(|| {
                let now = Instant::now();
                let rest = self.window.saturating_sub(self.waited);
                (now, Box::pin(sleep_until(now + rest)))
            });
            ready!(end.as_mut().poll(context));
            if self.moved < self.minimum {
                return Poll::Ready(());
            }
            (self.moved, self.waited, self.waiting) = (0, Duration::ZERO, None);
        }
    }
}
