//! Progress: counters that stages raise, and the trait through which a program shows them.
//!
//! Library code knows nothing of bars and terminals. Counters are plain atomics; the sync reads
//! them at its own pace for the reporter and for the task's progress reports.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// Shows what is going on; implemented by the program. All methods may be called often.
pub trait Reporter: Send + Sync + 'static {
    /// New figures of a running operation, a few times per second.
    fn progress(&self, reports: &[ProgressFigures]);
    /// Something that does not stop the operation but that a person should know.
    fn warning(&self, message: &str);
}

/// A reporter that shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn progress(&self, _: &[ProgressFigures]) {}
    fn warning(&self, _: &str) {}
}

/// One counter as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgressFigures {
    /// Pulp's code, e.g. `sync.downloading.artifacts`.
    pub code: &'static str,
    /// For people, e.g. "Downloading Artifacts".
    pub message: &'static str,
    /// Units done.
    pub done: u64,
    /// Units in all, where that is known.
    pub total: Option<u64>,
}

/// The counters of one operation, in the order in which they were first asked for.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    counters: Arc<Mutex<Vec<Counter>>>,
}

impl Progress {
    /// The counter for `code`, made on first use.
    pub fn counter(&self, code: &'static str, message: &'static str) -> Counter {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.iter().find(|counter| counter.0.code == code) {
            return known.clone();
        }
        let counter = Counter(Arc::new(CounterState {
            code,
            message,
            done: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
        }));
        counters.push(counter.clone());
        counter
    }

    /// All counters as they stand.
    pub fn figures(&self) -> Vec<ProgressFigures> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(Counter::figures).collect()
    }
}

const UNKNOWN: u64 = u64::MAX;

/// A counter that one or more stages raise. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Counter(Arc<CounterState>);

#[derive(Debug)]
struct CounterState {
    code: &'static str,
    message: &'static str,
    done: AtomicU64,
    total: AtomicU64,
}

impl Counter {
    /// Counts `units` more as done.
    pub fn add(&self, units: u64) {
        self.0.done.fetch_add(units, Ordering::Relaxed);
    }

    /// Says how many units there will be.
    pub fn set_total(&self, units: u64) {
        self.0.total.store(units, Ordering::Relaxed);
    }

    /// Units done so far.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    fn figures(&self) -> ProgressFigures {
        let total = self.0.total.load(Ordering::Relaxed);
        ProgressFigures {
            code: self.0.code,
            message: self.0.message,
            done: self.done(),
            total: (total != UNKNOWN).then_some(total),
        }
    }
}
