//! `pulp container pull-through`: a registry made reachable through this one, in one command.
//!
//! Makes the remote, the repository with its options and the distribution, all of one name; each can
//! be changed afterwards by its own command. Nothing is fetched here.

use clap::{Args, FromArgMatches as _};
use pulp_models::{
    RemoteSettings, RemoteUrl,
    distribution::{self, BasePath, NewDistribution, Target},
    remote::{self, NewRemote, Policy},
    repository::{self, NewRepository},
};
use pulp_stages::{
    options::add_flags,
    plugin::{CommandContext, CommandError, PluginFailure},
    repository_settings::RepositorySettings,
};
use serde_json::{Value, json};

use super::RepositoryGlob;
use crate::{options::ContainerRepositoryOptions, reference::RepositoryName, upstream::registry};

/// Flags of the command.
#[derive(Debug, Args)]
struct Flags {
    /// The registry, as in `docker.io` or `http://127.0.0.1:5000`
    #[arg(value_name = "URL")]
    url: String,
    /// Name of the remote, the repository and the distribution: `HOST/NAME/library/debian:12` is
    /// then `library/debian:12` of the registry
    #[arg(long, value_name = "NAME")]
    name: RepositoryName,
    /// Repository of the registry that clients may have fetched: a glob, as in `library/*`; `**` is
    /// every one, and whoever may pull can then fill the disk (repeatable)
    #[arg(long = "repository", value_name = "GLOB", required = true)]
    repositories: Vec<RepositoryGlob>,
    /// When layers are fetched: with the manifest, or when a client asks for them, then kept or not
    #[arg(long, value_name = "POLICY", value_parser = ["immediate", "on_demand", "streamed"],
          default_value = "on_demand")]
    policy: String,
    /// Only users may pull
    #[arg(long)]
    private: bool,
}

/// The command's description.
pub(crate) fn command() -> clap::Command {
    let about = "Serve another registry through this one, fetching what clients ask for first";
    add_flags::<Flags>(clap::Command::new("pull-through").about(about)).after_help(
        "Credentials and limits of the registry are settings of the remote: `pulp container remote \
         update --name NAME --username USER --password-file FILE`.",
    )
}

/// The URL of the registry. Who leaves out its beginning and goes on after the host names an image,
/// as everywhere else.
fn whole_registry(written: &str) -> Result<RemoteUrl, CommandError> {
    let (url, completed) = registry(written)?;
    let image = url.expose().path().trim_matches('/');
    if completed && !image.is_empty() {
        let mut root = url.expose().clone();
        root.set_path("");
        let root = RemoteUrl::from_url(root);
        return Err(CommandError::Usage(format!(
            "`{written}` is more than a registry: write `{root}`, and which of its repositories \
             with `--repository`, as in `library/*`"
        )));
    }
    Ok(url)
}

/// Runs the command; the value says what was made.
pub(crate) async fn run(
    context: &CommandContext,
    matches: &clap::ArgMatches,
) -> Result<Value, CommandError> {
    let flags =
        Flags::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))?;
    let usage = |error: &dyn std::error::Error| CommandError::Usage(error.to_string());
    let policy: Policy = flags.policy.parse().map_err(|error| usage(&error))?;
    let base_path: BasePath = flags.name.as_str().parse().map_err(|error| usage(&error))?;
    let options = ContainerRepositoryOptions {
        pull_through: Some(flags.name.to_string()),
        pull_through_repositories: flags.repositories,
        private: flags.private,
        ..ContainerRepositoryOptions::default()
    };
    let unwritable = |error: &dyn std::error::Error| PluginFailure::new(error.to_string());
    let options = serde_json::to_value(options).map_err(|error| unwritable(&error))?;
    let settings = RepositorySettings { options, ..RepositorySettings::default() };
    let settings = settings.to_value().map_err(|error| unwritable(&error))?;
    let (name, url) = (flags.name.to_string(), whole_registry(&flags.url)?);
    let shown = url.to_string();
    let create = move |conn: &mut pulp_models::Connection| {
        let plugin = crate::NAME.to_owned();
        let remote = NewRemote {
            name: name.clone(),
            plugin: plugin.clone(),
            url: url.clone(),
            policy,
            settings: RemoteSettings::default(),
            options: json!({}),
        };
        remote::create(conn, &remote)?;
        let repository =
            NewRepository { options: settings.clone(), ..NewRepository::new(&name, &plugin) };
        let repository = repository::create(conn, &repository)?;
        let distribution = NewDistribution {
            name: name.clone(),
            plugin,
            base_path: base_path.clone(),
            target: Target::Repository(repository.id),
            options: json!({}),
        };
        distribution::create(conn, &distribution).map(drop)
    };
    context.installation.db.write(create).await?;
    let served_at = format!("/v2/{}/", flags.name);
    Ok(json!({"name": flags.name, "url": shown, "served_at": served_at}))
}
