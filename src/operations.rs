//! What commands have in common: finding, synchronising, publishing and changing repositories.

use std::sync::Arc;

use clap::Args;
use pulp_models::{
    VersionNumber,
    db::{Connection, DbError},
    lock::RepositoryLock,
    reclaim::{self, Reclaim, Reclaimed},
    remote::{self, Remote},
    repository::{self, Repository},
    version,
};
use pulp_stages::{
    installation::Installation,
    plugin::AnyPlugin,
    progress::Reporter,
    publish,
    repository_settings::RepositorySettings,
    sync::{SyncRequest, SyncSummary},
};
use serde_json::Value;

use crate::{
    application::Session,
    bars::Bars,
    commands::PATIENCE,
    declaration::find_plugin,
    failure::{CommandResult, Exit, Failure},
    printer::{Printer, bytes},
    profile_file::ProfileFile,
};

/// Flags of a sync.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SyncFlags {
    /// Find out what would change; download metadata only and keep nothing of it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Sync even if upstream looks unchanged
    #[arg(long)]
    pub(crate) force: bool,
    /// Write what every stage of the sync did with its time: a drawing (.svg), or figures (.json)
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<ProfileFile>,
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
    if let Some(file) = &flags.profile {
        write_profile(session.printer, file, &summary)?;
    }
    if !flags.dry_run {
        let cancel = session.interrupt.clone();
        let published =
            publish::autopublish(&**plugin, installation, &repository, cancel, reporter).await?;
        summary.warnings.extend(published.into_iter().flat_map(|published| published.warnings));
    }
    Ok(summary)
}

fn write_profile(printer: Printer, file: &ProfileFile, summary: &SyncSummary) -> CommandResult {
    let Some(profile) = &summary.profile else {
        printer.note(format!(
            "Upstream is unchanged, so there is nothing to write to `{}`; `--force` syncs all the same",
            file.shown()
        ));
        return Ok(());
    };
    Ok(file.write(profile, &format!("Sync of {}", summary.repository))?)
}

/// One or two lines about a sync.
pub(crate) fn describe_summary(summary: &SyncSummary) -> String {
    let seconds = summary.duration_ms as f64 / 1000.0;
    let transferred = format!(
        "{} in {} request{}, {seconds:.2} s",
        bytes(summary.downloaded_bytes),
        summary.requests,
        if summary.requests == 1 { "" } else { "s" }
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

/// Refuses a repository's options that name a remote which is not there, nor `declared` beside them.
pub(crate) async fn check_named_remotes(
    installation: &Installation,
    plugin: &dyn AnyPlugin,
    options: &Value,
    declared: &[&str],
) -> CommandResult {
    for name in plugin.named_remotes(options)? {
        if !declared.contains(&name.as_str()) {
            find_remote(installation, plugin.name(), &name).await?;
        }
    }
    Ok(())
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

pub(crate) fn same_plugin(kind: &str, name: &str, actual: &str, wanted: &str) -> CommandResult {
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

/// Changes a repository under its lock, which somebody else may hold.
pub(crate) async fn change<T, F>(
    installation: &Installation,
    repository: &Repository,
    work: F,
) -> CommandResult<T>
where
    T: Send + 'static,
    F: FnMut(&mut Connection) -> Result<T, DbError> + Send + 'static,
{
    let lock = RepositoryLock::try_lock(&installation.db, installation.home(), repository.id)
        .await
        .map_err(|error| {
            let context = format!("Failed to lock repository `{}`", repository.name);
            Failure::from(anyhow::Error::new(error).context(context)).exit(Exit::Conflict)
        })?;
    Ok(lock.write(work).await?)
}

/// Deletes a repository with its versions and publications; what is kept for it too, or not at all.
pub(crate) async fn destroy_repository(
    installation: &Installation,
    repository: Repository,
    with_kept: bool,
) -> CommandResult {
    let name = repository.name.clone();
    let kept =
        installation.db.read(move |connection| repository::kept_for(connection, &name)).await?;
    if let Some(first) = kept.first().filter(|_| !with_kept) {
        let error = anyhow::anyhow!(
            "Others are kept for repository `{}`: {} in all, such as `{}`",
            repository.name,
            kept.len(),
            first.name
        );
        return Err(Failure::from(error)
            .hint("`--with-kept` deletes them, too")
            .exit(Exit::Conflict));
    }
    for kept in &kept {
        delete_repository(installation, kept).await?;
    }
    delete_repository(installation, &repository).await
}

async fn delete_repository(installation: &Installation, repository: &Repository) -> CommandResult {
    let name = repository.name.clone();
    change(installation, repository, move |connection| repository::delete(connection, &name)).await
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
