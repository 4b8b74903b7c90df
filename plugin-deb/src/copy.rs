//! `pulp deb copy`: packages of some repositories become content of another one.
//!
//! Here stand the command line and what becomes of the version; [`select`] decides which packages
//! those are and emits them. Nothing is downloaded: a file that was not fetched yet is fetched on
//! demand from where it was to be fetched before.

use std::num::NonZeroU32;

use clap::{Args, FromArgMatches as _};
use pulp_models::VersionNumber;
use pulp_stages::{
    plugin::{Addition, CommandContext, CommandError},
    sync::Warnings,
};
use serde::Serialize;

use crate::{
    Deb,
    catalog::Follow,
    options::{DebRemoteOptions, place},
    query::Query,
};

mod select;

use select::{CopyPackages, Source};

/// Copy packages into a repository, with what they need; or merge several repositories
///
/// They become a new version, which is published if the repository publishes itself. What is in
/// the repository stays; where two sources have a package of one name, version and architecture,
/// that of the first one counts. With `--newest 1` a merger holds the newest version of each
/// package, without it all of them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Copy {
    /// Repository to copy from, or one version of it as `NAME:VERSION`; may repeat
    #[arg(long = "from", required = true, value_name = "NAME")]
    from: Vec<String>,
    /// Repository that gets the packages
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Query that packages must match, e.g. `nginx (>= 1.22)`; of several, one [default: all]
    #[arg(long = "filter", value_name = "QUERY")]
    filters: Vec<Query>,
    /// Copy also what matching packages need: what they depend on, with `recommends` what they
    /// recommend too, with `suggests` what they suggest
    #[arg(long, value_name = "UP-TO", value_enum)]
    follow: Option<Follow>,
    /// Copy only so many versions of each package, the newest ones of all sources together
    #[arg(long, value_name = "COUNT")]
    newest: Option<NonZeroU32>,
    /// Copy source packages too; with `--filter` those of the packages that are copied
    #[arg(long)]
    sources: bool,
    /// Distribution in which clients find them [default: as in the source]
    #[arg(long, value_name = "PATH", value_parser = place)]
    distribution: Option<String>,
    /// Component in which clients find them [default: as in the source]
    #[arg(long, value_name = "NAME", value_parser = place)]
    component: Option<String>,
}

impl Copy {
    /// The subcommand's name.
    pub(crate) const NAME: &'static str = "copy";

    /// The subcommand.
    pub(crate) fn command() -> clap::Command {
        Self::augment_args(clap::Command::new(Self::NAME))
    }

    /// Reads the command line.
    pub(crate) fn parse(matches: &clap::ArgMatches) -> Result<Self, CommandError> {
        Self::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))
    }

    /// Copies the packages, then publishes the version.
    pub(crate) async fn run(self, context: &CommandContext) -> Result<Copied, CommandError> {
        let mut sources = Vec::new();
        for from in &self.from {
            sources.push(source(context, from).await?);
        }
        let repository = context.repository::<Deb>(&self.to).await?;
        let warnings = Warnings::new(context.reporter.clone());
        let first_stage = CopyPackages {
            installation: context.installation.clone(),
            sources,
            selection: DebRemoteOptions {
                filters: self.filters,
                follow: self.follow,
                newest: self.newest,
                sources: self.sources,
                ..DebRemoteOptions::default()
            },
            distribution: self.distribution,
            component: self.component,
            warnings: warnings.clone(),
        };
        let addition = context.add(&Deb, Self::NAME, repository, Box::new(first_stage)).await?;
        Ok(Copied { addition, warnings: warnings.taken() })
    }
}

/// What a copy did.
#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    #[serde(flatten)]
    addition: Addition,
    /// What packages need and no source has.
    warnings: Vec<String>,
}

/// The version that `NAME` or `NAME:VERSION` means.
async fn source(context: &CommandContext, text: &str) -> Result<Source, CommandError> {
    let numbered = text.rsplit_once(':').and_then(|(name, number)| {
        number.parse().ok().map(|number| (name, Some(VersionNumber(number))))
    });
    let (name, number) = numbered.unwrap_or((text, None));
    let repository = context.repository::<Deb>(name).await?;
    let version = context.installation.version(&repository, number).await?;
    Ok(Source { repository: repository.id, version: version.number })
}
