//! Tasks: operations that change a repository, recorded while they run.
//!
//! `run` holds the repository's lock around an operation, writes the task's row, its progress
//! and its outcome, shows progress to the reporter, and cancels the operation when the row says
//! so. It knows nothing of what the operation does.

use std::{future::Future, sync::Arc, time::Duration};

use pulp_models::{
    Connection, Db, DbError, TaskId,
    lock::{LockError, RepositoryLock},
    progress::{self, ProgressReport},
    publication,
    repository::{self, Repository},
    task::{self, NewTask, Owner, TaskState},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    installation::Installation,
    plugin::Plugin,
    progress::{Progress, ProgressFigures, Reporter},
};

/// How long a task waits for another one that changes the same repository.
const LOCK_PATIENCE: Duration = Duration::from_secs(3600);
/// After this long somebody who waits is told so.
const LOCK_NOTICE: Duration = Duration::from_secs(2);
/// How often the reporter gets figures.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// How often the row is asked whether the task is to stop, and progress is written (in shows).
const POLL_EVERY: u32 = 5;

/// What a task is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskKind {
    name: &'static str,
    plugin: &'static str,
}

impl TaskKind {
    /// What `P` does under this name, as in `sync`.
    pub(crate) const fn of<P: Plugin>(name: &'static str) -> Self {
        Self { name, plugin: P::NAME }
    }
}

/// What an operation has of its task.
#[derive(Clone)]
pub(crate) struct TaskHandle {
    /// The repository as it was when the lock was taken.
    pub(crate) repository: Repository,
    /// Fires when the operation is to end early.
    pub(crate) cancel: CancellationToken,
    /// The operation's counters.
    pub(crate) progress: Progress,
    /// The right to change the repository.
    pub(crate) lock: Arc<RepositoryLock>,
}

/// A task that could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// Another task changes the repository, or its lock cannot be used.
    #[error("Failed to lock repository `{repository}`")]
    Lock {
        /// Its name.
        repository: String,
        /// Who holds it, or what failed.
        source: Box<LockError>,
    },
    /// The task's row cannot be written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// It was cancelled before it began.
    #[error("The task was cancelled before it began")]
    Cancelled,
}

impl TaskError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock { .. } if self.is_conflict() => {
                Some("wait for it, or stop it with `pulp task cancel --id ID`".to_owned())
            }
            Self::Database(error) => error.hint().map(Into::into),
            _ => None,
        }
    }

    /// Whether somebody else is at work.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Lock { source, .. } if matches!(**source, LockError::Held { .. }))
    }
}

/// Runs `operation` as a task on `repository`; see the module. Its outcome is written whatever it
/// is; a process that dies leaves a running row that the next holder of the lock marks as failed.
pub(crate) async fn run<T, E, F, Fut>(
    installation: &Installation,
    kind: TaskKind,
    repository: &Repository,
    cancel: &CancellationToken,
    reporter: &dyn Reporter,
    operation: F,
) -> Result<T, E>
where
    T: Serialize,
    E: std::error::Error + From<TaskError>,
    F: FnOnce(TaskHandle) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let id = create(&installation.db, kind, repository).await?;
    // Whatever is logged at whatever level has it.
    let span = tracing::error_span!(
        "task",
        task.id = %id, task.name = kind.name, repository.name = repository.name
    );
    let task = Task { installation, id, repository, cancel, reporter };
    task.run(operation).instrument(span).await
}

/// A task that has its row.
struct Task<'a> {
    installation: &'a Installation,
    id: TaskId,
    repository: &'a Repository,
    cancel: &'a CancellationToken,
    reporter: &'a dyn Reporter,
}

impl Task<'_> {
    async fn run<T, E, F, Fut>(self, operation: F) -> Result<T, E>
    where
        T: Serialize,
        E: std::error::Error + From<TaskError>,
        F: FnOnce(TaskHandle) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let Self { installation, id, repository, cancel, reporter } = self;
        let db = &installation.db;
        let started = Instant::now();
        // A signal, `task cancel` and the caller all end in this one token.
        let cancel = cancel.child_token();
        let progress = Progress::default();
        let outcome = async {
            let lock = Arc::new(lock(installation, repository, &cancel, reporter).await?);
            let repository = begin(db, &lock, id, repository).await?;
            let handle =
                TaskHandle { repository, cancel: cancel.clone(), progress: progress.clone(), lock };
            let operation = operation(handle);
            tokio::select! {
                outcome = operation => outcome,
                never = watch(db, id, &progress, reporter, &cancel) => match never {},
            }
        }
        .await;
        if let Err(error) = record(db, id, &outcome, &progress, cancel.is_cancelled()).await {
            tracing::warn!(%error, "Failed to record the task's outcome");
        }
        let duration_ms = started.elapsed().as_secs_f64() * 1e3;
        match &outcome {
            Ok(_) => tracing::info!(duration_ms, "A task has completed"),
            // Told in full by whoever started the task.
            Err(error) => tracing::info!(duration_ms, %error, "A task has failed"),
        }
        outcome
    }
}

