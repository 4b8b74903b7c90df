//! Forgetting tasks that ended long ago.

use std::collections::HashSet;

use diesel::prelude::*;

use super::TaskState;
use crate::{
    DbError, RepositoryId, TaskId, Timestamp,
    db::{Connection, dialect, on},
    schema::task,
};

/// Deletes tasks in these of the final states that ended before `time`, with their progress reports.
/// Returns how many.
///
/// The last of each kind, repository and state stays: monitoring tells when a repository was last
/// synchronised, however long ago that is ([`latest`](super::latest)).
pub fn purge(conn: &mut Connection, time: Timestamp, states: &[TaskState]) -> Result<u64, DbError> {
    type Row = (TaskId, String, Option<RepositoryId>, String, Option<i64>);
    let states: Vec<_> =
        states.iter().filter(|state| state.is_final()).map(|state| state.name()).collect();
    // One pass over 200,000 tasks of 1,000 repositories: a second of CPU, all in all. As a condition of
    // the deletion, which compares each task with those after it: 70 s on SQLite.
    let newest_first: Vec<Row> = on!(conn, c => task::table
        .filter(task::state.eq_any(&states))
        .order(task::id.desc())
        .select((task::id, task::name, task::repository_id, task::state, task::finished))
        .load(c))?;
    let mut known = HashSet::new();
    let purged: Vec<TaskId> = newest_first
        .into_iter()
        .filter_map(|(id, name, repository, state, finished)| {
            let is_last = known.insert((name, repository, state));
            (!is_last && finished? < time.0).then_some(id)
        })
        .collect();
    for ids in purged.chunks(dialect::KEYS_PER_QUERY) {
        on!(conn, c => diesel::delete(task::table.filter(task::id.eq_any(ids))).execute(c))?;
    }
    Ok(purged.len() as u64)
}
