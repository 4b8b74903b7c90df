//! `pulp status`, `pulp settings`, `pulp completion`: what this program and installation are.

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{
    repository,
    task::{self, Filter, TaskState},
};
use serde::Serialize;

use crate::{
    application::Session,
    commands,
    failure::{CommandResult, Failure},
    printer::table,
};

/// The commands of this module.
pub(super) fn describe() -> [Command; 3] {
    [
        Command::new("status").about("Show what this installation holds"),
        Command::new("settings").about("Show every setting and where it comes from"),
        Command::new("completion").about("Print a completion script for a shell").arg(
            Arg::new("shell").required(true).value_parser(value_parser!(clap_complete::Shell)),
        ),
    ]
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    home: String,
    database: String,
    plugins: Vec<&'static str>,
    repositories: usize,
    running_tasks: usize,
}

pub(super) async fn run_status(session: &Session) -> CommandResult {
    let installation = session.installation().await?;
    let (repositories, running_tasks) = installation
        .db
        .read(|connection| {
            let repositories = repository::list(connection)?.len();
            let running = Filter { state: Some(TaskState::Running), ..Filter::default() };
            let running = task::list(connection, running, u32::MAX)?.len();
            Ok((repositories, running))
        })
        .await?;
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        home: installation.home().display().to_string(),
        database: installation.db.url().to_string(),
        plugins: session.plugins.iter().map(|plugin| plugin.name()).collect(),
        repositories,
        running_tasks,
    };
    session.printer.result(&status, |status| {
        format!(
            "pulp {}\nhome:          {}\ndatabase:      {}\nplugins:       {}\nrepositories:  {}\n\
             running tasks: {}",
            status.version,
            status.home,
            status.database,
            status.plugins.join(", "),
            status.repositories,
            status.running_tasks
        )
    })?;
    Ok(())
}

pub(super) fn run_settings(session: &Session) -> CommandResult {
    session.printer.result(&session.settings.origins(), |origins| {
        let rows: Vec<_> = origins
            .iter()
            .map(|origin| vec![origin.name.into(), origin.value.clone(), origin.source.clone()])
            .collect();
        table(&["SETTING", "VALUE", "FROM"], &rows)
    })?;
    Ok(())
}

pub(super) fn run_completion(session: &Session, matches: &ArgMatches) -> CommandResult {
    let shell = matches
        .get_one::<clap_complete::Shell>("shell")
        .ok_or_else(|| Failure::usage("A shell is missing"))?;
    let mut command = commands::tree(&session.plugins);
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command, "pulp", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    session.printer.result(&script, Clone::clone)?;
    Ok(())
}
