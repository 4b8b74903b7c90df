//! Making rows what a declaration says, and telling what differed.
//!
//! [`crate::declaration`] says how things should be; here they are compared with what is there and
//! the difference is written, in one transaction. Nothing is synchronised here.

use pulp_models::{
    RemoteSettings, RemoteUrl, VersionNumber,
    db::{Connection, DbError},
    distribution::{self, BasePath, Distribution, NewDistribution, Target},
    remote::{self, NewRemote, Remote},
    repository::{self, NewRepository, Repository},
    version,
};
use pulp_stages::{
    installation::Installation,
    plugin::{AnyPlugin, Upstream},
    repository_settings::RepositorySettings,
    serve::DistributionSettings,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    declaration::Declaration,
    failure::CommandResult,
    operations::{self, same_plugin},
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

/// What a declaration changed, and what was there before.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// The differences, in the order in which they were written.
    pub(crate) changes: Vec<Change>,
    remote: Option<Remote>,
    repository: Option<Repository>,
    distribution: Option<Distribution>,
    /// The repository's latest version then.
    latest: Option<VersionNumber>,
}

impl Declared {
    /// The URL that the remote had before, if it has another one now.
    pub(crate) fn former_url(&self) -> Option<&RemoteUrl> {
        let mut changes = self.changes.iter();
        let changed =
            changes.any(|change| change.kind == "remote" && change.fields.contains(&"url"));
        self.remote.as_ref().filter(|_| changed).map(|remote| &remote.url)
    }
}

/// Makes the rows what `declaration` says, in one transaction; says what differed. With `check`,
/// nothing is written.
pub(crate) async fn declare(
    installation: &Installation,
    declaration: &Declaration,
    check: bool,
) -> CommandResult<Declared> {
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
        let mut declared = Declared::default();
        let remote = declare_remote(connection, &declaration, check, &mut declared)?;
        let repository = declare_repository(
            connection,
            &declaration,
            &settings,
            remote.as_ref(),
            check,
            &mut declared,
        )?;
        declare_distribution(
            connection,
            &declaration,
            base_path.clone(),
            repository.as_ref(),
            check,
            &mut declared,
        )?;
        Ok(declared)
    };
    Ok(if check { installation.db.read(work).await? } else { installation.db.write(work).await? })
}

