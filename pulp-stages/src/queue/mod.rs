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
//! thread, or a put waits for room, one turn proves nothing; then the consumer looks again when that
//! stage has run, for at most [`PATIENCE`](take::PATIENCE). Without the second condition, awaiting
//! many units at once would turn every batch into single units.
//!
//! Locks: this one before a unit's ([`resolution`](crate::resolution)) and before a budget's. No
//! unit is dropped under it, since its `Drop` is the plugin's.

mod put;
mod take;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::AtomicUsize},
    task::Waker,
};

use tokio::time::Instant;

pub(crate) use self::{put::Put, take::Collecting};

use crate::{
    budget::{Bell, Budget},
    content::Content,
    declarative::DeclarativeContent,
    profile::Flow,
    scope::Scope,
};

pub(crate) struct Queue<C: Content> {
    state: Mutex<State<C>>,
    capacity: usize,
    /// Units that a consumer has taken at once but looks at one by one: they still take up room.
    held: AtomicUsize,
    /// The stage that takes; `None` after the last one, where units end.
    to: Option<Scope>,
    me: Weak<Self>,
}

struct State<C: Content> {
    units: VecDeque<DeclarativeContent<C>>,
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

impl<C: Content> Queue<C> {
    pub(crate) fn new(capacity: usize, to: Option<Scope>) -> Arc<Self> {
        let state = State {
            units: VecDeque::new(),
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
        let state = Mutex::new(state);
        let held = AtomicUsize::new(0);
        Arc::new_cyclic(|me| Self { state, capacity, held, to, me: Weak::clone(me) })
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
        state.wait_no_more();
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
}

impl<C: Content> Bell for Queue<C> {
    fn ring(&self) {
        let consumer = self.lock().consumer.take();
        wake(consumer);
    }
}

impl<C: Content> State<C> {
    /// Notes that the consumer goes on, or no longer asks.
    fn wait_no_more(&mut self) {
        if let Some(since) = self.waiting.take() {
            self.flow.waited += since.elapsed();
        }
    }
}

fn wake(consumer: Option<Parked>) {
    if let Some(parked) = consumer {
        parked.waker.wake();
    }
}
