//! Deleting versions: squashing one into the next, and keeping only so many.
//!
//! The content of every other version stays what it was. What a deleted version alone had loses
//! its last membership and is left to an orphan cleanup.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{dsl::count_star, prelude::*, sql_types::BigInt};

use super::{Version, VersionError, VersionNumber, get, list};
use crate::{
    PublicationId, RepositoryId,
    db::{
        Connection, DbError,
        dialect::Statements as _,
        on,
        types::{JsonText, Uuid},
    },
    repository,
    schema::{content, distribution, publication, repository_content, repository_version},
};

/// Deletes a version; the next one takes over what it changed. Publications of it that no
/// distribution serves go with it.
///
/// # Errors
/// [`VersionError::NotFound`]; [`VersionError::LastVersion`] when it is the only one;
/// [`VersionError::InUse`] when a distribution serves it, or a checkpoint is made of it.
pub fn delete_version(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
) -> Result<(), DbError> {
    let name = repository::get_by_id(conn, repository)?.name;
    get(conn, repository, number)?;
    let versions = list(conn, repository)?;
    if versions.len() == 1 {
        return Err(VersionError::LastVersion { repository: name, number }.into());
    }
    if let Some(user) = protected(conn, repository)?.remove(&number) {
        return Err(VersionError::InUse { repository: name, number, user }.into());
    }
    delete_unprotected(conn, repository, number, &versions)
}

/// Deletes old versions until `keep` remain that are not protected, and returns the deleted
/// numbers. The latest stays whatever `keep` is; versions that a distribution serves, or of which a
/// checkpoint is made, stay and do not count.
pub fn retain_versions(
    conn: &mut Connection,
    repository: RepositoryId,
    keep: u32,
) -> Result<Vec<VersionNumber>, DbError> {
    let protected = protected(conn, repository)?;
    let mut versions = list(conn, repository)?;
    let latest = versions.last().map(|version| version.number);
    let surplus: Vec<VersionNumber> = versions
        .iter()
        .rev()
        .map(|version| version.number)
        .filter(|number| !protected.contains_key(number))
        .skip(keep.try_into().unwrap_or(usize::MAX))
        .filter(|number| Some(*number) != latest)
        .collect();
    for number in &surplus {
        delete_unprotected(conn, repository, *number, &versions)?;
        versions.retain(|version| version.number != *number);
    }
    Ok(surplus)
}

/// The versions that must stay, each with what needs it.
fn protected(
    conn: &mut Connection,
    repository: RepositoryId,
) -> Result<BTreeMap<VersionNumber, String>, DbError> {
    type Served = (String, Option<RepositoryId>, Option<i64>, Option<PublicationId>);
    let publications: Vec<(PublicationId, i64, bool, bool)> = on!(conn, c => publication::table
        .filter(publication::repository_id.eq(repository))
        .order((publication::version, publication::created))
        .select((
            publication::id, publication::version, publication::complete, publication::checkpoint))
        .load(c))?;
    let ids: BTreeSet<PublicationId> = publications.iter().map(|row| row.0).collect();
    let distributions: Vec<Served> = on!(conn, c => distribution::table
        .filter(distribution::repository_id.eq(repository)
            .or(distribution::publication_id.eq_any(ids)))
        .select((
            distribution::name,
            distribution::repository_id,
            distribution::version,
            distribution::publication_id,
        ))
        .load(c))?;
    let newest = publications.iter().rev().find(|(_, _, complete, _)| *complete);
    let mut protected = BTreeMap::new();
    for (id, version, _, checkpoint) in &publications {
        if *checkpoint {
            protected.insert(VersionNumber(*version), format!("checkpoint `{id}`"));
        }
    }
    for (name, _, version, publication_id) in distributions {
        let version = match (version, publication_id) {
            (Some(version), _) => Some(version),
            (None, Some(served)) => {
                publications.iter().find(|(id, ..)| *id == served).map(|row| row.1)
            }
            (None, None) => newest.map(|row| row.1),
        };
        if let Some(version) = version {
            protected.insert(VersionNumber(version), format!("distribution `{name}`"));
        }
    }
    Ok(protected)
}

