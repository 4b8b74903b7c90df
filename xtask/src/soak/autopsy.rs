//! What a process that was killed left behind: looked at as an administrator would.
//!
//! `pulp check` is the next start; after it nothing temporary may be left, every row of an artifact
//! has its verified bytes, and whatever refers to something refers to something that is there.

use std::{collections::HashSet, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{pulp::Installation, upstream::Seen};

use super::stock::{Plugin, Stock};

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// Artifacts that the database knows.
    pub(super) rows: usize,
    /// SHA-256 of the files in the store. Those without a row are not counted as stored.
    pub(super) files: HashSet<String>,
}

impl Remains {
    /// Which of the stock's artifacts a sync still has to fetch.
    pub(super) fn missing(&self, stock: &Stock) -> usize {
        let wanted: HashSet<_> = stock.artifacts.values().collect();
        wanted.into_iter().filter(|digest| !self.files.contains(*digest)).count()
    }

    /// An error when what was stored has been fetched again. Files whose rows were not written
    /// yet do not count as stored; how many they are is known, which they are is not.
    pub(super) fn were_used(&self, stock: &Stock, log: &[Seen]) -> Result<()> {
        let again = log.iter().filter_map(|seen| stock.artifacts.get(&seen.path));
        let again: HashSet<_> = again.filter(|digest| self.files.contains(*digest)).collect();
        let without_row = self.files.len().saturating_sub(self.rows);
        ensure!(
            again.len() <= without_row,
            "{} artifacts were stored and fetched again, at most {without_row} had no row yet",
            again.len()
        );
        Ok(())
    }
}

/// Looks at an installation after a death. `living`: the process of the server there, whose
/// temporary files are its own business.
pub(super) fn examine(pulp: &Installation, living: Option<u32>) -> Result<Remains> {
    let output = pulp.try_run(&["check", "--json"])?;
    let checked: Value = serde_json::from_str(&output.stdout)
        .with_context(|| format!("`pulp check` failed:\n{}", output.stderr))?;
    let findings = checked["findings"].as_array().context("`check` lists no findings")?;
    let some: Vec<_> = findings.iter().take(3).collect();
    ensure!(findings.is_empty(), "`pulp check` found {} things, as {some:?}", findings.len());
    let rows = checked["artifacts"].as_u64().context("`check` counts no artifacts")?;
    let rows = usize::try_from(rows)?;

    let theirs = living.map(|id| pulp.home().join("tmp").join(format!("{id}-")));
    let theirs = theirs.map(|folder| folder.display().to_string());
    let mut left = pulp.files("tmp")?;
    left.retain(|path| {
        theirs.as_ref().is_none_or(|of| !path.display().to_string().starts_with(of))
    });
    ensure!(left.is_empty(), "Temporary files are left: {left:?}");

    let files: HashSet<_> = pulp
        .files("artifacts")?
        .iter()
        .filter_map(|path| {
            let folder = path.parent()?.file_name()?;
            Some(format!("{}{}", folder.display(), path.file_name()?.display()))
        })
        .collect();
    ensure!(files.len() >= rows, "{rows} artifacts, but {} files", files.len());
    Ok(Remains { rows, files })
}

/// The number of the newest version, if the repository exists.
pub(super) fn newest_version(
    pulp: &Installation,
    plugin: Plugin,
    name: &str,
) -> Result<Option<u64>> {
    let list = pulp.versions(plugin.name(), name)?;
    Ok(list.iter().filter_map(|version| version["number"].as_u64()).max())
}

/// How many publications the repository has.
pub(super) fn publications(pulp: &Installation, plugin: Plugin, name: &str) -> Result<usize> {
    let words = [plugin.name(), "publication", "list", "--repository", name, "--json"];
    let list: Vec<Value> = serde_json::from_str(&pulp.run(&words)?)?;
    Ok(list.len())
}

/// Fetches artifacts of the stock from a server, several at once; an error names the first that is
/// not as upstream has it.
pub(super) fn are_served(
    stock: &Stock,
    server: SocketAddr,
    name: &str,
    paths: &[&String],
) -> Result<()> {
    const READERS: usize = 4;
    std::thread::scope(|scope| {
        let part = paths.len().div_ceil(READERS).max(1);
        let readers: Vec<_> = paths
            .chunks(part)
            .map(|paths| {
                scope.spawn(move || {
                    paths.iter().try_for_each(|path| stock.is_served(server, name, path))
                })
            })
            .collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("no reader panics"))
    })
}
