//! Refreshing an alternate content source: finding out which bytes it has.
//!
//! The source's plugin reads the metadata at each of its paths as an on-demand sync would; a line of
//! its own notes where each file is, by digest, and saves no content. Later syncs look there
//! (`AlternateContentSources`). A hidden repository that stays empty gives the task its lock.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use pulp_models::{
    AlternateContentSourceId, Timestamp,
    alternate_content_source::{AlternateContentSource, offers},
    db::{Connection, Db, DbError},
    remote::{self, Policy, Remote},
    repository::{self, NewRepository, Repository},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{SyncContext, SyncError, SyncRequest};
use crate::{
    content::Content,
    inbox::Inbox,
    installation::Installation,
    line::Line,
    outbox::Outbox,
    pipeline::Pipeline,
    plugin::Plugin,
    progress::{Counter, Reporter},
    stage::{Stage, StageError},
    stages::{ArtifactDownloader, ArtifactSaver, QueryExistingArtifacts},
    task::{self, TaskHandle, TaskKind},
};

/// What to refresh.
#[derive(Clone)]
pub struct RefreshRequest {
    /// The source.
    pub source: AlternateContentSource,
    /// Ends it early; what was found so far is kept.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// What a refresh found. Serialises as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Refreshed {
    /// The source's name.
    pub name: String,
    /// Files that it has.
    pub files: u64,
    /// Bytes received from it.
    pub downloaded_bytes: u64,
    /// Requests made to it, retries included.
    pub requests: u64,
    /// What was left out or looked wrong without stopping the refresh.
    pub warnings: Vec<String>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// The name of the repository that gives a source's refreshes their lock. No command can make a
/// repository of such a name.
pub fn hidden_repository(source: &str) -> String {
    format!("alternate content source {source}")
}

/// Refreshes a source; see the module.
pub(crate) async fn refresh<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: RefreshRequest,
) -> Result<Refreshed, SyncError> {
    let source = request.source.clone();
    let prepare = move |connection: &mut Connection| {
        let remote = remote::get_by_id(connection, source.remote)?;
        Ok((remote, repository_of(connection, &source.name, P::NAME)?))
    };
    let (remote, repository) = installation.db.write(prepare).await?;
    let RefreshRequest { cancel, reporter, .. } = &request;
    let kind = TaskKind::of::<P>("refresh");
    let operation = |task| run(plugin, installation, &request, remote, task);
    task::run(installation, kind, &repository, cancel, &**reporter, operation).await
}

fn repository_of(
    connection: &mut Connection,
    source: &str,
    plugin: &str,
) -> Result<Repository, DbError> {
    let name = hidden_repository(source);
    match repository::get(connection, &name) {
        Err(DbError::NotFound { .. }) => {
            let new = NewRepository { hidden: true, ..NewRepository::new(name, plugin) };
            repository::create(connection, &new)
        }
        other => other,
    }
}

async fn run<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: &RefreshRequest,
    remote: Remote,
    task: TaskHandle,
) -> Result<Refreshed, SyncError> {
    let clock = Instant::now();
    let round = Timestamp::now();
    let _store = installation.share_store().await?;
    let source = &request.source;
    let mut refreshed = Refreshed {
        name: source.name.clone(),
        files: 0,
        downloaded_bytes: 0,
        requests: 0,
        warnings: Vec::new(),
        duration_ms: 0,
    };
    for remote in places(source, &remote) {
        let context = context(plugin, installation, request, remote, &task)?;
        let noted = context.progress.counter("refresh.noting.files", "Noting Files");
        let before = noted.done();
        let first = tokio::select! {
            first = plugin.first_stage(&context) => first?,
            () = task.cancel.cancelled() => return Err(SyncError::Cancelled),
        };
        let db = || installation.db.clone();
        let line = Line::new()
            .push(first.stage)
            .push(Box::new(QueryExistingArtifacts::new(db())))
            .push(Box::new(ArtifactDownloader::new(Arc::new(context.downloads.clone()))))
            .push(Box::new(ArtifactSaver::new(db(), installation.store.clone())))
            .push(Box::new(NoteOffers {
                db: db(),
                source: source.id,
                round,
                noted: noted.clone(),
            }));
        Pipeline::new(line)?.run(&task.cancel).await?;
        let transferred = context.downloads.statistics();
        refreshed.files += noted.done() - before;
        refreshed.downloaded_bytes += transferred.bytes;
        refreshed.requests += transferred.requests;
        refreshed.warnings.extend(context.warnings.taken());
    }
    let id = source.id;
    let complete = move |connection: &mut Connection| offers::complete(connection, id, round);
    installation.db.write(complete).await?;
    refreshed.duration_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(refreshed)
}

/// The source's remote at each of the source's paths.
fn places(source: &AlternateContentSource, remote: &Remote) -> Vec<Remote> {
    let at = |url| Remote { url, policy: Policy::OnDemand, ..remote.clone() };
    if source.paths.is_empty() {
        return vec![at(remote.url.clone())];
    }
    source.paths.iter().map(|path| at(remote.url.join_path(path))).collect()
}

/// What an on-demand sync from there would have at hand.
fn context<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: &RefreshRequest,
    remote: Remote,
    task: &TaskHandle,
) -> Result<SyncContext<P>, SyncError> {
    let request = SyncRequest {
        repository: task.repository.clone(),
        remote,
        mirror: false,
        optimize: false,
        dry_run: false,
        cancel: request.cancel.clone(),
        reporter: Arc::clone(&request.reporter),
    };
    SyncContext::new(plugin, installation, &request, task)
}

/// The last stage: notes where the source has which bytes, and lets the units go.
struct NoteOffers {
    db: Db,
    source: AlternateContentSourceId,
    round: Timestamp,
    noted: Counter,
}

impl NoteOffers {
    /// Units that are noted at once, unless something waits.
    const BATCH: usize = 500;
}

#[async_trait]
impl<C: Content> Stage<C> for NoteOffers {
    fn name(&self) -> &'static str {
        "NoteOffers"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, _output: Outbox<C>) -> Result<(), StageError> {
        let mut batches = input.batches(Self::BATCH);
        while let Some(mut batch) = batches.next().await {
            let artifacts = batch.iter().flat_map(|unit| &unit.artifacts);
            let provable = artifacts.filter(|artifact| artifact.expected.digests.is_trusted());
            let mut found = Vec::new();
            let mut files = 0;
            for artifact in provable {
                let urls = artifact.urls.iter();
                found.extend(urls.map(|url| (artifact.expected.clone(), url.clone())));
                files += 1;
            }
            let (db, source, round) = (self.db.clone(), self.source, self.round);
            let noting = async move {
                db.write(move |connection| offers::note(connection, source, round, &found)).await
            };
            batches.scope().shield(noting).await??;
            self.noted.add(files);
            for unit in &mut batch {
                unit.resolve();
            }
        }
        Ok(())
    }
}
