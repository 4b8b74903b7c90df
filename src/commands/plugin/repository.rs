//! `pulp PLUGIN repository …`, syncing included.

use clap::{Arg, ArgMatches, Command, FromArgMatches as _, value_parser};
use pulp_models::repository::{self, NewRepository, Repository};
use pulp_stages::{
    options::add_flags,
    plugin::{AnyPlugin, OptionKind},
    repository_settings::RepositorySettings,
};
use serde_json::{Value, json};

use crate::{
    application::Session,
    commands::{flags, subcommand},
    failure::{CommandResult, Failure},
    operations::{self, SyncFlags},
    printer::{bytes, table},
};

pub(super) fn describe(plugin: &dyn AnyPlugin) -> Command {
    let with_options = |command: Command| {
        let command = command
            .arg(
                Arg::new("remote")
                    .long("remote")
                    .value_name("NAME")
                    .help("Remote to synchronise from"),
            )
            .arg(Arg::new("description").long("description").value_name("TEXT").help("For people"))
            .arg(
                Arg::new("retain-versions")
                    .long("retain-versions")
                    .value_name("N")
                    .value_parser(value_parser!(u32).range(1..))
                    .help("Keep the newest N versions [default: all]"),
            )
            .arg(flags::boolean("autopublish", "Publish every new version [default: false]"))
            .arg(flags::boolean("mirror", "Whether `sync` removes what upstream no longer has"));
        let command = plugin.augment(OptionKind::Repository, command);
        plugin.augment(OptionKind::Publication, command)
    };
    Command::new("repository")
        .about("Collections of content, in versions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            with_options(
                Command::new("create")
                    .about("Create a repository")
                    .arg(flags::name("Its name").value_parser(flags::parse_name)),
            ),
            Command::new("list").about("List repositories"),
            Command::new("show").about("Show a repository").arg(flags::name("Its name")),
            with_options(
                Command::new("update")
                    .about("Change what is given, leave the rest")
                    .arg(flags::name("Its name"))
                    .arg(flags::unset(plugin, &[OptionKind::Repository, OptionKind::Publication])),
            ),
            Command::new("destroy")
                .about("Delete a repository with all its versions and publications")
                .arg(flags::name("Its name"))
                .arg(flags::switch("with-kept", "Also what is kept for it, as by pull-through")),
            add_flags::<SyncFlags>(
                Command::new("sync")
                    .about("Synchronise a repository from its remote")
                    .arg(flags::name("Its name"))
                    .arg(
                        Arg::new("remote")
                            .long("remote")
                            .value_name("NAME")
                            .help("Another remote than the repository's"),
                    )
                    .arg(flags::boolean("mirror", "Remove what upstream no longer has")),
            ),
            Command::new("reclaim")
                .about("Give up stored files that can be fetched again; they stay servable")
                .arg(flags::name("Its name")),
            super::version::describe(),
        ])
}

