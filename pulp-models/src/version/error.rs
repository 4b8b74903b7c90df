//! Why a version cannot be completed, changed or deleted.

use super::VersionNumber;
use crate::{RelativePath, content::StoredContent};

/// One unit of content, described for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its type, as in `deb.package`.
    pub type_name: String,
    /// The beginning of its metadata.
    pub metadata: String,
}

impl Unit {
    /// Longest part of the metadata that is kept, in characters.
    const SNIPPET: usize = 300;

    pub(super) fn of(unit: StoredContent) -> Self {
        let metadata = unit.metadata.chars().take(Self::SNIPPET).collect();
        Self { type_name: unit.type_name, metadata }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.type_name, self.metadata)
    }
}

/// A refused change to a repository's versions. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Two units of the new version claim the same place.
    #[error("Two units claim the same place in the repository version: `{first}` and `{second}`")]
    DuplicateContent {
        /// One of them.
        first: Unit,
        /// The other.
        second: Unit,
        /// How many pairs there are; only one is described.
        pairs: u64,
    },
    /// Two units of the new version have the same path, or one's file is the other's directory.
    #[error("Paths conflict in the repository version: `{first}` and `{second}`")]
    PathConflict {
        /// A path of a new unit.
        first: RelativePath,
        /// The path it conflicts with; equal to `first` when two units differ in its bytes.
        second: RelativePath,
    },
    /// The repository has no such complete version.
    #[error("Repository `{repository}` has no version {number}")]
    NotFound {
        /// Its name.
        repository: String,
        /// The number.
        number: VersionNumber,
    },
    /// The number is not the one that the repository's next version gets.
    #[error(
        "Version {number} of repository `{repository}` cannot be completed: the next is {next}"
    )]
    NotNext {
        /// Its name.
        repository: String,
        /// The number that was staged.
        number: VersionNumber,
        /// The number that is due.
        next: VersionNumber,
    },
    /// A repository keeps at least one version.
    #[error("Version {number} of repository `{repository}` is its only one")]
    LastVersion {
        /// Its name.
        repository: String,
        /// The number.
        number: VersionNumber,
    },
    /// A publication or a distribution needs the version.
    #[error("Version {number} of repository `{repository}` is used by {user}")]
    InUse {
        /// Its name.
        repository: String,
        /// The number.
        number: VersionNumber,
        /// What needs it, as in "distribution `bookworm`".
        user: String,
    },
}
