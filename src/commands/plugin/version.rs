//! `pulp PLUGIN repository version …`.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{
    ContentId, Timestamp, VersionNumber, content,
    repair::Scope,
    repository::Repository,
    version::{self, Change, Version},
};
use pulp_stages::{installation::Installation, plugin::AnyPlugin, repair};
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
                .about("Show what one version has and another has not")
                .arg(repository())
                .arg(number().required(true).help("The newer version"))
                .arg(
                    Arg::new("base")
                        .long("base")
                        .value_name("N")
                        .value_parser(value_parser!(i64).range(0..))
                        .help("The older version [default: the one before]"),
                ),
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
        "diff" => diff(session, &installation, &repository, matches).await,
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

/// A unit that one version has and the other has not.
#[derive(Serialize)]
struct Difference {
    /// `added` or `removed`.
    change: &'static str,
    #[serde(rename = "type")]
    type_name: String,
    content: serde_json::Value,
}

async fn diff(
    session: &Session,
    installation: &Installation,
    repository: &Repository,
    matches: &ArgMatches,
) -> CommandResult {
    let to = required(matches, "version")?;
    let from = number(matches, "base").unwrap_or(VersionNumber((to.0 - 1).max(0)));
    for wanted in [from, to] {
        installation.version(repository, Some(wanted)).await?;
    }
    let mut after = None;
    let mut differences = Vec::new();
    loop {
        let page = differences_after(installation, repository, from, to, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        differences.extend(page.into_iter().map(|(_, difference)| difference));
    }
    session.printer.result(&differences, |differences| {
        let line = |difference: &Difference| {
            let sign = if difference.change == "added" { '+' } else { '-' };
            format!("{sign} {} {}", difference.type_name, difference.content)
        };
        differences.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(())
}

async fn differences_after(
    installation: &Installation,
    repository: &Repository,
    from: VersionNumber,
    to: VersionNumber,
    after: Option<ContentId>,
) -> CommandResult<Vec<(ContentId, Difference)>> {
    const PAGE: u32 = 1000;
    let id = repository.id;
    let (page, units) = installation
        .db
        .read(move |connection| {
            let page = version::diff(connection, id, from, to, after, PAGE)?;
            let ids: Vec<ContentId> = page.iter().map(|(unit, _)| *unit).collect();
            Ok((page, content::load(connection, &ids)?))
        })
        .await?;
    let mut units: BTreeMap<ContentId, _> = units.into_iter().map(|unit| (unit.id, unit)).collect();
    let differences = page.into_iter().filter_map(|(id, change)| {
        let unit = units.remove(&id)?;
        let change = match change {
            Change::Added => "added",
            Change::Removed => "removed",
        };
        let content = serde_json::from_str(&unit.metadata).unwrap_or_default();
        Some((id, Difference { change, type_name: unit.type_name, content }))
    });
    Ok(differences.collect())
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
