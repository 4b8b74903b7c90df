//! `pulp apply FILE`: repositories as a YAML file declares them.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::flags;
use crate::{
    application::Session,
    declaration::{self, Declaration},
    declare::{self, Change},
    failure::{CommandResult, Exit, Failure},
    operations,
};

pub(super) fn describe() -> Command {
    Command::new("apply")
        .about("Create and update repositories as a YAML file declares them")
        .arg(
            Arg::new("file")
                .required(true)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Declarations, as in pulp.yaml"),
        )
        .arg(flags::switch("check", "Show what would change and change nothing; exits with 6 then"))
}

#[derive(Serialize)]
struct Applied {
    repositories: usize,
    changes: Vec<Change>,
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let path =
        matches.get_one::<PathBuf>("file").ok_or_else(|| Failure::usage("A file is missing"))?;
    let check = matches.get_flag("check");
    let declarations = declaration::read(path, &session.plugins)?;
    let installation = session.installation().await?;
    for Declaration { plugin, repository, .. } in &declarations {
        let is_same = |other: &&Declaration| other.plugin == *plugin;
        let declared: Vec<_> =
            declarations.iter().filter(is_same).map(|other| other.name.as_str()).collect();
        let plugin = declaration::find_plugin(&session.plugins, plugin)?;
        operations::check_named_remotes(&installation, &**plugin, repository, &declared).await?;
    }
    let mut changes = Vec::new();
    for declaration in &declarations {
        changes.extend(declare::declare(&installation, declaration, check).await?.changes);
    }
    let different = check && !changes.is_empty();
    let applied = Applied { repositories: declarations.len(), changes };
    session.printer.result(&applied, |applied| describe_changes(applied, check))?;
    if different {
        let error = anyhow::anyhow!("`{}` is not applied", path.display());
        return Err(Failure::from(error).exit(Exit::Different));
    }
    Ok(())
}

fn describe_changes(applied: &Applied, check: bool) -> String {
    if applied.changes.is_empty() {
        return format!("{} repositories, nothing to change", applied.repositories);
    }
    let lines = applied.changes.iter().map(|change| {
        let Change { action, kind, name, fields } = change;
        let would = if check { "would " } else { "" };
        if fields.is_empty() {
            format!("{would}{action} {kind} {name}")
        } else {
            format!("{would}{action} {kind} {name}: {}", fields.join(", "))
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
