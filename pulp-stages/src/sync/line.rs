//! The default line, and running one to a repository version.

use std::sync::Arc;

use pulp_models::version::VersionSummary;

use super::{SyncContext, SyncError, VersionDraft, Warnings, state::SyncState};
use crate::{
    budget::Budget,
    content::Content,
    installation::Installation,
    line::Line,
    pipeline::Pipeline,
    plugin::Plugin,
    profile::Profile,
    progress::Progress,
    stages::{
        AlternateContentSources, AlternatesFirst, ArtifactDownloader, ArtifactSaver,
        ContentAssociation, ContentSaver, ContentUnassociation, Fetch, QueryExistingArtifacts,
        QueryExistingContents, RemoteArtifactSaver, ResolveContentFutures,
    },
    task::TaskHandle,
};

/// Bytes that are in memory or in temporary files at once, on their way to the saver.
pub(super) const IN_FLIGHT_BYTES: u64 = 1 << 30;

/// What becomes of the version when the line has ended well.
pub(super) enum Ending {
    /// It becomes visible.
    Complete,
    /// It becomes visible, with a note of how upstream stood, unless something was left out.
    Synchronized(SyncState, Warnings),
    /// It is compared with the one before and forgotten.
    Preview,
}

/// Runs a line, from its first stage on, to a version; `None` if nothing differs.
pub(super) async fn run<P: Plugin>(
    plugin: &P,
    line: Line<P::Content>,
    draft: &VersionDraft,
    task: &TaskHandle,
    ending: Ending,
) -> Result<(Option<VersionSummary>, Profile), SyncError> {
    let _store = draft.installation().share_store().await?;
    let profile = Pipeline::new(line)?.run(&task.cancel).await?;
    plugin.finalize_version(draft).await?;
    if task.cancel.is_cancelled() {
        return Err(SyncError::Cancelled);
    }
    let version = match ending {
        Ending::Complete => draft.complete(task, None).await?,
        Ending::Synchronized(state, warnings) => {
            let state = Some(state).filter(|_| !warnings.is_incomplete());
            draft.complete(task, state).await?
        }
        Ending::Preview => draft.preview(task).await?,
    };
    Ok((version, profile))
}

/// The stages that follow the first one of a sync, in the order that every plugin gets; a plugin
/// edits it by name.
pub(super) fn of_sync<P: Plugin>(
    context: &SyncContext<P>,
    draft: &VersionDraft,
    alternates: Option<&Arc<AlternatesFirst>>,
) -> Line<P::Content> {
    let downloads = context.progress.counter("sync.downloading.artifacts", "Downloading Artifacts");
    let fetch: Arc<dyn Fetch> = match alternates {
        Some(alternates) => Arc::clone(alternates) as Arc<dyn Fetch>,
        None => Arc::new(context.downloads.clone()),
    };
    let warnings = context.warnings.clone();
    let downloader = ArtifactDownloader::new(fetch)
        .budget(Budget::new(IN_FLIGHT_BYTES))
        .counter(downloads)
        .on_broken(context.remote.settings.on_broken(), move |told| warnings.left_out(told));
    let mut line = of_addition(&context.installation, &context.progress, draft)
        .before("ArtifactSaver", Box::new(downloader));
    if alternates.is_some() {
        let sources = AlternateContentSources::new(context.installation.db.clone());
        line = line.before("ArtifactDownloader", Box::new(sources));
    }
    if context.mirror {
        line = line.push(Box::new(ContentUnassociation::new(draft.clone())));
    }
    line
}

/// The same stages for units that bring their bytes along: nothing is downloaded, nothing leaves.
pub(super) fn of_addition<C: Content>(
    installation: &Installation,
    progress: &Progress,
    draft: &VersionDraft,
) -> Line<C> {
    let db = || installation.db.clone();
    let associated = progress.counter("associating.content", "Associating Content");
    Line::new()
        .push(Box::new(QueryExistingContents::new(db())))
        .push(Box::new(QueryExistingArtifacts::new(db())))
        .push(Box::new(ArtifactSaver::new(db(), installation.store.clone())))
        .push(Box::new(ContentSaver::new(db())))
        .push(Box::new(RemoteArtifactSaver::new(db())))
        .push(Box::new(ResolveContentFutures))
        .push(Box::new(ContentAssociation::new(draft.clone(), associated)))
}
