//! [`AnyPlugin`]: plugins without their types, for whoever holds several.
//!
//! Derived for every [`Plugin`]; nothing is decided here.

use async_trait::async_trait;
use pulp_models::{ArtifactStore, content::StoredContent, distribution::BasePath, remote::Remote};
use serde_json::Value;

use super::{CommandContext, CommandError, OptionKind, Plugin, Upstream};
use crate::{
    content::{Content as _, Label},
    download::{Downloader, SettingsError},
    installation::Installation,
    options::{self, Options, OptionsError, add_flags},
    publish::{PublishError, PublishRequest, Published},
    sync::{Added, RefreshRequest, Refreshed, RestoreRequest, SyncError, SyncRequest, SyncSummary},
};

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
    /// [`Plugin::upstream`]; `options` is of [`OptionKind::Remote`].
    fn upstream(&self, written: &str, options: &Value) -> Result<Upstream, CommandError>;
    /// [`Plugin::check_base_path`].
    fn check_base_path(&self, path: &BasePath) -> Result<(), CommandError>;
    /// [`Plugin::named_remotes`]; `options` is of [`OptionKind::Repository`].
    fn named_remotes(&self, options: &Value) -> Result<Vec<String>, OptionsError>;
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
    /// [`Content::label`](crate::Content::label) of a unit of the database.
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

    fn upstream(&self, written: &str, options: &Value) -> Result<Upstream, CommandError> {
        let options = options::parse::<P::RemoteOptions>(options);
        let options = options.map_err(|error| CommandError::Usage(error.to_string()))?;
        Plugin::upstream(self, written, &options)
    }

    fn check_base_path(&self, path: &BasePath) -> Result<(), CommandError> {
        Plugin::check_base_path(self, path)
    }

    fn named_remotes(&self, options: &Value) -> Result<Vec<String>, OptionsError> {
        let options = options::parse::<P::RepositoryOptions>(options)?;
        Ok(Plugin::named_remotes(self, &options))
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
