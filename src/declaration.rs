//! Repositories as a person declares them: in YAML for `pulp apply`, by flags for `pulp mirror`.
//!
//! A declaration says how things should be. [`crate::operations`] compares it with what is there
//! and changes the difference.

use std::path::Path;

use anyhow::Context as _;
use pulp_models::{
    RemoteSettings, RemoteUrl,
    distribution::{BasePath, InvalidBasePath},
    remote::Policy,
};
use pulp_stages::plugin::{AnyPlugin, OptionKind, Plugins};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{CommandResult, Exit, Failure};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    repositories: Vec<Declaration>,
}

/// One mirrored repository: its remote, how it is synchronised and published, where it is served.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declaration {
    /// Name of the remote, the repository and the distribution.
    pub(crate) name: String,
    /// The repository type, e.g. `deb`.
    pub(crate) plugin: String,
    /// Where upstream is.
    pub(crate) url: RemoteUrl,
    /// When artifacts are fetched.
    #[serde(default)]
    pub(crate) policy: Policy,
    /// Whether what upstream removes is removed here.
    #[serde(default)]
    pub(crate) mirror: bool,
    /// Where it is served below `/pulp/content/`; the name by default.
    #[serde(default)]
    pub(crate) base_path: Option<String>,
    /// Whether it is synchronised from the remote; not, where the remote is for something else, as
    /// for pulling through.
    #[serde(default = "yes")]
    pub(crate) sync: bool,
    /// How many of the newest versions are kept; all by default.
    #[serde(default)]
    pub(crate) retain_versions: Option<u32>,
    /// Credentials, proxy, limits.
    #[serde(default)]
    pub(crate) remote: RemoteSettings,
    /// What the plugin adds to the remote.
    #[serde(default)]
    pub(crate) options: Value,
    /// What the plugin adds to the repository.
    #[serde(default)]
    pub(crate) repository: Value,
    /// What the plugin adds to publications.
    #[serde(default)]
    pub(crate) publication: Value,
}

const fn yes() -> bool {
    true
}

impl Declaration {
    /// A declaration of which nothing else is known.
    pub(crate) fn new(name: &str, plugin: &str, url: &RemoteUrl) -> Self {
        Self {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            url: url.clone(),
            policy: Policy::default(),
            mirror: false,
            sync: true,
            base_path: None,
            retain_versions: None,
            remote: RemoteSettings::default(),
            options: Value::Null,
            repository: Value::Null,
            publication: Value::Null,
        }
    }

    /// Where it is served below `/pulp/content/`.
    pub(crate) fn base_path(&self) -> CommandResult<BasePath> {
        let path = self.base_path.as_deref().unwrap_or(&self.name);
        path.parse().map_err(|error: InvalidBasePath| {
            Failure::usage(format!("Repository `{}`: {error}", self.name))
        })
    }

    /// Validates the base path and the plugin's options, fills in their defaults, and makes settings of
    /// credentials in the URL.
    pub(crate) fn normalize(&mut self, plugin: &dyn AnyPlugin) -> CommandResult {
        plugin.check_base_path(&self.base_path()?)?;
        self.remote.take_credentials(&mut self.url);
        for (kind, options) in [
            (OptionKind::Remote, &mut self.options),
            (OptionKind::Repository, &mut self.repository),
            (OptionKind::Publication, &mut self.publication),
        ] {
            *options = plugin.normalize(kind, options).map_err(|error| {
                Failure::from(
                    anyhow::Error::new(error)
                        .context(format!("Invalid declaration of repository `{}`", self.name)),
                )
                .exit(Exit::Usage)
            })?;
        }
        Ok(())
    }
}

/// Reads and validates a YAML file of declarations. Environment variables are not expanded;
/// secrets belong into `password_file` flags or `PULP_REMOTE_PASSWORD`.
pub(crate) fn read(path: &Path, plugins: &Plugins) -> CommandResult<Vec<Declaration>> {
    let usage = |error: anyhow::Error| Failure::from(error).exit(Exit::Usage);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Failed to read `{}`", path.display()))
        .map_err(usage)?;
    let document: Document = serde_yaml::from_str(&text)
        .with_context(|| format!("Failed to parse `{}`", path.display()))
        .map_err(usage)?;
    let mut declarations = document.repositories;
    let mut names = std::collections::HashSet::new();
    for declaration in &mut declarations {
        if !names.insert(declaration.name.clone()) {
            return Err(Failure::usage(format!(
                "`{}` declares repository `{}` twice",
                path.display(),
                declaration.name
            )));
        }
        declaration.normalize(&**find_plugin(plugins, &declaration.plugin)?)?;
    }
    Ok(declarations)
}

/// The plugin called `name`, or an error that lists those that are there.
pub(crate) fn find_plugin<'a>(
    plugins: &'a Plugins,
    name: &str,
) -> CommandResult<&'a std::sync::Arc<dyn AnyPlugin>> {
    plugins.get(name).ok_or_else(|| {
        let known: Vec<_> = plugins.iter().map(|plugin| plugin.name()).collect();
        Failure::usage(format!("No plugin is called `{name}`"))
            .hint(format!("the plugins are: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod fuzz {
    use pulp_stages::testing::fuzz;

    use super::Document;

    #[test]
    fn declarations() {
        let seeds: [&[u8]; 2] = [
            b"repositories:\n- name: a\n  plugin: file\n  url: http://h/x\n  remote:\n    headers:\n    - \
              {name: a, value: b}\n  options: &o {b: [1, 2]}\n  repository: *o\n",
            b"repositories: [{name: a, plugin: deb, url: 'http://u:p@h/', policy: on_demand}]\n",
        ];
        fuzz(&seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            drop(serde_yaml::from_str::<Document>(&text));
        });
    }
}
