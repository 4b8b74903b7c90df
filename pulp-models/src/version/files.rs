//! The files of a version, by path: what serving and listing ask for.
//!
//! Both go by the index on the path and then ask whether the version has the unit, so their cost
//! does not depend on the size of the version. Where many repositories have files in the same
//! directory, a listing also reads past theirs.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Binary, Nullable, Text},
};

use super::VersionNumber;
use crate::{
    ContentId, RelativePath, RepositoryId, Sha256,
    db::{Connection, DbError, dialect::Statements as _, on, types::Uuid},
};

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// Whose file it is.
    pub content: ContentId,
    /// Where it lies.
    pub relative_path: RelativePath,
    /// Its bytes, if they are in the store.
    pub artifact: Option<Sha256>,
    /// Their length: that of the stored bytes, or what upstream says.
    pub size: Option<u64>,
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory, by its name.
    Directory(String),
    /// A file; its name is the last segment of its path.
    File(VersionFile),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Uuid)]
    content_id: ContentId,
    #[diesel(sql_type = Text)]
    relative_path: RelativePath,
    #[diesel(sql_type = Nullable<Binary>)]
    sha256: Option<Sha256>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
}

impl From<Row> for VersionFile {
    fn from(row: Row) -> Self {
        Self {
            content: row.content_id,
            relative_path: row.relative_path,
            artifact: row.sha256,
            size: row.size.map(i64::unsigned_abs),
        }
    }
}

const SELECT: &str = "SELECT file.content_id, file.relative_path, file.sha256, coalesce(
         (SELECT artifact.size FROM artifact WHERE artifact.sha256 = file.sha256),
         (SELECT source.size FROM remote_artifact AS source
          WHERE source.content_id = file.content_id
            AND source.relative_path = file.relative_path AND source.size IS NOT NULL
          LIMIT 1)) AS size
     FROM content_artifact AS file";

const IN_VERSION: &str = "EXISTS (
         SELECT 1 FROM repository_content AS member
         WHERE member.repository_id = $1 AND member.content_id = file.content_id
           AND member.version_added <= $2
           AND (member.version_removed IS NULL OR member.version_removed > $2))";

/// The file of the version at `path`. Where conflicting paths were allowed and several units have
/// the path, the newest unit's.
pub fn find_file(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    path: &RelativePath,
) -> Result<Option<VersionFile>, DbError> {
    let text = format!(
        "{SELECT} WHERE {IN_VERSION} AND file.relative_path = $3
         ORDER BY file.content_id DESC LIMIT 1"
    );
    let row: Option<Row> = on!(conn, c => c.statement(&text)
        .bind::<Uuid, _>(repository)
        .bind::<BigInt, _>(number.0)
        .bind::<Text, _>(path)
        .get_result(c)
        .optional())?;
    Ok(row.map(VersionFile::from))
}

/// Files read at once; more than a typical directory holds.
const PAGE: u32 = 500;

/// What the directory holds, sorted by path, without what lies deeper. `None` is the top. Empty
/// when the version has no such directory.
///
/// Reads one page of files, and one more for each further page of files directly inside or each
/// subdirectory that fills one: what lies inside of subdirectories is skipped, not read.
pub fn list_directory(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    directory: Option<&RelativePath>,
) -> Result<Vec<Entry>, DbError> {
    let prefix = directory.map(|path| format!("{path}/")).unwrap_or_default();
    // `0` is the character after `/`; U+10FFFF begins no path that is read first.
    let end = directory.map_or_else(|| "\u{10ffff}".to_owned(), |path| format!("{path}0"));
    let mut entries: Vec<Entry> = Vec::new();
    let mut from = prefix.clone();
    loop {
        let rows = files_between(conn, repository, number, &from, &end)?;
        let full = rows.len() == PAGE as usize;
        let Some(last) = rows.last().map(|row| row.relative_path.clone()) else { break };
        for row in rows {
            let inside = &row.relative_path.as_str()[prefix.len()..];
            match inside.split_once('/') {
                None => push_file(&mut entries, row.into()),
                Some((name, _)) => {
                    if !matches!(entries.last(), Some(Entry::Directory(last)) if last == name) {
                        entries.push(Entry::Directory(name.to_owned()));
                    }
                }
            }
        }
        if !full {
            break;
        }
        from = match entries.last() {
            Some(Entry::Directory(name)) => format!("{prefix}{name}0"),
            // The next possible path in byte order.
            _ => format!("{last}\u{1}"),
        };
    }
    Ok(entries)
}

/// Of several units with one path the newest is listed, as it is served.
fn push_file(entries: &mut Vec<Entry>, file: VersionFile) {
    match entries.last_mut() {
        Some(Entry::File(last)) if last.relative_path == file.relative_path => *last = file,
        _ => entries.push(Entry::File(file)),
    }
}

fn files_between(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    from: &str,
    end: &str,
) -> QueryResult<Vec<Row>> {
    let text = format!(
        "{SELECT} WHERE {IN_VERSION} AND file.relative_path >= $3 AND file.relative_path < $4
         ORDER BY file.relative_path, file.content_id LIMIT $5"
    );
    on!(conn, c => c.statement(&text)
        .bind::<Uuid, _>(repository)
        .bind::<BigInt, _>(number.0)
        .bind::<Text, _>(from)
        .bind::<Text, _>(end)
        .bind::<BigInt, _>(i64::from(PAGE))
        .load(c))
}
