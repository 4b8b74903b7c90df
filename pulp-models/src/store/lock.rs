//! The store lock: who adds bytes shares it, who deletes bytes has it alone.
//!
//! Between the moment a sync finds that an artifact exists and the moment its content refers to it,
//! nothing may delete that artifact. So syncs, uploads and fills hold the shared lock, and orphan
//! cleanup deletes under the exclusive one, slice by slice. It holds between threads and processes,
//! and dies with its holder.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{StoreError, error::blocking};
use crate::file_lock::{FileLock, Mode};

/// How long an exclusive request keeps newcomers waiting at the gate before it lets them through
/// again: long enough for fills to end, short enough for a reader to bear.
const GATE_CLOSED: Duration = Duration::from_secs(2);
/// How long the gate then stays open.
const GATE_OPEN: Duration = Duration::from_secs(5);
/// First and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// Holds the store lock. Cloning shares the hold, which is how a task that has it hands it on:
/// asking for a second one instead may wait for an exclusive request that waits for the first.
#[derive(Debug, Clone)]
#[must_use]
pub struct StoreGuard {
    _held: Arc<FileLock>,
}

/// The lock's two files. Everybody passes `gate` to reach `main`; an exclusive request closes the
/// gate for a while, so that shared holders who come and go cannot starve it.
#[derive(Debug)]
pub(super) struct StoreLock {
    pub(super) main: PathBuf,
    pub(super) gate: PathBuf,
}

impl StoreLock {
    /// Waits at most `patience` for the shared lock.
    pub(super) async fn shared(&self, patience: Duration) -> Result<StoreGuard, StoreError> {
        let begin = Instant::now();
        let (gate, main) = (self.gate.clone(), self.main.clone());
        let through_the_gate = move || match take(&gate, Mode::Shared)? {
            Some(_open) => take(&main, Mode::Shared),
            None => Ok(None),
        };
        guard(poll(through_the_gate, begin + patience).await?, begin)
    }

    /// Waits at most `patience` for the exclusive lock, closing the gate now and then.
    pub(super) async fn exclusive(&self, patience: Duration) -> Result<StoreGuard, StoreError> {
        let begin = Instant::now();
        let end = begin + patience;
        loop {
            let until = end.min(Instant::now() + GATE_CLOSED);
            let (gate, main) = (self.gate.clone(), self.main.clone());
            let closed = poll(move || take(&gate, Mode::Exclusive), until).await?;
            let held = poll(move || take(&main, Mode::Exclusive), until).await?;
            drop(closed);
            if held.is_some() || Instant::now() + PAUSES.0 >= end {
                return guard(held, begin);
            }
            sleep(GATE_OPEN.min(end - Instant::now())).await;
        }
    }
}

fn guard(held: Option<FileLock>, begin: Instant) -> Result<StoreGuard, StoreError> {
    match held {
        Some(lock) => Ok(StoreGuard { _held: Arc::new(lock) }),
        None => Err(StoreError::Busy { waited: begin.elapsed() }),
    }
}

fn take(path: &Path, mode: Mode) -> Result<Option<FileLock>, StoreError> {
    FileLock::try_take(path, mode).map_err(StoreError::io("lock", path))
}

/// Tries until `end`, at least once. Polls, since a thread blocked in `flock` cannot be called back
/// when the waiter is cancelled.
async fn poll<F>(attempt: F, end: Instant) -> Result<Option<FileLock>, StoreError>
where
    F: Fn() -> Result<Option<FileLock>, StoreError> + Clone + Send + 'static,
{
    let (mut pause, longest) = PAUSES;
    loop {
        if let Some(lock) = blocking(attempt.clone()).await? {
            return Ok(Some(lock));
        }
        if Instant::now() + pause > end {
            return Ok(None);
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    fn lock() -> (tempfile::TempDir, Arc<StoreLock>) {
        let home = tempfile::tempdir().expect("temporary folder");
        let lock = StoreLock { main: home.path().join("store"), gate: home.path().join("gate") };
        (home, Arc::new(lock))
    }

    #[tokio::test]
    async fn shared_holders_share_and_exclude_the_exclusive_one() {
        let (_home, lock) = lock();
        let first = lock.shared(MOMENT).await.expect("free");
        let second = lock.shared(MOMENT).await.expect("shared");
        let refused = lock.exclusive(MOMENT).await;
        assert!(matches!(refused, Err(StoreError::Busy { .. })));
        let clone = first.clone();
        drop((first, second));
        assert!(lock.exclusive(MOMENT).await.is_err(), "the clone still holds it");
        drop(clone);
        let alone = lock.exclusive(MOMENT).await.expect("free again");
        assert!(lock.shared(MOMENT).await.is_err());
        drop(alone);
        drop(lock.shared(MOMENT).await.expect("free again"));
    }

    #[tokio::test]
    async fn overlapping_shared_holders_do_not_starve_an_exclusive_request() {
        let (_home, lock) = lock();
        let mut held = lock.shared(LONG).await.expect("free");
        let asked = tokio::spawn({
            let lock = lock.clone();
            async move { lock.exclusive(LONG).await.map(drop) }
        });
        // Each takes its hold before the one before lets go: without a gate, never a free moment.
        let overlapping = async {
            loop {
                held = match lock.shared(MOMENT).await {
                    Ok(next) => next,
                    Err(_) => return held,
                };
            }
        };
        let last = tokio::time::timeout(LONG, overlapping).await.expect("the gate closes");
        drop(last);
        asked.await.expect("joined").expect("gets its turn");
    }
}
