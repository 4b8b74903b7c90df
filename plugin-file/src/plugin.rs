//! The plugin itself: what a file repository is to the framework.

use async_trait::async_trait;
use pulp_stages::{
    options::NoOptions,
    plugin::{FirstStage, Plugin},
    publish::{PublicationWriter, PublishContext, PublishError},
    sync::{SyncContext, SyncError},
};

use crate::{
    content::FileContent,
    first_stage::{self, ReadList},
    options::{FilePublicationOptions, FileRemoteOptions},
    publisher,
};

/// Repositories of plain files; see the [crate](crate).
#[derive(Debug, Clone, Copy, Default)]
pub struct File;

#[async_trait]
impl Plugin for File {
    const NAME: &'static str = "file";
    const ABOUT: &'static str = "Plain files, listed by a manifest, a Metalink or a checksum list";
    type Content = FileContent;
    type RemoteOptions = FileRemoteOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = FilePublicationOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<FileContent>, SyncError> {
        let list = context.fetch_document(&context.remote.url).await?;
        let fingerprint = Some(first_stage::fingerprint(&list));
        let stage = Box::new(ReadList::new(&list, context)?);
        Ok(FirstStage { fingerprint, stage })
    }

    async fn publish(
        &self,
        context: &PublishContext<Self>,
        writer: &mut PublicationWriter,
    ) -> Result<(), PublishError> {
        publisher::publish(context, writer).await
    }
}
