//! Where the time of a run went: what each stage received and sent, and what it waited for.
//!
//! Always on. Units are counted under locks that are held anyway; a clock is read only when a stage
//! goes to sleep or wakes up, never per unit. The queues count, the runner measures lifetimes, a
//! [`Profile`] is the sum.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// What a queue counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// Units put.
    pub(crate) put: u64,
    /// Units taken.
    pub(crate) taken: u64,
    pub(crate) batches: u64,
    pub(crate) smallest: u64,
    pub(crate) largest: u64,
    /// Most units at once.
    pub(crate) deepest: usize,
    /// The consumer waited for units.
    pub(crate) waited: Duration,
    /// The producer waited for room.
    pub(crate) blocked: Duration,
}

impl Flow {
    pub(crate) fn batch(&mut self, size: u64) {
        self.smallest = if self.batches == 0 { size } else { self.smallest.min(size) };
        self.largest = self.largest.max(size);
        self.batches += 1;
    }
}

/// A run, finished or not. Displays as a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Profile {
    /// Since the start.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
    /// In the order of the line.
    pub stages: Vec<StageProfile>,
}

/// One stage of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageProfile {
    /// Its name.
    pub name: &'static str,
    /// Units taken from its inbox.
    pub received: u64,
    /// Units put into its outbox.
    pub sent: u64,
    /// Batches taken from its inbox, if it takes batches.
    pub batches: u64,
    /// The smallest of them, in units.
    pub smallest_batch: u64,
    /// The largest of them, in units.
    pub largest_batch: u64,
    /// Most units that waited in its inbox at once.
    pub max_depth: usize,
    /// Neither waiting for input nor blocked on output: computing, downloading, writing.
    #[serde(rename = "working_ms", serialize_with = "milliseconds")]
    pub working: Duration,
    /// Waiting for input.
    #[serde(rename = "waiting_ms", serialize_with = "milliseconds")]
    pub waiting: Duration,
    /// Waiting for room in the next stage's inbox.
    #[serde(rename = "blocked_ms", serialize_with = "milliseconds")]
    pub blocked: Duration,
    /// On an async worker thread; part of `working`.
    #[serde(rename = "polled_ms", serialize_with = "milliseconds")]
    pub polled: Duration,
    /// The longest it kept such a thread at once. More than some milliseconds is a defect: what
    /// computes that long belongs on the blocking pool.
    #[serde(rename = "longest_poll_ms", serialize_with = "milliseconds")]
    pub longest_poll: Duration,
}

impl StageProfile {
    /// Units per batch; `None` if it takes no batches.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.batches > 0).then(|| self.received as f64 / self.batches as f64)
    }
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_micros() as f64 / 1000.0)
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:24} {:>9} {:>9} {:>7} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9}",
            "stage",
            "received",
            "sent",
            "batches",
            "mean",
            "depth",
            "working",
            "waiting",
            "blocked",
            "polled",
        )?;
        for stage in &self.stages {
            writeln!(
                f,
                "{:24} {:>9} {:>9} {:>7} {:>7.0} {:>6} {:>8.1?} {:>8.1?} {:>8.1?} {:>8.1?}",
                stage.name,
                stage.received,
                stage.sent,
                stage.batches,
                stage.mean_batch().unwrap_or_default(),
                stage.max_depth,
                stage.working,
                stage.waiting,
                stage.blocked,
                stage.polled,
            )?;
        }
        Ok(())
    }
}
