//! Paths that cannot stand in one version: the same path with other bytes, or `a/b` beside
//! `a/b/c`.
//!
//! Only files of newly added units are looked at, since the version before had no conflict. Among
//! themselves they are compared by the hashes of their paths and directories, eight bytes each; with
//! the rest of the version by index probes, in proportion to what was added. What looks like a
//! conflict is then looked up exactly, so no verdict rests on a hash.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text},
};

use super::{VersionError, complete::Scope};
use crate::{
    ContentId, RelativePath, Sha256,
    db::{
        Connection, DbError,
        dialect::{self, KEYS_PER_QUERY, Statements as _},
        on,
        types::Uuid,
    },
    schema::{content_artifact, repository_content},
};

/// How many units' files are read at once.
const PAGE: i64 = 1000;

/// Fails on the first conflict between a file of a newly added unit and any file of the version.
pub(super) fn check(conn: &mut Connection, scope: Scope) -> Result<(), DbError> {
    let others = has_others(conn, scope)?;
    let hasher = RandomState::new();
    // A sorted list takes half of a set's memory; directories are few.
    let (mut files, mut directories) = (Vec::new(), HashSet::new());
    each_page(conn, scope, |conn, page| {
        let mut new_directories = Vec::new();
        for path in &page {
            files.push(hasher.hash_one(path.as_str()));
            for directory in ancestors(path.as_str()) {
                // The ancestors of a directory that was seen were seen with it.
                if !directories.insert(hasher.hash_one(directory)) {
                    break;
                }
                new_directories.push(directory.to_owned());
            }
        }
        if others {
            check_directories(conn, scope, &new_directories, &page)?;
            check_below(conn, scope, &page)?;
            check_equal(conn, scope, &page)?;
        }
        Ok(())
    })?;
    files.sort_unstable();
    let twice = files.windows(2).filter(|pair| pair[0] == pair[1]);
    let twice: HashSet<u64> = twice.map(|pair| pair[0]).collect();
    directories.retain(|directory| files.binary_search(directory).is_ok());
    if twice.is_empty() && directories.is_empty() {
        return Ok(());
    }
    each_page(conn, scope, |conn, page| {
        let suspects = |hashes: &HashSet<u64>| -> Vec<RelativePath> {
            let is_one = |path: &&RelativePath| hashes.contains(&hasher.hash_one(path.as_str()));
            page.iter().filter(is_one).cloned().collect()
        };
        check_equal(conn, scope, &suspects(&twice))?;
        check_below(conn, scope, &suspects(&directories))
    })
}

/// Everything above `path`, nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..at])
}

/// Whether the version has units that are not new.
fn has_others(conn: &mut Connection, scope: Scope) -> QueryResult<bool> {
    use repository_content as t;
    on!(conn, c => diesel::select(exists(t::table
        .filter(t::repository_id.eq(scope.repository))
        .filter(t::version_removed.is_null())
        .filter(t::version_added.lt(scope.number.0))))
        .get_result(c))
}

/// A page of the newly added units. For the subquery see [`ADD`](super::complete::ADD).
pub(super) const ADDED_PAGE: &str = "
    SELECT staged.content_id FROM incomplete_version_content AS staged
    WHERE staged.repository_id = $1 AND staged.number = $2 AND staged.content_id > $3
      AND (SELECT 1 FROM repository_content AS fresh
           WHERE fresh.repository_id = $1 AND fresh.version_added = $2
             AND fresh.content_id = staged.content_id LIMIT 1) IS NOT NULL
    ORDER BY staged.content_id LIMIT $4";

