//! All tasks in a few numbers, for monitoring.

use diesel::{
    dsl::{count_star, max},
    prelude::*,
};

use super::TaskState;
use crate::{
    DbError, RepositoryId, Timestamp,
    db::{Connection, on},
    schema::task,
};

/// Tasks of one name, repository and state, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// As in `sync`.
    pub name: String,
    /// The repository that they change.
    pub repository: Option<RepositoryId>,
    /// The state they are in.
    pub state: TaskState,
    /// How many there are.
    pub count: u64,
    /// When the last of them ended.
    pub finished: Option<Timestamp>,
}

/// All tasks on record, summed up, in no order.
pub fn latest(conn: &mut Connection) -> Result<Vec<Latest>, DbError> {
    type Row = (String, Option<RepositoryId>, String, i64, Option<i64>);
    let rows: Vec<Row> = on!(conn, c => task::table
        .group_by((task::name, task::repository_id, task::state))
        .select((task::name, task::repository_id, task::state, count_star(), max(task::finished)))
        .load(c))?;
    let read = |(name, repository, state, count, finished): Row| {
        Ok(Latest {
            name,
            repository,
            state: state.parse().map_err(DbError::corrupt("task.state"))?,
            count: count.unsigned_abs(),
            finished: finished.map(Timestamp),
        })
    };
    rows.into_iter().map(read).collect()
}
