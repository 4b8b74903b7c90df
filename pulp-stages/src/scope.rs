//! What one run of a pipeline owns: its tasks, its blocking work, its cancellation.
//!
//! A stage reaches its [`Scope`] through [`Inbox::scope`](crate::inbox::Inbox::scope) or
//! [`Outbox::scope`](crate::outbox::Outbox::scope). Whatever is spawned here ends before
//! [`Pipeline::run`](crate::pipeline::Pipeline::run) returns, so nothing writes to a repository
//! whose lock is gone already. Which error a failed run reports is decided here too.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span};

use crate::stage::{PipelineError, StageError};

/// A stage's place in its run. Cheap to clone.
#[derive(Clone)]
pub struct Scope {
    run: Arc<Run>,
    stage: &'static str,
    /// Its place in the line.
    position: usize,
}

/// One run.
pub(crate) struct Run {
    cancellation: CancellationToken,
    tasks: TaskTracker,
    failure: Mutex<Option<Failure>>,
    /// Which stages are on a thread right now: a bit for each of the first 64.
    running: AtomicU64,
    /// Who wants to know when one before them leaves its thread, and whether anybody does.
    watchers: Mutex<Vec<(usize, Waker)>>,
    watched: AtomicBool,
}

struct Failure {
    stage: &'static str,
    error: PipelineError,
    /// It only tells that another stage went away.
    follows: bool,
}

impl Run {
    pub(crate) fn new(cancellation: CancellationToken) -> Arc<Self> {
        let tasks = TaskTracker::new();
        tasks.close();
        Arc::new(Self {
            cancellation,
            tasks,
            failure: Mutex::new(None),
            running: AtomicU64::new(0),
            watchers: Mutex::default(),
            watched: AtomicBool::new(false),
        })
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<(usize, Waker)>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scope(self: &Arc<Self>, stage: &'static str, position: usize) -> Scope {
        Scope { run: Arc::clone(self), stage, position }
    }

    pub(crate) fn cancel(&self) {
        self.cancellation.cancel();
    }

    /// `None` if the run was over first.
    pub(crate) async fn until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        self.cancellation.run_until_cancelled(future).await
    }

    /// Notes `error` unless an earlier one explains it, and cancels everybody.
    pub(crate) fn fail(&self, stage: &'static str, follows: bool, error: PipelineError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let explained = failure.as_ref().is_some_and(|known| !known.follows || follows);
        let superfluous = if explained {
            Some(Failure { stage, error, follows })
        } else {
            failure.replace(Failure { stage, error, follows })
        };
        drop(failure);
        // An error may hold units, whose `Drop` asks for the failure.
        drop(superfluous);
        self.cancellation.cancel();
    }

    /// Waits for every task and all blocking work; returns the error to report, and whether it is
    /// only the consequence of something else (such as a cancellation from outside).
    pub(crate) async fn join(&self) -> Option<(PipelineError, bool)> {
        self.tasks.wait().await;
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map(|failure| (failure.error, failure.follows))
    }
}

impl Scope {
    /// The name of the stage.
    pub const fn stage(&self) -> &'static str {
        self.stage
    }

    /// Whether the run is over, by an error or from outside. A long closure asks now and then.
    pub fn is_cancelled(&self) -> bool {
        self.run.cancellation.is_cancelled()
    }

    /// Ends when the run is over. A stage needs it for what must happen *before* it is dropped; to
    /// be stopped at its next `await` it needs to do nothing.
    pub async fn cancelled(&self) {
        self.run.cancellation.cancelled().await;
    }

    /// Runs `future` as a task of its own, within the current span of `tracing`. It is stopped at
    /// its next `await` when the [`Child`] is dropped or the run is over.
    pub fn spawn<T, F>(&self, future: F) -> Child<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let cancellation = self.run.cancellation.clone();
        let task = async move { cancellation.run_until_cancelled(future).await };
        let task = task.in_current_span();
        Child { task: self.run.tasks.spawn(task), stoppable: true }
    }

    /// Runs `future` as a task of its own to its end, come what may; the run waits for it. For
    /// work that must not be cut in half, such as a call that has a closure on the blocking pool.
    pub fn shield<T, F>(&self, future: F) -> Child<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let task = async move { Some(future.await) }.in_current_span();
        Child { task: self.run.tasks.spawn(task), stoppable: false }
    }

    /// Runs `work` on the blocking pool to its end; the run waits for it. If the run is over before
    /// it has begun, it does not begin. Work of seconds should ask
    /// [`is_cancelled`](Self::is_cancelled) now and then.
    pub fn spawn_blocking<T, F>(&self, work: F) -> Child<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let cancellation = self.run.cancellation.clone();
        let span = Span::current();
        let work = move || (!cancellation.is_cancelled()).then(|| span.in_scope(work));
        Child { task: self.run.tasks.spawn_blocking(work), stoppable: false }
    }

    /// Runs one of the run's own tasks.
    pub(crate) fn spawn_stage(&self, stage: impl Future<Output = ()> + Send + 'static) {
        self.run.tasks.spawn(stage.in_current_span());
    }

    /// Polls a stage, visibly for those behind it.
    pub(crate) fn on_thread<T>(&self, poll: impl FnOnce() -> T) -> T {
        let bit = 1_u64.checked_shl(u32::try_from(self.position).unwrap_or(u32::MAX)).unwrap_or(0);
        self.run.running.fetch_or(bit, Ordering::SeqCst);
        let value = poll();
        self.run.running.fetch_and(!bit, Ordering::SeqCst);
        if self.run.watched.load(Ordering::SeqCst) {
            self.wake_watchers();
        }
        value
    }

    /// Wakes those behind this stage that watch it.
    fn wake_watchers(&self) {
        let mut watchers = self.run.watchers();
        let behind: Vec<_> =
            watchers.extract_if(.., |(position, _)| *position > self.position).collect();
        self.run.watched.store(!watchers.is_empty(), Ordering::SeqCst);
        drop(watchers);
        for (_, waker) in behind {
            waker.wake();
        }
    }

    /// Whether a stage before this one is on a thread right now, so that units may come at once.
    pub(crate) fn is_fed(&self) -> bool {
        let before = (1_u64 << self.position.min(63)) - 1;
        self.run.running.load(Ordering::SeqCst) & before != 0
    }

    /// Wakes once a stage before this one has been on a thread. Says whether the one that fed
    /// before, if it did, was through too early for that.
    pub(crate) fn wake_when_fed(&self, waker: &Waker, fed: bool) -> bool {
        let mut watchers = self.run.watchers();
        watchers.retain(|(position, _)| *position != self.position);
        watchers.push((self.position, waker.clone()));
        // First this, then another look: whoever leaves its thread does it the other way round.
        self.run.watched.store(true, Ordering::SeqCst);
        drop(watchers);
        fed && !self.is_fed()
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// The stage that made the run fail, if one did.
    pub(crate) fn failed_stage(&self) -> Option<&'static str> {
        let failure = self.run.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(|failure| failure.stage)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Work spawned by a stage. Await it for its value; a panic in it is an error here.
#[must_use = "dropping a child stops it"]
pub struct Child<T> {
    task: JoinHandle<Option<T>>,
    stoppable: bool,
}

impl<T> Future for Child<T> {
    type Output = Result<T, StageError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map(|joined| match joined {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(StageError::cancelled()),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => Err(StageError::panicked(&*payload)),
                Err(_) => Err(StageError::cancelled()),
            },
        })
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        if self.stoppable {
            self.task.abort();
        }
    }
}