/// Hands the files of the newly added units to `f`, those of a page of units at a time.
fn each_page(
    conn: &mut Connection,
    scope: Scope,
    mut f: impl FnMut(&mut Connection, Vec<RelativePath>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Uuid)]
        content_id: ContentId,
    }
    let mut after = ContentId::from(uuid::Uuid::nil());
    loop {
        let rows: Vec<Row> = on!(conn, c => c.statement(ADDED_PAGE)
            .bind::<Uuid, _>(scope.repository)
            .bind::<BigInt, _>(scope.number.0)
            .bind::<Uuid, _>(after)
            .bind::<BigInt, _>(PAGE)
            .load(c))?;
        let units: Vec<ContentId> = rows.into_iter().map(|row| row.content_id).collect();
        let Some(last) = units.last() else { return Ok(()) };
        after = *last;
        let page = on!(conn, c => content_artifact::table
            .filter(content_artifact::content_id.eq_any(&units))
            .select(content_artifact::relative_path)
            .load(c))?;
        f(conn, page)?;
    }
}

/// No file of the version may be one of these directories; `page` are the files inside them.
fn check_directories(
    conn: &mut Connection,
    scope: Scope,
    directories: &[String],
    page: &[RelativePath],
) -> Result<(), DbError> {
    use content_artifact as file;
    use repository_content as member;
    for chunk in directories.chunks(KEYS_PER_QUERY) {
        let found: Option<RelativePath> = on!(conn, c => file::table
            .filter(file::relative_path.eq_any(chunk))
            .filter(exists(member::table
                .filter(member::repository_id.eq(scope.repository))
                .filter(member::content_id.eq(file::content_id))
                .filter(member::version_removed.is_null())))
            .select(file::relative_path)
            .first(c)
            .optional())?;
        if let Some(second) = found {
            let inside = |path: &&RelativePath| {
                path.as_str()
                    .strip_prefix(second.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            let first = page.iter().find(inside).unwrap_or(&second).clone();
            return Err(VersionError::PathConflict { first, second }.into());
        }
    }
    Ok(())
}

fn check_below(conn: &mut Connection, scope: Scope, paths: &[RelativePath]) -> Result<(), DbError> {
    match dialect::file_below(conn, scope.repository, paths)? {
        None => Ok(()),
        Some((first, second)) => Err(VersionError::PathConflict { first, second }.into()),
    }
}

/// No two units of the version may have one of these paths, unless with the same bytes.
fn check_equal(conn: &mut Connection, scope: Scope, paths: &[RelativePath]) -> Result<(), DbError> {
    use content_artifact as file;
    use repository_content as member;
    for chunk in paths.chunks(KEYS_PER_QUERY) {
        let found: Vec<(ContentId, RelativePath, Option<Sha256>)> = on!(conn, c => file::table
            .filter(file::relative_path.eq_any(chunk))
            .filter(exists(member::table
                .filter(member::repository_id.eq(scope.repository))
                .filter(member::content_id.eq(file::content_id))
                .filter(member::version_removed.is_null())))
            .select((file::content_id, file::relative_path, file::sha256))
            .load(c))?;
        let mut by_path: BTreeMap<RelativePath, Vec<(ContentId, Option<Sha256>)>> = BTreeMap::new();
        for (content, path, sha256) in found {
            by_path.entry(path).or_default().push((content, sha256));
        }
        for (path, files) in by_path {
            if files.len() > 1 && !same_bytes(conn, &path, &files)? {
                let (first, second) = (path.clone(), path);
                return Err(VersionError::PathConflict { first, second }.into());
            }
        }
    }
    Ok(())
}

/// Bytes that are not stored are what their first source says they must be.
fn same_bytes(
    conn: &mut Connection,
    path: &RelativePath,
    files: &[(ContentId, Option<Sha256>)],
) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Binary>)]
        sha256: Option<Sha256>,
    }
    let mut all = HashSet::new();
    for (content, sha256) in files {
        let sha256 = match sha256 {
            Some(sha256) => Some(*sha256),
            None => on!(conn, c => c.statement(
                "SELECT sha256 FROM remote_artifact
                 WHERE content_id = $1 AND relative_path = $2
                 ORDER BY position, remote_id LIMIT 1")
                .bind::<Uuid, _>(content)
                .bind::<Text, _>(path)
                .get_result::<Row>(c)
                .optional())?
            .and_then(|row| row.sha256),
        };
        let Some(sha256) = sha256 else { return Ok(false) };
        all.insert(sha256);
    }
    Ok(all.len() == 1)
}
