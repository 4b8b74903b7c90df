//! Units that claim the same place: equal type and equal repository key in one version.
//!
//! A newly added unit takes the place of the one that has it (eviction); two staged ones cannot
//! both have it. Only pairs with a newly added unit are looked for, since the version before had
//! none: one index probe per added unit.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool},
};

use super::{Unit, VersionError, complete::Scope};
use crate::{
    ContentId, content,
    db::{Connection, DbError, dialect::Statements as _, on, types::Uuid},
};

#[derive(QueryableByName)]
struct Rivals {
    #[diesel(sql_type = Uuid)]
    unit: ContentId,
    #[diesel(sql_type = Uuid)]
    rival: ContentId,
    #[diesel(sql_type = Bool)]
    staged: bool,
}

/// Joined in this order, each by a key: `CROSS JOIN` keeps SQLite, which has no statistics, from
/// reading the whole version for each unit.
pub(super) const RIVALS: &str = "
    SELECT unit.id AS unit, rival.id AS rival, EXISTS (
        SELECT 1 FROM incomplete_version_content AS also
        WHERE also.repository_id = $1 AND also.number = $2 AND also.content_id = rival.id
    ) AS staged
    FROM incomplete_version_content AS staged
    CROSS JOIN repository_content AS fresh
    CROSS JOIN content AS unit
    CROSS JOIN content AS rival
    CROSS JOIN repository_content AS present
    WHERE staged.repository_id = $1 AND staged.number = $2
      AND fresh.repository_id = $1 AND fresh.content_id = staged.content_id
      AND fresh.version_added = $2
      AND unit.id = staged.content_id
      AND rival.repo_key = unit.repo_key AND rival.type = unit.type AND rival.id <> unit.id
      AND present.repository_id = $1 AND present.content_id = rival.id
      AND present.version_removed IS NULL";

/// The units of the latest version whose place a newly added unit takes.
pub(super) fn evicted(conn: &mut Connection, scope: Scope) -> Result<Vec<ContentId>, DbError> {
    let pairs: Vec<Rivals> = on!(conn, c => c.statement(RIVALS)
        .bind::<Uuid, _>(scope.repository)
        .bind::<BigInt, _>(scope.number.0)
        .load(c))?;
    let mut duplicates: Vec<(ContentId, ContentId)> = pairs
        .iter()
        .filter(|pair| pair.staged)
        .map(|pair| (pair.unit.min(pair.rival), pair.unit.max(pair.rival)))
        .collect();
    if !duplicates.is_empty() {
        // Of two newly added units each is the other's rival.
        duplicates.sort_unstable();
        duplicates.dedup();
        return Err(describe(conn, &duplicates)?.into());
    }
    let mut evicted: Vec<ContentId> = pairs.into_iter().map(|pair| pair.rival).collect();
    evicted.sort_unstable();
    evicted.dedup();
    Ok(evicted)
}

fn describe(
    conn: &mut Connection,
    pairs: &[(ContentId, ContentId)],
) -> Result<VersionError, DbError> {
    let (first, second) = pairs[0];
    let mut units = content::load(conn, &[first, second])?.into_iter().map(Unit::of);
    let missing = || DbError::corrupt("repository_content")("a unit that does not exist");
    let (first, second) = units.next().zip(units.next()).ok_or_else(missing)?;
    Ok(VersionError::DuplicateContent { first, second, pairs: pairs.len() as u64 })
}
