//! The apt plugin as the framework sees it.

use async_trait::async_trait;
use pulp_models::Timestamp;
use pulp_stages::{
    options::NoOptions,
    plugin::{CommandContext, CommandError, FirstStage, Plugin, PluginFailure},
    publish::{PublicationWriter, PublishContext, PublishError},
    sync::{MadeBy, SyncContext, SyncError, VersionDraft},
};
use serde_json::Value;

use crate::{
    commands,
    content::{Additions, DebContent},
    copy::Copy,
    first_stage,
    options::{DebPublicationOptions, DebRemoteOptions},
    publish,
    upload::Upload,
};

/// Apt repositories.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deb;

#[async_trait]
impl Plugin for Deb {
    const NAME: &'static str = "deb";
    const ABOUT: &'static str = "Apt repositories: Debian, Ubuntu and their like";
    type Content = DebContent;
    type RemoteOptions = DebRemoteOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = DebPublicationOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<DebContent>, SyncError> {
        first_stage::prepare(context).await
    }

    /// What is added beside a mirror is noted, and may lie where another file lies: structured
    /// publications find a place for it.
    async fn finalize_version(&self, draft: &VersionDraft) -> Result<(), SyncError> {
        if draft.made_by() != MadeBy::Addition {
            return Ok(());
        }
        draft.allow_conflicting_paths();
        draft.associate_new(&DebContent::Additions(Additions {})).await
    }

    async fn publish(
        &self,
        context: &PublishContext<Self>,
        writer: &mut PublicationWriter,
    ) -> Result<(), PublishError> {
        publish::publish(context, writer).await
    }

    fn commands(&self) -> Vec<clap::Command> {
        commands::all()
    }

    async fn run_command(
        &self,
        context: &CommandContext,
        name: &str,
        matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError> {
        let printed = match name {
            Upload::NAME => serde_json::to_value(Upload::parse(matches)?.run(context).await?),
            Copy::NAME => serde_json::to_value(Copy::parse(matches)?.run(context).await?),
            _ => {
                let now = Timestamp::now().as_seconds();
                return commands::run(context, name, matches, now).await;
            }
        };
        Ok(printed.map_err(|error| PluginFailure::new("Failed to print").caused_by(error))?)
    }
}
