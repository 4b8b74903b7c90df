//! The runner: makes tasks of a [`Line`]'s stages, connects them, and ends them all.
//!
//! It knows no stage. Before it stands the sync that builds the line, after it the one that
//! completes a repository version, which it does only if [`Pipeline::run`] returned `Ok`.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::Poll,
    time::Duration,
};

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    content::Content,
    inbox::Inbox,
    line::{Line, LineError},
    outbox::Outbox,
    profile::{Flow, Profile, StageProfile},
    queue::Queue,
    scope::{Run, Scope},
    stage::{PipelineError, Stage, StageError},
};

/// A line about to run.
pub struct Pipeline<C: Content> {
    stages: Vec<Box<dyn Stage<C>>>,
    capacity: usize,
}

impl<C: Content> Pipeline<C> {
    /// How many units fit between two stages by default.
    pub const CAPACITY: usize = 1000;

    /// Takes a line, or tells which edit of it made no sense.
    pub fn new(line: impl Into<Line<C>>) -> Result<Self, LineError> {
        Ok(Self { stages: line.into().finish()?, capacity: Self::CAPACITY })
    }

    /// How many units fit between two stages; at least one.
    #[must_use]
    pub const fn capacity(mut self, units: usize) -> Self {
        self.capacity = units;
        self
    }

    /// Starts every stage. Must be called within a Tokio runtime.
    pub fn start(self) -> Running {
        let cancellation = CancellationToken::new();
        let run = Run::new(cancellation.clone());
        let mut meters = Vec::new();
        let mut input: Option<Arc<Queue<C>>> = None;
        let scopes: Vec<_> =
            self.stages.iter().enumerate().map(|(at, stage)| run.scope(stage.name(), at)).collect();
        let mut starting = Vec::new();
        for (at, stage) in self.stages.into_iter().enumerate() {
            let scope = scopes[at].clone();
            let first = input.is_none();
            let inbox = input.unwrap_or_else(|| {
                let nothing = Queue::new(1, Some(scope.clone()));
                nothing.end();
                nothing
            });
            let outbox = Queue::new(self.capacity, scopes.get(at + 1).cloned());
            input = Some(Arc::clone(&outbox));
            let clock = Arc::new(Clock::default());
            meters.push(Meter {
                name: scope.stage(),
                clock: Arc::clone(&clock),
                inbox: Box::new({
                    let queue = Arc::clone(&inbox);
                    move || queue.flow()
                }),
                outbox: Box::new({
                    let queue = Arc::clone(&outbox);
                    move || queue.flow()
                }),
            });
            starting.push((scope.clone(), drive(stage, first, inbox, outbox, scope, clock)));
        }
        let monitor = Monitor(Arc::new(Meters { started: Instant::now(), stages: meters }));
        for (scope, task) in starting {
            scope.spawn_stage(task);
        }
        Running { run, monitor, _stop: cancellation.drop_guard() }
    }

    /// Runs every stage to its end. The first error, a panic, or `cancelled` ends all of them; in
    /// any case nothing that they spawned is left when this returns.
    ///
    /// If the future is dropped instead, everything is told to end, and nobody waits for it.
    pub async fn run(self, cancelled: &CancellationToken) -> Result<Profile, PipelineError> {
        self.start().join(cancelled).await
    }
}

/// A line that runs; dropping it tells everything to end.
#[must_use = "dropping it cancels the run"]
pub struct Running {
    run: Arc<Run>,
    monitor: Monitor,
    _stop: tokio_util::sync::DropGuard,
}

impl Running {
    /// Tells at any time how far the run is.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Waits for the end; see [`Pipeline::run`].
    pub async fn join(self, cancelled: &CancellationToken) -> Result<Profile, PipelineError> {
        let mut joined = pin!(self.run.join());
        let (failure, outside) = tokio::select! {
            failure = &mut joined => (failure, false),
            () = cancelled.cancelled() => {
                self.run.cancel();
                (joined.await, true)
            }
        };
        match failure {
            Some((error, follows)) if !(outside && follows) => Err(error),
            None if self.monitor.0.is_complete() => Ok(self.monitor.snapshot()),
            _ => Err(PipelineError::Cancelled),
        }
    }
}

