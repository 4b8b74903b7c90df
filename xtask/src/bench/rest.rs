//! Pulp itself: a running server, by its REST API.
//!
//! A run makes a remote and a repository for the case's set, has the server do the case's steps, and
//! takes the times that the task tells, without the wait for a worker. Then it removes what it
//! made, and has the server forget all orphans, before and after: with the last run's files still
//! there, a sync would cost nothing. So the server should be there for nothing else.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, ToSocketAddrs as _},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    cases::{Case, What},
    contender::{Scene, Words, database_server},
    data::Set,
    measure::{self, Sample},
    steps::Step,
};
use crate::{client, process, pulp::Backend};

const API: &str = "/pulp/api/v3/";
/// How often the server is asked whether a task has ended.
const EVERY: Duration = Duration::from_millis(100);
/// No task takes longer.
const LIMIT: Duration = Duration::from_secs(3600);

/// A running server.
pub(super) struct PulpServer {
    name: String,
    address: SocketAddr,
    authorization: String,
}

impl PulpServer {
    /// By its URL, as in `http://admin:secret@127.0.0.1:24817`.
    pub(super) fn find(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("http://").context("A server's URL begins with `http://`")?;
        let rest = rest.trim_end_matches('/');
        let (credentials, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let port = if host.contains(':') { "" } else { ":80" };
        let mut addresses = format!("{host}{port}")
            .to_socket_addrs()
            .with_context(|| format!("Failed to find the server `{host}`"))?;
        let address = addresses.next().with_context(|| format!("`{host}` has no address"))?;
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        let mut server = Self { name: String::new(), address, authorization };
        let status = server.get(&format!("{API}status/"))?;
        let versions = status["versions"].as_array().context("It is no Pulp server")?;
        let core = versions.iter().find(|version| version["component"] == "core");
        let version = core.and_then(|core| core["version"].as_str()).unwrap_or("of some version");
        server.name = format!("Pulp {version}");
        Ok(server)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it knows how to do the case's work. What is measured at many sizes takes it days.
    pub(super) fn takes_part(case: &Case) -> bool {
        matches!(case.what, What::Step(_)) && !case.name.starts_with("scale")
    }

    /// One run, from nothing to nothing.
    pub(super) fn run(&self, case: &Case, scene: &Scene, words: &Words) -> Result<Sample> {
        let What::Step(step) = case.what else { bail!("It does not take part") };
        self.forget_orphans()?;
        let mut made = Made { server: self, hrefs: Vec::new() };
        let bench = made.bench(case, step, words)?;
        for step in case.before {
            self.perform(*step, &bench)?;
        }
        scene.upstream.take_log();
        let mut sample = self.perform(step, &bench)?;
        if scene.elsewhere.is_none() {
            sample.requests = Some(scene.upstream.take_log().len() as u64);
        }
        made.remove()?;
        Ok(sample)
    }

    fn perform(&self, step: Step, bench: &Bench) -> Result<Sample> {
        let Bench { remote, repository } = bench;
        let sync = |optimize: bool| {
            let mut body = json!({ "remote": remote, "mirror": true });
            // Registries are always asked whether a tag has changed, and the field is refused.
            if !repository.contains("/container/") {
                body["optimize"] = json!(optimize);
            }
            self.task(&format!("{repository}sync/"), &body)
        };
        match step {
            Step::Mirror(_) | Step::Sync => sync(true),
            Step::Force => sync(false),
            Step::Publish(_) => self.task(
                &format!("{API}publications/deb/apt/"),
                &json!({ "repository": repository, "structured": true, "simple": false }),
            ),
        }
    }

    fn forget_orphans(&self) -> Result<()> {
        let all = json!({ "orphan_protection_time": 0 });
        self.task(&format!("{API}orphans/cleanup/"), &all).map(drop)
    }

    /// Starts a task and waits for its end.
    fn task(&self, path: &str, body: &Value) -> Result<Sample> {
        let processes = Processes::of(self)?;
        let before = processes.cpu();
        let started = self.post(path, body)?;
        let sample = self.watch(&href(&started["task"])?, &processes)?;
        let spent = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
        let after = processes.cpu();
        Ok(Sample { cpu: spent(before.0, after.0), server_cpu: spent(before.1, after.1), ..sample })
    }

    fn watch(&self, task: &str, processes: &Processes) -> Result<Sample> {
        let (begin, mut peak) = (Instant::now(), None);
        loop {
            peak = peak.max(processes.peak());
            let state = self.get(task)?;
            match state["state"].as_str() {
                Some("completed") => {
                    let wall = seconds_between(&state["started_at"], &state["finished_at"]);
                    let wall = wall.with_context(|| format!("No times in {state}"))?;
                    return Ok(Sample { wall, peak, ..Sample::default() });
                }
                Some("waiting" | "running") => {}
                _ => bail!("A task of the server did not complete: {state}"),
            }
            ensure!(begin.elapsed() < LIMIT, "A task of the server still ran after {LIMIT:?}");
            thread::sleep(EVERY);
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, b"")
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, body.to_string().as_bytes())
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let headers =
            [("Authorization", &*self.authorization), ("Content-Type", "application/json")];
        let reply = client::exchange(self.address, method, path, &headers, body)?;
        let text = String::from_utf8_lossy(&reply.body);
        ensure!(
            (200..300).contains(&reply.status) && reply.complete,
            "{method} `{path}` was answered with {}: {text}",
            reply.status
        );
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }
}

/// What a run works with.
struct Bench {
    remote: String,
    repository: String,
}

/// What a run has made; removed when dropped, for a run may fail.
struct Made<'a> {
    server: &'a PulpServer,
    hrefs: Vec<String>,
}

