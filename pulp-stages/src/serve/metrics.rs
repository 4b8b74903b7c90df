//! What the server counts, and how Prometheus reads it.
//!
//! A few dozen numbers, known when this is compiled, need no registry: each is an atomic here, and
//! [`Metrics::page`] writes them in Prometheus' text format (version 0.0.4). What only the database
//! knows (when which repository was synchronised, by whatever process) is asked for at each scrape
//! in [`super::scrape`].

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes on the clients' sockets.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received: Counter,
    pub(super) sent: Counter,
}

/// What was counted since the start.
#[derive(Debug)]
pub(super) struct Metrics {
    started: SystemTime,
    pub(super) traffic: Arc<Traffic>,
    /// Connections accepted, and refused because their client had too many.
    pub(super) connections: Counter,
    pub(super) refused: Counter,
    /// Connections closed again.
    pub(super) closed: Counter,
    /// Responses whose bytes were in the store, had to be fetched, or were not needed.
    pub(super) from_store: Counter,
    pub(super) from_fill: Counter,
    pub(super) without_bytes: Counter,
    /// Fills that stored or streamed a whole file, and fills that did not.
    pub(super) fills_completed: Counter,
    pub(super) fills_failed: Counter,
    pub(super) filled_bytes: Counter,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    durations: [Counter; BOUNDS.len()],
    duration_micros: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            started: SystemTime::now(),
            traffic: Arc::default(),
            connections: Counter::default(),
            refused: Counter::default(),
            closed: Counter::default(),
            from_store: Counter::default(),
            from_fill: Counter::default(),
            without_bytes: Counter::default(),
            fills_completed: Counter::default(),
            fills_failed: Counter::default(),
            filled_bytes: Counter::default(),
            requests: Mutex::default(),
            durations: Default::default(),
            duration_micros: Counter::default(),
        }
    }

    /// Counts a request whose response's head was ready after `duration`.
    pub(super) fn request(&self, method: &http::Method, status: u16, duration: Duration) {
        let method = match method.as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            // Clients invent methods; each name would stay for ever.
            _ => "other",
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, status)).or_default() += 1;
        drop(requests);
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.durations[bucket].add(1);
        }
        self.duration_micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Everything that is counted here; `running` fills are under way.
    pub(super) fn page(&self, running: usize) -> Page {
        let mut page = Page::default();
        page.family("pulp_build_info", "gauge", "The version that runs")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.requests(&mut page);
        let (open, closed) = (self.connections.get(), self.closed.get());
        page.family("pulp_http_connections", "gauge", "Open client connections")
            .sample(&[], open.saturating_sub(closed));
        page.counter(
            "pulp_http_connections_total",
            "Client connections accepted",
            &self.connections,
        );
        page.counter(
            "pulp_http_connections_refused_total",
            "Client connections closed at once, because their address had too many",
            &self.refused,
        );
        let traffic = &self.traffic;
        page.counter("pulp_http_received_bytes_total", "Bytes from clients", &traffic.received);
        page.counter("pulp_http_sent_bytes_total", "Bytes to clients", &traffic.sent);
        page.family(
            "pulp_content_responses_total",
            "counter",
            "Responses with content: from the store, fetched for the client, or without a body",
        )
        .sample(&[("source", "store")], self.from_store.get())
        .sample(&[("source", "fill")], self.from_fill.get())
        .sample(&[("source", "none")], self.without_bytes.get());
        page.family("pulp_fills", "gauge", "Files being fetched for clients").sample(&[], running);
        page.family("pulp_fills_total", "counter", "Files fetched for clients, by outcome")
            .sample(&[("outcome", "completed")], self.fills_completed.get())
            .sample(&[("outcome", "failed")], self.fills_failed.get());
        page.counter(
            "pulp_fill_bytes_total",
            "Bytes of files fetched for clients",
            &self.filled_bytes,
        );
        process(&mut page, self.started);
        page
    }

    fn requests(&self, page: &mut Page) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        page.family("pulp_http_requests_total", "counter", "Requests, by method and status");
        for ((method, status), count) in &requests {
            page.sample(&[("method", method), ("code", &status.to_string())], count);
        }
        let name = "pulp_http_request_duration_seconds";
        page.family(name, "histogram", "Time until the head of a response was ready");
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.durations) {
            below += bucket.get();
            page.part(&format!("{name}_bucket"), &[("le", &bound.to_string())], below);
        }
        let all: u64 = requests.values().sum();
        page.part(&format!("{name}_bucket"), &[("le", "+Inf")], all);
        let seconds = self.duration_micros.get() as f64 / 1e6;
        page.part(&format!("{name}_sum"), &[], seconds);
        page.part(&format!("{name}_count"), &[], all);
    }
}

