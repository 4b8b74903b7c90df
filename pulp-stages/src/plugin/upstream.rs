//! What a person who names an upstream means by it: a URL, and maybe options.

use pulp_models::RemoteUrl;
use serde_json::{Map, Value};

use super::CommandError;

/// An upstream as a plugin understands what was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Where it is.
    pub url: RemoteUrl,
    /// Options of the remote that were part of what was written.
    pub options: Map<String, Value>,
    /// What was written as a URL, if that is another one. A remote that has it already keeps it, and
    /// its options.
    pub literal: Option<RemoteUrl>,
    /// What the mirror is to be called, if the plugin knows better than its URL.
    pub name: Option<String>,
    /// Says how it was understood, if that is not plain.
    pub note: Option<String>,
}

impl Upstream {
    /// Reads a URL; one that may hold a password is not repeated when it is refused.
    pub fn parse_url(written: &str) -> Result<RemoteUrl, CommandError> {
        written.parse().map_err(|error| {
            let shown = if written.contains('@') { "what was given" } else { written };
            CommandError::Usage(format!("Failed to read `{shown}`: {error}"))
        })
    }
}

impl From<RemoteUrl> for Upstream {
    fn from(url: RemoteUrl) -> Self {
        Self { url, options: Map::new(), literal: None, name: None, note: None }
    }
}
