//! `pulp PLUGIN remote …`.

use clap::{Arg, ArgMatches, Command, FromArgMatches as _, value_parser};
use pulp_models::{
    DbError, RemoteSettings, RemoteUrl,
    remote::{self, NewRemote, Remote},
};
use pulp_stages::{
    options::add_flags,
    plugin::{AnyPlugin, OptionKind},
};
use serde_json::{Value, json};

use crate::{
    application::Session,
    commands::{flags, subcommand},
    failure::{CommandResult, Failure},
    operations,
    printer::table,
    remote_flags::RemoteFlags,
};

pub(super) fn describe(plugin: &dyn AnyPlugin) -> Command {
    let url = || {
        Arg::new("url")
            .long("url")
            .value_name("URL")
            .value_parser(value_parser!(RemoteUrl))
            .help("Where upstream is")
    };
    let with_options = |command: Command| {
        let policy = Arg::new("policy")
            .long("policy")
            .value_name("POLICY")
            .value_parser(["immediate", "on_demand", "streamed"])
            .help("When files are fetched [default: immediate]");
        let command = add_flags::<RemoteFlags>(command.arg(policy));
        plugin.augment(
            OptionKind::Remote,
            command.next_help_heading("Options of this repository type"),
        )
    };
    Command::new("remote")
        .about("Where content comes from")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            with_options(
                Command::new("create")
                    .about("Create a remote")
                    .arg(flags::name("Its name"))
                    .arg(url().required(true)),
            ),
            Command::new("list").about("List remotes"),
            Command::new("show").about("Show a remote").arg(flags::name("Its name")),
            with_options(
                Command::new("update")
                    .about("Change what is given, leave the rest")
                    .arg(flags::name("Its name"))
                    .arg(url())
                    .arg(flags::unset(plugin, &[OptionKind::Remote])),
            ),
            Command::new("destroy")
                .about("Delete a remote")
                .arg(flags::name("Its name"))
                .arg(flags::switch("force", "Even if content is not fetched from it yet")),
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
            let remote = find(session, plugin, matches).await?;
            print(session, &remote)
        }
        _ => destroy(session, plugin, matches).await,
    }
}

async fn find(
    session: &Session,
    plugin: &dyn AnyPlugin,
    matches: &ArgMatches,
) -> CommandResult<Remote> {
    let installation = session.installation().await?;
    operations::find_remote(&installation, plugin.name(), flags::text(matches, "name")?).await
}

async fn create(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let mut settings = RemoteSettings::default();
    remote_flags(matches)?.overlay(&mut settings)?;
    let new = NewRemote {
        name: flags::text(matches, "name")?.to_owned(),
        plugin: plugin.name().to_owned(),
        url: url(matches).ok_or_else(|| Failure::usage("`--url` is missing"))?,
        policy: flags::policy(matches)?.unwrap_or_default(),
        settings,
        options: plugin.overlay(OptionKind::Remote, matches, &json!({}))?,
    };
    let remote = installation.db.write(move |connection| remote::create(connection, &new)).await?;
    print(session, &remote)
}

async fn update(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let mut remote = find(session, plugin, matches).await?;
    if let Some(url) = url(matches) {
        remote.url = url;
    }
    if let Some(policy) = flags::policy(matches)? {
        remote.policy = policy;
    }
    remote_flags(matches)?.overlay(&mut remote.settings)?;
    remote.options = plugin.overlay(OptionKind::Remote, matches, &remote.options)?;
    let remote = installation
        .db
        .write(move |connection| {
            remote::update(connection, &remote)?;
            Ok(remote.clone())
        })
        .await?;
    print(session, &remote)
}

async fn list(session: &Session, plugin: &dyn AnyPlugin) -> CommandResult {
    let installation = session.installation().await?;
    let name = plugin.name();
    let remotes = installation
        .db
        .read(remote::list)
        .await?
        .into_iter()
        .filter(|remote| remote.plugin == name)
        .collect::<Vec<_>>();
    let shown: Vec<_> = remotes.iter().map(shown).collect();
    session.printer.result(&shown, |_| {
        let row = |remote: &Remote| {
            vec![remote.name.clone(), remote.policy.to_string(), remote.url.to_string()]
        };
        table(&["NAME", "POLICY", "URL"], &remotes.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(())
}

async fn destroy(session: &Session, plugin: &dyn AnyPlugin, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let remote = find(session, plugin, matches).await?;
    let force = matches.get_flag("force");
    let deleted = installation
        .db
        .write(move |connection| remote::delete(connection, &remote.name, force))
        .await;
    deleted.map_err(|error| {
        let needed = matches!(&error, DbError::InUse { user, .. } if user == remote::UNSTORED);
        let failure = Failure::from(error);
        if needed {
            failure.hint(
                "`pulp orphan cleanup` removes content that no repository has any more; `--force` gives \
                 up what was not fetched yet",
            )
        } else {
            failure
        }
    })
}

fn print(session: &Session, remote: &Remote) -> CommandResult {
    session.printer.result(&shown(remote), super::describe_value)?;
    Ok(())
}

/// A remote as it is shown: without its secrets.
fn shown(remote: &Remote) -> Value {
    let settings = &remote.settings;
    json!({
        "name": remote.name,
        "id": remote.id,
        "url": remote.url.to_string(),
        "policy": remote.policy,
        "options": remote.options,
        "username": settings.username,
        "password_set": settings.password.is_some(),
        "tls_validation": settings.tls_validation(),
        "proxy_url": settings.proxy_url.as_ref().map(ToString::to_string),
        "download_concurrency": settings.download_concurrency(),
        "max_retries": settings.max_retries(),
        "created": remote.created,
    })
}

fn url(matches: &ArgMatches) -> Option<RemoteUrl> {
    matches.get_one::<RemoteUrl>("url").cloned()
}

fn remote_flags(matches: &ArgMatches) -> CommandResult<RemoteFlags> {
    RemoteFlags::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))
}
