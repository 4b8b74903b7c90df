//! The plugin itself: what a container repository is to the framework.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use pulp_models::{ArtifactStore, remote::Remote};
use pulp_stages::{
    download::{Downloader, SettingsError},
    options::{self, NoOptions},
    plugin::{FirstStage, Plugin},
    serve::ContentApp,
    sync::{SyncContext, SyncError},
};

use crate::{
    client::Registry,
    content::ContainerContent,
    first_stage::ReadRegistry,
    options::{ContainerRemoteOptions, ContainerRepositoryOptions, registry_base},
    routes,
    survey::{LeftOut, Survey},
    transport::{HttpTransport, authenticator},
    tree::Trees,
};

/// Repositories of container registries; see the [crate](crate).
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
        let name = options.upstream_name.as_ref().ok_or_else(|| {
            SyncError::plugin("The remote doesn't say which repository of the registry to mirror")
                .with_hint("name it with `--upstream-name`, as in `library/debian`")
        })?;
        let registry = Registry::new(
            &registry_base(&context.remote.url),
            name,
            options.max_manifest_size(),
            Arc::new(HttpTransport(context.downloads.clone())),
        );
        let concurrency = context.remote.settings.download_concurrency() as usize;
        let warnings = context.warnings.clone();
        let left_out: Arc<dyn Fn(LeftOut) + Send + Sync> =
            Arc::new(move |left: LeftOut| warnings.add(left.to_string()));
        let upstream = |error| SyncError::upstream(&context.remote.url, error);
        let survey =
            Survey::run(&registry, &options, concurrency, &*left_out).await.map_err(upstream)?;
        // What refers to a manifest may change while no tag does.
        let fingerprint = if options.referrers {
            None
        } else {
            let wanted = survey.tags.iter().map(|(_, digest)| digest).chain(&survey.digests);
            let wanted: HashSet<_> = wanted.copied().collect();
            let companions = survey.companions_of(&wanted).cloned().collect();
            let resolve = Survey::resolve(&registry, companions, &options, concurrency, &*left_out);
            Some(survey.fingerprint(&resolve.await.map_err(upstream)?))
        };
        let db = context.installation.db.clone();
        let stage = Box::new(ReadRegistry {
            trees: Trees::new(registry.clone(), db, Arc::clone(&options), concurrency),
            survey,
            registry,
            options,
            concurrency,
            store: context.installation.store.clone(),
            remote: context.remote.id,
            deferred: context.policy.is_deferred(),
            left_out,
        });
        Ok(FirstStage { fingerprint, stage })
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        let wrong = |error: &dyn std::error::Error| {
            SettingsError::new("credentials", crate::survey::chain(error))
        };
        let options = options::parse::<ContainerRemoteOptions>(&remote.options)
            .map_err(|error| SettingsError::new("options", error.to_string()))?;
        let authenticator = authenticator(&remote.url, &remote.settings, &options, store.clone())
            .map_err(|error| wrong(&error))?;
        Downloader::authorized_by(Arc::new(authenticator), &remote.url, &remote.settings, store)
    }

    fn routes(&self, app: &ContentApp) -> axum::Router {
        routes::router(app)
    }
}
