//! Where a stage puts its units: into the bounded queue before the next stage.
//!
//! Backpressure is all it knows: a put waits while the queue is full. The *end* is no business of
//! an outbox: the next stage's input ends when this stage returned `Ok`, not when its outbox is
//! dropped, so that a failure never looks like an end.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;

use crate::{
    content::Content,
    declarative::DeclarativeContent,
    queue::{Put, Queue},
    resolution::Resolution,
    scope::Scope,
    stage::StageError,
};

/// A stage's output. Clones put into the same queue, e.g. from a stage's children.
pub struct Outbox<C: Content> {
    queue: Arc<Queue<C>>,
    scope: Scope,
}

/// The next stage no longer takes units. Its own end is what the run reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Stage `{stage}` no longer takes units")]
pub struct Closed {
    pub(crate) stage: &'static str,
}

impl<C: Content> Clone for Outbox<C> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue), scope: self.scope.clone() }
    }
}

impl<C: Content> Outbox<C> {
    /// Units that a parser is asked for at once.
    const CHUNK: usize = 1000;

    pub(crate) const fn new(queue: Arc<Queue<C>>, scope: Scope) -> Self {
        Self { queue, scope }
    }

    /// Passes `unit` on, waiting for room. If the future is dropped first, so is the unit.
    pub async fn put(&self, unit: DeclarativeContent<C>) -> Result<(), Closed> {
        Putting { queue: &self.queue, units: Some(unit), since: None }.await
    }

    /// Passes all of `units` on in order, waiting for room; whole if there is enough, so that a
    /// batch stays one. If the future is dropped first, what was not passed on is dropped too.
    pub async fn put_all(&self, units: Vec<DeclarativeContent<C>>) -> Result<(), Closed> {
        Putting { queue: &self.queue, units: VecDeque::from(units), since: None }.await
    }

    /// Passes `unit` on and gives a handle to what becomes of it.
    pub async fn put_awaitable(
        &self,
        mut unit: DeclarativeContent<C>,
    ) -> Result<Resolution<C>, Closed> {
        let resolution = unit.resolution();
        self.put(unit).await?;
        Ok(resolution)
    }

    /// Passes on what a parser yields, to its end or its first error. It runs on the blocking pool
    /// and is asked for a thousand units at a time, so neither does it keep a worker thread nor is
    /// all that upstream has in memory.
    pub async fn put_parsed<E>(
        &self,
        units: impl Iterator<Item = Result<DeclarativeContent<C>, E>> + Send + 'static,
    ) -> Result<(), StageError>
    where
        E: Into<StageError> + Send + 'static,
    {
        let output = self.clone();
        let mut units = units;
        let work = self.scope.spawn_blocking(move || {
            loop {
                let chunk = units.by_ref().take(Self::CHUNK);
                let chunk: Vec<_> = chunk.collect::<Result<_, E>>().map_err(Into::into)?;
                if chunk.is_empty() {
                    return Ok(());
                }
                output.blocking_put_all(chunk)?;
            }
        });
        work.await?
    }

    /// As [`put_all`](Self::put_all), for work on the blocking pool (a parser). It must not be
    /// called from async code. It returns with an error when the run is over.
    pub fn blocking_put_all(&self, units: Vec<DeclarativeContent<C>>) -> Result<(), Closed> {
        futures::executor::block_on(self.put_all(units))
    }

    /// The stage's place in its run: for tasks and blocking work of its own.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The future of a put: one unit, or many as there is room.
struct Putting<'a, C: Content, P> {
    queue: &'a Queue<C>,
    units: P,
    since: Option<Instant>,
}

impl<C: Content, P: Put<C> + Unpin> Future for Putting<'_, C, P> {
    type Output = Result<(), Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.queue.poll_put(&mut this.units, &mut this.since, cx)
    }
}

impl<C: Content, P> Drop for Putting<'_, C, P> {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            self.queue.was_blocked(since);
        }
    }
}