async fn create(db: &Db, kind: TaskKind, repository: &Repository) -> Result<TaskId, TaskError> {
    let new = NewTask {
        name: kind.name.to_owned(),
        plugin: Some(kind.plugin.to_owned()),
        repository: Some(repository.id),
        arguments: Some(json!({ "repository": repository.name })),
        owner: Some(Owner::this_process()),
    };
    let create = move |connection: &mut Connection| {
        task::fail_dead(connection)?;
        task::create(connection, &new)
    };
    Ok(db.write(create).await?)
}

/// Waits for the lock; says so if that takes long.
async fn lock(
    installation: &Installation,
    repository: &Repository,
    cancel: &CancellationToken,
    reporter: &dyn Reporter,
) -> Result<RepositoryLock, TaskError> {
    let attempt = |patience| {
        RepositoryLock::lock(&installation.db, installation.home(), repository.id, patience)
    };
    let waiting = async {
        match attempt(LOCK_NOTICE).await {
            Err(held @ LockError::Held { .. }) => {
                reporter.warning(&format!("Waiting for repository `{}`: {held}", repository.name));
                attempt(LOCK_PATIENCE).await
            }
            other => other,
        }
    };
    tokio::select! {
        lock = waiting => lock.map_err(|source| TaskError::Lock {
            repository: repository.name.clone(),
            source: Box::new(source),
        }),
        () = cancel.cancelled() => Err(TaskError::Cancelled),
    }
}

/// Starts the row and reads the repository again: another task may have changed it meanwhile.
async fn begin(
    db: &Db,
    lock: &RepositoryLock,
    id: TaskId,
    repository: &Repository,
) -> Result<Repository, TaskError> {
    let repository = repository.id;
    // What a holder that died left behind: nobody else may call it garbage.
    lock.fail_abandoned_tasks(Some(id)).await?;
    lock.write(move |connection| publication::delete_incomplete(connection, repository)).await?;
    let (started, repository) = db
        .write(move |connection| {
            let started = task::start(connection, id, &Owner::this_process())?;
            Ok((started, repository::get_by_id(connection, repository)?))
        })
        .await?;
    if started { Ok(repository) } else { Err(TaskError::Cancelled) }
}

/// Shows progress and looks for the wish to cancel, until dropped.
async fn watch(
    db: &Db,
    id: TaskId,
    progress: &Progress,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> std::convert::Infallible {
    let mut ticks = interval(SHOW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut count = 0_u32;
    loop {
        ticks.tick().await;
        count = count.wrapping_add(1);
        let figures = progress.figures();
        reporter.progress(&figures);
        if !count.is_multiple_of(POLL_EVERY) {
            continue;
        }
        match db.read(move |connection| task::is_canceling(connection, id)).await {
            Ok(true) => cancel.cancel(),
            Ok(false) => {}
            // The operation's own statements will say it better.
            Err(error) => tracing::debug!(task.id = %id, %error, "Failed to poll the task"),
        }
        if let Err(error) = write_progress(db, id, figures, TaskState::Running).await {
            tracing::debug!(task.id = %id, %error, "Failed to write progress");
        }
    }
}

async fn record<T: Serialize, E: std::error::Error>(
    db: &Db,
    id: TaskId,
    outcome: &Result<T, E>,
    progress: &Progress,
    cancelled: bool,
) -> Result<(), DbError> {
    let state = match outcome {
        Ok(_) => TaskState::Completed,
        Err(_) if cancelled => TaskState::Canceled,
        Err(_) => TaskState::Failed,
    };
    write_progress(db, id, progress.figures(), state).await?;
    let outcome = match outcome {
        Ok(value) => Ok(serde_json::to_value(value).unwrap_or_default()),
        Err(error) => Err(describe(error)),
    };
    db.write(move |connection| match &outcome {
        Ok(result) => task::finish(connection, id, Some(result)).map(drop),
        Err(_) if cancelled => task::canceled(connection, id).map(drop),
        Err(error) => task::fail(connection, id, error).map(drop),
    })
    .await
}

async fn write_progress(
    db: &Db,
    id: TaskId,
    figures: Vec<ProgressFigures>,
    state: TaskState,
) -> Result<(), DbError> {
    let reports: Vec<ProgressReport> = figures
        .into_iter()
        .map(|figures| ProgressReport {
            code: figures.code.to_owned(),
            message: figures.message.to_owned(),
            state,
            total: figures.total,
            done: figures.done,
            suffix: None,
        })
        .collect();
    db.write(move |connection| progress::save(connection, id, &reports)).await
}

fn describe(error: &dyn std::error::Error) -> Value {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    json!({ "description": error.to_string(), "causes": causes })
}