/// Creates the remote, or lays what differs over it.
fn declare_remote(
    connection: &mut Connection,
    declaration: &Declaration,
    check: bool,
    declared: &mut Declared,
) -> Result<Option<Remote>, DbError> {
    let name = &declaration.name;
    let Some(mut row) = found(remote::get(connection, name))? else {
        declared.changes.push(Change::create("remote", name));
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
    declared.remote = Some(row.clone());
    let mut differ = Differ::default();
    differ.set("url", &mut row.url, &declaration.url);
    differ.set("policy", &mut row.policy, &declaration.policy);
    differ.set("remote", &mut row.settings, &declaration.remote);
    differ.set("options", &mut row.options, &declaration.options);
    if differ.push("remote", name, &mut declared.changes) && !check {
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
    declared: &mut Declared,
) -> Result<Option<Repository>, DbError> {
    let name = &declaration.name;
    let remote = remote.filter(|_| declaration.sync).map(|remote| remote.id);
    let Some(mut row) = found(repository::get(connection, name))? else {
        declared.changes.push(Change::create("repository", name));
        let new = NewRepository {
            remote,
            retain_versions: declaration.retain_versions,
            options: settings.clone(),
            ..NewRepository::new(name, &declaration.plugin)
        };
        return if check { Ok(None) } else { repository::create(connection, &new).map(Some) };
    };
    declared.latest = Some(version::latest(connection, row.id)?);
    declared.repository = Some(row.clone());
    let mut differ = Differ::default();
    differ.set("remote", &mut row.remote, &remote);
    differ.set("retain_versions", &mut row.retain_versions, &declaration.retain_versions);
    differ.set("options", &mut row.options, settings);
    if differ.push("repository", name, &mut declared.changes) && !check {
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
    declared: &mut Declared,
) -> Result<(), DbError> {
    let name = &declaration.name;
    let target = repository.map(|repository| Target::Repository(repository.id));
    let Some(mut row) = found(distribution::get(connection, name))? else {
        declared.changes.push(Change::create("distribution", name));
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
    declared.distribution = Some(row.clone());
    let mut differ = Differ::default();
    differ.set("base_path", &mut row.base_path, &base_path);
    if let Some(target) = target.filter(|target| *target != row.target) {
        differ.0.push("repository");
        DistributionSettings::switch(&mut row, target);
    }
    if differ.push("distribution", name, &mut declared.changes) && !check {
        distribution::update(connection, &row)?;
    }
    Ok(())
}

/// What [`undo`] did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// There was nothing to undo, or a version was made since.
    Nothing,
    /// What was created is gone again; the repository's name.
    Removed(String),
    /// What was changed is as before; the repository's name.
    Restored(String),
}

/// Undoes a [`declare`] after which no version was made.
pub(crate) async fn undo(installation: &Installation, declared: Declared) -> CommandResult<Undone> {
    if let Some(name) = take_back(installation, &declared).await? {
        return Ok(Undone::Removed(name));
    }
    put_back(installation, declared).await
}

async fn put_back(installation: &Installation, declared: Declared) -> CommandResult<Undone> {
    let Declared { changes, remote, repository, distribution, latest } = declared;
    let is_updated =
        |kind: &str| changes.iter().any(|one| one.kind == kind && one.action == "update");
    let Some((before, latest)) = repository.zip(latest) else { return Ok(Undone::Nothing) };
    if !changes.iter().any(|change| change.action == "update") {
        return Ok(Undone::Nothing);
    }
    let name = before.name.clone();
    let remote = remote.filter(|_| is_updated("remote"));
    let distribution = distribution.filter(|_| is_updated("distribution"));
    let has_changed = is_updated("repository");
    let work = move |connection: &mut Connection| {
        if version::latest(connection, before.id)? > latest {
            return Ok(false);
        }
        remote.iter().try_for_each(|row| remote::update(connection, row))?;
        distribution.iter().try_for_each(|row| distribution::update(connection, row))?;
        if has_changed {
            repository::update(connection, &before)?;
        }
        Ok(true)
    };
    let restored = installation.db.write(work).await?;
    Ok(if restored { Undone::Restored(name) } else { Undone::Nothing })
}

/// Deletes what [`declare`] has just created, if its repository has no version but the empty first
/// one; says its name. What was there before stays.
async fn take_back(
    installation: &Installation,
    declared: &Declared,
) -> CommandResult<Option<String>> {
    let changes = &declared.changes;
    let created =
        |kind| changes.iter().any(|change| change.kind == kind && change.action == "create");
    let Some(change) = changes.iter().find(|_| created("repository")) else { return Ok(None) };
    let (with_remote, with_distribution) = (created("remote"), created("distribution"));
    let name = change.name.clone();
    let repository = operations::find_repository(installation, None, &name).await?;
    let id = repository.id;
    let work = move |connection: &mut Connection| {
        if version::latest(connection, id)? > VersionNumber(0) {
            return Ok(false);
        }
        if with_distribution {
            distribution::delete(connection, &name)?;
        }
        repository::delete(connection, &name)?;
        if with_remote {
            // No version has the content that could be fetched from it.
            remote::delete(connection, &name, true)?;
        }
        Ok(true)
    };
    let gone = operations::change(installation, &repository, work).await?;
    Ok(gone.then_some(repository.name))
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

/// What an earlier command declared under `name`, or the defaults, with another upstream; and what
/// is to be said of how that was understood. Credentials in URLs become settings.
pub(crate) async fn declared(
    installation: &Installation,
    plugin: &dyn AnyPlugin,
    name: &str,
    upstream: Upstream,
) -> CommandResult<(Declaration, Option<String>)> {
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
    let mut declaration = Declaration::new(name, plugin.name(), &upstream.url);
    let mut literal = None;
    if let Some(remote) = remote {
        same_plugin("Remote", name, &remote.plugin, plugin.name())?;
        literal = upstream.literal.filter(|url| remote.url == without_credentials(url));
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
    let note = if let Some(literal) = literal {
        declaration.url = literal;
        None
    } else {
        let mut options = declaration.options.as_object().cloned().unwrap_or_default();
        options.extend(upstream.options);
        declaration.options = Value::Object(options);
        upstream.note
    };
    declaration.remote.take_credentials(&mut declaration.url);
    Ok((declaration, note))
}

fn without_credentials(url: &RemoteUrl) -> RemoteUrl {
    let mut url = url.clone();
    RemoteSettings::default().take_credentials(&mut url);
    url
}
