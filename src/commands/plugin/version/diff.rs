//! What differs between two versions of a repository, for people.
//!
//! The database says which units come and go; their labels say which of those are one thing that
//! changed: a package from one version to another, a file from one digest to another.

use std::collections::BTreeMap;

use pulp_models::{
    ContentId, VersionNumber,
    content::{self, StoredContent},
    repository::Repository,
    version::{self, Change},
};
use pulp_stages::{Label, installation::Installation, plugin::AnyPlugin};
use serde::Serialize;
use serde_json::Value;

use crate::failure::CommandResult;

/// Units that are looked up at a time.
const PAGE: u32 = 1000;

/// One difference.
#[derive(Serialize)]
pub(super) struct Difference {
    /// `added`, `removed` or `changed`.
    change: &'static str,
    #[serde(rename = "type")]
    type_name: String,
    /// What it is called, if units of this type have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The unit: the new one of a change.
    content: Value,
}

impl Difference {
    /// A line for people.
    pub(super) fn describe(&self) -> String {
        let kind = &self.type_name;
        let Some(name) = &self.name else {
            let sign = if self.change == "added" { '+' } else { '-' };
            return format!("{sign} {kind} {}", self.content);
        };
        match (self.from.as_deref(), self.to.as_deref()) {
            (Some(from), Some(to)) => format!("~ {kind} {name}: {from} -> {to}"),
            (Some(from), None) => format!("- {kind} {name}: {from}"),
            (None, to) => format!("+ {kind} {name}: {}", to.unwrap_or_default()),
        }
    }
}

/// Units of one type and name that come or go, oldest first.
#[derive(Default)]
struct Changed {
    removed: Vec<(String, Value)>,
    added: Vec<(String, Value)>,
}

/// The differences from `from` to `to`, by type and name; those without names come first.
pub(super) async fn between(
    plugin: &dyn AnyPlugin,
    installation: &Installation,
    repository: &Repository,
    from: VersionNumber,
    to: VersionNumber,
) -> CommandResult<Vec<Difference>> {
    // What was asked for is told to be absent, rather than the one before it.
    for wanted in [to, from] {
        installation.version(repository, Some(wanted)).await?;
    }
    let mut differences = Vec::new();
    let mut named: BTreeMap<(String, String), Changed> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = page(installation, repository, from, to, after).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(last.id);
        for (unit, change) in page {
            let content = serde_json::from_str(&unit.metadata).unwrap_or_default();
            let type_name = unit.type_name.clone();
            match (plugin.label(unit), change) {
                (Some(Label { name, state }), change) => {
                    let changed = named.entry((type_name, name)).or_default();
                    let list = match change {
                        Change::Added => &mut changed.added,
                        Change::Removed => &mut changed.removed,
                    };
                    list.push((state, content));
                }
                (None, change) => {
                    let change = if change == Change::Added { "added" } else { "removed" };
                    let (name, from, to) = (None, None, None);
                    differences.push(Difference { change, type_name, name, from, to, content });
                }
            }
        }
    }
    for ((type_name, name), changed) in named {
        differences.extend(changed.pair(&type_name, &name));
    }
    Ok(differences)
}

impl Changed {
    /// The newest that goes was changed into the newest that comes, and so on.
    fn pair(mut self, type_name: &str, name: &str) -> Vec<Difference> {
        let mut differences = Vec::new();
        loop {
            let (from, to) = (self.removed.pop(), self.added.pop());
            let change = match (&from, &to) {
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "removed",
                (None, Some(_)) => "added",
                (None, None) => break,
            };
            let content = to.as_ref().or(from.as_ref()).map(|(_, content)| content.clone());
            differences.push(Difference {
                change,
                type_name: type_name.to_owned(),
                name: Some(name.to_owned()),
                from: from.map(|(state, _)| state),
                to: to.map(|(state, _)| state),
                content: content.unwrap_or_default(),
            });
        }
        differences
    }
}

/// The differences after the unit `after`, in order of the units.
async fn page(
    installation: &Installation,
    repository: &Repository,
    from: VersionNumber,
    to: VersionNumber,
    after: Option<ContentId>,
) -> CommandResult<Vec<(StoredContent, Change)>> {
    let id = repository.id;
    let (page, units) = installation
        .db
        .read(move |connection| {
            let page = version::diff(connection, id, from, to, after, PAGE)?;
            let ids: Vec<ContentId> = page.iter().map(|(unit, _)| *unit).collect();
            Ok((page, content::load(connection, &ids)?))
        })
        .await?;
    // Both are in order of the units, and a unit of a version exists.
    Ok(units.into_iter().zip(page.into_iter().map(|(_, change)| change)).collect())
}
