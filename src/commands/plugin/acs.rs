//! `pulp PLUGIN acs …`: alternate content sources.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pulp_models::{
    alternate_content_source::{self, AlternateContentSource, NewAlternateContentSource},
    db::{Connection, DbError},
    remote::{self, Remote},
};
use pulp_stages::{
    plugin::AnyPlugin,
    sync::{RefreshRequest, hidden_repository},
};
use serde_json::{Value, json};

use crate::{
    application::Session,
    bars::Bars,
    commands::{flags, subcommand},
    failure::{CommandResult, Exit, Failure},
    operations,
    printer::{bytes, table},
};

pub(super) fn describe() -> Command {
    let remote = || {
        Arg::new("remote")
            .long("remote")
            .value_name("NAME")
            .help("Where it is, and how to reach it")
    };
    let with_options = |command: Command| {
        let paths =
            Arg::new("path").long("path").value_name("PATH").action(ArgAction::Append).help(
                "Path below the remote's URL that is read; may repeat [default: the URL itself]",
            );
        let enabled = Arg::new("enabled")
            .long("enabled")
            .value_name("BOOL")
            .num_args(0..=1)
            .default_missing_value("true")
            .value_parser(value_parser!(bool))
            .help("Whether syncs ask it [default: true]");
        command.arg(paths).arg(enabled)
    };
    let named = |command: Command| command.arg(flags::name("Its name"));
    Command::new("acs")
        .about("Alternate content sources: nearer places that have some of the same files")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            with_options(
                named(Command::new("create").about("Create a source"))
                    .mut_arg("name", |name| name.value_parser(flags::parse_name))
                    .arg(remote().required(true)),
            ),
            Command::new("list").about("List sources"),
            named(Command::new("show").about("Show a source")),
            with_options(
                named(Command::new("update").about("Change what is given, leave the rest"))
                    .arg(remote()),
            ),
            named(Command::new("destroy").about("Delete a source")),
            named(Command::new("refresh").about("Find out which files a source has")),
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
        "show" => {
            let (source, remote) = find(session, plugin, matches).await?;
            print(session, &source, &remote)
        }
        "refresh" => refresh(session, plugin, matches).await,
        _ => destroy(session, plugin, matches).await,
    }
}

/// The source that was named with its remote, if that is one of this plugin's.
async fn find(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult<(AlternateContentSource, Remote)> {
    let installation = session.installation().await?;
    let name = flags::text(matches, "name")?.to_owned();
    let read = move |connection: &mut Connection| {
        let source = alternate_content_source::get(connection, &name)?;
        let remote = remote::get_by_id(connection, source.remote)?;
        Ok((source, remote))
    };
    let (source, remote) = installation.db.read(read).await?;
    if remote.plugin == plugin.name() {
        return Ok((source, remote));
    }
    Err(Failure::usage(format!(
        "Alternate content source `{}` is of type `{}`, not `{}`",
        source.name,
        remote.plugin,
        plugin.name()
    )))
}

async fn create(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let remote = flags::text(matches, "remote")?;
    let remote = operations::find_remote(&installation, plugin.name(), remote).await?;
    let new = NewAlternateContentSource {
        name: flags::text(matches, "name")?.to_owned(),
        remote: remote.id,
        paths: paths(matches).unwrap_or_default(),
        enabled: enabled(matches).unwrap_or(true),
    };
    let create =
        move |connection: &mut Connection| alternate_content_source::create(connection, &new);
    let source = installation.db.write(create).await?;
    print(session, &source, &remote)
}

async fn update(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let (mut source, mut remote) = find(session, plugin, matches).await?;
    if let Some(name) = matches.get_one::<String>("remote") {
        remote = operations::find_remote(&installation, plugin.name(), name).await?;
        source.remote = remote.id;
    }
    if let Some(paths) = paths(matches) {
        source.paths = paths;
    }
    if let Some(enabled) = enabled(matches) {
        source.enabled = enabled;
    }
    let changed = source.clone();
    let update =
        move |connection: &mut Connection| alternate_content_source::update(connection, &changed);
    installation.db.write(update).await?;
    print(session, &source, &remote)
}

async fn list(session: &Session, plugin: &dyn AnyPlugin) -> CommandResult {
    let installation = session.installation().await?;
    let name = plugin.name();
    let read = move |connection: &mut Connection| {
        let sources = alternate_content_source::list(connection)?.into_iter();
        let both = sources.map(|source| {
            let remote = remote::get_by_id(connection, source.remote)?;
            Ok((source, remote))
        });
        both.collect::<Result<Vec<_>, DbError>>()
    };
    let mut sources = installation.db.read(read).await?;
    sources.retain(|(_, remote)| remote.plugin == name);
    let all: Vec<_> = sources.iter().map(|(source, remote)| shown(source, remote)).collect();
    session.printer.result(&all, |_| {
        let row = |(source, remote): &(AlternateContentSource, Remote)| {
            let refreshed = source.last_refreshed.map(|time| time.to_string());
            vec![
                source.name.clone(),
                if source.enabled { "yes" } else { "no" }.to_owned(),
                refreshed.unwrap_or_else(|| "never".to_owned()),
                remote.name.clone(),
            ]
        };
        let rows: Vec<_> = sources.iter().map(row).collect();
        table(&["NAME", "ENABLED", "REFRESHED", "REMOTE"], &rows)
    })?;
    Ok(())
}

async fn refresh(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let (source, _) = find(session, plugin, matches).await?;
    let request = RefreshRequest {
        source,
        cancel: session.interrupt.clone(),
        reporter: Arc::new(Bars::new(session.printer)),
    };
    let refreshed = plugin.refresh(&installation, request).await?;
    session.printer.result(&refreshed, |refreshed| {
        format!(
            "{}: {} files ({} in {} requests)",
            refreshed.name,
            refreshed.files,
            bytes(refreshed.downloaded_bytes),
            refreshed.requests
        )
    })?;
    Ok(())
}

/// Deletes the source, and before it the hidden repository that its refreshes lock.
async fn destroy(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let (source, _) = find(session, plugin, matches).await?;
    let hidden = hidden_repository(&source.name);
    match operations::find_repository(&installation, Some(plugin.name()), &hidden).await {
        Ok(repository) => operations::destroy_repository(&installation, repository, true).await?,
        // It was never refreshed.
        Err(failure) if failure.exit == Exit::NotFound => {}
        Err(failure) => return Err(failure),
    }
    let delete = move |connection: &mut Connection| {
        alternate_content_source::delete(connection, &source.name)
    };
    Ok(installation.db.write(delete).await?)
}

fn print(session: &Session, source: &AlternateContentSource, remote: &Remote) -> CommandResult {
    session.printer.result(&shown(source, remote), super::describe_value)?;
    Ok(())
}

fn shown(source: &AlternateContentSource, remote: &Remote) -> Value {
    json!({
        "name": source.name,
        "id": source.id,
        "remote": remote.name,
        "url": remote.url.to_string(),
        "paths": source.paths,
        "enabled": source.enabled,
        "last_refreshed": source.last_refreshed,
        "created": source.created,
    })
}

fn paths(matches: &ArgMatches) -> Option<Vec<String>> {
    matches.get_many::<String>("path").map(|paths| paths.cloned().collect())
}

fn enabled(matches: &ArgMatches) -> Option<bool> {
    matches.get_one::<bool>("enabled").copied()
}
