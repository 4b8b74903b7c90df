//! What a sync costs, in requests: counted by a proxy between the program and a real registry.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};

use super::{Lab, NAME, Registry, UPSTREAM_NAME, mirror_from};
use crate::{
    client,
    pulp::Mirrored,
    server::{Answer, Request, Server, Service, lock},
};

/// Passes requests on to a registry, and counts them.
struct Proxy {
    server: Server,
    counter: Arc<Counter>,
}

struct Counter {
    registry: SocketAddr,
    /// By method and path.
    seen: Mutex<BTreeMap<String, usize>>,
}

impl Proxy {
    fn start(registry: &Registry) -> Result<Self> {
        let counter = Counter { registry: registry.address, seen: Mutex::default() };
        let counter = Arc::new(counter);
        Ok(Self { server: Server::start(Arc::clone(&counter))?, counter })
    }

    /// The requests since the last call.
    fn take(&self) -> Counts {
        Counts(std::mem::take(&mut lock(&self.counter.seen)))
    }

    fn mirror(&self, lab: &Lab, more: &[&str]) -> Result<Mirrored> {
        mirror_from(&lab.pulp, self.server.address(), more)
    }
}

impl Service for Counter {
    fn answer(&self, request: &Request) -> Answer {
        let line = format!("{} {}", request.method, request.path);
        *lock(&self.seen).entry(line).or_default() += 1;
        let headers = ["accept", "range", "if-range"];
        let headers = headers.into_iter().filter_map(|name| Some((name, request.header(name)?)));
        let headers: Vec<_> = headers.collect();
        let query = if request.query.is_empty() { "" } else { "?" };
        let target = format!("{}{query}{}", client::encode(&request.path), request.query);
        let reply = client::request(self.registry, &request.method, &target, &headers);
        let Ok(reply) = reply else { return Answer::new(502, "") };
        let mut answer = Answer::new(reply.status, &reply.body[..]);
        let names = ["Content-Type", "Docker-Content-Digest", "Etag", "Content-Range", "Link"];
        for name in names {
            if let Some(value) = reply.header(&name.to_ascii_lowercase()) {
                answer = answer.with(name, value);
            }
        }
        answer
    }
}

/// Requests by method and path.
struct Counts(BTreeMap<String, usize>);

impl Counts {
    /// How many requests begin so, after the repository's name.
    fn of(&self, method: &str, below: &str) -> usize {
        let start = format!("{method} /v2/{UPSTREAM_NAME}/{below}");
        self.0.iter().filter(|(line, _)| line.starts_with(&start)).map(|(_, count)| count).sum()
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// What was asked for more than once.
    fn repeated(&self) -> Vec<&String> {
        self.0.iter().filter(|(_, count)| **count > 1).map(|(line, _)| line).collect()
    }
}

/// Of three tags and an index of three platforms, everything comes once; nothing comes again for a
/// second repository; what is unchanged costs a request per tag; a moved tag costs what is new.
pub(super) fn kept(lab: &Lab) -> Result<()> {
    let registry = Registry::start()?;
    let tags = ["v1", "v2", "v3", "multi"];
    for (seed, tag) in (1..).zip(&tags[..3]) {
        registry.push_image(tag, seed)?;
    }
    registry.push_index("multi", &["amd64", "arm64", "riscv64"])?;
    let proxy = Proxy::start(&registry)?;

    proxy.mirror(lab, &["--policy", "immediate"])?;
    let first = proxy.take();
    ensure!(first.repeated().is_empty(), "Asked for again: {:?}", first.repeated());
    ensure!(first.of("HEAD", "manifests/") == tags.len(), "{:?}", first.0);
    // Three images, an index, its three images; two layers and a configuration of each image.
    ensure!(first.of("GET", "manifests/") == 7, "{:?}", first.0);
    ensure!(first.of("GET", "blobs/") == 18, "{:?}", first.0);
    ensure!(first.total() == 1 + tags.len() + 7 + 18, "{:?}", first.0);

    let unchanged = proxy.mirror(lab, &["--policy", "immediate"])?;
    ensure!(unchanged.version.is_none(), "Nothing changed, but: {unchanged:?}");
    let second = proxy.take();
    ensure!(second.total() <= tags.len() + 2, "{:?}", second.0);
    ensure!(second.of("HEAD", "manifests/") == tags.len(), "{:?}", second.0);
    ensure!(second.of("GET", "manifests/") + second.of("GET", "blobs/") == 0, "{:?}", second.0);

    let url = format!("http://{}", proxy.server.address());
    let beside =
        ["mirror", "container", &url, "--upstream-name", UPSTREAM_NAME, "--name", "beside"];
    let beside = Mirrored::parse(&lab.pulp.run(&[&beside[..], &["--json"]].concat())?)?;
    ensure!(beside.present == 4 + 7 + 18, "Not everything is there: {beside:?}");
    let third = proxy.take();
    ensure!(third.total() == 1 + tags.len(), "For what `{NAME}` has already: {:?}", third.0);

    registry.push_image("v2", 9)?;
    let moved = proxy.mirror(lab, &["--policy", "immediate"])?;
    ensure!(moved.added == 5, "Not a tag, a manifest and three blobs: {moved:?}");
    let fourth = proxy.take();
    ensure!(
        fourth.of("GET", "manifests/") == 1 && fourth.of("GET", "blobs/") == 3,
        "{:?}",
        fourth.0
    );
    ensure!(fourth.repeated().is_empty(), "Asked for again: {:?}", fourth.repeated());
    Ok(())
}
