//! The content types: a file at a path, known by a digest, and upstream's own list of files.

use pulp_models::{
    Algorithm, Digests, Expected, Key, RelativePath, Sha256, content::StoredContent,
};
use pulp_stages::{
    content::{Content, Label},
    declarative::DeclarativeArtifact,
};
use serde::{Deserialize, Serialize};

/// What a file repository holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FileUnit {
    /// A file.
    File(FileContent),
    /// The list in which upstream names its files.
    List(UpstreamList),
}

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

    /// Path and digest: SHA-256 where it is known, else the strongest that upstream gives.
    fn natural_key(&self) -> Option<Key> {
        let sha256 = self.digests.get(Algorithm::Sha256).map(|digest| (Algorithm::Sha256, digest));
        let (algorithm, digest) = sha256.or_else(|| self.digests.strongest())?;
        let key = Key::of(Self::TYPE).path(&self.relative_path);
        Some(key.field(algorithm.name()).field(digest).finish())
    }
}

/// Upstream's list, byte for byte: kept by mirrors that publish it instead of one of their own. Its
/// one artifact lies at its own name.
///
/// A version holds it only while it says what the version holds: every sync and every upload takes
/// it out, unless it brings it along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamList {
    /// Its file name.
    pub name: RelativePath,
    /// Its bytes.
    pub sha256: Sha256,
}

impl UpstreamList {
    /// The `type` of every list in the database.
    pub const TYPE: &'static str = "file.upstream_list";

    /// The place of the one list that a version may hold.
    pub fn place() -> Key {
        Key::of(Self::TYPE).finish()
    }

    fn natural_key(&self) -> Key {
        Key::of(Self::TYPE).field(self.name.as_str()).field(self.sha256.0).finish()
    }
}

impl Content for FileUnit {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        match self {
            Self::File(_) => FileContent::TYPE,
            Self::List(_) => UpstreamList::TYPE,
        }
    }

    fn natural_key(&self) -> Option<Key> {
        match self {
            Self::File(file) => file.natural_key(),
            Self::List(list) => Some(list.natural_key()),
        }
    }

    fn repo_key(&self) -> Option<Key> {
        Some(match self {
            Self::File(file) => Key::of(FileContent::TYPE).path(&file.relative_path).finish(),
            Self::List(_) => UpstreamList::place(),
        })
    }

    fn label(&self) -> Option<Label> {
        let Self::File(file) = self else { return None };
        let (algorithm, digest) = file.digests.strongest()?;
        let state = format!("{}:{}", algorithm.name(), hex::encode(digest));
        Some(Label { name: file.relative_path.to_string(), state })
    }

    /// A list may leave the size open; the download knows it.
    fn complete(&mut self, artifacts: &[DeclarativeArtifact]) {
        if let (Self::File(file), Some(saved)) =
            (self, artifacts.first().and_then(DeclarativeArtifact::saved))
        {
            file.size = Some(saved.size);
        }
    }

    fn load(stored: StoredContent) -> Result<Self, serde_json::Error> {
        if stored.type_name == UpstreamList::TYPE {
            serde_json::from_str(&stored.metadata).map(Self::List)
        } else {
            serde_json::from_str(&stored.metadata).map(Self::File)
        }
    }
}
