//! What commands have in common: bringing a declared repository into being, synchronising and
//! publishing it.

use std::sync::Arc;

use clap::Args;
use pulp_models::{
    RemoteUrl, VersionNumber,
    db::{Connection, DbError},
    distribution::{self, BasePath, NewDistribution, Target},
    lock::RepositoryLock,
    publication,
    reclaim::{self, Reclaim, Reclaimed},
    remote::{self, NewRemote, Remote},
    repository::{self, NewRepository, Repository},
    version,
};
use pulp_stages::{
    installation::Installation,
    plugin::AnyPlugin,
    progress::Reporter,
    publish::{PublishRequest, Published},
    repository_settings::RepositorySettings,
    sync::{SyncRequest, SyncSummary},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    application::Session,
    bars::Bars,
    commands::PATIENCE,
    declaration::{Declaration, find_plugin},
    failure::{CommandResult, Exit, Failure},
    printer::bytes,
};

/// A difference between what is declared and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// `create` or `update`.
    pub(crate) action: &'static str,
    /// `remote`, `repository` or `distribution`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// The fields that differ; none for what is created.
    pub(crate) fields: Vec<&'static str>,
}

/// Makes the rows what `declaration` says, in one transaction; says what differed. With `check`,
/// nothing is written.
pub(crate) async fn declare(
    installation: &Installation,
    declaration: &Declaration,
    check: bool,
) -> CommandResult<Vec<Change>> {
    let base_path = declaration.base_path()?;
    let declaration = declaration.clone();
    let settings = RepositorySettings {
        mirror: declaration.mirror,
        autopublish: true,
        options: declaration.repository.clone(),
        publication: declaration.publication.clone(),
    }
    .to_value()?;
    let work = move |connection: &mut Connection| {
        let mut changes = Vec::new();
        let remote = declare_remote(connection, &declaration, check, &mut changes)?;
        let repository = declare_repository(
            connection,
            &declaration,
            &settings,
            remote.as_ref(),
            check,
            &mut changes,
        )?;
        declare_distribution(
            connection,
            &declaration,
            base_path.clone(),
            repository.as_ref(),
            check,
            &mut changes,
        )?;
        Ok(changes)
    };
    Ok(if check { installation.db.read(work).await? } else { installation.db.write(work).await? })
}

/// Creates the remote, or lays what differs over it.
fn declare_remote(
    connection: &mut Connection,
    declaration: &Declaration,
    check: bool,
    changes: &mut Vec<Change>,
) -> Result<Option<Remote>, DbError> {
    let name = &declaration.name;
    let Some(mut row) = found(remote::get(connection, name))? else {
        changes.push(Change::create("remote", name));
        let new = NewRemote {
            name: name.clone(),
            plugin: declaration.plugin.clone(),
            url: declaration.url.clone(),
            policy: declaration.policy,
            settings: declaration.remote.clone(),
            options: declaration.options.clone(),
        };
        return if check { Ok(None) } else { remote::create(connection, &new).map(Some) };
    };
    let mut differ = Differ::default();
    differ.set("url", &mut row.url, &declaration.url);
    differ.set("policy", &mut row.policy, &declaration.policy);
    differ.set("remote", &mut row.settings, &declaration.remote);
    differ.set("options", &mut row.options, &declaration.options);
    if differ.push("remote", name, changes) && !check {
        remote::update(connection, &row)?;
    }
    Ok(Some(row))
}

/// Creates the repository, or lays what differs over it.
fn declare_repository(
    connection: &mut Connection,
    declaration: &Declaration,
    settings: &Value,
    remote: Option<&Remote>,
    check: bool,
    changes: &mut Vec<Change>,
) -> Result<Option<Repository>, DbError> {
    let name = &declaration.name;
    let remote = remote.map(|remote| remote.id);
    let Some(mut row) = found(repository::get(connection, name))? else {
        changes.push(Change::create("repository", name));
        let new = NewRepository {
            remote,
            retain_versions: declaration.retain_versions,
            options: settings.clone(),
            ..NewRepository::new(name, &declaration.plugin)
        };
        return if check { Ok(None) } else { repository::create(connection, &new).map(Some) };
    };
    let mut differ = Differ::default();
    differ.set("remote", &mut row.remote, &remote);
    differ.set("retain_versions", &mut row.retain_versions, &declaration.retain_versions);
    differ.set("options", &mut row.options, settings);
    if differ.push("repository", name, changes) && !check {
        repository::update(connection, &row)?;
    }
    Ok(Some(row))
}

