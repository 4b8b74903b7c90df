//! Tasks: what was asked for, who works on it, and how it ended.
//!
//! ```text
//! waiting ──> running ──> completed | failed
//!    │           └──────> canceling ──> canceled | completed | failed
//!    └─────────────────────────────────> canceled
//! ```
//!
//! Every arrow is one conditional update: a change that the state forbids changes nothing, and says
//! so. Who runs a task polls [`is_canceling`] about each second. A task is not kept alive by its row:
//! the repository's lock tells whether its owner lives ([`crate::lock`]), or, for a task without a
//! repository, its process id does ([`fail_dead`]).

use std::{fmt, fs};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    DbError, RepositoryId, TaskId, Timestamp,
    db::{Connection, on, types::JsonText},
    schema::task,
};

mod latest;
mod purge;
mod state;

pub use latest::{Latest, latest};
pub use purge::purge;
pub use state::{TaskState, UnknownState};

/// A process that works on tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The host's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match host.trim() {
            "" => "localhost",
            name => name,
        };
        Self { host: host.to_owned(), pid: std::process::id() }
    }
}

/// A task to be created.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// What it does, as in `sync`.
    pub name: String,
    /// Whose work it is, if a plugin's.
    pub plugin: Option<String>,
    /// The repository that it changes.
    pub repository: Option<RepositoryId>,
    /// What it was asked to do, in the words of its plugin. No secrets.
    pub arguments: Option<Value>,
    /// Who will run it, if that is known.
    pub owner: Option<Owner>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see `NewTask` and `TaskState`")]
pub struct Task {
    pub id: TaskId,
    pub name: String,
    pub plugin: Option<String>,
    pub repository: Option<RepositoryId>,
    pub state: TaskState,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub arguments: Option<Value>,
    /// What came of it, as in the new version's number.
    pub result: Option<Value>,
    /// Why it failed; `description` is for people.
    pub error: Option<Value>,
    pub owner: Option<Owner>,
}

/// Who holds a repository's lock, as far as the tasks tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The running task.
    pub task: TaskId,
    /// Its name, as in `sync`.
    pub name: String,
    /// The process that runs it.
    pub owner: Option<Owner>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task `{}` ({})", self.task, self.name)?;
        match &self.owner {
            Some(Owner { host, pid }) => write!(f, " of process {pid} on `{host}`"),
            None => Ok(()),
        }
    }
}

/// Creates a task that waits.
pub fn create(conn: &mut Connection, new: &NewTask) -> Result<TaskId, DbError> {
    let id = TaskId::new();
    let (host, pid) = columns(new.owner.as_ref());
    on!(conn, c => diesel::insert_into(task::table)
        .values((
            task::id.eq(id),
            task::name.eq(&new.name),
            task::plugin.eq(&new.plugin),
            task::repository_id.eq(new.repository),
            task::state.eq(TaskState::Waiting.name()),
            task::created.eq(Timestamp::now()),
            task::arguments.eq(json(new.arguments.as_ref())),
            task::host.eq(host),
            task::pid.eq(pid),
        ))
        .execute(c))?;
    Ok(id)
}

/// `waiting` → `running`, by `owner`. False when it is not waiting: canceled, or begun by another.
pub fn start(conn: &mut Connection, id: TaskId, owner: &Owner) -> Result<bool, DbError> {
    let (host, pid) = columns(Some(owner));
    let changed = on!(conn, c => diesel::update(task::table)
        .filter(task::id.eq(id).and(task::state.eq(TaskState::Waiting.name())))
        .set((
            task::state.eq(TaskState::Running.name()),
            task::started.eq(Timestamp::now()),
            task::host.eq(host),
            task::pid.eq(pid),
        ))
        .execute(c))?;
    Ok(changed == 1)
}

/// `running` or `canceling` → `completed`: work that was done before the wish to cancel was seen is
/// done. False when the task is in another state.
pub fn finish(conn: &mut Connection, id: TaskId, result: Option<&Value>) -> Result<bool, DbError> {
    end(conn, id, TaskState::Completed, result, None)
}

