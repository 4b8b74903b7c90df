//! Files of servers that ask for more than a password: the remote's plugin knows the answer.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use pulp_models::{
    ArtifactStore, Key, RemoteSettings,
    remote::{self, NewRemote, Policy, Remote},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::kit::{Bench, pattern};
use crate::{
    content::Content,
    download::{Authorize, Downloader, SettingsError},
    options::NoOptions,
    plugin::{FirstStage, Plugin, PluginFailure, Plugins},
    serve::{ServeSettings, ServerSettings},
    sync::{SyncContext, SyncError},
    testing::Upstream,
};

/// A repository type whose servers want a login that no setting of the remote holds.
#[derive(Debug, Clone)]
struct Guarded;

#[derive(Clone, Serialize, Deserialize)]
struct Nothing;

impl Content for Nothing {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        "guarded.nothing"
    }

    fn natural_key(&self) -> Option<Key> {
        None
    }
}

#[async_trait]
impl Authorize for Guarded {
    async fn authorization(
        &self,
        _url: &Url,
    ) -> Result<Option<HeaderValue>, Box<dyn Error + Send + Sync>> {
        // `me` and `pw`, as RFC 7617 writes them.
        Ok(Some(HeaderValue::from_static("Basic bWU6cHc=")))
    }

    fn challenged(
        &self,
        _url: &Url,
        _sent: Option<&HeaderValue>,
        _answer: &HeaderMap,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("refused".into())
    }
}

#[async_trait]
impl Plugin for Guarded {
    const NAME: &'static str = "guarded";
    const ABOUT: &'static str = "Files behind a guard";
    type Content = Nothing;
    type RemoteOptions = NoOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = NoOptions;

    async fn first_stage(&self, _: &SyncContext<Self>) -> Result<FirstStage<Nothing>, SyncError> {
        Err(PluginFailure::new("Nothing is synchronised here").into())
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        Downloader::authorized_by(Arc::new(Self), &remote.url, &remote.settings, store)
    }
}

#[tokio::test]
async fn a_fill_is_authorised_by_the_plugin_of_its_remote() {
    let bytes = pattern(1000);
    let upstream = Upstream::start().await.file("f", bytes.clone()).basic_auth("me", "pw");
    let mut plugins = Plugins::default();
    plugins.add(Guarded);
    let (settings, server) = (ServeSettings::default(), ServerSettings::default());
    let bench = Bench::composed(plugins, settings, server).await;
    let new = NewRemote {
        name: "guarded".to_owned(),
        plugin: "guarded".to_owned(),
        url: upstream.url(""),
        policy: Policy::OnDemand,
        settings: RemoteSettings { max_retries: Some(0), ..RemoteSettings::default() },
        options: json!({}),
    };
    let create = move |connection: &mut _| remote::create(connection, &new);
    let remote = bench.installation.db.write(create).await.expect("created");
    let unit = bench.on_demand("f", &bytes, &[(remote.id, upstream.url("f"))]).await;
    bench.serve_units(&[unit]).await;
    assert!(bench.get("files/f").await.expect(200).body == bytes);
}
