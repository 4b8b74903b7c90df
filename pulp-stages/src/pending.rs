//! Stands in for rows of `pulp-models` until they land; nothing else.

use pulp_models::Key;

/// Names a content unit's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub uuid::Uuid);

/// Names a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteId(pub uuid::Uuid);

/// A content row as read back.
#[derive(Debug, Clone)]
pub struct StoredContent {
    /// Row id.
    pub id: ContentId,
    /// E.g. `file.file`.
    pub type_name: String,
    /// What the content is.
    pub natural_key: Key,
    /// JSON.
    pub metadata: String,
    /// Upstream's exact bytes.
    pub raw: Option<Vec<u8>>,
}