/// `running` or `canceling` → `failed`. `error` holds a `description`, and what else the plugin has
/// to say. False when the task is in another state.
pub fn fail(conn: &mut Connection, id: TaskId, error: &Value) -> Result<bool, DbError> {
    end(conn, id, TaskState::Failed, None, Some(error))
}

/// `canceling` → `canceled`, by its owner; also from `running`, when its process is asked to stop.
pub fn canceled(conn: &mut Connection, id: TaskId) -> Result<bool, DbError> {
    end(conn, id, TaskState::Canceled, None, None)
}

/// Asks a task to stop: `waiting` → `canceled`, `running` → `canceling`. Returns the state after
/// that, which is unchanged for a task that has ended.
pub fn cancel(conn: &mut Connection, id: TaskId) -> Result<TaskState, DbError> {
    let arrows = [
        (TaskState::Waiting, TaskState::Canceled, Some(Timestamp::now())),
        (TaskState::Running, TaskState::Canceling, None),
    ];
    for (from, to, finished) in arrows {
        on!(conn, c => diesel::update(task::table)
            .filter(task::id.eq(id).and(task::state.eq(from.name())))
            .set((task::state.eq(to.name()), task::finished.eq(finished)))
            .execute(c))?;
    }
    get(conn, id).map(|task| task.state)
}

/// Whether the task was asked to stop. Also true of one that is gone or has ended: nobody waits for
/// its work.
pub fn is_canceling(conn: &mut Connection, id: TaskId) -> Result<bool, DbError> {
    let state: Option<String> = on!(conn, c => task::table
        .find(id)
        .select(task::state)
        .first(c)
        .optional())?;
    Ok(state.is_none_or(|state| {
        state != TaskState::Running.name() && state != TaskState::Waiting.name()
    }))
}

/// The task.
pub fn get(conn: &mut Connection, id: TaskId) -> Result<Task, DbError> {
    let row: Option<Row> = on!(conn, c => task::table.find(id).first(c).optional())?;
    row.ok_or_else(|| DbError::not_found("Task", &id))?.try_into()
}

/// Which tasks to list; the default lists all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those of this repository.
    pub repository: Option<RepositoryId>,
    /// Only those created before this one: where the page before ended.
    pub before: Option<TaskId>,
}

/// At most `limit` tasks, newest first.
pub fn list(conn: &mut Connection, filter: Filter, limit: u32) -> Result<Vec<Task>, DbError> {
    let rows: Vec<Row> = on!(conn, c => {
        let mut query = task::table.order(task::id.desc()).limit(limit.into()).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(task::state.eq(state.name()));
        }
        if let Some(repository) = filter.repository {
            query = query.filter(task::repository_id.eq(repository));
        }
        if let Some(before) = filter.before {
            query = query.filter(task::id.lt(before));
        }
        query.load(c)
    })?;
    rows.into_iter().map(Task::try_from).collect()
}

/// Marks as failed the tasks of this host whose process is gone and that no repository lock tells
/// about: those without a repository, and those that never began. Returns them.
///
/// A process id that is in use again hides the death of its former owner until that process ends.
pub fn fail_dead(conn: &mut Connection) -> Result<Vec<TaskId>, DbError> {
    let this = Owner::this_process();
    let living = [TaskState::Running.name(), TaskState::Canceling.name()];
    let rows: Vec<(TaskId, Option<i64>)> = on!(conn, c => task::table
        .filter(task::host.eq(&this.host))
        .filter(task::state.eq(TaskState::Waiting.name()).or(
            task::state.eq_any(living).and(task::repository_id.is_null()),
        ))
        .order(task::id)
        .select((task::id, task::pid))
        .load(c))?;
    let is_dead = |pid: Option<i64>| pid.is_some_and(|pid| !is_alive(pid));
    let dead = rows.into_iter().filter(|(_, pid)| is_dead(*pid)).map(|(id, _)| id).collect();
    fail_all(conn, dead)
}

