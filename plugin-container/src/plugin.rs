//! The plugin itself: what a container repository is to the framework.

use std::sync::Arc;

use async_trait::async_trait;
use pulp_models::{
    ArtifactStore, distribution::BasePath, remote::Remote, remote_settings::OnBroken,
};
use pulp_stages::{
    download::{Downloader, SettingsError},
    options::{self, NoOptions, OptionsError},
    plugin::{CommandContext, CommandError, FirstStage, Plugin, PluginFailure, Upstream},
    serve::ContentApp,
    sync::{SyncContext, SyncError},
};
use serde_json::Value;

use crate::{
    client::{Registry, RegistryClientError},
    content::ContainerContent,
    digest::Digest,
    export,
    first_stage::ReadRegistry,
    layout::LayoutTransport,
    options::{ContainerRemoteOptions, ContainerRepositoryOptions, registry_base},
    pull_through,
    reference::RepositoryName,
    routes,
    signing::Signing,
    survey::{LeftOut, Surveying},
    transport::{self, AuthorizationError, HttpTransport},
    tree::Trees,
    upstream,
};

/// Repositories of container registries; see the [crate].
#[derive(Debug, Clone, Copy, Default)]
pub struct Container;

#[async_trait]
impl Plugin for Container {
    const NAME: &'static str = crate::NAME;
    const ABOUT: &'static str = "Container images and other OCI artifacts of a registry";
    type Content = ContainerContent;
    type RemoteOptions = ContainerRemoteOptions;
    type RepositoryOptions = ContainerRepositoryOptions;
    type PublicationOptions = NoOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<ContainerContent>, SyncError> {
        let options = Arc::new(context.options.clone());
        let (registry, untagged) = registry(context).await?;
        let concurrency = context.remote.settings.download_concurrency() as usize;
        let tolerant = context.remote.settings.on_broken() != OnBroken::Fail;
        let left_out = leave_out(context);
        let upstream = |error: RegistryClientError| error.at(&context.remote.url);
        let surveying = Surveying {
            registry: &registry,
            options: &options,
            concurrency,
            tolerant,
            left_out: &*left_out,
        };
        let mut survey = surveying.survey().await.map_err(upstream)?;
        survey.digests.extend(untagged);
        // What refers to a manifest, or signs it, may change while no tag does.
        let fingerprint = if options.follows_manifests() {
            None
        } else {
            let companions = surveying.resolve(survey.wanted_companions()).await;
            Some(survey.fingerprint(&companions.map_err(upstream)?))
        };
        let told = Arc::clone(&left_out);
        let signing = Signing::new(&registry, &options, &survey, concurrency, told).await;
        let signing = signing.map_err(upstream)?;
        let db = context.installation.db.clone();
        let processed = context.progress.counter("sync.processing.tag", "Processing Tags");
        processed.set_total(survey.tags.len() as u64);
        let stage = Box::new(ReadRegistry {
            trees: Trees::new(registry.clone(), db, Arc::clone(&options), concurrency),
            survey,
            signing,
            registry,
            options,
            concurrency,
            store: context.installation.store.clone(),
            remote: context.remote.id,
            deferred: context.policy.is_deferred(),
            tolerant,
            left_out,
            processed,
        });
        Ok(FirstStage { fingerprint, stage })
    }

    fn upstream(
        &self,
        written: &str,
        options: &ContainerRemoteOptions,
    ) -> Result<Upstream, CommandError> {
        upstream::read(written, options)
    }

    /// Clients ask for names of the distribution specification only.
    fn check_base_path(&self, path: &BasePath) -> Result<(), CommandError> {
        let name = path.as_str().parse::<RepositoryName>();
        name.map(drop).map_err(|error| {
            CommandError::Usage(format!("No client can pull from `{path}`: {error}"))
        })
    }

    fn named_remotes(&self, options: &ContainerRepositoryOptions) -> Vec<String> {
        options.pull_through.iter().cloned().collect()
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        let options = options::parse::<ContainerRemoteOptions>(&remote.options)
            .map_err(|error| SettingsError::new("options", error.to_string()))?;
        transport::downloader(&remote.url, &remote.settings, &options, store).map_err(|error| {
            match error {
                AuthorizationError::Settings(error) => error,
                error => SettingsError::new("credentials", crate::survey::chain(&error)),
            }
        })
    }

    fn served_below(&self) -> &'static str {
        "/v2/"
    }

    fn routes(&self, app: &ContentApp) -> axum::Router {
        routes::router(app)
    }

    fn commands(&self) -> Vec<clap::Command> {
        vec![export::command(), pull_through::command()]
    }

    async fn run_command(
        &self,
        context: &CommandContext,
        name: &str,
        matches: &clap::ArgMatches,
    ) -> Result<Value, CommandError> {
        match name {
            "export" => export::run(context, matches).await,
            "pull-through" => pull_through::run_command(context, matches).await,
            other => Err(PluginFailure::new(format!("Unknown command `{other}`")).into()),
        }
    }
}

/// Tells a person what is left out. What is broken makes the next sync look again, even if nothing
/// else has changed.
fn leave_out(context: &SyncContext<Container>) -> Arc<dyn Fn(LeftOut) + Send + Sync> {
    let warnings = context.warnings.clone();
    Arc::new(move |left: LeftOut| match left {
        LeftOut::Broken(..) => warnings.left_out(left.to_string()),
        other => warnings.add(other.to_string()),
    })
}

/// The client of the remote, and the manifests that a layout holds without tags; of those only if
/// nothing is filtered.
async fn registry(context: &SyncContext<Container>) -> Result<(Registry, Vec<Digest>), SyncError> {
    let (options, url) = (&context.options, &context.remote.url);
    let (base, limit) = (registry_base(url), options.max_manifest_size());
    if base.scheme() == "file" {
        let transport = Arc::new(LayoutTransport::new(base.clone(), context.downloads.clone()));
        let everything = options.tags().is_everything() && options.digests.is_empty();
        let untagged = if everything {
            let read = transport.untagged().await;
            read.map_err(|error| SyncError::upstream(url, error))?
        } else {
            Vec::new()
        };
        // Whatever it is called there, it is the whole layout.
        let name = options.upstream_name.clone().map_or_else(|| "layout".parse(), Ok);
        let name = name.map_err(|error| SyncError::upstream(url, error))?;
        return Ok((Registry::new(&base, &name, limit, transport), untagged));
    }
    let name = options.upstream_name.as_ref().ok_or_else(|| {
        OptionsError::new(format!(
            "remote `{}` does not say which repository of the registry to mirror: name it with \
             `--upstream-name`, as in `library/debian`",
            context.remote.name
        ))
    })?;
    let transport = Arc::new(HttpTransport(context.downloads.clone()));
    Ok((Registry::new(&base, name, limit, transport), Vec::new()))
}
