//! `pulp file upload`: local files become content of a repository.
//!
//! Here stand the command line, the paths that files get, and the first stage that reads them; the
//! line behind it, the version and its publication are the framework's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use clap::{Args, FromArgMatches as _};
use pulp_models::{Expected, RelativePath, store::ArtifactStore};
use pulp_stages::{
    Budget, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Stage, StageError,
    local_file::take_up,
    plugin::{Addition, CommandContext, CommandError},
};

use crate::{
    File,
    content::{FileContent, FileUnit},
};

/// Add local files to a repository
///
/// They become a new version, which is published if the repository publishes itself. A file takes
/// the place of another one at its path; what is there already makes no version.
#[derive(Debug, Clone, Args)]
pub(crate) struct Upload {
    /// Repository that gets the files
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Local files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Path of the one file in the repository [default: its name]
    #[arg(long, value_name = "PATH")]
    relative_path: Option<RelativePath>,
    /// Directory of the repository in which the files get their names
    #[arg(long, value_name = "DIR", conflicts_with = "relative_path")]
    prefix: Option<RelativePath>,
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

    /// Adds the files, then publishes the version.
    pub(crate) async fn run(self, context: &CommandContext) -> Result<Addition, CommandError> {
        let files = self.places()?;
        let repository = context.repository::<File>(&self.repository).await?;
        let first_stage = Box::new(ReadFiles::new(files, context.installation.store.clone()));
        context.add(&File, Self::NAME, repository, first_stage).await
    }

    /// The files by the paths they get. Two at one path are refused.
    fn places(&self) -> Result<BTreeMap<RelativePath, PathBuf>, CommandError> {
        if self.relative_path.is_some() && self.files.len() > 1 {
            let message = "`--relative-path` names one file: use `--prefix` for several";
            return Err(CommandError::Usage(message.to_owned()));
        }
        let mut places = BTreeMap::new();
        for file in &self.files {
            let path = match &self.relative_path {
                Some(path) => path.clone(),
                None => self.named(file)?,
            };
            if let Some(other) = places.insert(path.clone(), file.clone()) {
                return Err(CommandError::Usage(format!(
                    "`{}` and `{}` would both lie at `{path}`",
                    other.display(),
                    file.display()
                )));
            }
        }
        Ok(places)
    }

    /// The file's own name, below the prefix.
    fn named(&self, file: &Path) -> Result<RelativePath, CommandError> {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            CommandError::Usage(format!("`{}` has no name in UTF-8", file.display()))
        })?;
        let path = match &self.prefix {
            Some(prefix) => format!("{prefix}/{name}"),
            None => name.to_owned(),
        };
        RelativePath::new(&path).map_err(|error| CommandError::Usage(error.to_string()))
    }
}

/// The first stage: one unit per local file.
struct ReadFiles {
    files: BTreeMap<RelativePath, PathBuf>,
    store: ArtifactStore,
    budget: Budget,
}

/// A local file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("Failed to read `{}`", path.display())]
struct Unreadable {
    path: PathBuf,
    source: std::io::Error,
}

impl ReadFiles {
    fn new(files: BTreeMap<RelativePath, PathBuf>, store: ArtifactStore) -> Self {
        Self { files, store, budget: Budget::new(Budget::DEFAULT_BYTES) }
    }
}

#[async_trait]
impl Stage<FileUnit> for ReadFiles {
    fn name(&self) -> &'static str {
        "ReadFiles"
    }

    async fn run(
        self: Box<Self>,
        _input: Inbox<FileUnit>,
        output: Outbox<FileUnit>,
    ) -> Result<(), StageError> {
        for (relative_path, path) in &self.files {
            let unreadable = |source| Unreadable { path: path.clone(), source };
            let length = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
            let permit = self.budget.acquire(length).await;
            let bytes = take_up(&self.store, path, &Expected::default()).await?;
            let artifact = DeclarativeArtifact::from_verified(relative_path.clone(), bytes);
            let content = FileContent::new(relative_path.clone(), &artifact.expected);
            let mut unit = DeclarativeContent::new(FileUnit::File(content), vec![artifact]);
            unit.charge(permit);
            output.put(unit).await?;
        }
        Ok(())
    }
}