fn delete_unprotected(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    versions: &[Version],
) -> Result<(), DbError> {
    let next = versions.iter().map(|version| version.number).find(|other| *other > number);
    match next {
        Some(next) => squash(conn, repository, number, next)?,
        None => undo(conn, repository, number)?,
    }
    on!(conn, c => diesel::delete(publication::table
        .filter(publication::repository_id.eq(repository))
        .filter(publication::version.eq(number.0)))
        .execute(c))?;
    on!(conn, c => diesel::delete(repository_version::table.find((repository, number.0)))
        .execute(c))?;
    match next {
        Some(next) => recount(conn, repository, next),
        // What the last sync saw led to a version that is no longer there.
        None => repository::set_last_sync(conn, repository, None),
    }
}

/// Makes the changes of version `n` part of those of the next one, `m`.
fn squash(
    conn: &mut Connection,
    repository: RepositoryId,
    n: VersionNumber,
    m: VersionNumber,
) -> QueryResult<()> {
    // Never a member of any other version.
    run(
        conn,
        repository,
        n,
        m,
        "DELETE FROM repository_content
         WHERE repository_id = $1 AND version_added = $2 AND version_removed = $3",
    )?;
    // Removed by `n`, added again by `m`: it has not been away.
    run(
        conn,
        repository,
        n,
        m,
        "UPDATE repository_content SET version_removed = (
             SELECT again.version_removed FROM repository_content AS again
             WHERE again.repository_id = $1 AND again.version_added = $3
               AND again.content_id = repository_content.content_id)
         WHERE repository_id = $1 AND version_removed = $2 AND EXISTS (
             SELECT 1 FROM repository_content AS again
             WHERE again.repository_id = $1 AND again.version_added = $3
               AND again.content_id = repository_content.content_id)",
    )?;
    run(
        conn,
        repository,
        n,
        m,
        "DELETE FROM repository_content
         WHERE repository_id = $1 AND version_added = $3 AND EXISTS (
             SELECT 1 FROM repository_content AS merged
             WHERE merged.repository_id = $1
               AND merged.content_id = repository_content.content_id
               AND merged.version_added < $2
               AND (merged.version_removed IS NULL OR merged.version_removed > $3))",
    )?;
    run(
        conn,
        repository,
        n,
        m,
        "UPDATE repository_content SET version_added = $3
         WHERE repository_id = $1 AND version_added = $2",
    )?;
    run(
        conn,
        repository,
        n,
        m,
        "UPDATE repository_content SET version_removed = $3
         WHERE repository_id = $1 AND version_removed = $2",
    )
}

/// Takes back the changes of `n`, the latest version.
fn undo(conn: &mut Connection, repository: RepositoryId, n: VersionNumber) -> QueryResult<()> {
    use repository_content as t;
    on!(conn, c => diesel::delete(t::table
        .filter(t::repository_id.eq(repository))
        .filter(t::version_added.eq(n.0)))
        .execute(c))?;
    on!(conn, c => diesel::update(t::table
        .filter(t::repository_id.eq(repository))
        .filter(t::version_removed.eq(n.0)))
        .set(t::version_removed.eq(None::<i64>))
        .execute(c))?;
    Ok(())
}

fn run(
    conn: &mut Connection,
    repository: RepositoryId,
    n: VersionNumber,
    m: VersionNumber,
    statement: &str,
) -> QueryResult<()> {
    on!(conn, c => c.statement(statement)
        .bind::<Uuid, _>(repository)
        .bind::<BigInt, _>(n.0)
        .bind::<BigInt, _>(m.0)
        .execute(c))?;
    Ok(())
}

/// Counts anew what version `number` added and removed.
fn recount(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
) -> Result<(), DbError> {
    use repository_version as t;
    let mut counts = get(conn, repository, number)?.counts;
    let members = repository_content::table
        .inner_join(content::table.on(content::id.eq(repository_content::content_id)))
        .filter(repository_content::repository_id.eq(repository))
        .group_by(content::type_name)
        .select((content::type_name, count_star()));
    let added: Vec<(String, i64)> = on!(conn, c => members
        .filter(repository_content::version_added.eq(number.0)).load(c))?;
    let removed: Vec<(String, i64)> = on!(conn, c => members
        .filter(repository_content::version_removed.eq(number.0)).load(c))?;
    let by_type = |rows: Vec<(String, i64)>| {
        rows.into_iter().map(|(name, count)| (name, count.unsigned_abs())).collect()
    };
    (counts.added, counts.removed) = (by_type(added), by_type(removed));
    let summary = JsonText::write(&counts, "repository_version.summary")?;
    on!(conn, c => diesel::update(t::table.find((repository, number.0)))
        .set(t::summary.eq(&summary)).execute(c))?;
    Ok(())
}
