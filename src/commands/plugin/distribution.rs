//! `pulp PLUGIN distribution …`.

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use pulp_models::{
    PublicationId, VersionNumber,
    db::Connection,
    distribution::{self, BasePath, Distribution, NewDistribution, Target},
    repository,
};
use pulp_stages::{plugin::AnyPlugin, serve::DistributionSettings};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::{
    application::Session,
    commands::{flags, subcommand},
    failure::{CommandResult, Failure},
    operations,
    printer::table,
};

pub(super) fn describe(plugin: &dyn AnyPlugin) -> Command {
    let with_target = |command: Command| {
        command
            .arg(
                Arg::new("base-path")
                    .long("base-path")
                    .value_name("PATH")
                    .value_parser(value_parser!(BasePath))
                    .help(format!("Where it is served below {}", plugin.served_below())),
            )
            .arg(
                Arg::new("repository")
                    .long("repository")
                    .value_name("NAME")
                    .help("Serve what is newest in this repository"),
            )
            .arg(
                Arg::new("version")
                    .long("version")
                    .value_name("N")
                    .requires("repository")
                    .value_parser(value_parser!(i64).range(0..))
                    .help("Serve this version of the repository for good"),
            )
            .arg(
                Arg::new("publication")
                    .long("publication")
                    .value_name("ID")
                    .value_parser(value_parser!(PublicationId))
                    .help("Serve this publication for good"),
            )
            .arg(flags::boolean(
                "checkpoint",
                "Serve checkpoints by their time instead of the latest",
            ))
            .arg(flags::boolean("hidden", "Leave it out of the list at /pulp/content/"))
            .group(ArgGroup::new("target").args(["repository", "publication"]))
    };
    Command::new("distribution")
        .about("Where publications are served")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            with_target(
                Command::new("create")
                    .about("Create a distribution")
                    .arg(flags::name("Its name").value_parser(flags::parse_name)),
            ),
            Command::new("list").about("List distributions"),
            Command::new("show").about("Show a distribution").arg(flags::name("Its name")),
            with_target(
                Command::new("update")
                    .about("Change what is given, leave the rest; clients see it at once")
                    .arg(flags::name("Its name")),
            ),
            Command::new("destroy").about("Delete a distribution").arg(flags::name("Its name")),
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
        "show" => print(session, &find(session, matches).await?),
        _ => destroy(session, matches).await,
    }
}

async fn find(session: &Session, matches: &ArgMatches) -> CommandResult<Distribution> {
    let installation = session.installation().await?;
    let name = flags::text(matches, "name")?.to_owned();
    Ok(installation.db.read(move |connection| distribution::get(connection, &name)).await?)
}

/// What the flags say is served, if they say so.
async fn target(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult<Option<Target>> {
    if let Some(publication) = matches.get_one::<PublicationId>("publication") {
        return Ok(Some(Target::Publication(*publication)));
    }
    let Some(name) = matches.get_one::<String>("repository") else { return Ok(None) };
    let installation = session.installation().await?;
    let repository = operations::find_repository(&installation, Some(plugin.name()), name).await?;
    Ok(Some(match matches.get_one::<i64>("version") {
        Some(number) => Target::Version(repository.id, VersionNumber(*number)),
        None => Target::Repository(repository.id),
    }))
}

/// The stored settings with what the flags say laid over them.
fn settings(matches: &ArgMatches, stored: &Value) -> CommandResult<Value> {
    let mut settings = DistributionSettings::deserialize(stored).unwrap_or_default();
    if let Some(checkpoint) = matches.get_one::<bool>("checkpoint") {
        settings.checkpoint = *checkpoint;
    }
    if let Some(hidden) = matches.get_one::<bool>("hidden") {
        settings.hidden = *hidden;
    }
    Ok(serde_json::to_value(settings).map_err(anyhow::Error::new)?)
}

async fn create(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let name = flags::text(matches, "name")?.to_owned();
    let base_path = match matches.get_one::<BasePath>("base-path") {
        Some(path) => path.clone(),
        None => name.parse().map_err(anyhow::Error::new)?,
    };
    plugin.check_base_path(&base_path)?;
    let new = NewDistribution {
        base_path,
        name,
        plugin: plugin.name().to_owned(),
        target: target(session, plugin, matches).await?.unwrap_or_default(),
        options: settings(matches, &json!({}))?,
    };
    let row =
        installation.db.write(move |connection| distribution::create(connection, &new)).await?;
    print(session, &row)
}

async fn update(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let mut row = find(session, matches).await?;
    if row.plugin != plugin.name() {
        return Err(Failure::usage(format!(
            "Distribution `{}` is of type `{}`, not `{}`",
            row.name,
            row.plugin,
            plugin.name()
        )));
    }
    if let Some(path) = matches.get_one::<BasePath>("base-path") {
        plugin.check_base_path(path)?;
        row.base_path.clone_from(path);
    }
    if let Some(target) = target(session, plugin, matches).await? {
        DistributionSettings::switch(&mut row, target);
    }
    row.options = settings(matches, &row.options)?;
    let row = installation
        .db
        .write(move |connection| {
            distribution::update(connection, &row)?;
            Ok(row.clone())
        })
        .await?;
    print(session, &row)
}

async fn list(session: &Session, plugin: &dyn AnyPlugin) -> CommandResult {
    let installation = session.installation().await?;
    let name = plugin.name();
    let rows = installation
        .db
        .read(distribution::list)
        .await?
        .into_iter()
        .filter(|row| row.plugin == name)
        .collect::<Vec<_>>();
    let values: Vec<_> = rows.iter().map(shown).collect();
    session.printer.result(&values, |_| {
        let row = |row: &Distribution| vec![row.name.clone(), row.base_path.to_string()];
        table(&["NAME", "BASE PATH"], &rows.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(())
}

/// Deletes the distribution; says so if others are reached through it alone.
async fn destroy(session: &Session, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let name = flags::text(matches, "name")?.to_owned();
    let delete = move |connection: &mut Connection| {
        let row = distribution::get(connection, &name)?;
        distribution::delete(connection, &name)?;
        let Target::Repository(id) = row.target else { return Ok(None) };
        if distribution::list(connection)?.iter().any(|other| other.target == row.target) {
            return Ok(None);
        }
        let parent = repository::get_by_id(connection, id)?;
        let kept = repository::kept_for(connection, &parent.name)?.len();
        Ok((kept > 0).then_some((parent, kept)))
    };
    if let Some((parent, kept)) = installation.db.write(delete).await? {
        let (plugin, parent) = (parent.plugin, parent.name);
        session.printer.note(format!(
            "Repository `{parent}` stays, with what is kept for it ({kept} in all), served nowhere \
             now: `pulp {plugin} repository destroy --name {parent} --with-kept` deletes them"
        ));
    }
    Ok(())
}

fn print(session: &Session, row: &Distribution) -> CommandResult {
    session.printer.result(&shown(row), super::describe_value)?;
    Ok(())
}

fn shown(row: &Distribution) -> Value {
    let (repository, version, publication) = match &row.target {
        Target::Nothing => (None, None, None),
        Target::Repository(id) => (Some(id.to_string()), None, None),
        Target::Version(id, number) => (Some(id.to_string()), Some(number.0), None),
        Target::Publication(id) => (None, None, Some(id.to_string())),
    };
    json!({
        "name": row.name,
        "id": row.id,
        "base_path": row.base_path.to_string(),
        "repository": repository,
        "version": version,
        "publication": publication,
        "settings": row.options,
    })
}
