//! Every statement that must differ between SQLite and PostgreSQL, and nothing else.
//!
//! Most of it is [`inserts`]: how a batch of rows is written. The rest are single statements below.

mod insert_row;
mod inserts;

use diesel::{
    dsl::exists,
    prelude::*,
    query_builder::SqlQuery,
    sql_query,
    sql_types::{Array, Text},
};

pub(crate) use self::inserts::{
    DigestRow, OfferRow, RemoteArtifactRow, insert_artifacts, insert_content, insert_digests,
    stage_content, upsert_alternate_artifacts, upsert_content_artifacts,
    upsert_published_artifacts, upsert_remote_artifacts,
};
use super::{Backend, Connection, connection::PgConnection, types::Uuid};
use crate::{
    RelativePath, RepositoryId,
    schema::{content_artifact, repository_content},
};

/// Keys per `IN` list (SQLite, at most 32,766 parameters) or array (PostgreSQL).
pub(crate) const KEYS_PER_QUERY: usize = 1000;

/// Statements written out, for both databases, with parameters `$1`, `$2`, … in any order.
pub(crate) trait Statements {
    /// Makes a query of `text`.
    fn statement(&self, text: &str) -> SqlQuery;

    /// A join of `unit`, the content that a row of `member` names: by key, row after row, so that a
    /// limit ends it.
    fn join_unit(&self) -> &'static str;
}

impl Statements for SqliteConnection {
    /// `$1` is a name to SQLite, numbered by its first appearance; `?1` is a number.
    fn statement(&self, text: &str) -> SqlQuery {
        sql_query(text.replace('$', "?"))
    }

    fn join_unit(&self) -> &'static str {
        "CROSS JOIN content AS unit ON unit.id = member.content_id"
    }
}

impl Statements for PgConnection {
    fn statement(&self, text: &str) -> SqlQuery {
        sql_query(text)
    }

    /// `OFFSET 0` leaves no other plan. Of a plain join it makes a merge, which reads all content up
    /// to where the page begins: 0.2 s in place of 2 ms for the last pages of a million units.
    fn join_unit(&self) -> &'static str {
        "CROSS JOIN LATERAL (SELECT * FROM content WHERE id = member.content_id OFFSET 0) AS unit"
    }
}

/// Until the transaction ends, nobody else writes to `table`; reading goes on. SQLite has one writer
/// anyway.
pub(crate) fn serialize_writers(conn: &mut Connection, table: &'static str) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(_) => Ok(()),
        Backend::Postgres(_) => {
            conn.batch_execute(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
        }
    }
}

/// Tells PostgreSQL what the tables of content hold. It looks by itself once a minute; until then it
/// plans for a few rows, and a page of a large version reads all that is left of it (2 s in place
/// of 2 ms of a million units). SQLite's plans do not depend on such figures.
pub(crate) fn gather_statistics(conn: &mut Connection) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(_) => Ok(()),
        Backend::Postgres(_) => {
            let tables = "content, content_artifact, remote_artifact, repository_content";
            conn.batch_execute(&format!("ANALYZE {tables}"))
        }
    }
}

/// A file in the latest version that lies below one of `paths` taken as directories, if any: the
/// path and the file. One index probe each.
pub(crate) fn file_below(
    conn: &mut Connection,
    repository: RepositoryId,
    paths: &[RelativePath],
) -> QueryResult<Option<(RelativePath, RelativePath)>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        path: RelativePath,
        #[diesel(sql_type = Text)]
        below: RelativePath,
    }
    match conn.backend() {
        Backend::Sqlite(c) => {
            use content_artifact as file;
            use repository_content as member;
            for path in paths {
                // `0` is the character after `/`.
                let (from, to) = (format!("{path}/"), format!("{path}0"));
                let below: Option<RelativePath> = file::table
                    .filter(file::relative_path.ge(from))
                    .filter(file::relative_path.lt(to))
                    .filter(exists(
                        member::table
                            .filter(member::repository_id.eq(repository))
                            .filter(member::content_id.eq(file::content_id))
                            .filter(member::version_removed.is_null()),
                    ))
                    .select(file::relative_path)
                    .first(c)
                    .optional()?;
                if let Some(below) = below {
                    return Ok(Some((path.clone(), below)));
                }
            }
            Ok(None)
        }
        Backend::Postgres(c) => {
            let found: Option<Found> = sql_query(
                r#"SELECT path, below
                   FROM unnest($1) AS new (path)
                   CROSS JOIN LATERAL (
                       SELECT file.relative_path AS below FROM content_artifact AS file
                       JOIN repository_content AS member
                         ON member.repository_id = $2 AND member.content_id = file.content_id
                         AND member.version_removed IS NULL
                       WHERE file.relative_path >= new.path COLLATE "C" || '/'
                         AND file.relative_path < new.path COLLATE "C" || '0'
                       LIMIT 1) AS found
                   LIMIT 1"#,
            )
            .bind::<Array<Text>, _>(paths)
            .bind::<Uuid, _>(repository)
            .get_result(c)
            .optional()?;
            Ok(found.map(|found| (found.path, found.below)))
        }
    }
}
