//! What a running sync has seen, before it is a version.

use diesel::prelude::*;

use super::VersionNumber;
use crate::{
    ContentId, RepositoryId,
    db::{Connection, DbError, dialect, on},
    repository,
    schema::{incomplete_version_content, repository_content},
};

/// Sweeps away what an interrupted sync of this repository has staged, and says which number the
/// next version gets. Only the holder of the repository's lock may call it: the rows of a running
/// sync look the same.
pub fn begin(conn: &mut Connection, repository: RepositoryId) -> Result<VersionNumber, DbError> {
    use incomplete_version_content as staged;
    let next = repository::get_by_id(conn, repository)?.next_version;
    loop {
        let left: Option<VersionNumber> = on!(conn, c => staged::table
            .filter(staged::repository_id.eq(repository))
            .select(staged::number)
            .first::<i64>(c)
            .optional())?
        .map(VersionNumber);
        match left {
            Some(number) => clear(conn, repository, number)?,
            None => return Ok(next),
        }
    }
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
    slices_of_staged(conn, repository, number, |conn, slice| {
        on!(conn, c => diesel::delete(staged::table
            .filter(staged::repository_id.eq(repository))
            .filter(staged::number.eq(number.0))
            .filter(staged::content_id.gt(slice.after))
            .filter(staged::content_id.le(slice.last)))
            .execute(c))?;
        Ok(())
    })
}

/// Units whose ids lie in a range: as many as one statement is to change. SQLite keeps in memory
/// what it needs to take a statement back, so a statement for a whole version would take memory in
/// proportion to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    /// Below all of them.
    pub(super) after: ContentId,
    /// The last one, or above it.
    pub(super) last: ContentId,
}

/// Units of one slice; few in tests, so that they have several.
const SLICE: i64 = if cfg!(test) { 3 } else { 50_000 };

/// Calls `f` for each slice of what is staged for version `number`, in order.
pub(super) fn slices_of_staged(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    f: impl FnMut(&mut Connection, Slice) -> QueryResult<()>,
) -> QueryResult<()> {
    use incomplete_version_content as staged;
    let end = |conn: &mut Connection, after: ContentId| {
        on!(conn, c => staged::table
            .filter(staged::repository_id.eq(repository))
            .filter(staged::number.eq(number.0))
            .filter(staged::content_id.gt(after))
            .order(staged::content_id)
            .select(staged::content_id)
            .offset(SLICE - 1)
            .first(c)
            .optional())
    };
    slices(conn, end, f)
}

/// Calls `f` for each slice of all units that any version of the repository has, in order.
pub(super) fn slices_of_members(
    conn: &mut Connection,
    repository: RepositoryId,
    f: impl FnMut(&mut Connection, Slice) -> QueryResult<()>,
) -> QueryResult<()> {
    use repository_content as member;
    let end = |conn: &mut Connection, after: ContentId| {
        on!(conn, c => member::table
            .filter(member::repository_id.eq(repository))
            .filter(member::content_id.gt(after))
            .order(member::content_id)
            .select(member::content_id)
            .offset(SLICE - 1)
            .first(c)
            .optional())
    };
    slices(conn, end, f)
}

fn slices(
    conn: &mut Connection,
    end: impl Fn(&mut Connection, ContentId) -> QueryResult<Option<ContentId>>,
    mut f: impl FnMut(&mut Connection, Slice) -> QueryResult<()>,
) -> QueryResult<()> {
    let mut after = ContentId::from(uuid::Uuid::nil());
    while let Some(last) = end(conn, after)? {
        f(conn, Slice { after, last })?;
        after = last;
    }
    f(conn, Slice { after, last: ContentId::from(uuid::Uuid::max()) })
}