/// What Prometheus' client libraries tell of a process, under their names. Absent where there is no
/// `/proc`.
fn process(page: &mut Page, started: SystemTime) {
    let start = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    page.family("process_start_time_seconds", "gauge", "Unix time of the start").sample(&[], start);
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.family("process_open_fds", "gauge", "Open file descriptors")
            .sample(&[], files.count());
    }
    let resident = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    if let Some(kibibytes) = resident {
        page.family("process_resident_memory_bytes", "gauge", "Resident memory")
            .sample(&[], kibibytes * 1024);
    }
}

/// A page in Prometheus' text format.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) -> &mut Self {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.name = name;
        self
    }

    /// Adds a sample to the family.
    pub(super) fn sample(
        &mut self,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) -> &mut Self {
        self.part(self.name, labels, value);
        self
    }

    fn counter(&mut self, name: &'static str, help: &str, counter: &Counter) {
        self.family(name, "counter", help).sample(&[], counter.get());
    }

    fn part(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn buckets_are_cumulative_and_invented_methods_are_one() {
        let metrics = Metrics::new();
        metrics.request(&Method::GET, 200, Duration::from_micros(300));
        metrics.request(&Method::GET, 404, Duration::from_millis(20));
        for name in ["BREW", "WHEN"] {
            let method = Method::from_bytes(name.as_bytes()).expect("valid");
            metrics.request(&method, 405, Duration::from_secs(3600));
        }
        let mut page = Page::default();
        metrics.requests(&mut page);
        insta::assert_snapshot!(page.finish(), @r#"
        # HELP pulp_http_requests_total Requests, by method and status
        # TYPE pulp_http_requests_total counter
        pulp_http_requests_total{method="GET",code="200"} 1
        pulp_http_requests_total{method="GET",code="404"} 1
        pulp_http_requests_total{method="other",code="405"} 2
        # HELP pulp_http_request_duration_seconds Time until the head of a response was ready
        # TYPE pulp_http_request_duration_seconds histogram
        pulp_http_request_duration_seconds_bucket{le="0.001"} 1
        pulp_http_request_duration_seconds_bucket{le="0.0025"} 1
        pulp_http_request_duration_seconds_bucket{le="0.005"} 1
        pulp_http_request_duration_seconds_bucket{le="0.01"} 1
        pulp_http_request_duration_seconds_bucket{le="0.025"} 2
        pulp_http_request_duration_seconds_bucket{le="0.1"} 2
        pulp_http_request_duration_seconds_bucket{le="0.25"} 2
        pulp_http_request_duration_seconds_bucket{le="1"} 2
        pulp_http_request_duration_seconds_bucket{le="5"} 2
        pulp_http_request_duration_seconds_bucket{le="30"} 2
        pulp_http_request_duration_seconds_bucket{le="+Inf"} 4
        pulp_http_request_duration_seconds_sum 7200.0203
        pulp_http_request_duration_seconds_count 4
        "#);
    }

    #[test]
    fn names_of_repositories_cannot_break_the_format() {
        let mut page = Page::default();
        page.family("a", "gauge", "b").sample(&[("repository", "x\"} 1\n\\y")], 2);
        assert!(page.finish().ends_with("a{repository=\"x\\\"} 1\\n\\\\y\"} 2\n"));
    }
}
