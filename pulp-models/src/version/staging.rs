//! What a running sync has seen, before it is a version.

use diesel::prelude::*;

use super::VersionNumber;
use crate::{
    ContentId, RepositoryId,
    db::{Connection, DbError, dialect, on},
    repository,
    schema::incomplete_version_content,
};

/// Sweeps away what an interrupted sync of this repository has staged, and says which number the
/// next version gets. Only the holder of the repository's lock may call it: the rows of a running
/// sync look the same.
pub fn begin(conn: &mut Connection, repository: RepositoryId) -> Result<VersionNumber, DbError> {
    use incomplete_version_content as staged;
    let next = repository::get_by_id(conn, repository)?.next_version;
    on!(conn, c => diesel::delete(staged::table.filter(staged::repository_id.eq(repository)))
        .execute(c))?;
    Ok(next)
}

/// Adds units to what will be version `number`. Staging a unit again changes nothing.
pub fn stage_content(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    units: &[ContentId],
) -> Result<(), DbError> {
    let mut units = units.to_vec();
    units.sort_unstable();
    units.dedup();
    dialect::stage_content(conn, repository, number, &units)?;
    Ok(())
}

/// Forgets what was staged for version `number`.
pub(super) fn clear(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
) -> QueryResult<()> {
    use incomplete_version_content as staged;
    on!(conn, c => diesel::delete(staged::table
        .filter(staged::repository_id.eq(repository))
        .filter(staged::number.eq(number.0)))
        .execute(c))?;
    Ok(())
}
