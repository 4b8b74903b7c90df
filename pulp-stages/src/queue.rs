//! The bounded queue between two stages: what [`Inbox`](crate::inbox::Inbox) and
//! [`Outbox`](crate::outbox::Outbox) have in common.
//!
//! It is one mutex around a ring buffer, and three things that a channel cannot do: whole batches
//! enter and leave without their units being touched; a consumer sleeps until as many units are
//! there as it asked for; and a unit that waits here can be found by whoever awaits it.
//!
//! A batch leaves before it is full if it is *urgent* (a unit in it is awaited, or holds a permit
//! of a budget that somebody waits for) and *starved*: a whole turn of the scheduler, in which every
//! stage that could run did, brought nothing new. While a stage further up is running on another
//! thread, or a put waits for room, one turn proves nothing, and it takes [`PATIENCE`]. Without the
//! second condition, awaiting many units at once would turn every batch into single units.
//!
//! Locks: this one before a unit's ([`resolution`](crate::resolution)) and before a budget's. No
//! unit is dropped under it, since its `Drop` is the plugin's.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use crate::{
    budget::{Bell, Budget},
    content::Content,
    declarative::DeclarativeContent,
    outbox::Closed,
    profile::Flow,
    scope::Scope,
};

/// A consumer that wants units one by one gives room back after this many.
const STEP: usize = 64;

/// So many turns of the scheduler without a new unit are enough in any case. A turn takes about a
/// microsecond when there is nothing else to do.
const PATIENCE: u32 = 64;

pub(crate) struct Queue<C: Content> {
    state: Mutex<State<C>>,
    capacity: usize,
    /// The stage that takes; `None` after the last one, where units end.
    to: Option<Scope>,
    me: Weak<Self>,
}

struct State<C: Content> {
    units: VecDeque<DeclarativeContent<C>>,
    /// Units that a consumer has taken at once but looks at one by one: they still take up room.
    held: usize,
    /// The producer is done: no more units come.
    ended: bool,
    /// The consumer was told so.
    finished: bool,
    /// The consumer is gone: nobody takes units any more.
    abandoned: bool,
    coming: Coming,
    consumer: Option<Parked>,
    producers: Vec<Waker>,
    /// How many puts wait for room.
    blocked: usize,
    flow: Flow,
    /// Since when the consumer waits.
    waiting: Option<Instant>,
}

/// What is to be known of the batch to come.
#[derive(Default)]
struct Coming {
    /// A unit of it is or was awaited.
    thawed: bool,
    /// A unit of it has handles.
    handles: bool,
    /// Whose permits it holds.
    budgets: Vec<Budget>,
}

