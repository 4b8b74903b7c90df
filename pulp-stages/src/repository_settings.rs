//! What the framework keeps in a repository's `options`: how it is synchronised and published.

use pulp_models::repository::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::OptionsError;

/// Settings of a repository beyond its name, remote and retention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepositorySettings {
    /// Whether `sync` makes the repository a mirror, unless told otherwise.
    pub mirror: bool,
    /// Whether every new version is published.
    pub autopublish: bool,
    /// What the plugin adds to the repository.
    pub options: Value,
    /// What the plugin adds to publications that are made automatically.
    pub publication: Value,
}

impl Default for RepositorySettings {
    fn default() -> Self {
        let empty = || Value::Object(serde_json::Map::new());
        Self { mirror: false, autopublish: false, options: empty(), publication: empty() }
    }
}

impl RepositorySettings {
    /// Reads them from the row.
    pub fn of(repository: &Repository) -> Result<Self, OptionsError> {
        if repository.options.is_null() {
            return Ok(Self::default());
        }
        Self::deserialize(&repository.options).map_err(|error| {
            OptionsError::new(format!("of repository `{}`: {error}", repository.name))
        })
    }

    /// As the row keeps them.
    pub fn to_value(&self) -> Result<Value, OptionsError> {
        serde_json::to_value(self).map_err(|error| OptionsError::new(error.to_string()))
    }
}
