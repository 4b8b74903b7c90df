//! Content futures: how a stage learns what became of a unit that it put into the line.
//!
//! A [`Resolution`] is a cheap, cloneable handle. Creating one costs the batching nothing. While
//! somebody awaits it, the batch in which the unit waits, and every later one that it enters, stops
//! waiting for company. It resolves when the unit passes `ResolveContentFutures` or a stage calls
//! [`DeclarativeContent::resolve`](crate::declarative::DeclarativeContent::resolve), and to an error when the unit is dropped before that, for
//! whatever reason: the unit's half is a value whose `Drop` tells every waiter, so none can hang on
//! a unit that is gone.
//!
//! What could hang is a stage that awaits a unit while holding it. So a handle remembers how often
//! its unit had been put when it was made, and awaiting it before the *next* put is an error,
//! [`ResolutionError::NotPut`]. A handle passed to another task must not be awaited there before
//! the unit is put, for the same reason.
//!
//! Locks: a queue's lock may be held when a unit's is taken, never the other way round.

use std::{
    fmt,
    fs::File,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use pulp_models::{ArtifactStore, ContentId, RelativePath, Sha256, store::StoreError};

use crate::{content::Content, declarative::DeclarativeArtifact, queue::Queue};

/// A unit as it left the line.
#[derive(Debug, Clone)]
pub struct Resolved<C> {
    /// The content's row; `None` if a stage resolved the unit before it was saved.
    pub id: Option<ContentId>,
    /// The content, completed from its artifacts if it had to be.
    pub content: C,
    /// Its artifacts, in the unit's order.
    pub artifacts: Vec<SavedArtifact>,
}

impl<C> Resolved<C> {
    /// Opens its first artifact, to be read on a thread that may block.
    pub async fn open(&self, store: &ArtifactStore) -> Result<File, OpenError> {
        let artifact = self.artifacts.first().ok_or(OpenError::NoArtifact)?;
        let path = || artifact.relative_path.clone();
        let sha256 = artifact.sha256.ok_or_else(|| OpenError::Deferred(path()))?;
        Ok(store.open_artifact(&sha256).await?.0.into_std().await)
    }
}

/// An artifact that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The unit has none.
    #[error("The unit has no artifact")]
    NoArtifact,
    /// Its download was deferred: what is to be read must not be.
    #[error("`{0}` is not stored, its download was deferred")]
    Deferred(RelativePath),
    /// The store cannot give it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An artifact of a [`Resolved`] unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedArtifact {
    /// Where it lies within the content.
    pub relative_path: RelativePath,
    /// Its key in the store, readable at once; `None` if its download was deferred.
    pub sha256: Option<Sha256>,
    /// Length in bytes: the real one if it is stored, else what upstream says, if it does.
    pub size: Option<u64>,
}

/// Why a handle cannot resolve. `unit` is the content's type name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolutionError {
    /// The unit has not been put since the handle was made. Whoever holds a unit cannot await it:
    /// nobody else would move it.
    #[error("A `{unit}` unit was awaited before it was put")]
    NotPut {
        /// Its type.
        unit: &'static str,
    },
    /// The unit was dropped without being resolved: by `stage`, or before it was put.
    #[error("A `{unit}` unit was dropped unresolved{}", by(*stage))]
    Dropped {
        /// Its type.
        unit: &'static str,
        /// Who held it.
        stage: Option<&'static str>,
    },
    /// The run failed while the unit was on its way; the error of the run says why.
    #[error("A `{unit}` unit was given up since stage `{stage}` failed")]
    Failed {
        /// Its type.
        unit: &'static str,
        /// Which stage failed.
        stage: &'static str,
    },
    /// The run was cancelled while the unit was on its way.
    #[error("A `{unit}` unit was given up since the run was cancelled")]
    Cancelled {
        /// Its type.
        unit: &'static str,
    },
}

fn by(stage: Option<&str>) -> String {
    stage.map(|name| format!(" by stage `{name}`")).unwrap_or_default()
}

type Outcome<C> = Result<Arc<Resolved<C>>, ResolutionError>;

/// A handle to what becomes of a unit; see the [module](self).
///
/// It is a future, and stays ready once it was. Awaiting a clone is the same as awaiting it.
/// Dropping it, or giving up awaiting it, ends its own waiting and nobody else's.
#[must_use = "a handle that nobody awaits is for nothing"]
pub struct Resolution<C: Content> {
    shared: Arc<Shared<C>>,
    /// How often the unit had been put when the handle was made.
    puts: u32,
    /// Where its waker is, while it is awaited.
    slot: Option<usize>,
}

impl<C: Content> Clone for Resolution<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), puts: self.puts, slot: None }
    }
}

impl<C: Content> fmt::Debug for Resolution<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.shared.lock().outcome.is_some();
        f.debug_struct("Resolution")
            .field("unit", &self.shared.unit)
            .field("done", &done)
            .finish_non_exhaustive()
    }
}

impl<C: Content> Future for Resolution<C> {
    type Output = Outcome<C>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<C>> {
        let this = &mut *self;
        let mut state = this.shared.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if state.puts <= this.puts {
            return Poll::Ready(Err(ResolutionError::NotPut { unit: this.shared.unit }));
        }
        let first = state.waiters.is_empty();
        state.waiters.set(&mut this.slot, cx.waker());
        // The queue's lock comes before the unit's: let go of this one first. If the unit moves on
        // meanwhile, the next queue sees on entry that it is awaited.
        let queue = if first { state.waits_in() } else { None };
        drop(state);
        if let Some(queue) = queue {
            queue.thaw();
        }
        Poll::Pending
    }
}

impl<C: Content> Drop for Resolution<C> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.shared.lock().waiters.clear(slot);
        }
    }
}

