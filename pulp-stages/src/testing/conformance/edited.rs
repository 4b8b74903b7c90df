//! A plugin as it is, but for stages of the kit in its line.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use pulp_models::{ArtifactStore, remote::Remote};
use tokio_util::sync::CancellationToken;

use crate::{
    content::Content,
    download::{Downloader, SettingsError},
    inbox::Inbox,
    line::Line,
    outbox::Outbox,
    plugin::{FirstStage, Plugin},
    stage::{Stage, StageError},
    sync::{SyncContext, SyncError, VersionDraft},
};

/// Edits what follows the first stage.
type Edit<C> = dyn Fn(Line<C>) -> Line<C> + Send + Sync;

/// `P` with an edited line.
pub(super) struct Edited<P: Plugin> {
    plugin: P,
    edit: Arc<Edit<P::Content>>,
}

impl<P: Plugin> Edited<P> {
    pub(super) fn new(
        plugin: P,
        edit: impl Fn(Line<P::Content>) -> Line<P::Content> + Send + Sync + 'static,
    ) -> Self {
        Self { plugin, edit: Arc::new(edit) }
    }
}

impl<P: Plugin> Clone for Edited<P> {
    fn clone(&self) -> Self {
        Self { plugin: self.plugin.clone(), edit: Arc::clone(&self.edit) }
    }
}

#[async_trait]
impl<P: Plugin> Plugin for Edited<P> {
    const NAME: &'static str = P::NAME;
    const ABOUT: &'static str = P::ABOUT;
    type Content = P::Content;
    type RemoteOptions = P::RemoteOptions;
    type RepositoryOptions = P::RepositoryOptions;
    type PublicationOptions = P::PublicationOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<P::Content>, SyncError> {
        self.plugin.first_stage(&context.of_plugin()).await
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        self.plugin.downloader(remote, store)
    }

    fn pipeline(&self, line: Line<P::Content>, context: &SyncContext<Self>) -> Line<P::Content> {
        (self.edit)(self.plugin.pipeline(line, &context.of_plugin()))
    }

    async fn finalize_version(&self, draft: &VersionDraft) -> Result<(), SyncError> {
        self.plugin.finalize_version(draft).await
    }
}

impl<P: Plugin> SyncContext<Edited<P>> {
    fn of_plugin(&self) -> SyncContext<P> {
        SyncContext {
            installation: self.installation.clone(),
            repository: self.repository.clone(),
            remote: self.remote.clone(),
            options: self.options.clone(),
            repository_options: self.repository_options.clone(),
            policy: self.policy,
            mirror: self.mirror,
            downloads: self.downloads.clone(),
            progress: self.progress.clone(),
            warnings: self.warnings.clone(),
            cancel: self.cancel.clone(),
        }
    }
}

/// What follows the first stage in the line of `plugin`, as far as a sync has told.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<Vec<&'static str>>>);

impl Names {
    /// Notes the names of a line.
    pub(super) fn note<C: Content>(&self, line: &Line<C>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line.names();
    }

    pub(super) fn get(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Passes units on. With the first one it tells, and may then stop the line for good.
#[derive(Clone)]
pub(super) struct Tripwire {
    /// Fires when a unit has passed.
    pub(super) reached: CancellationToken,
    /// Whether nothing passes afterwards.
    pub(super) blocks: bool,
}

#[async_trait]
impl<C: Content> Stage<C> for Tripwire {
    fn name(&self) -> &'static str {
        "(kit trips)"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        let mut units = input.items();
        while let Some(unit) = units.next().await {
            output.put(unit).await?;
            self.reached.cancel();
            if self.blocks {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}

/// Counts what passes, and how much more the stage before has made by then.
#[derive(Clone, Default)]
pub(super) struct Meter {
    /// Units that passed.
    pub(super) passed: Arc<AtomicU64>,
    /// The most that were made and had not passed.
    pub(super) held: Arc<AtomicU64>,
    /// Whether it has begun.
    begun: Arc<AtomicBool>,
}

#[async_trait]
impl<C: Content> Stage<C> for Meter {
    fn name(&self) -> &'static str {
        "(kit counts)"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        self.begun.store(true, Ordering::Relaxed);
        let mut units = input.items();
        while let Some(unit) = units.next().await {
            let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
            let held = crate::declarative::made().saturating_sub(passed);
            self.held.fetch_max(held, Ordering::Relaxed);
            output.put(unit).await?;
        }
        Ok(())
    }
}
