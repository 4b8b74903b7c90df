//! Publishing what a repository's settings say is to be published, after whatever changed it.

use std::sync::Arc;

use pulp_models::{publication, repository::Repository, version};
use tokio_util::sync::CancellationToken;

use super::{PublishError, PublishRequest, Published};
use crate::{
    installation::Installation, plugin::AnyPlugin, progress::Reporter,
    repository_settings::RepositorySettings, serve::CONTENT_PREFIX,
};

/// Publishes the latest version if the repository publishes itself; `None` if it does not, if that
/// version is published with the same options already, or if the plugin serves without publications.
pub async fn autopublish(
    plugin: &dyn AnyPlugin,
    installation: &Installation,
    repository: &Repository,
    cancel: CancellationToken,
    reporter: Arc<dyn Reporter>,
) -> Result<Option<Published>, PublishError> {
    let settings = RepositorySettings::of(repository)?;
    if !settings.autopublish || plugin.served_below() != CONTENT_PREFIX {
        return Ok(None);
    }
    let (id, options) = (repository.id, settings.publication.clone());
    let is_published = installation
        .db
        .read(move |connection| {
            let latest = version::latest(connection, id)?;
            let newest = publication::newest(connection, id)?;
            Ok(newest.is_some_and(|newest| newest.version == latest && newest.options == options))
        })
        .await?;
    if is_published {
        return Ok(None);
    }
    let request = PublishRequest {
        repository: repository.clone(),
        version: None,
        options: settings.publication,
        checkpoint: false,
        cancel,
        reporter,
    };
    plugin.publish(installation, request).await.map(Some)
}
