//! The command line: what there is to say, and who answers.
//!
//! Plugins bring flags and subcommands of their own, so the tree is built at run time. One module
//! per group of commands; each has a function that describes its commands and one that runs them.

mod mirror;
mod apply;
mod sync;
mod serve;
mod plugin;
mod task;
mod maintenance;
mod backup;
mod secret;
mod status;
mod flags;

pub(crate) use self::maintenance::PATIENCE;
use clap::{
    ArgMatches, Command,
    error::{ContextKind, ContextValue, Error},
};
use pulp_stages::{options::add_flags, plugin::Plugins};

use crate::{
    application::Session,
    failure::{CommandResult, Failure},
    settings::GlobalFlags,
};

/// Everything that can be said to a program with these plugins.
pub(crate) fn tree(plugins: &Plugins) -> Command {
    let command = Command::new("pulp")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Mirrors Debian, container and file repositories: sync, version, publish and serve")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            mirror::describe(plugins),
            apply::describe(),
            sync::describe(),
            serve::describe(),
        ])
        .subcommands(plugins.iter().map(|plugin| plugin::describe(&**plugin)))
        .subcommands([task::describe()])
        .subcommands(maintenance::describe())
        .subcommands([backup::describe(), secret::describe()])
        .subcommands(status::describe());
    add_flags::<GlobalFlags>(command)
}

/// Says of a command that only plugins have where it is.
pub(crate) fn direct(mut error: Error, tree: &Command, plugins: &Plugins) -> Error {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let has = |plugin: &Command| plugin.get_subcommands().any(|command| command.get_name() == name);
    let plugins = plugins.iter().filter_map(|plugin| tree.find_subcommand(plugin.name()));
    let found: Vec<String> = plugins
        .filter(|plugin| has(plugin))
        .map(|plugin| format!("`pulp {} {name}`", plugin.get_name()))
        .collect();
    if !found.is_empty() {
        let tip = format!("every type of repository has its own: {}", found.join(", "));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Runs what was said.
pub(crate) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let (name, matches) = subcommand(matches)?;
    match name {
        "mirror" => mirror::run(session, matches).await,
        "apply" => apply::run(session, matches).await,
        "sync" => sync::run(session, matches).await,
        "serve" => serve::run(session, matches).await,
        "task" => task::run(session, matches).await,
        "orphan" => maintenance::run_orphan(session, matches).await,
        "check" => maintenance::run_check(session, matches).await,
        "backup" => backup::run(session, matches).await,
        "secret" => secret::run(session, matches).await,
        "status" => status::run_status(session).await,
        "settings" => status::run_settings(session),
        "completion" => status::run_completion(session, matches),
        plugin => plugin::run(session, plugin, matches).await,
    }
}

/// The subcommand that was given; clap sees to it that there is one.
fn subcommand(matches: &ArgMatches) -> CommandResult<(&str, &ArgMatches)> {
    matches.subcommand().ok_or_else(|| Failure::usage("A subcommand is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_plugins_is_found_below_them() {
        let mut plugins = Plugins::default();
        plugins.add(plugin_file::File);
        plugins.add(plugin_deb::Deb);
        let explain = |arguments: &[&str]| {
            let error = tree(&plugins).try_get_matches_from(arguments).expect_err("refused");
            direct(error, &tree(&plugins), &plugins).to_string()
        };
        let text = explain(&["pulp", "publication", "create"]);
        assert!(
            text.contains("its own: `pulp deb publication`, `pulp file publication`"),
            "{text}"
        );
        let text = explain(&["pulp", "key"]);
        assert!(text.contains("its own: `pulp deb key`"), "{text}");
        let text = explain(&["pulp", "mirro"]);
        assert!(text.contains("'mirror'") && !text.contains("its own"), "{text}");
    }
}
