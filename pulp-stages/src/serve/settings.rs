//! What can be set about serving, for the whole server and per distribution.

use std::time::Duration;

use pulp_models::{
    Timestamp,
    distribution::{Distribution, Target},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::users::Users;

/// Settings of a [`ContentApp`](super::ContentApp).
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// The URL under which clients reach the server's `/`, if something stands before it. Default: what
    /// clients see is what the server sees.
    pub public_url: Option<Url>,
    /// Whether `/metrics` is left to [`serve_metrics`](super::serve_metrics), where it names
    /// repositories too. Default: false.
    pub metrics_apart: bool,
    /// How long a source that gave wrong bytes is left alone. Default: 300 s.
    pub source_cool_down: Duration,
    /// How long files of a superseded publication can still be had, for clients that hold the metadata
    /// that named them. Default: 3 days.
    pub superseded_grace: Duration,
    /// Published paths whose bytes are remembered; each takes some 300 bytes. Default: 131,072.
    pub resolved_paths: usize,
    /// Files of at most 16 KiB that are kept in memory. Default: 2048, 32 MiB at most.
    pub small_files: usize,
    /// Who may log in, for plugins that serve by rights. Default: nobody.
    pub users: Option<Users>,
    /// How they ask for a password. Default: [`Challenge::Bearer`].
    pub challenge: Challenge,
    /// Whether clients reach the server by TLS. Default: false.
    pub is_secure: bool,
}

/// How a client is told that it has to say who it is (RFC 9110, section 11.6.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Challenge {
    /// It gets a token for its password first, and shows that.
    #[default]
    Bearer,
    /// It sends its password with every request.
    Basic,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            metrics_apart: false,
            source_cool_down: Duration::from_secs(300),
            superseded_grace: Duration::from_secs(3 * 24 * 3600),
            resolved_paths: 131_072,
            small_files: 2048,
            users: None,
            challenge: Challenge::default(),
            is_secure: false,
        }
    }
}

/// What the framework keeps in a distribution's `options`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistributionSettings {
    /// Serves the repository's checkpoints, each below the time it was made (`20261123T050232Z`),
    /// instead of its latest publication.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint: bool,
    /// Is served but not listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// What it served before, the latest first: clients that hold its metadata still ask for its
    /// files. See [`DistributionSettings::switch`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

/// What a distribution served until it was pointed elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What it was.
    pub target: Target,
    /// Until when.
    pub until: Timestamp,
}

/// So many targets of a distribution are remembered.
const REMEMBERED: usize = 16;

impl DistributionSettings {
    /// Reads them from the row; what it does not say, or says wrongly, takes its default.
    pub fn of(distribution: &Distribution) -> Self {
        Self::deserialize(&distribution.options).unwrap_or_default()
    }

    /// Points the distribution elsewhere, and remembers what it served: that stays reachable behind
    /// the new target for [`ServeSettings::superseded_grace`], so that no client fails in the middle
    /// of an update. The row is to be written by the caller.
    pub fn switch(distribution: &mut Distribution, target: Target) {
        if distribution.target == target {
            return;
        }
        let mut settings = Self::of(distribution);
        if distribution.target != Target::Nothing {
            let left = Left { target: distribution.target, until: Timestamp::now() };
            settings.left.insert(0, left);
            settings.left.truncate(REMEMBERED);
        }
        distribution.target = target;
        // These settings are always JSON.
        if let Ok(options) = serde_json::to_value(settings) {
            distribution.options = options;
        }
    }
}