impl Made<'_> {
    fn bench(&mut self, case: &Case, step: Step, words: &Words) -> Result<Bench> {
        // Nobody else's, also if an earlier run was killed.
        let name = format!("bench-{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
        let first = case.before.first().copied().unwrap_or(step);
        let Step::Mirror(policy) = first else { bail!("The case mirrors nothing") };
        let url = &words.url;
        let (kind, mut remote) = match case.set {
            Set::Archive { suite, .. } => (
                "deb/apt",
                json!({
                    "url": url, "distributions": suite, "components": "main",
                    "architectures": "amd64",
                }),
            ),
            Set::Images { .. } => {
                ("container/container", json!({ "url": words.server, "upstream_name": words.set }))
            }
            _ => ("file/file", json!({ "url": format!("{url}PULP_MANIFEST") })),
        };
        remote["name"] = json!(name);
        remote["policy"] = json!(policy.name());
        Ok(Bench {
            remote: self.make(&format!("remotes/{kind}/"), &remote)?,
            repository: self.make(&format!("repositories/{kind}/"), &json!({ "name": name }))?,
        })
    }

    fn make(&mut self, path: &str, body: &Value) -> Result<String> {
        let href = href(&self.server.post(&format!("{API}{path}"), body)?["pulp_href"])?;
        self.hrefs.push(href.clone());
        Ok(href)
    }

    /// Removes all of it, and what then belongs to nobody.
    fn remove(&mut self) -> Result<()> {
        let no_processes = Processes::default();
        for made in std::mem::take(&mut self.hrefs) {
            let started = self.server.ask("DELETE", &made, b"")?;
            if let Ok(task) = href(&started["task"]) {
                self.server.watch(&task, &no_processes)?;
            }
        }
        self.server.forget_orphans()
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !self.hrefs.is_empty() {
            // What made the run fail counts.
            let _ = self.remove();
        }
    }
}

/// The processes that do a server's work, as far as they run here and we may look at them.
#[derive(Default)]
struct Processes {
    workers: BTreeSet<u32>,
    database: Option<u32>,
}

impl Processes {
    /// A worker is called after its process and its host, `PID@HOST`.
    fn of(server: &PulpServer) -> Result<Self> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let answer = server.get(&format!("{API}workers/?online=true&limit=100"))?;
        let names = answer["results"].as_array().into_iter().flatten();
        let here = names.filter_map(|worker| {
            let (id, at) = worker["name"].as_str()?.split_once('@')?;
            let id = id.parse().ok().filter(|_| at == host.trim())?;
            process::cpu_of(id).map(|_| id)
        });
        let workers: BTreeSet<u32> = here.collect();
        let database = if workers.is_empty() { None } else { database_server(Backend::Postgres) };
        Ok(Self { workers, database })
    }

    /// Seconds of the workers' processors, and of the database's.
    fn cpu(&self) -> (Option<f64>, Option<f64>) {
        let workers = self.workers.iter().map(|id| measure::cpu_of_family(*id)).sum();
        let workers = if self.workers.is_empty() { None } else { workers };
        (workers, self.database.and_then(measure::cpu_of_family))
    }

    /// The most memory that any of the workers' processes had.
    fn peak(&self) -> Option<u64> {
        self.workers.iter().filter_map(|id| measure::peak_of_family(*id)).max()
    }
}

/// The path of what an answer refers to, by a path or by a URL.
fn href(value: &Value) -> Result<String> {
    let text = value.as_str().context("The server's answer refers to nothing")?;
    let path = text.find("/pulp/").map_or(text, |at| &text[at..]);
    Ok(path.to_owned())
}

/// Between two times of less than a day's distance, as in `2026-11-27T11:50:00.123456Z`.
fn seconds_between(start: &Value, end: &Value) -> Option<f64> {
    let of_day = |time: &Value| {
        let time = time.as_str()?.split_once('T')?.1.trim_end_matches('Z');
        let mut parts = time.split(':').map(str::parse::<f64>);
        let mut part = || parts.next()?.ok();
        Some(part()? * 3600.0 + part()? * 60.0 + part()?)
    };
    Some((of_day(end)? - of_day(start)?).rem_euclid(86_400.0))
}

#[cfg(test)]
mod tests;
