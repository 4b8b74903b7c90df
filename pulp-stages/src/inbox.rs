//! Where a stage takes its units from: one by one, or in batches.
//!
//! An [`Inbox`] is the taking end of the queue between two stages. It decides when a batch is
//! ready; what a batch is good for, it does not know.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use tokio::{task::coop, time::timeout};

use crate::{
    content::Content,
    declarative::DeclarativeContent,
    queue::{Collecting, Queue},
    scope::Scope,
};

/// A stage's input. Dropping it before its end was seen makes the run fail.
pub struct Inbox<C: Content> {
    queue: Arc<Queue<C>>,
    scope: Scope,
}

impl<C: Content> Inbox<C> {
    /// The size of batches that suits the database.
    pub const BATCH: usize = 500;

    pub(crate) const fn new(queue: Arc<Queue<C>>, scope: Scope) -> Self {
        Self { queue, scope }
    }

    /// Unit after unit, in order.
    pub fn items(self) -> Items<C> {
        Items { chunk: VecDeque::new(), inbox: self }
    }

    /// Batch after batch, in order, none of them empty: everything that is there without waiting,
    /// and at least `min` units ([`BATCH`](Self::BATCH) is the usual choice; a batch may be larger,
    /// by at most the queue's capacity).
    ///
    /// A batch is smaller only
    /// - at the end of the input,
    /// - when a unit in it is being awaited and nothing more is coming in,
    /// - when a unit in it holds a permit of a [`Budget`](crate::budget::Budget) that somebody
    ///   waits for, and nothing more is coming in.
    ///
    /// "Nothing more is coming in" means that every other task that could run had its turn.
    pub fn batches(self, min: usize) -> Batches<C> {
        Batches { collecting: Collecting::default(), min, hurried: false, inbox: self }
    }

    /// The stage's place in its run: for tasks and blocking work of its own.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl<C: Content> Drop for Inbox<C> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// Units one by one; see [`Inbox::items`].
pub struct Items<C: Content> {
    chunk: VecDeque<DeclarativeContent<C>>,
    inbox: Inbox<C>,
}

impl<C: Content> Items<C> {
    /// The next unit; `None` at the end of the input. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<DeclarativeContent<C>> {
        Next { source: self, asked: false }.await
    }

    /// See [`Inbox::scope`].
    pub const fn scope(&self) -> &Scope {
        &self.inbox.scope
    }
}

/// Units in batches; see [`Inbox::batches`].
pub struct Batches<C: Content> {
    collecting: Collecting<C>,
    min: usize,
    /// The next batch leaves with whatever there is.
    hurried: bool,
    inbox: Inbox<C>,
}

impl<C: Content> Batches<C> {
    /// The next batch; `None` at the end of the input. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Vec<DeclarativeContent<C>>> {
        Next { source: self, asked: false }.await
    }

    /// The next batch, as by [`next`](Self::next), but after `patience` without one the units that
    /// are there are enough, or else the first that comes.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Vec<DeclarativeContent<C>>> {
        if let Ok(batch) = timeout(patience, self.next()).await {
            return batch;
        }
        self.hurried = true;
        self.next().await
    }

    /// See [`Inbox::scope`].
    pub const fn scope(&self) -> &Scope {
        &self.inbox.scope
    }
}

impl<C: Content> Stream for Items<C> {
    type Item = DeclarativeContent<C>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_source(cx)
    }
}

impl<C: Content> Stream for Batches<C> {
    type Item = Vec<DeclarativeContent<C>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_source(cx)
    }
}

/// What [`Next`] asks.
trait Source: Unpin {
    type Output;
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::Output>>;
    fn stop_waiting(&self);
}

impl<C: Content> Source for Items<C> {
    type Output = DeclarativeContent<C>;

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::Output>> {
        if self.chunk.is_empty() {
            let coop = ready!(coop::poll_proceed(cx));
            let Some(chunk) = ready!(self.inbox.queue.poll_chunk(cx)) else {
                return Poll::Ready(None);
            };
            coop.made_progress();
            self.chunk = chunk;
        }
        let unit = self.chunk.pop_front();
        self.inbox.queue.make_room(self.chunk.len());
        if let Some(unit) = &unit {
            unit.promise.leave();
        }
        Poll::Ready(unit)
    }

    fn stop_waiting(&self) {
        self.inbox.queue.stop_waiting();
    }
}

impl<C: Content> Source for Batches<C> {
    type Output = Vec<DeclarativeContent<C>>;

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::Output>> {
        let coop = ready!(coop::poll_proceed(cx));
        let min = if self.hurried { 1 } else { self.min };
        let polled = self.inbox.queue.poll_batch(min, &mut self.collecting, cx);
        if polled.is_ready() {
            self.hurried = false;
            coop.made_progress();
        }
        polled
    }

    fn stop_waiting(&self) {
        self.inbox.queue.stop_waiting();
    }
}

/// The future of the next unit or batch.
struct Next<'a, S: Source> {
    source: &'a mut S,
    /// Asked in vain so far.
    asked: bool,
}

impl<S: Source> Future for Next<'_, S> {
    type Output = Option<S::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.source.poll_source(cx);
        self.asked = polled.is_pending();
        polled
    }
}

impl<S: Source> Drop for Next<'_, S> {
    fn drop(&mut self) {
        // A stage that waits for something else from now on does not wait for its input.
        if self.asked {
            self.source.stop_waiting();
        }
    }
}
