//! How far processes had come when they were killed.
//!
//! Kills prove something only if they hit every stage, so the stages are counted and printed, and a
//! stage that was never hit is an error.

use std::{collections::BTreeMap, sync::Mutex};

use anyhow::{Result, ensure};

use super::stock::Plugin;

/// How far a process had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Starting,
    Metadata,
    FirstHalf,
    SecondHalf,
    Saving,
    Associating,
    Publishing,
    Ended,
    Filling,
    PublishingAgain,
}

impl Stage {
    const ALL: [Self; 10] = [
        Self::Starting,
        Self::Metadata,
        Self::FirstHalf,
        Self::SecondHalf,
        Self::Saving,
        Self::Associating,
        Self::Publishing,
        Self::Ended,
        Self::Filling,
        Self::PublishingAgain,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Starting => "sync: before the first request",
            Self::Metadata => "sync: metadata on its way",
            Self::FirstHalf => "sync: first half of the files",
            Self::SecondHalf => "sync: second half of the files",
            Self::Saving => "sync: all files came, not all are stored",
            Self::Associating => "sync: all files stored, no version yet",
            Self::Publishing => "sync: version there, not published",
            Self::Ended => "sync: ended by itself before",
            Self::Filling => "serve: while files were fetched on demand",
            Self::PublishingAgain => "publication create",
        }
    }
}

/// Deaths by plugin and stage. Shared between threads.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<BTreeMap<(Stage, &'static str), usize>>);

impl Census {
    pub(super) fn count(&self, plugin: Plugin, stage: Stage) {
        let mut counts = self.0.lock().expect("no thread panics while it holds the census");
        *counts.entry((stage, plugin.name())).or_default() += 1;
    }

    /// All deaths.
    pub(super) fn deaths(&self) -> usize {
        self.0.lock().expect("no thread panics while it holds the census").values().sum()
    }

    /// A line per stage.
    pub(super) fn table(&self) -> String {
        let counts = self.0.lock().expect("no thread panics while it holds the census");
        let row = |name: &str, cell: &dyn Fn(Plugin) -> String| {
            let cells = Plugin::ALL.map(|plugin| format!("{:>10}", cell(plugin)));
            format!("  {name:<44}{}", cells.concat())
        };
        let heading = row("killed", &|plugin| plugin.name().to_owned());
        let count = |stage, plugin: Plugin| counts.get(&(stage, plugin.name())).copied();
        let rows = Stage::ALL.map(|stage| {
            row(stage.name(), &|plugin| count(stage, plugin).unwrap_or_default().to_string())
        });
        format!("{heading}\n{}", rows.join("\n"))
    }

    /// An error that names the stages at which nobody was killed.
    pub(super) fn is_everywhere(&self) -> Result<()> {
        let counts = self.0.lock().expect("no thread panics while it holds the census");
        let missing: Vec<_> = Stage::ALL
            .into_iter()
            .filter(|stage| !counts.keys().any(|(hit, _)| hit == stage))
            .map(Stage::name)
            .collect();
        ensure!(missing.is_empty(), "Nobody was killed at: {}", missing.join("; "));
        Ok(())
    }
}
