//! The consumer's side of a queue: units leave one by one or in batches.

use std::{
    collections::VecDeque,
    sync::{MutexGuard, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{Coming, Parked, Queue, State};
use crate::{budget::Budget, content::Content, declarative::DeclarativeContent, scope::Scope};

/// A consumer that wants units one by one wakes producers after this many.
const STEP: usize = 64;

/// So many turns of the scheduler without a new unit are enough in any case. A turn takes about a
/// microsecond when there is nothing else to do.
pub(super) const PATIENCE: u32 = 64;

/// A batch that the consumer is collecting.
pub(crate) struct Collecting<C: Content> {
    /// Units that had to leave the queue to make room, since it is smaller than a batch.
    pub(crate) units: Vec<DeclarativeContent<C>>,
    /// How many units had ever come when the batch became urgent, or last when one came.
    come: Option<u64>,
    /// Turns of the scheduler since then.
    turns: u32,
}

impl<C: Content> Default for Collecting<C> {
    fn default() -> Self {
        Self { units: Vec::new(), come: None, turns: 0 }
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
        cx: &Context<'_>,
    ) -> Poll<Option<Vec<DeclarativeContent<C>>>> {
        let mut state = self.lock();
        let total = collecting.units.len() + state.units.len();
        if total == 0 && state.ended {
            state.finish();
            return Poll::Ready(None);
        }
        if total < min.max(1) && !state.ended {
            let urgent = total > 0 && state.is_urgent();
            if !(urgent && self.is_starved(&state, collecting)) {
                return self.collect_on(state, min, urgent, collecting, cx);
            }
        }
        (collecting.come, collecting.turns) = (None, 0);
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

    /// Whether an urgent batch has no reason to hope for company any more.
    fn is_starved(&self, state: &State<C>, collecting: &mut Collecting<C>) -> bool {
        if collecting.come == Some(state.flow.put) {
            collecting.turns += 1;
        } else {
            (collecting.come, collecting.turns) = (Some(state.flow.put), 0);
        }
        let busy = state.blocked > 0 || self.to.as_ref().is_some_and(Scope::is_fed);
        collecting.turns >= if busy { PATIENCE } else { 1 }
    }

    /// Waits for more units: for one turn of the scheduler if the batch is urgent, else for as long
    /// as it takes.
    fn collect_on(
        &self,
        mut state: MutexGuard<'_, State<C>>,
        min: usize,
        urgent: bool,
        collecting: &mut Collecting<C>,
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
        if urgent {
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
