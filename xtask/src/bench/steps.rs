//! What is done to an installation, in words that both a command line and a REST API can be made of.

use super::data::Set;

/// One thing that is done to the repository `bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Mirrors the set for the first time.
    Mirror(Policy),
    /// Syncs again; upstream has not changed.
    Sync,
    /// The same, but everything is read again.
    Force,
    /// Publishes an apt repository anew: plain files, and these compressions of them.
    Publish(&'static [&'static str]),
}

/// When files are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Immediate,
    OnDemand,
}

impl Policy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnDemand => "on_demand",
        }
    }
}

impl Step {
    /// The words of our own program; those in braces are filled in for every run.
    pub(super) fn command(self, set: Set) -> String {
        match (self, set) {
            (Self::Mirror(policy), set) => {
                let source = match set {
                    Set::Archive { suite, .. } => format!(
                        "deb {{url}} --distribution {suite} --component main --architecture amd64"
                    ),
                    Set::Images { .. } => "container {server} --upstream-name {set}".to_owned(),
                    _ => "file {url}PULP_MANIFEST".to_owned(),
                };
                format!("mirror {source} --name bench --policy {}", policy.name())
            }
            (Self::Sync, _) => "sync bench".to_owned(),
            (Self::Force, _) => "sync bench --force".to_owned(),
            (Self::Publish(compressions), _) => {
                let create = "deb publication create --repository bench --publish structured";
                compressions.iter().fold(create.to_owned(), |mut command, name| {
                    command.extend([" --compression ", *name]);
                    command
                })
            }
        }
    }
}
