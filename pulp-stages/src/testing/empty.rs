//! The least that is a plugin, for tests that need one and do not care which.

use std::sync::Arc;

use async_trait::async_trait;
use pulp_models::{ArtifactStore, Key, remote::Remote};
use serde::{Deserialize, Serialize};

use crate::{
    content::Content,
    download::{Authorize, Downloader, SettingsError},
    options::NoOptions,
    plugin::{FirstStage, Plugin},
    stage::StageError,
    sync::{SyncContext, SyncError},
};

/// A repository type of which every upstream has nothing.
#[derive(Clone, Default)]
pub struct Empty {
    authorize: Option<Arc<dyn Authorize>>,
}

impl Empty {
    /// One whose upstreams ask for more than a password.
    pub fn authorized_by(authorize: Arc<dyn Authorize>) -> Self {
        Self { authorize: Some(authorize) }
    }
}

/// A unit of [`Empty`]. There is none.
#[derive(Clone, Serialize, Deserialize)]
pub enum Nothing {}

impl Content for Nothing {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        match *self {}
    }

    fn natural_key(&self) -> Option<Key> {
        match *self {}
    }
}

#[async_trait]
impl Plugin for Empty {
    const NAME: &'static str = "empty";
    const ABOUT: &'static str = "Nothing";
    type Content = Nothing;
    type RemoteOptions = NoOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = NoOptions;

    async fn first_stage(&self, _: &SyncContext<Self>) -> Result<FirstStage<Nothing>, SyncError> {
        Ok(FirstStage::parsed("Nothing", None, std::iter::empty::<Result<_, StageError>>()))
    }

    fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        match &self.authorize {
            None => Downloader::new(&remote.url, &remote.settings, store),
            Some(authorize) => {
                let authorize = Arc::clone(authorize);
                Downloader::authorized_by(authorize, &remote.url, &remote.settings, store)
            }
        }
    }
}
