//! The producer's side of a queue: units enter as there is room.

use std::{
    collections::VecDeque,
    sync::{Weak, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{Parked, Queue, State, wake};
use crate::{budget::Bell, content::Content, declarative::DeclarativeContent, outbox::Closed};

impl<C: Content> Queue<C> {
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
        let held = self.held.load(Ordering::Relaxed);
        let fitting = count.min(self.capacity.saturating_sub(state.units.len() + held));
        let mut urgent = false;
        units.each(fitting, |unit| urgent |= state.enter(unit, &self.me));
        units.give(fitting, &mut state.units);
        state.flow.put += fitting as u64;
        state.flow.deepest = state.flow.deepest.max(state.units.len() + held);
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

    fn consumer_if_ready(&mut self, urgent: bool) -> Option<Parked> {
        self.consumer.take_if(|parked| urgent || self.units.len() >= parked.wanted)
    }

    fn enlist(&mut self, waker: &Waker) {
        if !self.producers.iter().any(|known| known.will_wake(waker)) {
            self.producers.push(waker.clone());
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
