//! Files of servers that ask for more than a password: the remote's plugin knows the answer.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use pulp_models::{
    RemoteSettings,
    remote::{self, NewRemote, Policy},
};
use serde_json::json;
use url::Url;

use super::kit::{Bench, pattern};
use crate::{
    download::Authorize,
    plugin::{Plugin as _, Plugins},
    serve::{ServeSettings, ServerSettings},
    testing::{Empty, Upstream},
};

/// Knows the login that no setting of the remote holds.
#[derive(Debug)]
struct Login;

#[async_trait]
impl Authorize for Login {
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

#[tokio::test]
async fn a_fill_is_authorised_by_the_plugin_of_its_remote() {
    let bytes = pattern(1000);
    let upstream = Upstream::start().await.file("f", bytes.clone()).basic_auth("me", "pw");
    let mut plugins = Plugins::default();
    plugins.add(Empty::authorized_by(Arc::new(Login)));
    let (settings, server) = (ServeSettings::default(), ServerSettings::default());
    let bench = Bench::composed(plugins, settings, server).await;
    let new = NewRemote {
        name: "guarded".to_owned(),
        plugin: Empty::NAME.to_owned(),
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
