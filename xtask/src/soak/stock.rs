//! What upstreams of each plugin hold, generation after generation, and how to tell from what is
//! served which generation it is.
//!
//! Written here byte by byte, without anybody's tools: a generation must cost milliseconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use anyhow::{Result, bail};

use crate::{client, integration::noise, pulp, upstream::Upstream};

mod container;
mod deb;

/// A repository type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plugin {
    File,
    Deb,
    Container,
}

impl Plugin {
    pub(super) const ALL: [Self; 3] = [Self::File, Self::Deb, Self::Container];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Deb => "deb",
            Self::Container => "container",
        }
    }
}

/// The name under which everything is mirrored.
pub(super) const NAME: &str = "soak/mirror";

/// One generation of an upstream.
pub(super) struct Stock {
    pub(super) plugin: Plugin,
    files: BTreeMap<String, Arc<[u8]>>,
    /// What policies decide about: path upstream and SHA-256.
    pub(super) artifacts: BTreeMap<String, String>,
    /// What tells this generation from every other; see [`observe`].
    pub(super) state: State,
}

/// What a mirror shows of the generation that it serves.
pub(super) type State = BTreeSet<String>;

/// How many packages, files or images one generation has, and how large they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) units: u64,
    /// Every twentieth is of this size, in bytes, the others of some hundreds.
    pub(super) large: usize,
}

impl Stock {
    /// Three quarters of the units change from one generation to the next.
    pub(super) fn new(plugin: Plugin, scale: Scale, generation: u64) -> Self {
        match plugin {
            Plugin::Deb => deb::stock(scale, generation),
            Plugin::Container => container::stock(scale, generation),
            Plugin::File => files(scale, generation),
        }
    }

    fn empty(plugin: Plugin) -> Self {
        Self { plugin, files: BTreeMap::new(), artifacts: BTreeMap::new(), state: BTreeSet::new() }
    }

    /// Adds a file of metadata.
    fn metadata(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into().into());
    }

    /// Adds an artifact; returns its SHA-256.
    fn artifact(&mut self, path: &str, bytes: Vec<u8>) -> String {
        let digest = pulp::sha256(&bytes);
        self.files.insert(path.to_owned(), bytes.into());
        self.artifacts.insert(path.to_owned(), digest.clone());
        digest
    }

    /// Makes this what upstream holds.
    pub(super) fn put(&self, upstream: &Upstream) {
        upstream.replace(self.files.iter().map(|(path, bytes)| (path.clone(), bytes.to_vec())));
    }

    /// The command that mirrors it under `name`.
    pub(super) fn mirror(&self, upstream: &Upstream, name: &str, policy: &str) -> Vec<String> {
        let fixed = match self.plugin {
            Plugin::Deb => vec![upstream.url("debian/"), "--distribution".into(), "stable".into()],
            Plugin::Container => {
                vec![upstream.url(""), "--upstream-name".into(), container::UPSTREAM_NAME.into()]
            }
            Plugin::File => vec![upstream.url("PULP_MANIFEST")],
        };
        let mut words = vec!["mirror".to_owned(), self.plugin.name().to_owned()];
        words.extend(fixed);
        let more = ["--name", name, "--policy", policy, "--mirror", "--json"];
        words.extend(more.map(str::to_owned));
        words
    }

    /// An error unless the artifact at `path` is served as it is upstream.
    pub(super) fn is_served(&self, server: SocketAddr, name: &str, path: &str) -> Result<()> {
        let served = served_path(self.plugin, name, path);
        let reply = client::get(server, &served)?.expect(200)?;
        if reply.body != *self.files[path] {
            bail!("`{served}` is served with other bytes than upstream's");
        }
        Ok(())
    }
}

/// Where a mirror serves what upstream has at `path`.
pub(super) fn served_path(plugin: Plugin, name: &str, path: &str) -> String {
    match plugin {
        Plugin::Deb => pulp::content_path(name, path.trim_start_matches("debian/")),
        Plugin::Container => {
            path.replacen(&format!("v2/{}", container::UPSTREAM_NAME), &format!("/v2/{name}"), 1)
        }
        Plugin::File => pulp::content_path(name, path),
    }
}

/// What is served now; nothing while there is no mirror yet.
pub(super) fn observe(plugin: Plugin, server: SocketAddr, name: &str) -> Result<State> {
    let path = match plugin {
        Plugin::Deb => pulp::content_path(name, deb::INDEX),
        Plugin::Container => format!("/v2/{name}/tags/list"),
        Plugin::File => pulp::content_path(name, "PULP_MANIFEST"),
    };
    let reply = client::get(server, &path)?;
    if reply.status == 404 {
        return Ok(State::new());
    }
    let text = String::from_utf8(reply.expect(200)?.body)?;
    Ok(match plugin {
        Plugin::Deb => deb::state(&text),
        Plugin::Container => container::state(&text)?,
        Plugin::File => text.lines().map(str::to_owned).collect(),
    })
}

/// Bytes of unit `number`: every fourth keeps its own for five generations.
fn body(scale: Scale, number: u64, generation: u64) -> Vec<u8> {
    let period = if number.is_multiple_of(4) { 5 } else { 1 };
    let seed = number * 1_000_003 + generation / period + 1;
    let length = if number.is_multiple_of(20) { scale.large } else { 200 };
    noise(seed, length + usize::try_from(seed % 100).unwrap_or_default())
}

fn files(scale: Scale, generation: u64) -> Stock {
    let mut stock = Stock::empty(Plugin::File);
    for number in 0..scale.units {
        let path = format!("some/folder/{number:05}.bin");
        let bytes = body(scale, number, generation);
        let length = bytes.len();
        let digest = stock.artifact(&path, bytes);
        stock.state.insert(format!("{path},{digest},{length}"));
    }
    let lines: Vec<_> = stock.state.iter().cloned().collect();
    stock.metadata("PULP_MANIFEST", lines.join("\n") + "\n");
    stock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_share_a_quarter_and_differ_in_the_rest() {
        let scale = Scale { units: 40, large: 1000 };
        for plugin in Plugin::ALL {
            let [one, two] = [1, 2].map(|generation| Stock::new(plugin, scale, generation));
            let digests =
                |stock: &Stock| stock.artifacts.values().cloned().collect::<BTreeSet<_>>();
            let shared = digests(&one).intersection(&digests(&two)).count();
            assert!(shared >= 10 && shared < one.artifacts.len(), "{plugin:?}: {shared}");
            assert_ne!(one.state, two.state);
            let again = Stock::new(plugin, scale, 1);
            assert_eq!((one.files, one.state), (again.files, again.state));
        }
    }
}
