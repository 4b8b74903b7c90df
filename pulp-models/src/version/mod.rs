//! Repository versions: immutable sets of content, numbered from 0, numbers never reused.
//!
//! A version is made in two steps. What a sync has seen is staged ([`begin`], [`stage_content`]),
//! which no reader notices; one transaction ([`complete_version`]) then turns the difference to the
//! version before into the new version, or into nothing when there is none. Whoever calls these
//! holds the repository's lock.
//!
//! `repository_content` keeps, per unit, the version that added it and the one that removed it; so
//! a version costs what it changes, and its content is `added ≤ N and not removed ≤ N`. Only
//! complete versions are in there, hence "not removed at all" means "in the latest".

mod complete;
mod conflicts;
mod deletion;
mod error;
mod files;
mod listing;
mod number;
mod paths;
mod preview;
mod staging;

use std::collections::BTreeMap;

use diesel::{dsl::max, prelude::*};
use serde::{Deserialize, Serialize};

pub use self::{
    complete::{Completion, Mode, VersionSummary, complete_version},
    deletion::{delete_version, retain_versions},
    error::{Unit, VersionError},
    files::{Entry, VersionFile, find_file, list_directory},
    listing::{Change, Columns, at_repo_key, contains, diff, ids, page},
    number::VersionNumber,
    preview::preview_version,
    staging::{begin, stage_content},
};
use crate::{
    RepositoryId, Timestamp,
    db::{Connection, DbError, on, types::JsonText},
    repository,
    schema::repository_version,
};

/// A complete version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: VersionNumber,
    /// When it was completed.
    pub created: Timestamp,
    /// How much it holds and changed.
    pub counts: Counts,
}

/// Numbers of units by content type; a type without any is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// In this version and not in the one before.
    pub added: BTreeMap<String, u64>,
    /// In the version before and not in this one.
    pub removed: BTreeMap<String, u64>,
    /// In this version.
    pub present: BTreeMap<String, u64>,
}

impl Counts {
    /// Units in this version, of all types.
    pub fn total(&self) -> u64 {
        self.present.values().sum()
    }
}

type Row = (i64, Timestamp, JsonText);

fn read((number, created, summary): Row) -> Result<Version, DbError> {
    let counts = summary.read("repository_version.summary")?;
    Ok(Version { number: VersionNumber(number), created, counts })
}

/// The repository's complete versions, oldest first.
pub fn list(conn: &mut Connection, repository: RepositoryId) -> Result<Vec<Version>, DbError> {
    use repository_version as t;
    let rows: Vec<Row> = on!(conn, c => t::table
        .filter(t::repository_id.eq(repository))
        .order(t::number)
        .select((t::number, t::created, t::summary))
        .load(c))?;
    rows.into_iter().map(read).collect()
}

/// One complete version.
pub fn get(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
) -> Result<Version, DbError> {
    use repository_version as t;
    let row: Option<Row> = on!(conn, c => t::table
        .find((repository, number.0))
        .select((t::number, t::created, t::summary))
        .first(c)
        .optional())?;
    if let Some(row) = row {
        return read(row);
    }
    let repository = repository::get_by_id(conn, repository)?.name;
    Err(VersionError::NotFound { repository, number }.into())
}

/// The number of the newest complete version.
pub fn latest(conn: &mut Connection, repository: RepositoryId) -> Result<VersionNumber, DbError> {
    use repository_version as t;
    let number: Option<i64> = on!(conn, c => t::table
        .filter(t::repository_id.eq(repository))
        .select(max(t::number))
        .first(c))?;
    // Every repository has at least one.
    number.map(VersionNumber).ok_or_else(|| DbError::not_found(repository::KIND, &repository))
}

/// Makes the empty version 0 of a new repository.
pub(crate) fn create_first(conn: &mut Connection, repository: RepositoryId) -> Result<(), DbError> {
    write(conn, repository, VersionNumber(0), &Counts::default())
}

fn write(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    counts: &Counts,
) -> Result<(), DbError> {
    use repository_version as t;
    let summary = JsonText::write(counts, "repository_version.summary")?;
    on!(conn, c => diesel::insert_into(t::table)
        .values((
            t::repository_id.eq(repository),
            t::number.eq(number.0),
            t::created.eq(Timestamp::now()),
            t::summary.eq(&summary),
        ))
        .execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests;
