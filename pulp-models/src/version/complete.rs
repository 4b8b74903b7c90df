//! The single transaction that makes a version of what was staged.
//!
//! All of it is set difference in SQL, between the staged units and the units that no version has
//! removed (those of the latest). Before it stands a sync that has ended well, after it retention
//! and publishing. Statements are the same on both databases, and each changes a
//! [slice](staging::Slice) of the version.

use std::collections::{BTreeMap, HashSet};

use diesel::{
    dsl::count_star,
    prelude::*,
    sql_types::{BigInt, Text},
};

use super::{Counts, VersionError, VersionNumber, conflicts, latest, paths, staging, write};
use crate::{
    ContentId, RepositoryId, Timestamp,
    db::{
        Connection, DbError,
        dialect::{self, Statements as _},
        on,
        types::Uuid,
    },
    repository,
    schema::{
        content, incomplete_version_content, repository as repository_table, repository_content,
    },
};

/// What becomes of the units that are in the repository and were not staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They stay, except where a newly added unit takes their place (equal repository key).
    Additive,
    /// They go: the new version holds exactly what was staged.
    Mirror,
}

/// How to make a version of what was staged.
#[derive(Debug, Clone)]
pub struct Completion {
    /// What becomes of units that were not staged.
    pub mode: Mode,
    /// The version to start from, when it is not the latest. A mirror starts from nothing.
    pub base: Option<VersionNumber>,
    /// Units to leave out, unless they were staged.
    pub remove: Vec<ContentId>,
    /// Whether two units may have the same path, or one's file be the other's directory.
    pub conflicting_paths: bool,
}

impl Completion {
    /// What was staged is added to the latest version; paths may not conflict.
    pub fn new(mode: Mode) -> Self {
        Self { mode, base: None, remove: Vec::new(), conflicting_paths: false }
    }
}

/// A version just completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionSummary {
    /// Its number.
    pub number: VersionNumber,
    /// Units that the version before did not have.
    pub added: u64,
    /// Units that only the version before had.
    pub removed: u64,
    /// Units in it.
    pub present: u64,
}

/// Completes version `number` of what was staged for it, or makes no version when it would equal
/// the latest; the number then stays free. What was staged is gone either way.
///
/// Changes as many rows as units differ from the latest version (reads all of them when mirroring).
///
/// # Errors
/// [`VersionError::DuplicateContent`] when two staged units have equal repository keys and
/// [`VersionError::PathConflict`]; [`VersionError::NotNext`] when somebody else completed a version
/// meanwhile. The caller's transaction then has to be rolled back.
pub fn complete_version(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    how: &Completion,
) -> Result<Option<VersionSummary>, DbError> {
    let row = repository::get_by_id(conn, repository)?;
    if row.next_version != number {
        let next = row.next_version;
        return Err(VersionError::NotNext { repository: row.name, number, next }.into());
    }
    let previous = latest(conn, repository)?;
    let scope = Scope { repository, number };
    let dropped = scope.unstaged(conn, &how.remove)?;
    let mut mode = how.mode;
    if let (Mode::Additive, Some(base)) = (how.mode, how.base)
        && base != previous
    {
        super::get(conn, repository, base)?;
        scope.stage_base(conn, base, &dropped)?;
        mode = Mode::Mirror;
    }

    let added = scope.add(conn)?;
    let mut gone = match mode {
        Mode::Mirror => scope.remove_unstaged(conn)?,
        Mode::Additive => scope.remove_listed(conn, &dropped)?,
    };
    if added > 0 {
        let evicted = conflicts::evicted(conn, scope)?;
        gone.add(scope.remove_listed(conn, &evicted)?);
        if !how.conflicting_paths {
            paths::check(conn, scope)?;
        }
    }
    let removed = gone.count;
    let summary = if added == 0 && removed == 0 {
        None
    } else {
        let counts = scope.counts(conn, previous, gone.by_type)?;
        write(conn, repository, number, &counts)?;
        on!(conn, c => diesel::update(repository_table::table.find(repository))
            .set((
                repository_table::next_version.eq(number.next().0),
                repository_table::updated.eq(Timestamp::now()),
            ))
            .execute(c))?;
        Some(VersionSummary { number, added, removed, present: counts.total() })
    };
    staging::clear(conn, repository, number)?;
    if added + removed >= MANY {
        dialect::gather_statistics(conn)?;
    }
    Ok(summary)
}

/// Units whose coming or going the database is told of at once; few in tests.
const MANY: u64 = if cfg!(test) { 20 } else { 5000 };

