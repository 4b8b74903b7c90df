//! `pulp sync`: repositories that are there already, by name or all.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches as _};
use pulp_stages::options::add_flags;

use super::flags;
use crate::{
    application::Session,
    failure::{CommandResult, Failure},
    operations::{self, SyncFlags},
};

pub(super) fn describe() -> Command {
    let command = Command::new("sync")
        .about("Synchronise repositories and publish what changed")
        .arg(
            Arg::new("names")
                .value_name("NAME")
                .action(ArgAction::Append)
                .required_unless_present("all")
                .help("Repositories to synchronise, one after the other"),
        )
        .arg(flags::switch("all", "Every repository that has a remote").conflicts_with("names"));
    add_flags::<SyncFlags>(command)
}

/// One that fails does not stop the others; the last failure is the command's.
pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let sync_flags =
        SyncFlags::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    let mut repositories = Vec::new();
    if matches.get_flag("all") {
        repositories = operations::synchronizable(&installation).await?;
    }
    for name in matches.get_many::<String>("names").into_iter().flatten() {
        repositories.push(operations::find_repository(&installation, None, name).await?);
    }
    let alone = repositories.len() == 1;
    if sync_flags.profile.is_some() && !alone {
        return Err(Failure::usage("A profile is one repository's")
            .hint("name one repository, or leave out `--profile`"));
    }
    let mut failed: Vec<(String, Failure)> = Vec::new();
    for repository in repositories {
        if session.interrupt.is_cancelled() {
            break;
        }
        let name = repository.name.clone();
        let synced =
            operations::synchronize(session, &installation, repository, None, None, &sync_flags);
        match synced.await {
            Ok(summary) => session.printer.result(&summary, operations::describe_summary)?,
            Err(failure) => failed.push((name, failure)),
        }
    }
    let Some((name, last)) = failed.pop() else { return Ok(()) };
    for (name, failure) in failed {
        let error = failure.error.context(format!("Repository `{name}` was not synchronised"));
        session.printer.failure(&error, failure.hint.as_deref());
    }
    if alone {
        return Err(last);
    }
    let error = last.error.context(format!("Repository `{name}` was not synchronised"));
    Err(Failure { error, ..last })
}