/// Runs one stage, and everybody else to their end if it fails.
async fn drive<C: Content>(
    stage: Box<dyn Stage<C>>,
    first: bool,
    inbox: Arc<Queue<C>>,
    outbox: Arc<Queue<C>>,
    scope: Scope,
    clock: Arc<Clock>,
) {
    let input = Inbox::new(Arc::clone(&inbox), scope.clone());
    let output = Outbox::new(Arc::clone(&outbox), scope.clone());
    // The call itself is inside: what is no `async fn` may panic before its first `await`.
    let work = AssertUnwindSafe(async move { stage.run(input, output).await }).catch_unwind();
    let timed = measure(work, &scope, &clock);
    let Some(end) = scope.run().until_cancelled(timed).await else { return };
    let name = scope.stage();
    let failure = match end {
        Ok(Ok(())) if first || inbox.is_finished() => {
            clock.complete();
            outbox.end();
            return;
        }
        Ok(Ok(())) => (false, PipelineError::EndedEarly { stage: name }),
        Ok(Err(error)) => (error.follows(), error.in_stage(name)),
        Err(payload) => (false, StageError::panicked(&*payload).in_stage(name)),
    };
    scope.run().fail(name, failure.0, failure.1);
}

/// When a stage was on a thread, and when it ended.
#[derive(Default)]
struct Clock {
    polled: Mutex<(Duration, Duration)>,
    ended: OnceLock<Instant>,
}

impl Clock {
    fn complete(&self) {
        self.ended.get_or_init(Instant::now);
    }
}

/// Measures every poll of `future`: two readings of the clock each.
async fn measure<F: Future>(future: F, scope: &Scope, clock: &Clock) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        let start = std::time::Instant::now();
        let polled: Poll<_> = scope.on_thread(|| future.as_mut().poll(cx));
        let time = start.elapsed();
        let mut sums = clock.polled.lock().unwrap_or_else(PoisonError::into_inner);
        *sums = (sums.0 + time, sums.1.max(time));
        polled
    })
    .await
}

/// Tells at any time how far a run is. Cheap to clone.
#[derive(Clone)]
pub struct Monitor(Arc<Meters>);

struct Meters {
    started: Instant,
    stages: Vec<Meter>,
}

struct Meter {
    name: &'static str,
    clock: Arc<Clock>,
    inbox: Box<dyn Fn() -> Flow + Send + Sync>,
    outbox: Box<dyn Fn() -> Flow + Send + Sync>,
}

impl Meters {
    fn is_complete(&self) -> bool {
        self.stages.iter().all(|stage| stage.clock.ended.get().is_some())
    }
}

impl Monitor {
    /// The profile up to now.
    pub fn snapshot(&self) -> Profile {
        let started = self.0.started;
        let stages = self.0.stages.iter().map(|meter| meter.read(started)).collect();
        Profile { elapsed: started.elapsed(), stages }
    }
}

impl Meter {
    fn read(&self, started: Instant) -> StageProfile {
        let (inbox, outbox) = ((self.inbox)(), (self.outbox)());
        let life = self.clock.ended.get().copied().unwrap_or_else(Instant::now) - started;
        let (polled, longest_poll) =
            *self.clock.polled.lock().unwrap_or_else(PoisonError::into_inner);
        StageProfile {
            name: self.name,
            received: inbox.taken,
            sent: outbox.put,
            batches: inbox.batches,
            smallest_batch: inbox.smallest,
            largest_batch: inbox.largest,
            max_depth: inbox.deepest,
            working: life.saturating_sub(inbox.waited).saturating_sub(outbox.blocked),
            waiting: inbox.waited,
            blocked: outbox.blocked,
            polled,
            longest_poll,
        }
    }
}