/// A subquery of one row is a probe by key for each unit, on both databases. PostgreSQL would make a
/// join of `NOT EXISTS`, and compare each unit with all others: of what one transaction has written
/// it has no statistics and expects a single row.
pub(super) const ADD: &str = "
    INSERT INTO repository_content (repository_id, content_id, version_added)
    SELECT repository_id, content_id, number FROM incomplete_version_content AS staged
    WHERE repository_id = $1 AND number = $2 AND content_id > $3 AND content_id <= $4
      AND (SELECT 1 FROM repository_content AS old
           WHERE old.repository_id = $1 AND old.content_id = staged.content_id
             AND old.version_removed IS NULL LIMIT 1) IS NULL
    ORDER BY content_id";

/// For the subquery see [`ADD`].
pub(super) const REMOVE_UNSTAGED: &str = "
    UPDATE repository_content SET version_removed = $1
    WHERE repository_id = $2 AND version_removed IS NULL AND version_added < $1
      AND content_id > $3 AND content_id <= $4
      AND (SELECT 1 FROM incomplete_version_content AS staged
           WHERE staged.repository_id = $2 AND staged.number = $1
             AND staged.content_id = repository_content.content_id LIMIT 1) IS NULL";

const ADDED_BY_TYPE: &str = "
    SELECT unit.type AS type_name, count(*) AS units
    FROM incomplete_version_content AS staged
    JOIN repository_content AS fresh
      ON fresh.repository_id = $1 AND fresh.content_id = staged.content_id
      AND fresh.version_added = $2
    JOIN content AS unit ON unit.id = staged.content_id
    WHERE staged.repository_id = $1 AND staged.number = $2
      AND staged.content_id > $3 AND staged.content_id <= $4
    GROUP BY unit.type";

/// For the order of the joins see [`conflicts::RIVALS`].
pub(super) const STAGE_BASE: &str = "
    INSERT INTO incomplete_version_content (repository_id, number, content_id)
    SELECT repository_id, $1, content_id FROM repository_content AS old
    WHERE repository_id = $2 AND version_added <= $3
      AND (version_removed IS NULL OR version_removed > $3)
      AND content_id > $4 AND content_id <= $5
      AND NOT EXISTS (
          SELECT 1 FROM content AS unit
          CROSS JOIN content AS rival
          CROSS JOIN incomplete_version_content AS staged
          WHERE unit.id = old.content_id
            AND rival.repo_key = unit.repo_key AND rival.type = unit.type AND rival.id <> unit.id
            AND staged.repository_id = $2 AND staged.number = $1 AND staged.content_id = rival.id)
    ORDER BY content_id
    ON CONFLICT DO NOTHING";

/// A repository and the version that is being completed.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    pub(super) repository: RepositoryId,
    pub(super) number: VersionNumber,
}

impl Scope {
    /// Those of `units` that were not staged, in order.
    fn unstaged(self, conn: &mut Connection, units: &[ContentId]) -> QueryResult<Vec<ContentId>> {
        use incomplete_version_content as staged;
        let mut units = units.to_vec();
        units.sort_unstable();
        units.dedup();
        for chunk in units.clone().chunks(dialect::KEYS_PER_QUERY) {
            let found: Vec<ContentId> = on!(conn, c => staged::table
                .filter(staged::repository_id.eq(self.repository))
                .filter(staged::number.eq(self.number.0))
                .filter(staged::content_id.eq_any(chunk))
                .select(staged::content_id)
                .load(c))?;
            let found: HashSet<ContentId> = found.into_iter().collect();
            units.retain(|unit| !found.contains(unit));
        }
        Ok(units)
    }

    /// Stages the units of an older version except `dropped`, as far as nothing staged takes their
    /// place.
    fn stage_base(
        self,
        conn: &mut Connection,
        base: VersionNumber,
        dropped: &[ContentId],
    ) -> QueryResult<()> {
        use incomplete_version_content as staged;
        staging::slices_of_members(conn, self.repository, |conn, slice| {
            on!(conn, c => c.statement(STAGE_BASE)
                .bind::<BigInt, _>(self.number.0)
                .bind::<Uuid, _>(self.repository)
                .bind::<BigInt, _>(base.0)
                .bind::<Uuid, _>(slice.after)
                .bind::<Uuid, _>(slice.last)
                .execute(c))?;
            Ok(())
        })?;
        for chunk in dropped.chunks(dialect::KEYS_PER_QUERY) {
            on!(conn, c => diesel::delete(staged::table
                .filter(staged::repository_id.eq(self.repository))
                .filter(staged::number.eq(self.number.0))
                .filter(staged::content_id.eq_any(chunk)))
                .execute(c))?;
        }
        Ok(())
    }

