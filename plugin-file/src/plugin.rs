//! The plugin itself: what a file repository is to the framework.

use async_trait::async_trait;
use pulp_stages::{
    plugin::{CommandContext, CommandError, FirstStage, Plugin, PluginFailure},
    publish::{PublicationWriter, PublishContext, PublishError},
    sync::{SyncContext, SyncError, VersionDraft},
};

use serde_json::Value;

use crate::{
    content::{FileUnit, UpstreamList},
    first_stage::{self, ReadList},
    options::{FilePublicationOptions, FileRemoteOptions, FileRepositoryOptions},
    publisher,
    upload::Upload,
};

/// Repositories of plain files; see the [crate].
#[derive(Debug, Clone, Copy, Default)]
pub struct File;

#[async_trait]
impl Plugin for File {
    const NAME: &'static str = "file";
    const ABOUT: &'static str = "Plain files, listed by a manifest, a Metalink or a checksum list";
    type Content = FileUnit;
    type RemoteOptions = FileRemoteOptions;
    type RepositoryOptions = FileRepositoryOptions;
    type PublicationOptions = FilePublicationOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<FileUnit>, SyncError> {
        let list = context.fetch_document(&context.remote.url).await?;
        let fingerprint = Some(first_stage::fingerprint(&list));
        let stage = Box::new(ReadList::new(list, context)?);
        Ok(FirstStage { fingerprint, stage })
    }

    /// Upstream's list leaves with the version of which it spoke.
    async fn finalize_version(&self, draft: &VersionDraft) -> Result<(), SyncError> {
        draft.vacate(UpstreamList::place());
        Ok(())
    }

    async fn publish(
        &self,
        context: &PublishContext<Self>,
        writer: &mut PublicationWriter,
    ) -> Result<(), PublishError> {
        publisher::publish(context, writer).await
    }

    fn commands(&self) -> Vec<clap::Command> {
        vec![Upload::command()]
    }

    async fn run_command(
        &self,
        context: &CommandContext,
        name: &str,
        matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError> {
        match name {
            Upload::NAME => {
                let uploaded = Upload::parse(matches)?.run(context).await?;
                serde_json::to_value(uploaded)
                    .map_err(|error| PluginFailure::new("Failed to print").caused_by(error).into())
            }
            other => Err(PluginFailure::new(format!("Unknown command `{other}`")).into()),
        }
    }
}
