//! The plugins of a program, by name: what the command line and the server look them up in.

use std::{collections::BTreeMap, sync::Arc};

use pulp_models::{ArtifactStore, remote::Remote};

use super::{AnyPlugin, Plugin};
use crate::download::{Downloader, SettingsError};

/// The plugins that a program was composed of, by name.
#[derive(Clone, Default)]
pub struct Plugins(BTreeMap<&'static str, Arc<dyn AnyPlugin>>);

impl Plugins {
    /// Adds a plugin; a second one of the same name replaces the first.
    pub fn add(&mut self, plugin: impl Plugin) {
        self.0.insert(plugin.name(), Arc::new(plugin));
    }

    /// The plugin called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyPlugin>> {
        self.0.get(name)
    }

    /// What fetches from `remote`: what its plugin makes for it, or a plain one if the program was
    /// composed without that plugin.
    pub fn downloader(
        &self,
        remote: &Remote,
        store: ArtifactStore,
    ) -> Result<Downloader, SettingsError> {
        match self.get(&remote.plugin) {
            Some(plugin) => plugin.downloader(remote, store),
            None => Downloader::new(&remote.url, &remote.settings, store),
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyPlugin>> {
        self.0.values()
    }
}
