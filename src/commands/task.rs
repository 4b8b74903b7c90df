//! `pulp task …`: what runs and what ran.

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use pulp_models::{
    TaskId, Timestamp,
    task::{self, Filter, Task, TaskState},
};
use serde::Serialize;

use crate::{
    application::Session,
    commands::subcommand,
    failure::{CommandResult, Failure},
    printer::table,
};

/// Tasks are kept so many seconds, unless told otherwise: 30 days.
const KEPT: i64 = 30 * 86_400;

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
            purge(),
        ])
}

fn purge() -> Command {
    let ends = TaskState::ALL.into_iter().filter(|state| state.is_final());
    Command::new("purge")
        .about("Forget tasks that ended long ago; the last of each kind and repository stays")
        .arg(
            Arg::new("finished-before")
                .long("finished-before")
                .value_name("TIME")
                .value_parser(point_in_time)
                .help("Those that ended earlier, as in `2026-01-31` [default: 30 days ago]"),
        )
        .arg(
            Arg::new("state")
                .long("state")
                .value_name("STATE")
                .action(ArgAction::Append)
                .value_parser(PossibleValuesParser::new(ends.map(TaskState::name)))
                .default_value(TaskState::Completed.name())
                .help("Those that ended so (repeatable)"),
        )
}

/// A time, or the beginning of a day.
fn point_in_time(text: &str) -> Result<Timestamp, String> {
    let time = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
    time.map_err(|_| "no time, as in `2026-01-31` or `2026-01-31T12:00:00Z`".to_owned())
}

#[derive(Serialize)]
struct Purged {
    tasks: u64,
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
    if action == "purge" {
        let before = matches.get_one("finished-before").copied();
        let before = before.unwrap_or_else(|| Timestamp::now().plus_seconds(-KEPT));
        let states = matches.get_many::<String>("state").into_iter().flatten();
        let states: Vec<TaskState> = states.filter_map(|state| state.parse().ok()).collect();
        let tasks = installation
            .db
            .write(move |connection| task::purge(connection, before, &states))
            .await?;
        session
            .printer
            .result(&Purged { tasks }, |purged| format!("{} tasks forgotten", purged.tasks))?;
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