/// A consumer that sleeps until so many units are here.
struct Parked {
    waker: Waker,
    wanted: usize,
}

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
    pub(crate) fn new(capacity: usize, to: Option<Scope>) -> Arc<Self> {
        let state = State {
            units: VecDeque::new(),
            held: 0,
            ended: false,
            finished: false,
            abandoned: false,
            coming: Coming::default(),
            consumer: None,
            producers: Vec::new(),
            blocked: 0,
            flow: Flow::default(),
            waiting: None,
        };
        let capacity = capacity.max(1);
        Arc::new_cyclic(|me| Self { state: Mutex::new(state), capacity, to, me: Weak::clone(me) })
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more units will come: the producer returned `Ok`.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let consumer = state.consumer.take();
        drop(state);
        wake(consumer);
    }

    /// Nobody will take units any more. Those that wait are dropped.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.consumer = None;
        let units = std::mem::take(&mut state.units);
        let producers = std::mem::take(&mut state.producers);
        drop(state);
        drop(units);
        producers.into_iter().for_each(Waker::wake);
    }

    /// Whether the consumer saw the end.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    pub(crate) fn flow(&self) -> Flow {
        let state = self.lock();
        let mut flow = state.flow.clone();
        flow.waited += state.waiting.map(|since| since.elapsed()).unwrap_or_default();
        flow
    }

    /// The stage that takes.
    pub(crate) const fn consumer(&self) -> Option<&Scope> {
        self.to.as_ref()
    }

    /// A unit that waits here is awaited from now on.
    pub(crate) fn thaw(&self) {
        let mut state = self.lock();
        state.coming.thawed = true;
        let consumer = state.consumer.take();
        drop(state);
        wake(consumer);
    }

    // The producer's side.

    /// Puts as many of `units` as there is room for; ready when none is left. Whoever finds `since`
    /// set in the end tells [`was_blocked`](Self::was_blocked).
    pub(crate) fn poll_put<P: Put<C>>(
        &self,
        units: &mut P,
        since: &mut Option<Instant>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        let count = units.count();
        let Some(to) = &self.to else {
            self.lock().flow.put += count as u64;
            units.discard();
            return Poll::Ready(Ok(()));
        };
        let mut state = self.lock();
        if state.abandoned || state.ended {
            return Poll::Ready(Err(Closed { stage: to.stage() }));
        }
        let fitting = count.min(self.capacity.saturating_sub(state.units.len() + state.held));
        let mut urgent = false;
        units.each(fitting, |unit| urgent |= state.enter(unit, &self.me));
        units.give(fitting, &mut state.units);
        state.flow.put += fitting as u64;
        state.flow.deepest = state.flow.deepest.max(state.units.len() + state.held);
        let consumer = state.consumer_if_ready(urgent);
        if fitting < count {
            state.enlist(cx.waker());
            if since.is_none() {
                *since = Some(Instant::now());
                state.blocked += 1;
                units.each(usize::MAX, |unit| unit.promise.put());
            }
        }
        drop(state);
        wake(consumer);
        if fitting < count { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// A put that had to wait for room is over.
    pub(crate) fn was_blocked(&self, since: Instant) {
        let mut state = self.lock();
        state.flow.blocked += since.elapsed();
        state.blocked -= 1;
    }

    // The consumer's side.

    /// Everything there is, for a consumer that looks at it one by one; `None` at the end. The units
    /// still take up room; see [`make_room`](Self::make_room).
    pub(crate) fn poll_chunk(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Option<VecDeque<DeclarativeContent<C>>>> {
        let mut state = self.lock();
        if !state.units.is_empty() {
            let chunk = std::mem::take(&mut state.units);
            state.held = chunk.len();
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

    /// The consumer has only `held` units left to look at. Told every [`STEP`] units and after the
    /// last one: a lock and a wake-up for each would cost more than the unit.
    pub(crate) fn make_room(&self, held: usize) {
        if held.is_multiple_of(STEP) {
            let mut state = self.lock();
            state.held = held;
            let producers = std::mem::take(&mut state.producers);
            drop(state);
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

impl<C: Content> Bell for Queue<C> {
    fn ring(&self) {
        let consumer = self.lock().consumer.take();
        wake(consumer);
    }
}

impl<C: Content> State<C> {
    /// Notes a unit on its way in; says whether it makes its batch urgent.
    fn enter(&mut self, unit: &DeclarativeContent<C>, me: &Weak<Queue<C>>) -> bool {
        let mut urgent = false;
        if unit.promise.has_handles() {
            self.coming.handles = true;
            let awaited = unit.promise.enter(me);
            self.coming.thawed |= awaited;
            urgent |= awaited;
        }
        if let Some(permit) = unit.permit() {
            let budget = permit.budget();
            if !self.coming.budgets.iter().any(|known| known.is(budget)) {
                let bell: Weak<dyn Bell> = Weak::<Queue<C>>::clone(me);
                budget.watch(&bell);
                self.coming.budgets.push(budget.clone());
            }
            urgent |= budget.is_blocked();
        }
        urgent
    }

    fn is_urgent(&self) -> bool {
        self.coming.thawed || self.coming.budgets.iter().any(Budget::is_blocked)
    }

    fn consumer_if_ready(&mut self, urgent: bool) -> Option<Parked> {
        self.consumer.take_if(|parked| urgent || self.units.len() >= parked.wanted)
    }

    fn enlist(&mut self, waker: &Waker) {
        if !self.producers.iter().any(|known| known.will_wake(waker)) {
            self.producers.push(waker.clone());
        }
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

    fn wait_no_more(&mut self) {
        if let Some(since) = self.waiting.take() {
            self.flow.waited += since.elapsed();
        }
    }
}

/// Units on their way into a queue: one or many.
pub(crate) trait Put<C: Content> {
    fn count(&self) -> usize;
    fn each(&self, count: usize, note: impl FnMut(&DeclarativeContent<C>));
    /// Moves the first `count` units to the end of `to`.
    fn give(&mut self, count: usize, to: &mut VecDeque<DeclarativeContent<C>>);
    fn discard(&mut self);
}

impl<C: Content> Put<C> for Option<DeclarativeContent<C>> {
    fn count(&self) -> usize {
        usize::from(self.is_some())
    }

    fn each(&self, count: usize, note: impl FnMut(&DeclarativeContent<C>)) {
        self.iter().take(count).for_each(note);
    }

    fn give(&mut self, count: usize, to: &mut VecDeque<DeclarativeContent<C>>) {
        if count > 0
            && let Some(unit) = self.take()
        {
            to.push_back(unit);
        }
    }

    fn discard(&mut self) {
        *self = None;
    }
}

impl<C: Content> Put<C> for VecDeque<DeclarativeContent<C>> {
    fn count(&self) -> usize {
        self.len()
    }

    fn each(&self, count: usize, note: impl FnMut(&DeclarativeContent<C>)) {
        self.iter().take(count).for_each(note);
    }

    fn give(&mut self, count: usize, to: &mut VecDeque<DeclarativeContent<C>>) {
        if to.is_empty() && count == self.len() {
            std::mem::swap(self, to);
        } else {
            to.extend(self.drain(..count));
        }
    }

    fn discard(&mut self) {
        self.clear();
    }
}

fn wake(consumer: Option<Parked>) {
    if let Some(parked) = consumer {
        parked.waker.wake();
    }
}
