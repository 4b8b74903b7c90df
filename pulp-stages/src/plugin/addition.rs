//! What the commands of plugins share, those above all that add to a repository, such as an upload:
//! reading, finding the repository, adding, publishing. What is added is each command's own first stage.

use pulp_models::{
    PublicationId,
    repository::{self, Repository},
};
use serde::Serialize;

use super::{CommandContext, CommandError, Plugin, PluginFailure};
use crate::{
    publish,
    stage::Stage,
    sync::{self, AddRequest, Added},
};

/// What [`CommandContext::add`] did. Serialises as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Addition {
    /// The new version.
    #[serde(flatten)]
    pub added: Added,
    /// The publication of the latest version, if one was made.
    pub publication: Option<PublicationId>,
}

impl CommandContext {
    /// The repository called `name`. One of another type than `P` is an error of usage.
    pub async fn repository<P: Plugin>(&self, name: &str) -> Result<Repository, CommandError> {
        let wanted = name.to_owned();
        let db = &self.installation.db;
        let found = db.read(move |connection| repository::get(connection, &wanted)).await?;
        if found.plugin == P::NAME {
            return Ok(found);
        }
        let (plugin, own) = (&found.plugin, P::NAME);
        Err(CommandError::Usage(format!("Repository `{name}` is of type `{plugin}`, not `{own}`")))
    }

    /// Runs `work` on the blocking pool. If the user asks for an early end meanwhile, it is left behind:
    /// what it may still do must be harmless, as reading is.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PluginFailure> {
        let work = tokio::task::spawn_blocking(work);
        let done = self.cancel.run_until_cancelled(work).await;
        done.and_then(Result::ok).ok_or_else(PluginFailure::interrupted)
    }

    /// [Adds](sync::add_content) what `first_stage` emits to a repository, in a task called `task`,
    /// then [publishes](publish::autopublish) the version if the repository publishes itself.
    pub async fn add<P: Plugin>(
        &self,
        plugin: &P,
        task: &'static str,
        repository: Repository,
        first_stage: Box<dyn Stage<P::Content>>,
    ) -> Result<Addition, CommandError> {
        let (cancel, reporter) = (&self.cancel, &self.reporter);
        let request = AddRequest {
            task,
            repository: repository.clone(),
            first_stage,
            cancel: cancel.clone(),
            reporter: reporter.clone(),
        };
        let installation = &self.installation;
        let added = sync::add_content(plugin, installation, request).await?;
        let (cancel, reporter) = (cancel.clone(), reporter.clone());
        let published =
            publish::autopublish(plugin, installation, &repository, cancel, reporter).await?;
        Ok(Addition { added, publication: published.map(|published| published.publication) })
    }
}
