//! What the line itself costs: units through ten stages that do nothing.
//!
//! `cargo bench -p pulp-stages`. One iteration is 100,000 units; for a million, and for what handles
//! cost, see the example `line_bench`.

use async_trait::async_trait;
use divan::{Bencher, counter::ItemsCount};
use pulp_models::Key;
use pulp_stages::{Content, DeclarativeContent, Inbox, Line, Outbox, Pipeline, Stage, StageError};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const UNITS: u64 = 100_000;
const STAGES: usize = 10;

fn main() {
    divan::main();
}

#[derive(Clone, Serialize, Deserialize)]
struct Note(u64);

impl Content for Note {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        "bench.note"
    }

    fn natural_key(&self) -> Option<Key> {
        Some(Key::of("bench.note").field(self.0.to_le_bytes()).finish())
    }
}

struct Feed;

#[async_trait]
impl Stage<Note> for Feed {
    fn name(&self) -> &'static str {
        "Feed"
    }

    async fn run(self: Box<Self>, _: Inbox<Note>, output: Outbox<Note>) -> Result<(), StageError> {
        for number in 0..UNITS {
            output.put(DeclarativeContent::new(Note(number), Vec::new())).await?;
        }
        Ok(())
    }
}

struct Pass {
    name: &'static str,
    batches: bool,
}

#[async_trait]
impl Stage<Note> for Pass {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<Note>,
        output: Outbox<Note>,
    ) -> Result<(), StageError> {
        if self.batches {
            let mut batches = input.batches(Inbox::<Note>::BATCH);
            while let Some(batch) = batches.next().await {
                output.put_all(batch).await?;
            }
        } else {
            let mut items = input.items();
            while let Some(unit) = items.next().await {
                output.put(unit).await?;
            }
        }
        Ok(())
    }
}

const NAMES: [&str; STAGES] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

fn run(runtime: &Runtime, batches: bool) {
    let line = NAMES.iter().fold(Line::new().push(Box::new(Feed)), |line, name| {
        line.push(Box::new(Pass { name, batches }))
    });
    let pipeline = Pipeline::new(line).expect("a line");
    runtime.block_on(pipeline.run(&CancellationToken::new())).expect("nothing fails");
}

fn bench(bencher: Bencher<'_, '_>, batches: bool) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    bencher.counter(ItemsCount::new(UNITS * STAGES as u64)).bench_local(|| run(&runtime, batches));
}

#[divan::bench(sample_count = 10)]
fn in_batches(bencher: Bencher<'_, '_>) {
    bench(bencher, true);
}

#[divan::bench(sample_count = 10)]
fn one_by_one(bencher: Bencher<'_, '_>) {
    bench(bencher, false);
}
