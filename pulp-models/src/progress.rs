//! Progress reports: what a task has done so far, one row per thing it counts.
//!
//! The codes are Pulp's, so that what reads its API understands ours. A task keeps its reports in
//! memory and writes all of them at once, every two seconds at most and once more at its end.

use diesel::{prelude::*, upsert::excluded};
use serde::Serialize;

use crate::{
    DbError, TaskId,
    db::{Connection, on},
    schema::progress_report,
    task::{TaskState, UnknownState},
};

/// One thing that a task counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgressReport {
    /// What is counted, e.g. `sync.parsing.metadata`.
    pub code: String,
    /// The same for people, as in `Downloading artifacts`.
    pub message: String,
    /// Where it stands; `Waiting` before its first step.
    pub state: TaskState,
    /// How many there will be, if that is known.
    pub total: Option<u64>,
    /// How many are done.
    pub done: u64,
    /// What is being worked on.
    pub suffix: Option<String>,
}

/// Writes the task's reports; each one's place in the slice is its identity.
pub fn save(
    conn: &mut Connection,
    task: TaskId,
    reports: &[ProgressReport],
) -> Result<(), DbError> {
    for (position, report) in (0..).zip(reports) {
        let row = Row {
            task_id: task,
            position,
            code: report.code.clone(),
            message: report.message.clone(),
            state: report.state.name().to_owned(),
            total: report.total.map(signed),
            done: signed(report.done),
            suffix: report.suffix.clone(),
        };
        on!(conn, c => diesel::insert_into(progress_report::table)
            .values(&row)
            .on_conflict((progress_report::task_id, progress_report::position))
            .do_update()
            .set((
                progress_report::code.eq(excluded(progress_report::code)),
                progress_report::message.eq(excluded(progress_report::message)),
                progress_report::state.eq(excluded(progress_report::state)),
                progress_report::total.eq(excluded(progress_report::total)),
                progress_report::done.eq(excluded(progress_report::done)),
                progress_report::suffix.eq(excluded(progress_report::suffix)),
            ))
            .execute(c))?;
    }
    Ok(())
}

/// The task's reports, in their order.
pub fn list(conn: &mut Connection, task: TaskId) -> Result<Vec<ProgressReport>, DbError> {
    let rows: Vec<Row> = on!(conn, c => progress_report::table
        .filter(progress_report::task_id.eq(task))
        .order(progress_report::position)
        .load(c))?;
    rows.into_iter().map(Row::read).collect()
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = progress_report)]
struct Row {
    task_id: TaskId,
    position: i32,
    code: String,
    message: String,
    state: String,
    total: Option<i64>,
    done: i64,
    suffix: Option<String>,
}

impl Row {
    fn read(self) -> Result<ProgressReport, DbError> {
        let place = "progress_report.state";
        Ok(ProgressReport {
            state: self.state.parse().map_err(DbError::corrupt::<UnknownState>(place))?,
            code: self.code,
            message: self.message,
            total: self.total.map(i64::unsigned_abs),
            done: self.done.unsigned_abs(),
            suffix: self.suffix,
        })
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        both_databases,
        task::{self, NewTask},
        testing::TestDatabase,
    };

    both_databases! {
        async fn reports_are_written_again_and_again_in_their_places(db: TestDatabase) {
            db.write(|conn| {
                let new = NewTask {
                    name: "sync".to_owned(),
                    plugin: None,
                    repository: None,
                    arguments: None,
                    owner: None,
                };
                let id = task::create(conn, &new)?;
                let mut reports: Vec<_> = ["sync.parsing.metadata", "sync.downloading.artifacts"]
                    .map(|code| ProgressReport {
                        code: code.to_owned(),
                        message: code.to_owned(),
                        state: TaskState::Running,
                        total: None,
                        done: 0,
                        suffix: Some("now".to_owned()),
                    })
                    .into();
                save(conn, id, &reports)?;
                assert_eq!(list(conn, id)?, reports);
                reports[0].done = 70_000;
                reports[0].total = Some(70_000);
                reports[0].suffix = None;
                reports[0].state = TaskState::Completed;
                reports.push(reports[1].clone());
                save(conn, id, &reports)?;
                assert_eq!(list(conn, id)?, reports);
                assert_eq!(list(conn, TaskId::new())?, []);
                Ok(())
            })
            .await
            .expect("written");
        }
    }
}
