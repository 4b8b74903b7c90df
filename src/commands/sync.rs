//! `pulp sync`: repositories that are there already, by name or all.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches as _};
use pulp_stages::options::add_flags;

use super::flags;
use crate::{
    application::Session,
    failure::{CommandResult, Exit, Failure},
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

/// One that fails is told at once and does not stop the others; the sum is the command's failure.
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
    let count = repositories.len();
    if sync_flags.profile.is_some() && count != 1 {
        return Err(Failure::usage("A profile is one repository's")
            .hint("name one repository, or leave out `--profile`"));
    }
    let mut failed: Vec<(String, Exit)> = Vec::new();
    for repository in repositories {
        let name = repository.name.clone();
        let synced =
            operations::synchronize(session, &installation, repository, None, None, &sync_flags);
        match synced.await {
            Ok(summary) => session.printer.result(&summary, operations::describe_summary)?,
            Err(failure) if count == 1 => return Err(failure),
            Err(failure) => {
                let Failure { error, hint, exit } = failure;
                let error = error.context(format!("Repository `{name}` was not synchronised"));
                session.printer.failure(&error, hint.as_deref());
                failed.push((name, exit));
            }
        }
        if session.interrupt.is_cancelled() {
            return Err(Failure::interrupted());
        }
    }
    let Some((_, exit)) = failed.first() else { return Ok(()) };
    let alike = failed.iter().all(|(_, other)| other == exit);
    let names: Vec<_> = failed.iter().map(|(name, _)| format!("`{name}`")).collect();
    let names = names.join(", ");
    let sum =
        anyhow::anyhow!("{} of {count} repositories were not synchronised: {names}", failed.len());
    Err(Failure::from(sum).exit(if alike { *exit } else { Exit::Failure }))
}
