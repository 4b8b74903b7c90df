//! The stages of a pipeline before it runs: an ordered list, edited by name.
//!
//! The default line is built elsewhere ([`stages`](crate::stages)); a plugin gets it and changes it:
//! `line.before("ArtifactDownloader", Box::new(MyStage)).without("RemoteArtifactSaver")`.

use crate::{content::Content, stage::Stage};

/// An ordered list of stages with different names.
///
/// Edits are chained; the first one that makes no sense is kept and reported by
/// [`Pipeline::new`](crate::pipeline::Pipeline::new) before anything runs.
pub struct Line<C: Content> {
    stages: Vec<Box<dyn Stage<C>>>,
    error: Option<LineError>,
}

/// A line that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// An edit names a stage that is not in the line.
    #[error("No stage `{name}` in the line {}", list(known))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// Two stages have the same name.
    #[error("Stage `{0}` is in the line already")]
    Twice(&'static str),
    /// There is no stage.
    #[error("The line has no stage")]
    Empty,
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl<C: Content> Default for Line<C> {
    fn default() -> Self {
        Self { stages: Vec::new(), error: None }
    }
}

impl<C: Content> From<Vec<Box<dyn Stage<C>>>> for Line<C> {
    fn from(stages: Vec<Box<dyn Stage<C>>>) -> Self {
        stages.into_iter().fold(Self::default(), Self::push)
    }
}

impl<C: Content> Line<C> {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stages' names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.stages.iter().map(|stage| stage.name()).collect()
    }

    /// Appends `stage`.
    #[must_use]
    pub fn push(self, stage: Box<dyn Stage<C>>) -> Self {
        let end = self.stages.len();
        self.insert(end, stage)
    }

    /// Inserts `stage` before the first one.
    #[must_use]
    pub fn push_front(self, stage: Box<dyn Stage<C>>) -> Self {
        self.insert(0, stage)
    }

    /// Inserts `stage` before the one called `name`.
    #[must_use]
    pub fn before(mut self, name: &str, stage: Box<dyn Stage<C>>) -> Self {
        match self.find(name) {
            Some(at) => self.insert(at, stage),
            None => self,
        }
    }

    /// Inserts `stage` after the one called `name`.
    #[must_use]
    pub fn after(mut self, name: &str, stage: Box<dyn Stage<C>>) -> Self {
        match self.find(name) {
            Some(at) => self.insert(at + 1, stage),
            None => self,
        }
    }

    /// Puts `stage` in the place of the one called `name`.
    #[must_use]
    pub fn replace(mut self, name: &str, stage: Box<dyn Stage<C>>) -> Self {
        match self.find(name) {
            Some(at) => {
                self.stages.remove(at);
                self.insert(at, stage)
            }
            None => self,
        }
    }

    /// Removes the stage called `name`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        if let Some(at) = self.find(name) {
            self.stages.remove(at);
        }
        self
    }

    pub(crate) fn finish(self) -> Result<Vec<Box<dyn Stage<C>>>, LineError> {
        match self.error {
            Some(error) => Err(error),
            None if self.stages.is_empty() => Err(LineError::Empty),
            None => Ok(self.stages),
        }
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        let found = self.stages.iter().position(|stage| stage.name() == name);
        if found.is_none() {
            let known = self.names();
            self.error.get_or_insert_with(|| LineError::Unknown { name: name.to_owned(), known });
        }
        found
    }

    fn insert(mut self, at: usize, stage: Box<dyn Stage<C>>) -> Self {
        let name = stage.name();
        if self.stages.iter().any(|known| known.name() == name) {
            self.error.get_or_insert(LineError::Twice(name));
        }
        self.stages.insert(at, stage);
        self
    }
}
