//! The contract between the framework and a repository type: read this file first.
//!
//! A plugin is one type that implements [`Plugin`]. It brings its content type, its options and a
//! first stage; everything else has a default. The framework brings the rest of the line, mirror
//! mode, policies, versions, publications, serving, the command line and the tests.
//!
//! [`AnyPlugin`] is the object-safe face of the same thing, derived for every plugin; programs
//! hold plugins as `Arc<dyn AnyPlugin>` in [`Plugins`].

mod any;
mod upstream;
mod addition;
mod registry;

use std::sync::Arc;

use async_trait::async_trait;
use pulp_models::{ArtifactStore, DbError, distribution::BasePath, remote::Remote};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use crate::plugin_failure::{FailureKind, PluginFailure};
pub use addition::Addition;
pub use any::AnyPlugin;
pub use registry::Plugins;
pub use upstream::Upstream;

use crate::{
    content::Content,
    declarative::DeclarativeContent,
    download::{Downloader, SettingsError},
    installation::Installation,
    line::Line,
    options::Options,
    progress::Reporter,
    publish::{PublicationWriter, PublishContext, PublishError},
    serve::CONTENT_PREFIX,
    stage::{Stage, StageError},
    stages::ParsedUnits,
    sync::{SyncContext, SyncError, VersionDraft},
};

/// A repository type.
#[async_trait]
pub trait Plugin: Clone + Send + Sync + Sized + 'static {
    /// The name on the command line and in the database, e.g. `file`. Never changes.
    const NAME: &'static str;
    /// What it is for, in a few words, for the command line's help.
    const ABOUT: &'static str;
    /// The units that its repositories hold.
    type Content: Content;
    /// What it adds to a remote, e.g. the distributions of an apt repository.
    type RemoteOptions: Options;
    /// What it adds to a repository.
    type RepositoryOptions: Options;
    /// What it adds to a publication.
    type PublicationOptions: Options;

    /// Asks upstream how it stands and gives the stage that reads the rest.
    ///
    /// What is fetched here should be little: the document from which all else follows. Its digest
    /// is the fingerprint; if it equals that of the last sync and nothing else changed (URL,
    /// options, policy), the stage is dropped and the sync ends with no new version.
    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<Self::Content>, SyncError>;

    /// What a person means who wrote this as the upstream to mirror, with these flags. Where people
    /// have a name for things that is no URL, as for images, this takes it apart.
    fn upstream(
        &self,
        written: &str,
        _options: &Self::RemoteOptions,
    ) -> Result<Upstream, CommandError> {
        Upstream::parse_url(written).map(Upstream::from)
    }

    /// Refuses a base path at which none of its clients could ask for anything.
    fn check_base_path(&self, _path: &BasePath) -> Result<(), CommandError> {
        Ok(())
    }

    /// Remotes that a repository's options name, beside the one that it is synchronised from. Nobody
    /// can set options that name one which is not there.
    fn named_remotes(&self, _options: &Self::RepositoryOptions) -> Vec<String> {
        Vec::new()
    }

    /// Makes what downloads from a remote, for syncs and for files fetched on demand. A plugin whose
    /// servers challenge (registries ask for tokens) gives one that can answer, by
    /// [`Downloader::authorized_by`].
    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        Downloader::new(&remote.url, &remote.settings, store)
    }

    /// Edits the line that follows the first stage.
    fn pipeline(
        &self,
        line: Line<Self::Content>,
        _context: &SyncContext<Self>,
    ) -> Line<Self::Content> {
        line
    }

    /// Has the last word on a version before it becomes visible. Two units at one path, and a file
    /// where another unit needs a folder, are refused unless the draft is told otherwise.
    async fn finalize_version(&self, _draft: &VersionDraft) -> Result<(), SyncError> {
        Ok(())
    }

    /// Writes a publication; the default passes the version's own paths through.
    async fn publish(
        &self,
        _context: &PublishContext<Self>,
        writer: &mut PublicationWriter,
    ) -> Result<(), PublishError> {
        writer.pass_through();
        Ok(())
    }

    /// Whether a repository version that was not published is served as it is, every file at its own
    /// path. Most repository types need metadata around their files, hence the default.
    fn serves_versions(&self) -> bool {
        false
    }

    /// The path below which distributions are served by their base paths, with a slash at its end. A
    /// plugin whose clients speak a protocol of their own names its [`routes`](Plugin::routes) here:
    /// its distributions are then served there alone, and nothing is published automatically.
    fn served_below(&self) -> &'static str {
        CONTENT_PREFIX
    }

    /// Web routes of its own, beside `/pulp/content/`.
    fn routes(&self, _installation: &crate::serve::ContentApp) -> axum::Router {
        axum::Router::new()
    }

    /// Subcommands of its own below `pulp NAME`.
    fn commands(&self) -> Vec<clap::Command> {
        Vec::new()
    }

    /// Runs one of [`Plugin::commands`]; the value is printed.
    async fn run_command(
        &self,
        _context: &CommandContext,
        name: &str,
        _matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError> {
        Err(PluginFailure::new(format!("Unknown command `{name}`")).into())
    }
}

/// What [`Plugin::first_stage`] found upstream.
pub struct FirstStage<C: Content> {
    /// Names upstream's state; `None` if it cannot be told without reading everything.
    pub fingerprint: Option<pulp_models::Key>,
    /// Emits the content.
    pub stage: Box<dyn Stage<C>>,
}

impl<C: Content> FirstStage<C> {
    /// A stage called `name` that runs a parser on the blocking pool and puts what it yields: all
    /// that is needed where one document lists everything.
    pub fn parsed<E>(
        name: &'static str,
        fingerprint: Option<pulp_models::Key>,
        units: impl Iterator<Item = Result<DeclarativeContent<C>, E>> + Send + 'static,
    ) -> Self
    where
        E: Into<StageError> + Send + 'static,
    {
        Self { fingerprint, stage: Box::new(ParsedUnits::new(name, units)) }
    }
}

/// What a plugin's command has at hand.
#[derive(Clone)]
pub struct CommandContext {
    /// Database and artifact store.
    pub installation: Installation,
    /// Fires when the command is to end early.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// A plugin command that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A repository could not be changed.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// A version could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database failed, or does not have what was named.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Something that only the plugin understands.
    #[error(transparent)]
    Plugin(#[from] PluginFailure),
}

/// Which of a plugin's three option structs is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// [`Plugin::RemoteOptions`].
    Remote,
    /// [`Plugin::RepositoryOptions`].
    Repository,
    /// [`Plugin::PublicationOptions`].
    Publication,
}
