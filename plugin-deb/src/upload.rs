//! `pulp deb upload`: packages of one's own become content of a repository.
//!
//! Here stand the command line and what becomes of the version; [`read`] makes units of files, with
//! the help of [`crate::binary_archive`]; the line behind it is the framework's.

use std::path::PathBuf;

use clap::{Args, FromArgMatches as _};
use pulp_models::{Connection, DbError, version};
use pulp_stages::{
    Content as _,
    plugin::{Addition, CommandContext, CommandError, FailureKind, PluginFailure},
};

use crate::{Deb, content::DebContent, options::place, upstream::with_causes};

mod read;

use read::{PackageFile, ReadPackages};

/// Add packages of one's own to a repository: `.deb`, `.udeb` and `.dsc` files
///
/// What they are is read from the files themselves. The files that a `.dsc` names are taken from
/// the folder in which it lies. They become a new version, which is published if the repository
/// publishes itself; what is there already makes no version.
#[derive(Debug, Clone, Args)]
pub(crate) struct Upload {
    /// Repository that gets the packages
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Distribution in which clients find them
    #[arg(long, value_name = "PATH", default_value = "stable", value_parser = place)]
    distribution: String,
    /// Component in which clients find them
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = place)]
    component: String,
    /// Let a package take the place of another one with its name, version and architecture, which
    /// confuses clients that have the other one
    #[arg(long)]
    replace: bool,
    /// Local files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Upload {
    /// The subcommand's name.
    pub(crate) const NAME: &'static str = "upload";

    /// The subcommand.
    pub(crate) fn command() -> clap::Command {
        Self::augment_args(clap::Command::new(Self::NAME))
    }

    /// Reads the command line.
    pub(crate) fn parse(matches: &clap::ArgMatches) -> Result<Self, CommandError> {
        Self::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))
    }

    /// Adds the packages, then publishes the version.
    pub(crate) async fn run(self, context: &CommandContext) -> Result<Addition, CommandError> {
        let repository = context.repository::<Deb>(&self.repository).await?;
        let packages = self.read(context).await?;
        if !self.replace {
            self.refuse_others(context, repository.id, &packages).await?;
        }
        let first_stage = Box::new(ReadPackages::new(packages, context.installation.store.clone()));
        context.add(&Deb, Self::NAME, repository, first_stage).await
    }

    /// Reads what the files are, one after the other; their bytes are taken up later.
    async fn read(&self, context: &CommandContext) -> Result<Vec<PackageFile>, CommandError> {
        let upload = self.clone();
        let work = context.blocking(move || {
            let read = |file: &PathBuf| {
                read::read(file, &upload.distribution, &upload.component).map_err(|error| {
                    let (file, reason) = (file.display(), with_causes(&error));
                    CommandError::Usage(format!("Failed to read `{file}`: {reason}"))
                })
            };
            upload.files.iter().map(read).collect()
        });
        work.await?
    }

    /// Refuses packages whose place is taken by others: clients tell packages apart by name,
    /// version and architecture alone.
    async fn refuse_others(
        &self,
        context: &CommandContext,
        repository: pulp_models::RepositoryId,
        packages: &[PackageFile],
    ) -> Result<(), CommandError> {
        let units: Vec<DebContent> = packages.iter().map(|file| file.content.clone()).collect();
        let taken = move |connection: &mut Connection| {
            let latest = version::latest(connection, repository)?;
            for unit in &units {
                let Some(place) = unit.repo_key() else { continue };
                let other = version::at_repo_key(connection, repository, latest, &place)?;
                if other.is_some_and(|other| Some(other.natural_key) != unit.natural_key()) {
                    return Ok::<_, DbError>(Some(describe(unit)));
                }
            }
            Ok(None)
        };
        match context.installation.db.read(taken).await? {
            None => Ok(()),
            Some(package) => Err(PluginFailure::new(format!(
                "There is another `{package}` in `{}` already",
                self.repository
            ))
            .of_kind(FailureKind::Conflict)
            .with_hint("raise its version, or use `--replace`")
            .into()),
        }
    }
}

/// A package for people: name, version and architecture.
fn describe(unit: &DebContent) -> String {
    match unit {
        DebContent::Package(package) => {
            format!("{} {} {}", package.package, package.version, package.architecture)
        }
        DebContent::SourcePackage(package) => {
            format!("{} {} source", package.package, package.version)
        }
        other => other.type_name().to_owned(),
    }
}
