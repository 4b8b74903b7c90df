//! The alternate content sources of one sync.

use std::sync::Arc;

use pulp_models::{
    alternate_content_source::{self, offers},
    db::Connection,
    remote,
};

use super::{SyncContext, SyncError};
use crate::{download::Downloader, plugin::Plugin, stages::AlternatesFirst};

/// What fetches from the enabled sources first; `None` if there are none. A source whose remote's
/// settings cannot be used is left out with a warning.
pub(super) async fn of_sync<P: Plugin>(
    plugin: &P,
    context: &SyncContext<P>,
) -> Result<Option<AlternatesFirst>, SyncError> {
    let read = |connection: &mut Connection| {
        if !offers::any(connection)? {
            return Ok(Vec::new());
        }
        let sources = alternate_content_source::list(connection)?;
        let enabled = sources.into_iter().filter(|source| source.enabled);
        enabled
            .map(|source| Ok((source.name, remote::get_by_id(connection, source.remote)?)))
            .collect()
    };
    let installation = &context.installation;
    let sources = installation.db.read(read).await?;
    if sources.is_empty() {
        return Ok(None);
    }
    let origin = Arc::new(context.downloads.clone());
    let mut alternates = AlternatesFirst::new(origin, context.warnings.clone());
    for (name, remote) in sources {
        let store = installation.store.clone();
        let downloads = if remote.plugin == P::NAME {
            plugin.downloader(&remote, store)
        } else {
            Downloader::new(&remote.url, &remote.settings, store)
        };
        match downloads {
            Ok(downloads) => alternates.add_source(name, &remote, downloads),
            Err(error) => {
                context.warn(format!("Alternate content source `{name}` is not asked: {error}"));
            }
        }
    }
    Ok(Some(alternates))
}
