//! `pulp task …`: what runs and what ran.

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{
    TaskId,
    task::{self, Filter, Task},
};

use crate::{
    application::Session,
    commands::subcommand,
    failure::{CommandResult, Failure},
    printer::table,
};

pub(super) fn describe() -> Command {
    let id = || {
        Arg::new("id")
            .long("id")
            .required(true)
            .value_name("ID")
            .value_parser(value_parser!(TaskId))
            .help("Its id, as `list` shows it")
    };
    Command::new("task")
        .about("Syncs and publications that run or ran")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            Command::new("list").about("List tasks, the newest first").arg(
                Arg::new("limit")
                    .long("limit")
                    .value_name("N")
                    .default_value("50")
                    .value_parser(value_parser!(u32).range(1..))
                    .help("Show at most this many"),
            ),
            Command::new("show").about("Show a task with its progress").arg(id()),
            Command::new("cancel").about("Ask a running task to stop").arg(id()),
        ])
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let (action, matches) = subcommand(matches)?;
    let installation = session.installation().await?;
    if action == "list" {
        let limit = matches.get_one::<u32>("limit").copied().unwrap_or(50);
        let tasks = installation
            .db
            .read(move |connection| task::list(connection, Filter::default(), limit))
            .await?;
        session.printer.result(&tasks, |tasks| {
            table(&["ID", "STATE", "NAME", "CREATED"], &tasks.iter().map(row).collect::<Vec<_>>())
        })?;
        return Ok(());
    }
    let id = *matches.get_one::<TaskId>("id").ok_or_else(|| Failure::usage("`--id` is missing"))?;
    if action == "cancel" {
        let state = installation.db.write(move |connection| task::cancel(connection, id)).await?;
        session.printer.result(&state, |state| format!("Task {id} is {state}"))?;
        return Ok(());
    }
    let task = installation.db.read(move |connection| task::get(connection, id)).await?;
    let value = serde_json::to_value(&task).map_err(anyhow::Error::new)?;
    session.printer.result(&value, super::plugin::describe_value)?;
    Ok(())
}

fn row(task: &Task) -> Vec<String> {
    vec![task.id.to_string(), task.state.to_string(), task.name.clone(), task.created.to_string()]
}