/// Marks the running tasks of a repository as failed, but for `own`. For the holder of its lock.
pub(crate) fn fail_abandoned(
    conn: &mut Connection,
    repository: RepositoryId,
    own: Option<TaskId>,
) -> Result<Vec<TaskId>, DbError> {
    let living = [TaskState::Running.name(), TaskState::Canceling.name()];
    let mut abandoned: Vec<TaskId> = on!(conn, c => task::table
        .filter(task::repository_id.eq(repository).and(task::state.eq_any(living)))
        .order(task::id)
        .select(task::id)
        .load(c))?;
    abandoned.retain(|id| Some(*id) != own);
    fail_all(conn, abandoned)
}

/// The running task of a repository.
pub(crate) fn holder(
    conn: &mut Connection,
    repository: RepositoryId,
) -> Result<Option<Holder>, DbError> {
    let living = [TaskState::Running.name(), TaskState::Canceling.name()];
    let row: Option<Row> = on!(conn, c => task::table
        .filter(task::repository_id.eq(repository).and(task::state.eq_any(living)))
        .order(task::started.desc())
        .first(c)
        .optional())?;
    let task = row.map(Task::try_from).transpose()?;
    Ok(task.map(|task| Holder { task: task.id, name: task.name, owner: task.owner }))
}

fn end(
    conn: &mut Connection,
    id: TaskId,
    state: TaskState,
    result: Option<&Value>,
    error: Option<&Value>,
) -> Result<bool, DbError> {
    let from = [TaskState::Running.name(), TaskState::Canceling.name()];
    let changed = on!(conn, c => diesel::update(task::table)
        .filter(task::id.eq(id).and(task::state.eq_any(from)))
        .set((
            task::state.eq(state.name()),
            task::finished.eq(Timestamp::now()),
            task::result.eq(json(result)),
            task::error.eq(json(error)),
        ))
        .execute(c))?;
    Ok(changed == 1)
}

fn fail_all(conn: &mut Connection, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, DbError> {
    let error = serde_json::json!({ "description": "The process that ran the task is gone" });
    for id in &tasks {
        on!(conn, c => diesel::update(task::table.find(id))
            .set((
                task::state.eq(TaskState::Failed.name()),
                task::finished.eq(Timestamp::now()),
                task::error.eq(json(Some(&error))),
            ))
            .execute(c))?;
    }
    Ok(tasks)
}

fn is_alive(pid: i64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

fn columns(owner: Option<&Owner>) -> (Option<&str>, Option<i64>) {
    owner.map(|owner| (owner.host.as_str(), i64::from(owner.pid))).unzip()
}

fn json(value: Option<&Value>) -> Option<JsonText> {
    value.map(|value| JsonText(without_nul(value.clone()).to_string()))
}

/// Errors and warnings quote what upstream sent, and PostgreSQL takes no NUL in a JSON text.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(all) => all.into_iter().map(without_nul).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(name, value)| (name, without_nul(value))).collect()
        }
        other => other,
    }
}

#[derive(Queryable)]
struct Row {
    id: TaskId,
    name: String,
    plugin: Option<String>,
    repository: Option<RepositoryId>,
    state: String,
    created: Timestamp,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    arguments: Option<JsonText>,
    result: Option<JsonText>,
    error: Option<JsonText>,
    host: Option<String>,
    pid: Option<i64>,
}

impl TryFrom<Row> for Task {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let state = row.state.parse().map_err(DbError::corrupt::<UnknownState>("task.state"))?;
        let pid = row.pid.and_then(|pid| u32::try_from(pid).ok());
        let owner = row.host.zip(pid).map(|(host, pid)| Owner { host, pid });
        Ok(Self {
            id: row.id,
            name: row.name,
            plugin: row.plugin,
            repository: row.repository,
            state,
            created: row.created,
            started: row.started,
            finished: row.finished,
            arguments: value("task.arguments", row.arguments)?,
            result: value("task.result", row.result)?,
            error: value("task.error", row.error)?,
            owner,
        })
    }
}

fn value(place: &'static str, text: Option<JsonText>) -> Result<Option<Value>, DbError> {
    text.map(|text| text.read(place)).transpose()
}

#[cfg(test)]
mod tests;