/// The unit's half: ends in an outcome, at the latest when it is dropped. Empty, and free, for the
/// units that nobody has a handle of.
pub(crate) struct Promise<C: Content> {
    shared: Option<Arc<Shared<C>>>,
    resolved: bool,
}

impl<C: Content> Promise<C> {
    pub(crate) const fn new() -> Self {
        Self { shared: None, resolved: false }
    }

    /// A further handle. `outcome` is asked for only if the unit was resolved before.
    pub(crate) fn handle(
        &mut self,
        unit: &'static str,
        outcome: impl FnOnce() -> Resolved<C>,
    ) -> Resolution<C> {
        if self.resolved {
            let shared = Shared::new(unit);
            shared.lock().outcome = Some(Ok(Arc::new(outcome())));
            return Resolution { shared: Arc::new(shared), puts: 0, slot: None };
        }
        let shared = self.shared.get_or_insert_with(|| Arc::new(Shared::new(unit)));
        let puts = shared.lock().puts;
        Resolution { shared: Arc::clone(shared), puts, slot: None }
    }

    /// Delivers; `outcome` is asked for only if a handle exists.
    pub(crate) fn resolve(&mut self, outcome: impl FnOnce() -> Resolved<C>) {
        self.resolved = true;
        // Taken, so that the rest of the line has nothing to keep up to date.
        if let Some(shared) = self.shared.take()
            && Arc::strong_count(&shared) > 1
        {
            shared.finish(|_| Ok(Arc::new(outcome())));
        }
    }

    pub(crate) const fn is_resolved(&self) -> bool {
        self.resolved
    }

    pub(crate) const fn has_handles(&self) -> bool {
        self.shared.is_some()
    }

    /// Notes that the unit is being put, though there is no room yet.
    pub(crate) fn put(&self) {
        if let Some(shared) = &self.shared {
            shared.lock().puts += 1;
        }
    }

    /// Notes that the unit was put and waits in `queue`. Says whether somebody awaits it.
    pub(crate) fn enter(&self, queue: &Weak<Queue<C>>) -> bool {
        let Some(shared) = &self.shared else { return false };
        let mut state = shared.lock();
        state.puts += 1;
        state.queue = Some(Weak::clone(queue));
        state.waits = true;
        !state.waiters.is_empty()
    }

    /// Notes that the unit was taken out of its queue.
    pub(crate) fn leave(&self) {
        if let Some(shared) = &self.shared {
            shared.lock().waits = false;
        }
    }
}

impl<C: Content> Drop for Promise<C> {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.finish(|state| Err(state.reason(shared.unit)));
        }
    }
}

/// What a unit and its handles have in common.
struct Shared<C: Content> {
    /// The content's type name, for messages.
    unit: &'static str,
    state: Mutex<State<C>>,
}

struct State<C: Content> {
    puts: u32,
    /// The last queue that the unit was put into.
    queue: Option<Weak<Queue<C>>>,
    /// Whether it still waits there.
    waits: bool,
    waiters: Waiters,
    outcome: Option<Outcome<C>>,
}

impl<C: Content> Shared<C> {
    fn new(unit: &'static str) -> Self {
        let state = State {
            puts: 0,
            queue: None,
            waits: false,
            waiters: Waiters::default(),
            outcome: None,
        };
        Self { unit, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, outcome: impl FnOnce(&State<C>) -> Outcome<C>) {
        let mut state = self.lock();
        if state.outcome.is_none() {
            state.outcome = Some(outcome(&state));
        }
        state.queue = None;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.wake();
    }
}

impl<C: Content> State<C> {
    fn waits_in(&self) -> Option<Arc<Queue<C>>> {
        self.queue.as_ref().filter(|_| self.waits).and_then(Weak::upgrade)
    }

    /// Why the unit is dropped.
    fn reason(&self, unit: &'static str) -> ResolutionError {
        let queue = self.queue.as_ref().and_then(Weak::upgrade);
        let Some(scope) = queue.as_ref().and_then(|queue| queue.consumer()) else {
            return ResolutionError::Dropped { unit, stage: None };
        };
        match scope.failed_stage() {
            Some(stage) => ResolutionError::Failed { unit, stage },
            None if scope.is_cancelled() => ResolutionError::Cancelled { unit },
            None => ResolutionError::Dropped { unit, stage: Some(scope.stage()) },
        }
    }
}

/// The wakers of everybody who awaits; a waiter that goes away frees its slot.
#[derive(Default)]
struct Waiters {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiters {
    fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    fn set(&mut self, slot: &mut Option<usize>, waker: &Waker) {
        if let Some(at) = *slot {
            if let Some(Some(known)) = self.slots.get_mut(at) {
                known.clone_from(waker);
            }
            return;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(waker.clone());
        *slot = Some(at);
    }

    /// Does nothing once the waiters were taken to be woken.
    fn clear(&mut self, slot: usize) {
        if let Some(waker) = self.slots.get_mut(slot)
            && waker.take().is_some()
        {
            self.free.push(slot);
        }
    }

    fn wake(self) {
        self.slots.into_iter().flatten().for_each(Waker::wake);
    }
}

/// What the handles of a unit get.
pub(crate) fn resolved<C: Content>(
    id: Option<ContentId>,
    content: &C,
    artifacts: &[DeclarativeArtifact],
) -> Resolved<C> {
    let artifacts = artifacts.iter().map(|artifact| SavedArtifact {
        relative_path: artifact.relative_path.clone(),
        sha256: artifact.saved().map(|saved| saved.sha256),
        size: artifact.size(),
    });
    Resolved { id, content: content.clone(), artifacts: artifacts.collect() }
}
