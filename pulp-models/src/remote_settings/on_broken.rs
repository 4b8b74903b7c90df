//! What a sync does about files that upstream lists and doesn't give: a setting of a remote. The
//! downloading stage obeys it; plugins whose units need each other look at it, too.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a sync does about a file that upstream lists but says it doesn't have, or whose bytes are
/// others. An upstream that cannot be reached, or that fails itself, fails the sync in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBroken {
    /// Fails: no new version.
    #[default]
    Fail,
    /// Leaves out what the file belongs to, and says so.
    Skip,
    /// Keeps what the file belongs to and leaves the file to the first client that asks for it, as
    /// with the policy `on_demand`; where that cannot be, skips.
    Defer,
}

/// A text that is no [`OnBroken`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `fail`, `skip` or `defer`")]
pub struct InvalidOnBroken;

impl FromStr for OnBroken {
    type Err = InvalidOnBroken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "defer" => Ok(Self::Defer),
            _ => Err(InvalidOnBroken),
        }
    }
}
