//! The contract between the framework and a repository type: read this file first.
//!
//! A plugin is one type that implements [`Plugin`]. It brings its content type, its options and a
//! first stage; everything else has a default. The framework brings the rest of the line, mirror
//! mode, policies, versions, publications, serving, the command line and the tests.
//!
//! [`AnyPlugin`] is the object-safe face of the same thing, derived for every plugin; programs
//! hold plugins as `Arc<dyn AnyPlugin>` in [`Plugins`].

mod addition;
mod registry;

use std::sync::Arc;

use async_trait::async_trait;
use pulp_models::{ArtifactStore, DbError, content::StoredContent, remote::Remote};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use crate::plugin_failure::PluginFailure;
pub use addition::Addition;
pub use registry::Plugins;

use crate::{
    content::{Content, Label},
    declarative::DeclarativeContent,
    download::{Downloader, SettingsError},
    installation::Installation,
    line::Line,
    options::{self, Options, OptionsError, add_flags},
    progress::Reporter,
    publish::{PublicationWriter, PublishContext, PublishError, PublishRequest, Published},
    serve::CONTENT_PREFIX,
    stage::{Stage, StageError},
    stages::ParsedUnits,
    sync::{
        Added, RefreshRequest, Refreshed, RestoreRequest, SyncContext, SyncError, SyncRequest,
        SyncSummary, VersionDraft,
    },
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

/// The object-safe face of a [`Plugin`], implemented for every one.
#[async_trait]
pub trait AnyPlugin: Send + Sync + 'static {
    /// [`Plugin::NAME`].
    fn name(&self) -> &'static str;
    /// [`Plugin::ABOUT`].
    fn about(&self) -> &'static str;
    /// Adds the flags of a kind of options to a command.
    fn augment(&self, kind: OptionKind, command: clap::Command) -> clap::Command;
    /// Lays the flags that were given over `current`.
    fn overlay(
        &self,
        kind: OptionKind,
        matches: &clap::ArgMatches,
        current: &Value,
    ) -> Result<Value, OptionsError>;
    /// Validates hand-written options and fills in the defaults.
    fn normalize(&self, kind: OptionKind, value: &Value) -> Result<Value, OptionsError>;
    /// [`Plugin::downloader`].
    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError>;
    /// Synchronises a repository.
    async fn sync(
        &self,
        installation: &Installation,
        request: SyncRequest,
    ) -> Result<SyncSummary, SyncError>;
    /// Finds out what an alternate content source of this plugin has.
    async fn refresh(
        &self,
        installation: &Installation,
        request: RefreshRequest,
    ) -> Result<Refreshed, SyncError>;
    /// Makes an older version the newest again.
    async fn restore(
        &self,
        installation: &Installation,
        request: RestoreRequest,
    ) -> Result<Added, SyncError>;
    /// [`Content::label`] of a unit of the database.
    fn label(&self, stored: StoredContent) -> Option<Label>;
    /// Publishes a repository version.
    async fn publish(
        &self,
        installation: &Installation,
        request: PublishRequest,
    ) -> Result<Published, PublishError>;
    /// [`Plugin::serves_versions`].
    fn serves_versions(&self) -> bool;
    /// [`Plugin::served_below`].
    fn served_below(&self) -> &'static str;
    /// [`Plugin::routes`].
    fn routes(&self, app: &crate::serve::ContentApp) -> axum::Router;
    /// [`Plugin::commands`].
    fn commands(&self) -> Vec<clap::Command>;
    /// [`Plugin::run_command`].
    async fn run_command(
        &self,
        context: &CommandContext,
        name: &str,
        matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError>;
}

#[async_trait]
impl<P: Plugin> AnyPlugin for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn about(&self) -> &'static str {
        P::ABOUT
    }

    fn augment(&self, kind: OptionKind, command: clap::Command) -> clap::Command {
        match kind {
            OptionKind::Remote => add_flags::<P::RemoteOptions>(command),
            OptionKind::Repository => add_flags::<P::RepositoryOptions>(command),
            OptionKind::Publication => add_flags::<P::PublicationOptions>(command),
        }
    }

    fn overlay(
        &self,
        kind: OptionKind,
        matches: &clap::ArgMatches,
        current: &Value,
    ) -> Result<Value, OptionsError> {
        match kind {
            OptionKind::Remote => options::overlay::<P::RemoteOptions>(matches, current),
            OptionKind::Repository => options::overlay::<P::RepositoryOptions>(matches, current),
            OptionKind::Publication => options::overlay::<P::PublicationOptions>(matches, current),
        }
    }

    fn normalize(&self, kind: OptionKind, value: &Value) -> Result<Value, OptionsError> {
        fn through<T: Options>(value: &Value) -> Result<Value, OptionsError> {
            let options = options::parse::<T>(value)?;
            serde_json::to_value(options).map_err(|error| OptionsError::new(error.to_string()))
        }
        match kind {
            OptionKind::Remote => through::<P::RemoteOptions>(value),
            OptionKind::Repository => through::<P::RepositoryOptions>(value),
            OptionKind::Publication => through::<P::PublicationOptions>(value),
        }
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        Plugin::downloader(self, remote, store)
    }

    async fn sync(
        &self,
        installation: &Installation,
        request: SyncRequest,
    ) -> Result<SyncSummary, SyncError> {
        crate::sync::synchronize(self, installation, request).await
    }

    async fn refresh(
        &self,
        installation: &Installation,
        request: RefreshRequest,
    ) -> Result<Refreshed, SyncError> {
        crate::sync::refresh(self, installation, request).await
    }

    async fn restore(
        &self,
        installation: &Installation,
        request: RestoreRequest,
    ) -> Result<Added, SyncError> {
        crate::sync::restore(self, installation, request).await
    }

    fn label(&self, stored: StoredContent) -> Option<Label> {
        P::Content::load(stored).ok()?.label()
    }

    async fn publish(
        &self,
        installation: &Installation,
        request: PublishRequest,
    ) -> Result<Published, PublishError> {
        crate::publish::publish(self, installation, request).await
    }

    fn serves_versions(&self) -> bool {
        Plugin::serves_versions(self)
    }

    fn served_below(&self) -> &'static str {
        Plugin::served_below(self)
    }

    fn routes(&self, app: &crate::serve::ContentApp) -> axum::Router {
        Plugin::routes(self, app)
    }

    fn commands(&self) -> Vec<clap::Command> {
        Plugin::commands(self)
    }

    async fn run_command(
        &self,
        context: &CommandContext,
        name: &str,
        matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError> {
        Plugin::run_command(self, context, name, matches).await
    }
}
