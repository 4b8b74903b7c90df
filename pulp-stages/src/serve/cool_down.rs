//! Sources that gave wrong bytes, and are left alone for a while.
//!
//! Kept in memory only: another process finds out for itself. Consulted by [`super::fill`].

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pulp_models::{RemoteId, RemoteUrl};
use tokio::time::Instant;

/// The sources on cool-down, each until its time.
#[derive(Debug)]
pub(super) struct CoolDown {
    period: Duration,
    until: Mutex<HashMap<(RemoteId, RemoteUrl), Instant>>,
}

impl CoolDown {
    pub(super) fn new(period: Duration) -> Self {
        Self { period, until: Mutex::default() }
    }

    /// Leaves a source alone from now on.
    pub(super) fn begin(&self, remote: RemoteId, url: &RemoteUrl) {
        let now = Instant::now();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, end| *end > now);
        until.insert((remote, url.clone()), now + self.period);
    }

    /// How much longer a source is left alone.
    pub(super) fn remaining(&self, remote: RemoteId, url: &RemoteUrl) -> Option<Duration> {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_empty() {
            return None;
        }
        let end = until.get(&(remote, url.clone()))?;
        let rest = end.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_left_alone_for_the_period_and_no_longer() {
        let cool_down = CoolDown::new(Duration::from_secs(300));
        let (remote, other) = (RemoteId::new(), RemoteId::new());
        let url: RemoteUrl = "http://host/a".parse().expect("valid");
        cool_down.begin(remote, &url);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(cool_down.remaining(remote, &url), Some(Duration::from_secs(1)));
        assert_eq!(cool_down.remaining(other, &url), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cool_down.remaining(remote, &url), None);
    }
}
