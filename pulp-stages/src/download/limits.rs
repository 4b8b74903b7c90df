//! How fast one may ask: requests in flight, requests and bytes per second, and hosts that asked for a
//! pause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pulp_models::RemoteSettings;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use url::{Origin, Url};

/// All limits of one remote.
#[derive(Debug)]
pub(super) struct Limits {
    in_flight: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What holds for whoever asks on the remote's behalf.
#[derive(Debug)]
struct Shared {
    requests: Option<Pace>,
    bytes: Option<Pace>,
    pauses: Pauses,
}

impl Limits {
    pub(super) fn new(settings: &RemoteSettings) -> Self {
        let shared = Shared {
            requests: settings.rate_limit.map(|rate| Pace::new(u64::from(rate.get()))),
            bytes: settings.bytes_per_second.map(|rate| Pace::new(rate.get())),
            pauses: Pauses::default(),
        };
        Self { in_flight: in_flight(settings), shared: Arc::new(shared) }
    }

    /// The same paces and pauses, with as many requests in flight besides.
    pub(super) fn beside(&self, settings: &RemoteSettings) -> Self {
        Self { in_flight: in_flight(settings), shared: Arc::clone(&self.shared) }
    }

    /// Waits until a request to `url` may be in flight. Nobody waits out a host's pause while
    /// keeping others from asking other hosts.
    pub(super) async fn enter(&self, url: &Url) -> OwnedSemaphorePermit {
        loop {
            self.shared.pauses.wait(url).await;
            let permit = Arc::clone(&self.in_flight).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            if self.shared.pauses.end(url).is_none() {
                return permit;
            }
        }
    }

    /// Waits until the host of `url` may be asked: for hops after the first.
    pub(super) async fn wait_for_pause(&self, url: &Url) {
        self.shared.pauses.wait(url).await;
    }

    /// Waits for the turn of one more request.
    pub(super) async fn one_request(&self) {
        if let Some(pace) = &self.shared.requests {
            pace.take(1).await;
        }
    }

    /// Waits until `bytes` that were just received may be followed by more.
    pub(super) async fn received(&self, bytes: usize) {
        if let Some(pace) = &self.shared.bytes {
            pace.take(bytes as u64).await;
        }
    }

    /// Lets no request to `url`'s host start before `wait` is over.
    pub(super) fn pause(&self, url: &Url, wait: Duration) {
        self.shared.pauses.set(url, wait);
    }
}

fn in_flight(settings: &RemoteSettings) -> Arc<Semaphore> {
    let requests = usize::try_from(settings.download_concurrency()).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS)))
}

/// So many per second, evenly spaced: what is taken delays whoever comes next. Nothing is saved up.
#[derive(Debug)]
struct Pace {
    per_second: u64,
    free_from: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: u64) -> Self {
        Self { per_second, free_from: Mutex::new(None) }
    }

    async fn take(&self, amount: u64) {
        let cost = Duration::from_secs_f64(amount as f64 / self.per_second as f64);
        let start = {
            let mut free_from = self.free_from.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = free_from.map_or(now, |at| at.max(now));
            *free_from = Some(start + cost);
            start
        };
        sleep_until(start).await;
    }
}

/// Origins that sent `Retry-After`, and until when.
#[derive(Debug, Default)]
struct Pauses(Mutex<HashMap<Origin, Instant>>);

impl Pauses {
    fn set(&self, url: &Url, wait: Duration) {
        let end = Instant::now() + wait;
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = pauses.entry(url.origin()).or_insert(end);
        *current = end.max(*current);
    }

    /// The end of the pause, if there is one and it lies ahead.
    fn end(&self, url: &Url) -> Option<Instant> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.is_empty() {
            return None;
        }
        let end = *pauses.get(&url.origin())?;
        if end > Instant::now() {
            return Some(end);
        }
        pauses.remove(&url.origin());
        None
    }

    async fn wait(&self, url: &Url) {
        while let Some(end) = self.end(url) {
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(settings: &RemoteSettings) -> Limits {
        Limits::new(settings)
    }

    fn url(text: &str) -> Url {
        text.parse().expect("valid")
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_evenly() {
        let settings =
            RemoteSettings { rate_limit: std::num::NonZeroU32::new(4), ..Default::default() };
        let limits = limits(&settings);
        let begin = Instant::now();
        for _ in 0..9 {
            limits.one_request().await;
        }
        assert_eq!(begin.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_delay_the_bytes_after_them() {
        let settings = RemoteSettings {
            bytes_per_second: std::num::NonZeroU64::new(1000),
            ..Default::default()
        };
        let limits = limits(&settings);
        let begin = Instant::now();
        limits.received(5000).await;
        assert_eq!(begin.elapsed().as_secs(), 0);
        limits.received(1).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_its_host_only_and_the_longest_counts() {
        let limits = limits(&RemoteSettings::default());
        limits.pause(&url("http://a/x"), Duration::from_secs(7));
        limits.pause(&url("http://a/y"), Duration::from_secs(3));
        let begin = Instant::now();
        drop(limits.enter(&url("http://b/")).await);
        assert_eq!(begin.elapsed().as_secs(), 0);
        drop(limits.enter(&url("http://a/z")).await);
        assert_eq!(begin.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_out_a_pause_takes_no_place_in_flight() {
        let settings = RemoteSettings {
            download_concurrency: std::num::NonZeroU32::new(1),
            ..Default::default()
        };
        let limits = limits(&settings);
        limits.pause(&url("http://a/"), Duration::from_secs(60));
        let (a, b) = (url("http://a/"), url("http://b/"));
        let waiting = limits.enter(&a);
        tokio::select! {
            _ = waiting => panic!("the pause was not observed"),
            permit = limits.enter(&b) => drop(permit),
        }
    }
}
