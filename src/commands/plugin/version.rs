//! `pulp PLUGIN repository version …`.

mod diff;

use std::{collections::BTreeMap, sync::Arc};

use clap::{Arg, ArgMatches, Command, value_parser};
use diff::Difference;
use pulp_models::{
    Timestamp, VersionNumber,
    repair::Scope,
    repository::Repository,
    version::{self, Version},
};
use pulp_stages::{
    installation::Installation, plugin::AnyPlugin, progress::Reporter, publish, repair,
    sync::RestoreRequest,
};
use serde::Serialize;

use crate::{
    application::Session,
    bars::Bars,
    commands::{flags, subcommand},
    failure::{CommandResult, Failure},
    operations,
    printer::table,
};

pub(super) fn describe() -> Command {
    let repository = || {
        Arg::new("repository")
            .long("repository")
            .required(true)
            .value_name("NAME")
            .help("The repository")
    };
    let number = || {
        Arg::new("version")
            .long("version")
            .value_name("N")
            .value_parser(value_parser!(i64).range(0..))
            .help("The version's number")
    };
    Command::new("version")
        .about("Immutable states of a repository")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            Command::new("list").about("List a repository's versions").arg(repository()),
            Command::new("show")
                .about("Show a version")
                .arg(repository())
                .arg(number().help("The version's number [default: the latest]")),
            Command::new("diff")
                .about("Show what was added, removed and changed from one version to another")
                .arg(repository())
                .arg(number().required(true).help("The newer version"))
                .arg(
                    Arg::new("base")
                        .long("base")
                        .value_name("N")
                        .value_parser(value_parser!(i64).range(0..))
                        .help("The older version [default: the one before]"),
                ),
            Command::new("restore")
                .about("Roll back: make a new version with the content of an older one")
                .arg(repository())
                .arg(number().required(true).help("The older version")),
            Command::new("repair")
                .about("Find missing and corrupt files of a version and fetch them again")
                .arg(repository())
                .arg(number().help("The version's number [default: the latest]"))
                .arg(flags::switch("quick", "Look for missing files only")),
            Command::new("destroy")
                .about("Delete a version; its changes become the next one's")
                .arg(repository())
                .arg(number().required(true)),
        ])
}

pub(super) async fn run(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult {
    let (action, matches) = subcommand(matches)?;
    let installation = session.installation().await?;
    let name = flags::text(matches, "repository")?;
    let repository = operations::find_repository(&installation, Some(plugin.name()), name).await?;
    match action {
        "list" => list(session, &installation, &repository).await,
        "show" => {
            let version = installation.version(&repository, number(matches, "version")).await?;
            session.printer.result(&Shown::of(&version), Shown::describe)?;
            Ok(())
        }
        "repair" => repair(session, &installation, &repository, matches).await,
        "diff" => {
            let to = required(matches, "version")?;
            let from = number(matches, "base").unwrap_or(VersionNumber((to.0 - 1).max(0)));
            let differences = diff::between(plugin, &installation, &repository, from, to).await?;
            session.printer.result(&differences, |differences| {
                differences.iter().map(Difference::describe).collect::<Vec<_>>().join("\n")
            })?;
            Ok(())
        }
        "restore" => restore(session, plugin, &installation, repository, matches).await,
        _ => {
            let number = required(matches, "version")?;
            operations::destroy_version(&installation, &repository, number).await
        }
    }
}

fn number(matches: &ArgMatches, id: &str) -> Option<VersionNumber> {
    matches.try_get_one::<i64>(id).ok().flatten().copied().map(VersionNumber)
}

fn required(matches: &ArgMatches, id: &str) -> CommandResult<VersionNumber> {
    number(matches, id).ok_or_else(|| Failure::usage(format!("`--{id}` is missing")))
}

/// A version as it is shown.
#[derive(Serialize)]
struct Shown {
    number: i64,
    created: Timestamp,
    /// Units by type.
    present: BTreeMap<String, u64>,
}

impl Shown {
    fn of(version: &Version) -> Self {
        let Version { number, created, counts } = version.clone();
        Self { number: number.0, created, present: counts.present }
    }

    fn counts(&self) -> String {
        let counts: Vec<_> =
            self.present.iter().map(|(name, count)| format!("{count} {name}")).collect();
        if counts.is_empty() { "empty".to_owned() } else { counts.join(", ") }
    }

    fn describe(&self) -> String {
        format!("version {}\ncreated {}\ncontent {}", self.number, self.created, self.counts())
    }
}

async fn list(
    session: &Session,
    installation: &Installation,
    repository: &Repository,
) -> CommandResult {
    let id = repository.id;
    let versions = installation.db.read(move |connection| version::list(connection, id)).await?;
    let shown: Vec<_> = versions.iter().map(Shown::of).collect();
    session.printer.result(&shown, |shown| {
        let row = |shown: &Shown| {
            vec![shown.number.to_string(), shown.created.to_string(), shown.counts()]
        };
        table(&["VERSION", "CREATED", "CONTENT"], &shown.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(())
}

/// Makes an older version the newest again, and publishes it if the repository publishes itself.
async fn restore(
    session: &Session,
    plugin: &dyn AnyPlugin,
    installation: &Installation,
    repository: Repository,
    matches: &ArgMatches,
) -> CommandResult {
    let version = required(matches, "version")?;
    let reporter: Arc<dyn Reporter> = Arc::new(Bars::new(session.printer));
    let request = RestoreRequest {
        repository: repository.clone(),
        version,
        cancel: session.interrupt.clone(),
        reporter: Arc::clone(&reporter),
    };
    let restored = plugin.restore(installation, request).await?;
    let cancel = session.interrupt.clone();
    publish::autopublish(plugin, installation, &repository, cancel, reporter).await?;
    session.printer.result(&restored, |restored| match restored.version {
        Some(made) => format!(
            "{}: version {made} is version {version} again: {} added, {} removed",
            restored.repository, restored.added, restored.removed
        ),
        None => format!(
            "{}: no change, version {} is equal to version {version}",
            restored.repository, restored.latest_version
        ),
    })?;
    Ok(())
}

async fn repair(
    session: &Session,
    installation: &Installation,
    repository: &Repository,
    matches: &ArgMatches,
) -> CommandResult {
    let version = installation.version(repository, number(matches, "version")).await?;
    let repaired = repair::repair(
        installation,
        &session.plugins,
        Scope::Version(repository.id, version.number),
        !matches.get_flag("quick"),
        &Bars::new(session.printer),
        &session.interrupt,
    )
    .await
    .map_err(anyhow::Error::new)?;
    session.printer.result(&repaired, |repaired| {
        format!(
            "{} files checked: {} missing, {} corrupted, {} repaired",
            repaired.checked, repaired.missing, repaired.corrupted, repaired.repaired
        )
    })?;
    if repaired.repaired == repaired.missing + repaired.corrupted {
        return Ok(());
    }
    Err(anyhow::anyhow!("Some files could not be repaired").into())
}
