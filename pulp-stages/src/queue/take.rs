//! The consumer's side of a queue: units leave one by one or in batches.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{MutexGuard, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::{Coming, Parked, Queue, State};
use crate::{budget::Budget, content::Content, declarative::DeclarativeContent, scope::Scope};

/// A consumer that wants units one by one wakes producers after this many.
const STEP: usize = 64;

/// An urgent batch waits no longer than this for the next unit, whatever is busy further up: that
/// may be a stage which blocks its thread until this very batch is through.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// What a batch that is not full may hope for.
#[derive(Clone, Copy, PartialEq)]
enum Hope {
    /// Nothing: it leaves.
    None,
    /// Something may come before the next turn of the scheduler.
    NextTurn,
    /// Something may come, and then the consumer will be woken.
    Patient,
}

/// A batch that the consumer is collecting.
pub(crate) struct Collecting<C: Content> {
    /// Units that had to leave the queue to make room, since it is smaller than a batch.
    pub(crate) units: Vec<DeclarativeContent<C>>,
    /// How many units had ever come when an urgent batch was last looked at.
    come: Option<u64>,
    /// Ends the waiting for those that are busy.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<C: Content> Default for Collecting<C> {
    fn default() -> Self {
        Self { units: Vec::new(), come: None, patience: None }
    }
}

impl<C: Content> Queue<C> {
    /// Everything there is, for a consumer that looks at it one by one; `None` at the end. The units
    /// still take up room; see [`make_room`](Self::make_room).
    pub(crate) fn poll_chunk(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Option<VecDeque<DeclarativeContent<C>>>> {
        let mut state = self.lock();
        if !state.units.is_empty() {
            let chunk = std::mem::take(&mut state.units);
            self.held.store(chunk.len(), Ordering::Relaxed);
            state.take(chunk.len());
            return Poll::Ready(Some(chunk));
        }
        if state.ended {
            state.finish();
            return Poll::Ready(None);
        }
        state.park(cx, 1);
        Poll::Pending
    }

    /// The consumer has only `held` units left to look at. Producers are woken every [`STEP`] units
    /// and after the last one: a lock and a wake-up for each would cost more than the unit.
    pub(crate) fn make_room(&self, held: usize) {
        self.held.store(held, Ordering::Relaxed);
        if held.is_multiple_of(STEP) {
            let producers = std::mem::take(&mut self.lock().producers);
            producers.into_iter().for_each(Waker::wake);
        }
    }

    /// The next batch of at least `min` units, or fewer at the end or if it is urgent.
    pub(crate) fn poll_batch(
        &self,
        min: usize,
        collecting: &mut Collecting<C>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Vec<DeclarativeContent<C>>>> {
        let mut state = self.lock();
        let total = collecting.units.len() + state.units.len();
        if total == 0 && state.ended {
            state.finish();
            return Poll::Ready(None);
        }
        if total < min.max(1) && !state.ended {
            let urgent = total > 0 && state.is_urgent();
            let hope = if urgent { self.hope(&state, collecting, cx) } else { Hope::Patient };
            if hope != Hope::None {
                return self.collect_on(state, min, collecting, hope, cx);
            }
        }
        (collecting.come, collecting.patience) = (None, None);
        let units = std::mem::take(&mut state.units);
        let batch = if collecting.units.is_empty() {
            Vec::from(units)
        } else {
            collecting.units.extend(units);
            std::mem::take(&mut collecting.units)
        };
        state.flow.batch(batch.len() as u64);
        let handles = state.coming.handles;
        state.take(batch.len());
        let producers = std::mem::take(&mut state.producers);
        drop(state);
        producers.into_iter().for_each(Waker::wake);
        if handles {
            for unit in &batch {
                unit.promise.leave();
            }
        }
        Poll::Ready(Some(batch))
    }

    /// What company an urgent batch may hope for.
    fn hope(&self, state: &State<C>, collecting: &mut Collecting<C>, cx: &mut Context<'_>) -> Hope {
        if collecting.come != Some(state.flow.put) {
            (collecting.come, collecting.patience) = (Some(state.flow.put), None);
            return Hope::NextTurn;
        }
        let fed = self.to.as_ref().is_some_and(Scope::is_fed);
        if !fed && state.blocked == 0 {
            return Hope::None;
        }
        let patience = collecting.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        if patience.as_mut().poll(cx).is_ready() {
            return Hope::None;
        }
        let missed = self.to.as_ref().is_some_and(|to| to.wake_when_fed(cx.waker(), fed));
        if missed { Hope::NextTurn } else { Hope::Patient }
    }

    /// Waits for more units, and makes room for them.
    fn collect_on(
        &self,
        mut state: MutexGuard<'_, State<C>>,
        min: usize,
        collecting: &mut Collecting<C>,
        hope: Hope,
        cx: &Context<'_>,
    ) -> Poll<Option<Vec<DeclarativeContent<C>>>> {
        let mut producers = Vec::new();
        if state.units.len() >= self.capacity {
            // The queue is smaller than a batch.
            let units = std::mem::take(&mut state.units);
            collecting.units.extend(units);
            producers = std::mem::take(&mut state.producers);
        }
        let wanted = (min - collecting.units.len()).min(self.capacity);
        state.park(cx, wanted);
        drop(state);
        producers.into_iter().for_each(Waker::wake);
        if hope == Hope::NextTurn {
            // Behind every task that can run now, the producers woken above among them.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The consumer no longer asks.
    pub(crate) fn stop_waiting(&self) {
        self.lock().wait_no_more();
    }
}

impl<C: Content> State<C> {
    fn is_urgent(&self) -> bool {
        self.coming.thawed || self.coming.budgets.iter().any(Budget::is_blocked)
    }

    fn park(&mut self, cx: &Context<'_>, wanted: usize) {
        self.consumer = Some(Parked { waker: cx.waker().clone(), wanted });
        self.waiting.get_or_insert_with(Instant::now);
    }

    fn take(&mut self, count: usize) {
        self.flow.taken += count as u64;
        self.coming = Coming::default();
        self.consumer = None;
        self.wait_no_more();
    }

    fn finish(&mut self) {
        self.finished = true;
        self.wait_no_more();
    }
}
