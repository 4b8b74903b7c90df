//! `pulp PLUGIN publication …`.

use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{
    PublicationId, VersionNumber,
    publication::{self, Publication},
};
use pulp_stages::{
    plugin::{AnyPlugin, OptionKind},
    publish::PublishRequest,
    repository_settings::RepositorySettings,
};
use serde_json::{Value, json};

use crate::{
    application::Session,
    bars::Bars,
    commands::{flags, subcommand},
    failure::{CommandResult, Failure},
    operations,
    printer::table,
};

pub(super) fn describe(plugin: &dyn AnyPlugin) -> Command {
    let id = || {
        Arg::new("id")
            .long("id")
            .required(true)
            .value_name("ID")
            .value_parser(value_parser!(PublicationId))
            .help("Its id, as `list` shows it")
    };
    let repository =
        || Arg::new("repository").long("repository").value_name("NAME").help("The repository");
    let create = Command::new("create")
        .about("Publish a repository version")
        .arg(repository().required(true))
        .arg(
            Arg::new("version")
                .long("version")
                .value_name("N")
                .value_parser(value_parser!(i64).range(0..))
                .help("The version's number [default: the latest]"),
        )
        .arg(flags::switch("checkpoint", "Keep it reachable by its time"));
    Command::new("publication")
        .about("Immutable maps of paths to files, made from versions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            plugin.augment(OptionKind::Publication, create),
            Command::new("list")
                .about("List a repository's publications, the newest first")
                .arg(repository().required(true)),
            Command::new("show").about("Show a publication").arg(id()),
            Command::new("destroy").about("Delete a publication").arg(id()),
        ])
}

pub(super) async fn run(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult {
    let (action, matches) = subcommand(matches)?;
    let installation = session.installation().await?;
    match action {
        "create" => create(session, plugin, matches).await,
        "list" => list(session, plugin, matches).await,
        "show" => {
            let id = id(matches)?;
            let row = installation.db.read(move |connection| publication::get(connection, id));
            session.printer.result(&shown(&row.await?), super::describe_value)?;
            Ok(())
        }
        _ => {
            let id = id(matches)?;
            Ok(installation.db.write(move |connection| publication::delete(connection, id)).await?)
        }
    }
}

fn id(matches: &ArgMatches) -> CommandResult<PublicationId> {
    matches
        .get_one::<PublicationId>("id")
        .copied()
        .ok_or_else(|| Failure::usage("`--id` is missing"))
}

async fn create(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let name = flags::text(matches, "repository")?;
    let repository = operations::find_repository(&installation, Some(plugin.name()), name).await?;
    let settings = RepositorySettings::of(&repository)?;
    let request = PublishRequest {
        version: matches.get_one::<i64>("version").copied().map(VersionNumber),
        options: plugin.overlay(OptionKind::Publication, matches, &settings.publication)?,
        checkpoint: matches.get_flag("checkpoint"),
        cancel: session.interrupt.clone(),
        reporter: Arc::new(Bars::new(session.printer)),
        repository,
    };
    let published = plugin.publish(&installation, request).await?;
    session.printer.result(&published, |published| {
        format!(
            "{}: version {} is published as {}",
            published.repository, published.version, published.publication
        )
    })?;
    Ok(())
}

async fn list(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let name = flags::text(matches, "repository")?;
    let repository =
        operations::find_repository(&installation, Some(plugin.name()), name).await?.id;
    let rows =
        installation.db.read(move |connection| publication::list(connection, repository)).await?;
    let values: Vec<_> = rows.iter().map(shown).collect();
    session.printer.result(&values, |_| {
        let row = |row: &Publication| {
            vec![row.id.to_string(), row.version.to_string(), row.created.to_string()]
        };
        table(&["ID", "VERSION", "CREATED"], &rows.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(())
}

fn shown(row: &Publication) -> Value {
    json!({
        "id": row.id,
        "repository": row.repository,
        "version": row.version.0,
        "options": row.options,
        "checkpoint": row.checkpoint,
        "created": row.created,
    })
}
