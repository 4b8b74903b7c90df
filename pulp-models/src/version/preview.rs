//! What completing a version would do, without doing it.

use super::{Completion, VersionNumber, VersionSummary, complete_version};
use crate::{
    RepositoryId,
    db::{Connection, DbError},
};

/// Says what [`complete_version`] would, undoes it, and forgets what was staged.
pub fn preview_version(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    how: &Completion,
) -> Result<Option<VersionSummary>, DbError> {
    conn.batch_execute("SAVEPOINT preview")?;
    let summary = complete_version(conn, repository, number, how)?;
    conn.batch_execute("ROLLBACK TO SAVEPOINT preview; RELEASE SAVEPOINT preview")?;
    super::staging::clear(conn, repository, number)?;
    Ok(summary)
}
