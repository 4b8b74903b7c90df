//! The default line, and running it.

use std::sync::Arc;

use pulp_models::version::VersionSummary;

use super::{SyncContext, SyncError, SyncRequest, VersionDraft, state::SyncState};
use crate::{
    budget::Budget,
    line::Line,
    pipeline::Pipeline,
    plugin::{FirstStage, Plugin},
    profile::Profile,
    stages::{
        ArtifactDownloader, ArtifactSaver, ContentAssociation, ContentSaver, ContentUnassociation,
        QueryExistingArtifacts, QueryExistingContents, RemoteArtifactSaver, ResolveContentFutures,
    },
    task::TaskHandle,
};

/// Bytes of downloads that are in memory or in temporary files at once, between the downloader
/// and the saver.
const IN_FLIGHT_BYTES: u64 = 1 << 30;

/// Runs the line from `first` to a completed version; `None` if nothing differs.
pub(super) async fn run<P: Plugin>(
    plugin: &P,
    context: &SyncContext<P>,
    request: &SyncRequest,
    first: FirstStage<P::Content>,
    state: SyncState,
    task: &TaskHandle,
) -> Result<(Option<VersionSummary>, Profile), SyncError> {
    let installation = &context.installation;
    let _store = installation.share_store().await?;
    let draft = VersionDraft::begin(installation, context.repository.id).await?;
    let line = plugin.pipeline(default_line(context, &draft), context);
    let profile = Pipeline::new(line.push_front(first.stage))?.run(&task.cancel).await?;
    plugin.finalize_version(&draft).await?;
    if task.cancel.is_cancelled() {
        return Err(SyncError::Cancelled);
    }
    let version = if request.dry_run {
        draft.preview(task).await?
    } else {
        draft.complete(task, state).await?
    };
    Ok((version, profile))
}

/// The stages that follow the first, in the order that every plugin gets; a plugin edits it by
/// name.
fn default_line<P: Plugin>(context: &SyncContext<P>, draft: &VersionDraft) -> Line<P::Content> {
    let db = || context.installation.db.clone();
    let store = || context.installation.store.clone();
    let counter = |code, message| context.progress.counter(code, message);
    let downloads = counter("sync.downloading.artifacts", "Downloading Artifacts");
    let associated = counter("associating.content", "Associating Content");

    let mut line = Line::new()
        .push(Box::new(QueryExistingContents::new(db())))
        .push(Box::new(QueryExistingArtifacts::new(db())))
        .push(Box::new(
            ArtifactDownloader::new(Arc::new(context.downloads.clone()))
                .budget(Budget::new(IN_FLIGHT_BYTES))
                .counter(downloads),
        ))
        .push(Box::new(ArtifactSaver::new(db(), store())))
        .push(Box::new(ContentSaver::new(db())))
        .push(Box::new(RemoteArtifactSaver::new(db())))
        .push(Box::new(ResolveContentFutures))
        .push(Box::new(ContentAssociation::new(draft.clone(), associated)));
    if context.mirror {
        line = line.push(Box::new(ContentUnassociation::new(draft.clone())));
    }
    line
}