    /// Adds the staged units that the latest version does not have.
    fn add(self, conn: &mut Connection) -> QueryResult<u64> {
        let mut count = 0;
        staging::slices_of_staged(conn, self.repository, self.number, |conn, slice| {
            count += on!(conn, c => c.statement(ADD)
                .bind::<Uuid, _>(self.repository)
                .bind::<BigInt, _>(self.number.0)
                .bind::<Uuid, _>(slice.after)
                .bind::<Uuid, _>(slice.last)
                .execute(c))?;
            Ok(())
        })?;
        Ok(count as u64)
    }

    /// Removes the units of the latest version that were not staged.
    fn remove_unstaged(self, conn: &mut Connection) -> QueryResult<Removed> {
        let mut count = 0;
        staging::slices_of_members(conn, self.repository, |conn, slice| {
            count += on!(conn, c => c.statement(REMOVE_UNSTAGED)
                .bind::<BigInt, _>(self.number.0)
                .bind::<Uuid, _>(self.repository)
                .bind::<Uuid, _>(slice.after)
                .bind::<Uuid, _>(slice.last)
                .execute(c))?;
            Ok(())
        })?;
        if count == 0 {
            return Ok(Removed::default());
        }
        let rows: Vec<(String, i64)> = on!(conn, c => repository_content::table
            .inner_join(content::table.on(content::id.eq(repository_content::content_id)))
            .filter(repository_content::repository_id.eq(self.repository))
            .filter(repository_content::version_removed.eq(self.number.0))
            .group_by(content::type_name)
            .select((content::type_name, count_star()))
            .load(c))?;
        Ok(Removed { count: count as u64, by_type: by_type(rows) })
    }

    /// Removes those of `units` that the latest version has.
    fn remove_listed(self, conn: &mut Connection, units: &[ContentId]) -> QueryResult<Removed> {
        use repository_content as t;
        let mut removed = Removed::default();
        for chunk in units.chunks(dialect::KEYS_PER_QUERY) {
            let present: Vec<(ContentId, String)> = on!(conn, c => t::table
                .inner_join(content::table.on(content::id.eq(t::content_id)))
                .filter(t::repository_id.eq(self.repository))
                .filter(t::content_id.eq_any(chunk))
                .filter(t::version_removed.is_null())
                .select((t::content_id, content::type_name))
                .load(c))?;
            for (_, type_name) in &present {
                *removed.by_type.entry(type_name.clone()).or_default() += 1;
            }
            let present: Vec<ContentId> = present.into_iter().map(|(unit, _)| unit).collect();
            removed.count += on!(conn, c => diesel::update(t::table
                .filter(t::repository_id.eq(self.repository))
                .filter(t::content_id.eq_any(&present))
                .filter(t::version_removed.is_null()))
                .set(t::version_removed.eq(self.number.0))
                .execute(c))? as u64;
        }
        Ok(removed)
    }

    /// What the new version holds and changed, from the one before and the difference.
    fn counts(
        self,
        conn: &mut Connection,
        previous: VersionNumber,
        removed: BTreeMap<String, u64>,
    ) -> Result<Counts, DbError> {
        let mut present = super::get(conn, self.repository, previous)?.counts.present;
        let mut added = BTreeMap::new();
        staging::slices_of_staged(conn, self.repository, self.number, |conn, slice| {
            let rows: Vec<TypeCount> = on!(conn, c => c.statement(ADDED_BY_TYPE)
                .bind::<Uuid, _>(self.repository)
                .bind::<BigInt, _>(self.number.0)
                .bind::<Uuid, _>(slice.after)
                .bind::<Uuid, _>(slice.last)
                .load(c))?;
            for (type_name, count) in
                by_type(rows.into_iter().map(|row| (row.type_name, row.units)))
            {
                *added.entry(type_name).or_default() += count;
            }
            Ok(())
        })?;
        for (type_name, count) in &added {
            *present.entry(type_name.clone()).or_default() += count;
        }
        for (type_name, count) in &removed {
            let left = present.entry(type_name.clone()).or_default();
            *left = left.saturating_sub(*count);
        }
        present.retain(|_, count| *count > 0);
        Ok(Counts { added, removed, present })
    }
}

/// Units that a version no longer has.
#[derive(Default)]
struct Removed {
    count: u64,
    by_type: BTreeMap<String, u64>,
}

impl Removed {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        for (type_name, count) in other.by_type {
            *self.by_type.entry(type_name).or_default() += count;
        }
    }
}

#[derive(QueryableByName)]
struct TypeCount {
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = BigInt)]
    units: i64,
}

fn by_type(rows: impl IntoIterator<Item = (String, i64)>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|(type_name, count)| (type_name, count.unsigned_abs())).collect()
}