/// Creates the distribution, or lays what differs over it.
fn declare_distribution(
    connection: &mut Connection,
    declaration: &Declaration,
    base_path: BasePath,
    repository: Option<&Repository>,
    check: bool,
    changes: &mut Vec<Change>,
) -> Result<(), DbError> {
    let name = &declaration.name;
    let target = repository.map(|repository| Target::Repository(repository.id));
    let Some(mut row) = found(distribution::get(connection, name))? else {
        changes.push(Change::create("distribution", name));
        if let (Some(target), false) = (target, check) {
            let new = NewDistribution {
                name: name.clone(),
                plugin: declaration.plugin.clone(),
                base_path,
                target,
                options: Value::Object(serde_json::Map::new()),
            };
            distribution::create(connection, &new)?;
        }
        return Ok(());
    };
    let mut differ = Differ::default();
    differ.set("base_path", &mut row.base_path, &base_path);
    if let Some(target) = target {
        differ.set("repository", &mut row.target, &target);
    }
    if differ.push("distribution", name, changes) && !check {
        distribution::update(connection, &row)?;
    }
    Ok(())
}

/// Collects the names of the fields that a declaration changes.
#[derive(Default)]
struct Differ(Vec<&'static str>);

impl Differ {
    fn set<T: PartialEq + Clone>(&mut self, field: &'static str, stored: &mut T, declared: &T) {
        if stored != declared {
            self.0.push(field);
            stored.clone_from(declared);
        }
    }

    /// Adds an update to `changes`, if there is one.
    fn push(self, kind: &'static str, name: &str, changes: &mut Vec<Change>) -> bool {
        let differs = !self.0.is_empty();
        if differs {
            changes.push(Change { action: "update", kind, name: name.to_owned(), fields: self.0 });
        }
        differs
    }
}

impl Change {
    fn create(kind: &'static str, name: &str) -> Self {
        Self { action: "create", kind, name: name.to_owned(), fields: Vec::new() }
    }
}

/// What was looked for, or nothing if it does not exist.
fn found<T>(result: Result<T, DbError>) -> Result<Option<T>, DbError> {
    match result {
        Ok(row) => Ok(Some(row)),
        Err(DbError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Flags of a sync.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SyncFlags {
    /// Find out what would change; download metadata only and keep nothing of it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Sync even if upstream looks unchanged
    #[arg(long)]
    pub(crate) force: bool,
}

/// A synchronised repository, published if it publishes itself.
pub(crate) async fn synchronize(
    session: &Session,
    installation: &Installation,
    repository: Repository,
    remote: Option<Remote>,
    mirror: Option<bool>,
    flags: &SyncFlags,
) -> CommandResult<SyncSummary> {
    let plugin = find_plugin(&session.plugins, &repository.plugin)?;
    let remote = match remote {
        Some(remote) => remote,
        None => remote_of(installation, &repository).await?,
    };
    let settings = RepositorySettings::of(&repository)?;
    let reporter: Arc<dyn Reporter> = Arc::new(Bars::new(session.printer));
    let request = SyncRequest {
        repository: repository.clone(),
        remote,
        mirror: mirror.unwrap_or(settings.mirror),
        optimize: !flags.force,
        dry_run: flags.dry_run,
        cancel: session.interrupt.clone(),
        reporter: Arc::clone(&reporter),
    };
    let mut summary = plugin.sync(installation, request).await?;
    if settings.autopublish && !flags.dry_run {
        let published =
            publish_latest(session, installation, &**plugin, &repository, &settings, reporter)
                .await?;
        summary.warnings.extend(published.into_iter().flat_map(|published| published.warnings));
    }
    Ok(summary)
}

/// Publishes the latest version, unless it is published with the same options already.
async fn publish_latest(
    session: &Session,
    installation: &Installation,
    plugin: &dyn AnyPlugin,
    repository: &Repository,
    settings: &RepositorySettings,
    reporter: Arc<dyn Reporter>,
) -> CommandResult<Option<Published>> {
    let id = repository.id;
    let options = settings.publication.clone();
    let is_published = installation
        .db
        .read(move |connection| {
            let latest = version::latest(connection, id)?;
            let newest = publication::newest(connection, id)?;
            Ok(newest.is_some_and(|newest| newest.version == latest && newest.options == options))
        })
        .await?;
    if is_published {
        return Ok(None);
    }
    let request = PublishRequest {
        repository: repository.clone(),
        version: None,
        options: settings.publication.clone(),
        checkpoint: false,
        cancel: session.interrupt.clone(),
        reporter,
    };
    Ok(Some(plugin.publish(installation, request).await?))
}

/// One or two lines about a sync.
pub(crate) fn describe_summary(summary: &SyncSummary) -> String {
    let seconds = summary.duration_ms as f64 / 1000.0;
    let transferred = format!(
        "{} in {} requests, {seconds:.2} s",
        bytes(summary.downloaded_bytes),
        summary.requests
    );
    let counts = format!(
        "{} added, {} removed, {} present",
        summary.added, summary.removed, summary.present
    );
    match (summary.version, summary.dry_run) {
        (_, true) => format!("{}: would change: {counts} ({transferred})", summary.repository),
        (Some(version), _) => {
            format!("{}: version {version}: {counts} ({transferred})", summary.repository)
        }
        (None, _) => format!(
            "{}: no change, version {} stays: {} present ({transferred})",
            summary.repository, summary.latest_version, summary.present
        ),
    }
}

/// The remote called `name`, if it is one of this plugin's.
pub(crate) async fn find_remote(
    installation: &Installation,
    plugin: &str,
    name: &str,
) -> CommandResult<Remote> {
    let wanted = name.to_owned();
    let remote = installation.db.read(move |connection| remote::get(connection, &wanted)).await?;
    same_plugin("Remote", name, &remote.plugin, plugin)?;
    Ok(remote)
}

/// The repository called `name`, if it is one of this plugin's (of any if `None`).
pub(crate) async fn find_repository(
    installation: &Installation,
    plugin: Option<&str>,
    name: &str,
) -> CommandResult<Repository> {
    let wanted = name.to_owned();
    let repository =
        installation.db.read(move |connection| repository::get(connection, &wanted)).await?;
    if let Some(plugin) = plugin {
        same_plugin("Repository", name, &repository.plugin, plugin)?;
    }
    Ok(repository)
}

fn same_plugin(kind: &str, name: &str, actual: &str, wanted: &str) -> CommandResult {
    if actual == wanted {
        return Ok(());
    }
    Err(Failure::usage(format!("{kind} `{name}` is of type `{actual}`, not `{wanted}`")))
}

async fn remote_of(installation: &Installation, repository: &Repository) -> CommandResult<Remote> {
    let Some(id) = repository.remote else {
        return Err(Failure::usage(format!("Repository `{}` has no remote", repository.name))
            .hint("name one with `--remote`, or give the repository one with `update`"));
    };
    Ok(installation.db.read(move |connection| remote::get_by_id(connection, id)).await?)
}

/// Names of the repositories that can be synchronised, in order.
pub(crate) async fn synchronizable(installation: &Installation) -> CommandResult<Vec<Repository>> {
    let repositories = installation.db.read(repository::list).await?;
    Ok(repositories.into_iter().filter(|row| row.remote.is_some() && !row.hidden).collect())
}

/// What an earlier command declared under `name`, or the defaults.
pub(crate) async fn declared(
    installation: &Installation,
    plugin: &dyn AnyPlugin,
    name: &str,
    url: &RemoteUrl,
) -> CommandResult<Declaration> {
    let wanted = name.to_owned();
    let (remote, repository, distribution) = installation
        .db
        .read(move |connection| {
            Ok((
                found(remote::get(connection, &wanted))?,
                found(repository::get(connection, &wanted))?,
                found(distribution::get(connection, &wanted))?,
            ))
        })
        .await?;
    let mut declaration = Declaration::new(name, plugin.name(), url);
    if let Some(remote) = remote {
        same_plugin("Remote", name, &remote.plugin, plugin.name())?;
        declaration.policy = remote.policy;
        declaration.remote = remote.settings;
        declaration.options = remote.options;
    }
    if let Some(repository) = repository {
        same_plugin("Repository", name, &repository.plugin, plugin.name())?;
        let settings = RepositorySettings::of(&repository)?;
        declaration.mirror = settings.mirror;
        declaration.retain_versions = repository.retain_versions;
        declaration.repository = settings.options;
        declaration.publication = settings.publication;
    }
    declaration.base_path = distribution.map(|row| row.base_path.to_string());
    Ok(declaration)
}

/// Changes a repository under its lock, which somebody else may hold.
async fn change<F>(installation: &Installation, repository: &Repository, work: F) -> CommandResult
where
    F: FnMut(&mut Connection) -> Result<(), DbError> + Send + 'static,
{
    let lock = RepositoryLock::try_lock(&installation.db, installation.home(), repository.id)
        .await
        .map_err(|error| {
            let context = format!("Failed to lock repository `{}`", repository.name);
            Failure::from(anyhow::Error::new(error).context(context)).exit(Exit::Conflict)
        })?;
    Ok(lock.write(work).await?)
}

/// Deletes a repository with its versions and publications.
pub(crate) async fn destroy_repository(
    installation: &Installation,
    repository: Repository,
) -> CommandResult {
    let name = repository.name.clone();
    change(installation, &repository, move |connection| repository::delete(connection, &name)).await
}

/// Deletes a version; its changes become the next one's.
pub(crate) async fn destroy_version(
    installation: &Installation,
    repository: &Repository,
    number: VersionNumber,
) -> CommandResult {
    let id = repository.id;
    change(installation, repository, move |connection| {
        version::delete_version(connection, id, number)
    })
    .await
}

/// Gives up the stored bytes of a repository's content that can be fetched again.
pub(crate) async fn reclaim(
    installation: &Installation,
    repository: &Repository,
) -> CommandResult<Reclaimed> {
    let id = repository.id;
    let what = Reclaim {
        repositories: vec![id],
        keep: Vec::new(),
        keep_types: Vec::new(),
        patience: PATIENCE,
    };
    let reclaimed = reclaim::reclaim(&installation.db, &installation.store, &what, |_| {})
        .await
        .map_err(anyhow::Error::new)?;
    // A sync with policy `immediate` has something to do again, whatever upstream says.
    installation
        .db
        .write(move |connection| repository::set_last_sync(connection, id, None))
        .await?;
    Ok(reclaimed)
}