pub(super) async fn run(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult {
    let (action, matches) = subcommand(matches)?;
    match action {
        "create" => create(session, plugin, matches).await,
        "update" => update(session, plugin, matches).await,
        "list" => list(session, plugin).await,
        "show" => print(session, &find(session, plugin, matches).await?),
        "sync" => sync(session, plugin, matches).await,
        "reclaim" => reclaim(session, plugin, matches).await,
        "version" => super::version::run(session, plugin, matches).await,
        _ => destroy(session, plugin, matches).await,
    }
}

async fn find(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult<Repository> {
    let installation = session.installation().await?;
    let name = flags::text(matches, "name")?;
    operations::find_repository(&installation, Some(plugin.name()), name).await
}

async fn create(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let remote = match matches.get_one::<String>("remote") {
        Some(name) => Some(operations::find_remote(&installation, plugin.name(), name).await?.id),
        None => None,
    };
    let mut settings = RepositorySettings::default();
    overlay(plugin, matches, &mut settings)?;
    operations::check_named_remotes(&installation, plugin, &settings.options, &[]).await?;
    let new = NewRepository {
        name: flags::text(matches, "name")?.to_owned(),
        plugin: plugin.name().to_owned(),
        description: matches.get_one::<String>("description").cloned(),
        remote,
        retain_versions: matches.get_one::<u32>("retain-versions").copied(),
        hidden: false,
        options: settings.to_value()?,
    };
    let repository =
        installation.db.write(move |connection| repository::create(connection, &new)).await?;
    print(session, &repository)
}

async fn update(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let mut repository = find(session, plugin, matches).await?;
    if let Some(name) = matches.get_one::<String>("remote") {
        let remote = operations::find_remote(&installation, plugin.name(), name).await?;
        repository.remote = Some(remote.id);
    }
    if let Some(description) = matches.get_one::<String>("description") {
        repository.description = Some(description.clone());
    }
    if let Some(versions) = matches.get_one::<u32>("retain-versions") {
        repository.retain_versions = Some(*versions);
    }
    let mut settings = RepositorySettings::of(&repository)?;
    overlay(plugin, matches, &mut settings)?;
    operations::check_named_remotes(&installation, plugin, &settings.options, &[]).await?;
    repository.options = settings.to_value()?;
    let repository = installation
        .db
        .write(move |connection| {
            repository::update(connection, &repository)?;
            Ok(repository.clone())
        })
        .await?;
    print(session, &repository)
}

fn overlay(
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
    settings: &mut RepositorySettings,
) -> CommandResult {
    if let Some(mirror) = matches.get_one::<bool>("mirror") {
        settings.mirror = *mirror;
    }
    if let Some(autopublish) = matches.get_one::<bool>("autopublish") {
        settings.autopublish = *autopublish;
    }
    settings.options = plugin.overlay(OptionKind::Repository, matches, &settings.options)?;
    settings.publication =
        plugin.overlay(OptionKind::Publication, matches, &settings.publication)?;
    Ok(())
}

async fn list(session: &Session, plugin: &dyn AnyPlugin) -> CommandResult {
    let installation = session.installation().await?;
    let name = plugin.name();
    let repositories = installation
        .db
        .read(repository::list)
        .await?
        .into_iter()
        .filter(|repository| repository.plugin == name && !repository.hidden)
        .collect::<Vec<_>>();
    let shown: Vec<_> = repositories.iter().map(shown).collect();
    session.printer.result(&shown, |_| {
        let row = |repository: &Repository| {
            let description = repository.description.clone().unwrap_or_default();
            vec![repository.name.clone(), latest(repository).to_string(), description]
        };
        let rows: Vec<_> = repositories.iter().map(row).collect();
        table(&["NAME", "VERSION", "DESCRIPTION"], &rows)
    })?;
    Ok(())
}

async fn sync(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let repository = find(session, plugin, matches).await?;
    let remote = match matches.get_one::<String>("remote") {
        Some(name) => Some(operations::find_remote(&installation, plugin.name(), name).await?),
        None => None,
    };
    let flags =
        SyncFlags::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    let mirror = matches.get_one::<bool>("mirror").copied();
    let summary =
        operations::synchronize(session, &installation, repository, remote, mirror, &flags).await?;
    session.printer.result(&summary, operations::describe_summary)?;
    Ok(())
}

async fn reclaim(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let repository = find(session, plugin, matches).await?;
    let reclaimed = operations::reclaim(&installation, &repository).await?;
    session
        .printer
        .result(&json!({ "artifacts": reclaimed.artifacts, "bytes": reclaimed.bytes }), |_| {
            format!("Gave up {} files ({})", reclaimed.artifacts, bytes(reclaimed.bytes))
        })?;
    Ok(())
}

async fn destroy(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let repository = find(session, plugin, matches).await?;
    operations::destroy_repository(&installation, repository, matches.get_flag("with-kept")).await
}

fn print(session: &Session, repository: &Repository) -> CommandResult {
    session.printer.result(&shown(repository), super::describe_value)?;
    Ok(())
}

fn shown(repository: &Repository) -> Value {
    json!({
        "name": repository.name,
        "id": repository.id,
        "description": repository.description,
        "latest_version": latest(repository),
        "retain_versions": repository.retain_versions,
        "settings": repository.options,
        "created": repository.created,
    })
}

/// The number that the last version got. (It may be deleted by now.)
fn latest(repository: &Repository) -> i64 {
    repository.next_version.0 - 1
}
