//! The one content type: a file at a path, known by a digest.

use pulp_models::{Algorithm, Digests, Expected, Key, RelativePath, Sha256};
use pulp_stages::{content::Content, declarative::DeclarativeArtifact};
use serde::{Deserialize, Serialize};

/// A file of a repository. Two digests at one path are two units, of which a repository version
/// holds one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Where the file lies in its repository.
    pub relative_path: RelativePath,
    /// What upstream says of its bytes.
    pub digests: Digests,
    /// Its length in bytes, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl FileContent {
    /// The `type` of every file in the database.
    pub const TYPE: &'static str = "file.file";

    /// A file as a list describes it.
    pub fn new(relative_path: RelativePath, expected: &Expected) -> Self {
        Self { relative_path, digests: expected.digests.clone(), size: expected.size }
    }

    /// The SHA-256, if known.
    pub fn sha256(&self) -> Option<Sha256> {
        self.digests.sha256()
    }
}

impl Content for FileContent {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        Self::TYPE
    }

    /// Path and digest: SHA-256 where it is known, else the strongest that upstream gives.
    fn natural_key(&self) -> Option<Key> {
        let sha256 = self.digests.get(Algorithm::Sha256).map(|digest| (Algorithm::Sha256, digest));
        let (algorithm, digest) = sha256.or_else(|| self.digests.strongest())?;
        let key = Key::of(Self::TYPE).field(self.relative_path.as_str());
        Some(key.field(algorithm.name()).field(digest).finish())
    }

    fn repo_key(&self) -> Option<Key> {
        Some(Key::of(Self::TYPE).field(self.relative_path.as_str()).finish())
    }

    /// A list may leave the size open; the download knows it.
    fn complete(&mut self, artifacts: &[DeclarativeArtifact]) {
        if let Some(saved) = artifacts.first().and_then(DeclarativeArtifact::saved) {
            self.size = Some(saved.size);
        }
    }
}
