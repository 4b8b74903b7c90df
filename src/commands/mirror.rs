//! `pulp mirror PLUGIN URL`: everything between an upstream and a served copy, in one command.

use clap::{Arg, ArgMatches, Command, FromArgMatches as _, value_parser};
use pulp_models::RemoteUrl;
use pulp_stages::{
    installation::Installation,
    options::add_flags,
    plugin::{AnyPlugin, OptionKind, Plugins, Upstream},
    sync::SyncSummary,
};
use serde::Serialize;
use serde_json::Value;

use super::flags;
use crate::{
    application::Session,
    commands::subcommand,
    declaration::{Declaration, find_plugin},
    declare::{self, Declared, Undone},
    failure::{CommandResult, Failure},
    operations::{self, SyncFlags},
    remote_flags::RemoteFlags,
};

/// The command, with a subcommand per plugin.
pub(super) fn describe(plugins: &Plugins) -> Command {
    Command::new("mirror")
        .about("Mirror an upstream: create or update everything, sync, publish, serve-ready")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(plugins.iter().map(|plugin| describe_plugin(&**plugin)))
}

fn describe_plugin(plugin: &dyn AnyPlugin) -> Command {
    let command = Command::new(plugin.name())
        .about(plugin.about())
        .after_help(
            "Options are kept for later syncs, and for a later `mirror` of the same name; `remote update` \
             and `repository update` of the repository type change them, with `--unset` back to defaults.",
        )
        .arg(
            Arg::new("url")
                .required(true)
                .value_name("URL")
                .help("Where upstream is"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .value_parser(flags::parse_name)
                .help("Name of the repository, and where it is served [default: upstream's]"),
        )
        .arg(
            Arg::new("policy")
                .long("policy")
                .value_name("POLICY")
                .value_parser(["immediate", "on_demand", "streamed"])
                .help("When files are fetched [default: immediate]"),
        )
        .arg(flags::boolean("mirror", "Remove what upstream no longer has").require_equals(true))
        .arg(
            Arg::new("retain-versions")
                .long("retain-versions")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..))
                .help("Keep the newest N versions [default: all]"),
        );
    let command = add_flags::<SyncFlags>(command);
    let command = add_flags::<RemoteFlags>(command);
    let command = command.next_help_heading("Options of this repository type");
    let command = plugin.augment(OptionKind::Remote, command);
    let command = plugin.augment(OptionKind::Repository, command);
    plugin.augment(OptionKind::Publication, command)
}

/// The result; scripts rely on its names.
#[derive(Serialize)]
struct Mirrored {
    #[serde(flatten)]
    summary: SyncSummary,
    /// Where the repository is served, below the server's address.
    served_at: String,
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let (plugin, matches) = subcommand(matches)?;
    let plugin = find_plugin(&session.plugins, plugin)?;
    let given = plugin.overlay(OptionKind::Remote, matches, &Value::Null)?;
    let upstream = plugin.upstream(flags::text(matches, "url")?, &given)?;
    let installation = session.installation().await?;
    let declaration = declaration(session, &installation, &**plugin, upstream, matches).await?;
    plugin.check_base_path(&declaration.base_path()?)?;
    let flags =
        SyncFlags::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    let declared = declare::declare(&installation, &declaration, false).await?;
    if let Some(former) = declared.former_url() {
        let Declaration { name, url, .. } = &declaration;
        session.printer.note(format!("The URL of `{name}` changes from `{former}` to `{url}`"));
    }
    let repository =
        operations::find_repository(&installation, Some(plugin.name()), &declaration.name).await?;
    let synced =
        operations::synchronize(session, &installation, repository, None, None, &flags).await;
    if synced.is_err() || flags.dry_run {
        undo(session, &installation, declared).await;
    }
    let summary = synced?;
    let served_at = format!("{}{}/", plugin.served_below(), declaration.base_path()?);
    let mirrored = Mirrored { summary, served_at };
    session.printer.result(&mirrored, describe_result)?;
    Ok(())
}

/// After a mirror that brought nothing, undoes what was declared for it: nobody wants to clean up
/// after a typo, nor `sync --all` to fail on it from then on. What was stored is found again.
async fn undo(session: &Session, installation: &Installation, declared: Declared) {
    let told = match declare::undo(installation, declared).await {
        Ok(Undone::Removed(name)) => format!("Nothing was mirrored, so `{name}` is gone again"),
        Ok(Undone::Restored(name)) => {
            format!("Nothing was mirrored, so the settings of `{name}` are what they were before")
        }
        Ok(Undone::Nothing) => return,
        // The mirror's own error is yet to be told, and is what there is to mend.
        Err(failure) => {
            let error = failure.error;
            let text = "What was declared for this mirror stays: it could not be undone";
            return session.printer.warning(format!("{text}: {error:#}"));
        }
    };
    session.printer.note(told);
}

/// The flags, laid over what an earlier `mirror` of the same name stored.
async fn declaration(
    session: &Session,
    installation: &Installation,
    plugin: &dyn AnyPlugin,
    upstream: Upstream,
    matches: &ArgMatches,
) -> CommandResult<Declaration> {
    let name = match (matches.get_one::<String>("name"), &upstream.name) {
        (Some(name), _) | (None, Some(name)) => name.clone(),
        (None, None) => name_of(&upstream.url)?,
    };
    let (mut declaration, understood) =
        declare::declared(installation, plugin, &name, upstream).await?;
    if let Some(understood) = understood {
        session.printer.note(understood);
    }
    if let Some(policy) = matches.get_one::<String>("policy") {
        declaration.policy = policy.parse().map_err(anyhow::Error::new)?;
    }
    if let Some(mirror) = matches.get_one::<bool>("mirror") {
        declaration.mirror = *mirror;
    }
    if let Some(versions) = matches.get_one::<u32>("retain-versions") {
        declaration.retain_versions = Some(*versions);
    }
    RemoteFlags::from_arg_matches(matches)
        .map_err(|error| Failure::usage(error.to_string()))?
        .overlay(&mut declaration.remote)?;
    for (kind, options) in [
        (OptionKind::Remote, &mut declaration.options),
        (OptionKind::Repository, &mut declaration.repository),
        (OptionKind::Publication, &mut declaration.publication),
    ] {
        *options = plugin.overlay(kind, matches, options)?;
    }
    Ok(declaration)
}

/// The last directory of the URL's path, or its host.
fn name_of(url: &RemoteUrl) -> CommandResult<String> {
    let parent = url.parent();
    let segment = parent
        .expose()
        .path_segments()
        .and_then(|mut segments| segments.rfind(|segment| !segment.is_empty()))
        .or(parent.expose().host_str())
        .unwrap_or_default();
    flags::parse_name(segment).map_err(|_| {
        Failure::usage("No name can be made of the URL").hint("give one with `--name`")
    })
}

fn describe_result(mirrored: &Mirrored) -> String {
    let Mirrored { summary, served_at } = mirrored;
    format!("{}\nserved at {served_at} by `pulp serve`", operations::describe_summary(summary))
}
