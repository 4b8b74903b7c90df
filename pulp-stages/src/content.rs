//! What a content type is: a serde struct with a name and keys.
//!
//! A plugin implements [`Content`] once, usually on an enum over its types, and writes no SQL: the
//! struct's JSON is what the database keeps. The line carries units of it as
//! [`DeclarativeContent`](crate::declarative::DeclarativeContent); the stages that save it know
//! this trait and nothing of the plugin.

use bytes::Bytes;
use pulp_models::{Key, content::StoredContent};
use serde::{Serialize, de::DeserializeOwned};

use crate::declarative::DeclarativeArtifact;

/// What a unit is called and how it is, for people who compare two versions of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name, the same for whatever takes its place: `hello amd64`, a file's path, a tag.
    pub name: String,
    /// What tells it from the others of that name: `1.0`, a digest.
    pub state: String,
}

/// A type of content: required are its name and its natural key, the rest has defaults.
///
/// ```
/// use pulp_models::{Key, Sha256};
/// use pulp_stages::Content;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Note {
///     path: String,
///     sha256: Sha256,
/// }
///
/// impl Content for Note {
///     type Extra = ();
///
///     fn type_name(&self) -> &'static str {
///         "note.note"
///     }
///
///     fn natural_key(&self) -> Option<Key> {
///         Some(Key::of("note.note").field(&self.path).field(self.sha256.0).finish())
///     }
///
///     fn repo_key(&self) -> Option<Key> {
///         Some(Key::of("note.note").field(&self.path).finish())
///     }
/// }
/// ```
pub trait Content: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What a plugin's own stages want to carry beside the content, never saved; often `()`.
    type Extra: Default + Send + 'static;

    /// The type's name in the database: the plugin's name, a dot, the type's (`deb.package`).
    fn type_name(&self) -> &'static str;

    /// What this unit *is*, equal for equal content in the whole installation. `None` while it is
    /// not known: such a unit passes `QueryExistingContents` untouched and must have a key once
    /// [`complete`](Self::complete) was called. Of units that upstream lists by the thousand, keys
    /// built with [`path`](pulp_models::key::KeyBuilder::path) or
    /// [`near_name`](pulp_models::key::KeyBuilder::near_name) cost the database far less.
    fn natural_key(&self) -> Option<Key>;

    /// The place that only one unit may take in a repository version, if there is such a rule.
    fn repo_key(&self) -> Option<Key> {
        None
    }

    /// Upstream's exact bytes, where JSON would lose what matters (a stanza, a manifest).
    fn raw(&self) -> Option<Bytes> {
        None
    }

    /// Its name and state, if it has such: of a unit that goes and one of the same type and name that
    /// comes, a comparison of versions says that it changed.
    fn label(&self) -> Option<Label> {
        None
    }

    /// Learns from the unit's downloaded artifacts what its key or metadata need. `ContentSaver`
    /// calls it once per unit, before it asks for the key.
    fn complete(&mut self, artifacts: &[DeclarativeArtifact]) {
        let _ = artifacts;
    }

    /// Makes the content from its row again.
    fn load(stored: StoredContent) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&stored.metadata)
    }
}
