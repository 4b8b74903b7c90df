//! `pulp PLUGIN …`: the resources of one repository type, in the words of Pulp's own command line.

mod remote;
mod repository;
mod version;
mod publication;
mod distribution;
mod acs;

use std::sync::Arc;

use clap::{ArgMatches, Command};
use pulp_stages::plugin::{AnyPlugin, CommandContext};

use super::subcommand;
use crate::{application::Session, bars::Bars, declaration::find_plugin, failure::CommandResult};

/// The commands of one plugin.
pub(super) fn describe(plugin: &dyn AnyPlugin) -> Command {
    Command::new(plugin.name())
        .about(plugin.about())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(remote::describe(plugin))
        .subcommand(repository::describe(plugin))
        .subcommand(publication::describe(plugin))
        .subcommand(distribution::describe(plugin))
        .subcommand(acs::describe())
        .subcommands(plugin.commands())
}

/// Runs a command of the plugin called `name`.
pub(super) async fn run(session: &Session, name: &str, matches: &ArgMatches) -> CommandResult {
    let plugin = &**find_plugin(&session.plugins, name)?;
    let (group, matches) = subcommand(matches)?;
    match group {
        "remote" => remote::run(session, plugin, matches).await,
        "repository" => repository::run(session, plugin, matches).await,
        "publication" => publication::run(session, plugin, matches).await,
        "distribution" => distribution::run(session, plugin, matches).await,
        "acs" => acs::run(session, plugin, matches).await,
        own => {
            let context = CommandContext {
                installation: session.installation().await?,
                cancel: session.interrupt.clone(),
                reporter: Arc::new(Bars::new(session.printer)),
            };
            let value = plugin.run_command(&context, own, matches).await?;
            session.printer.result(&value, describe_value)?;
            Ok(())
        }
    }
}

/// A JSON value for people: text as it is, the fields of an object on lines of their own.
pub(in crate::commands) fn describe_value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(fields) => {
            let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
            let line = |(name, value): (&String, &serde_json::Value)| {
                let value = match value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                format!("{name:width$}  {value}")
            };
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        serde_json::Value::Array(items) => {
            items.iter().map(describe_value).collect::<Vec<_>>().join("\n")
        }
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}
