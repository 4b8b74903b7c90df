//! The smallest content type, and a few stages to build lines of.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use proptest::test_runner::Config as ProptestConfig;
use pulp_models::Key;
use pulp_stages::{
    Content, DeclarativeContent, Inbox, Line, Outbox, Pipeline, PipelineError, Profile, Stage,
    StageError,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// A content unit that is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Number(pub(crate) u64);

pub(crate) type Unit = DeclarativeContent<Number>;

impl Content for Number {
    /// Lives as long as the unit.
    type Extra = Option<Arc<()>>;

    fn type_name(&self) -> &'static str {
        "test.number"
    }

    fn natural_key(&self) -> Option<Key> {
        Some(Key::of("test.number").field(self.0.to_le_bytes()).finish())
    }
}

/// A unit without artifacts.
pub(crate) fn unit(number: u64) -> Unit {
    DeclarativeContent::new(Number(number), Vec::new())
}

/// The units 0, 1, …
pub(crate) fn numbers(count: u64) -> Vec<Unit> {
    (0..count).map(unit).collect()
}

type Body =
    dyn FnOnce(Inbox<Number>, Outbox<Number>) -> BoxFuture<'static, Result<(), StageError>> + Send;

/// A stage made of a closure.
pub(crate) struct Make {
    name: &'static str,
    body: Box<Body>,
}

#[async_trait]
impl Stage<Number> for Make {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<Number>,
        output: Outbox<Number>,
    ) -> Result<(), StageError> {
        (self.body)(input, output).await
    }
}

/// A first stage.
pub(crate) fn feed<F>(body: impl FnOnce(Outbox<Number>) -> F + Send + 'static) -> Make
where
    F: Future<Output = Result<(), StageError>> + Send + 'static,
{
    stage("Feed", |_, output| body(output))
}

/// Any stage.
pub(crate) fn stage<F>(
    name: &'static str,
    body: impl FnOnce(Inbox<Number>, Outbox<Number>) -> F + Send + 'static,
) -> Make
where
    F: Future<Output = Result<(), StageError>> + Send + 'static,
{
    Make { name, body: Box::new(|input, output| Box::pin(body(input, output))) }
}

/// A first stage that puts `units` one by one.
pub(crate) fn feed_units(units: Vec<Unit>) -> Make {
    feed(|output| async move {
        for unit in units {
            output.put(unit).await?;
        }
        Ok(())
    })
}

/// What came by, and in which batches.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Vec<u64>>>>);

impl Seen {
    pub(crate) fn batches(&self) -> Vec<Vec<u64>> {
        self.0.lock().expect("not poisoned").clone()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.batches().concat()
    }

    pub(crate) fn add(&self, batch: &[Unit]) {
        let numbers = batch.iter().map(|unit| unit.content.0).collect();
        self.0.lock().expect("not poisoned").push(numbers);
    }
}

/// Passes everything on, as most stages do.
#[derive(Default)]
pub(crate) struct Pass {
    pub(crate) name: &'static str,
    /// Batches of at least so many; 0 for one by one.
    pub(crate) min: usize,
    /// How long each takes.
    pub(crate) takes: Duration,
    pub(crate) resolve: bool,
    pub(crate) seen: Seen,
}

#[async_trait]
impl Stage<Number> for Pass {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<Number>,
        output: Outbox<Number>,
    ) -> Result<(), StageError> {
        if self.min > 0 {
            let mut batches = input.batches(self.min);
            while let Some(mut batch) = batches.next().await {
                self.work(&mut batch).await;
                output.put_all(batch).await?;
            }
        } else {
            let mut items = input.items();
            while let Some(mut unit) = items.next().await {
                self.work(std::slice::from_mut(&mut unit)).await;
                output.put(unit).await?;
            }
        }
        Ok(())
    }
}

impl Pass {
    async fn work(&self, units: &mut [Unit]) {
        self.seen.add(units);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        if self.resolve {
            units.iter_mut().for_each(DeclarativeContent::resolve);
        }
    }
}

/// Builds a line after `first`.
pub(crate) fn line(first: impl Stage<Number>) -> Builder {
    Builder { line: Line::new().push(Box::new(first)) }
}

pub(crate) struct Builder {
    line: Line<Number>,
}

impl Builder {
    pub(crate) fn stage(self, stage: impl Stage<Number>) -> Self {
        Self { line: self.line.push(Box::new(stage)) }
    }

    pub(crate) fn items(self, name: &'static str) -> Self {
        self.batches(name, 0)
    }

    pub(crate) fn batches(self, name: &'static str, min: usize) -> Self {
        self.stage(Pass { name, min, ..Pass::default() })
    }

    pub(crate) fn done(self) -> Line<Number> {
        self.line
    }

    /// Ends with a stage that resolves the units one by one.
    pub(crate) fn collect(self) -> (Line<Number>, Seen) {
        self.collect_batches(0)
    }

    /// Ends with a stage that resolves the units in batches.
    pub(crate) fn collect_batches(self, min: usize) -> (Line<Number>, Seen) {
        let seen = Seen::default();
        let last =
            Pass { name: "Collect", min, resolve: true, seen: seen.clone(), ..Pass::default() };
        (self.stage(last).line, seen)
    }
}

/// Runs a line to its end. Time that is paused passes at once when nobody can go on, so a line that
/// hangs is found out; and so it is, later, when time is not paused.
pub(crate) async fn run(line: Line<Number>, capacity: usize) -> Result<Profile, PipelineError> {
    let never = CancellationToken::new();
    let pipeline = Pipeline::new(line)?.capacity(capacity);
    bounded(pipeline.run(&never)).await
}

/// Fails if `future` hangs.
pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.expect("it hangs: nothing happened for a minute")
}

/// Counts how often `future` is polled.
pub(crate) async fn counted<T>(polls: &AtomicUsize, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        future.as_mut().poll(cx)
    })
    .await
}

/// So many random cases; a failing one is printed, not saved.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
