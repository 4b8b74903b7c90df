//! Reading the content of a version, in pages, and the difference of two.
//!
//! Pages are ordered by content id, so the last id of one page is where the next begins. A version
//! is immutable: pages read in different transactions belong together.

use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{BigInt, Binary, Integer, Nullable, Text},
};

use super::VersionNumber;
use crate::{
    ContentId, Key, RepositoryId,
    content::StoredContent,
    db::{
        Connection, DbError,
        dialect::Statements as _,
        on,
        types::{JsonText, Uuid},
    },
    schema::repository_content,
};

/// Which of a unit's columns to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Id, type and natural key; `metadata` is empty and `raw` absent.
    Keys,
    /// Also the metadata.
    Metadata,
    /// Also upstream's exact bytes.
    All,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Uuid)]
    id: ContentId,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Binary)]
    natural_key: Key,
    #[diesel(sql_type = Nullable<crate::db::types::Json>)]
    metadata: Option<JsonText>,
    #[diesel(sql_type = Nullable<Binary>)]
    raw: Option<Vec<u8>>,
}

impl From<Row> for StoredContent {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            type_name: row.type_name,
            natural_key: row.natural_key,
            metadata: row.metadata.map(|text| text.0).unwrap_or_default(),
            raw: row.raw,
        }
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Uuid)]
    content_id: ContentId,
}

/// At most `limit` units of the version, of one type or of all, after the unit `after`.
pub fn page(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    type_name: Option<&str>,
    columns: Columns,
    after: Option<ContentId>,
    limit: u32,
) -> Result<Vec<StoredContent>, DbError> {
    let text = page_of(columns, on!(conn, c => c.join_unit()));
    let rows: Vec<Row> = on!(conn, c => c.statement(&text)
        .bind::<Uuid, _>(repository)
        .bind::<Uuid, _>(start(after))
        .bind::<BigInt, _>(number.0)
        .bind::<Nullable<Text>, _>(type_name)
        .bind::<BigInt, _>(i64::from(limit))
        .load(c))?;
    Ok(rows.into_iter().map(StoredContent::from).collect())
}

/// The statement of a [`page`].
pub(super) fn page_of(columns: Columns, join_unit: &str) -> String {
    let columns = match columns {
        Columns::Keys => "NULL AS metadata, NULL AS raw",
        Columns::Metadata => "unit.metadata, NULL AS raw",
        Columns::All => "unit.metadata, unit.raw",
    };
    format!(
        "SELECT unit.id, unit.type AS type_name, unit.natural_key, {columns}
         FROM repository_content AS member {join_unit}
         WHERE member.repository_id = $1 AND member.content_id > $2
           AND member.version_added <= $3
           AND (member.version_removed IS NULL OR member.version_removed > $3)
           AND ($4 IS NULL OR unit.type = $4)
         ORDER BY member.content_id LIMIT $5"
    )
}

/// At most `limit` ids of the version's units after the unit `after`.
pub fn ids(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    after: Option<ContentId>,
    limit: u32,
) -> Result<Vec<ContentId>, DbError> {
    let rows: Vec<IdRow> = on!(conn, c => c.statement(
        "SELECT content_id FROM repository_content
         WHERE repository_id = $1 AND content_id > $2 AND version_added <= $3
           AND (version_removed IS NULL OR version_removed > $3)
         ORDER BY content_id LIMIT $4")
        .bind::<Uuid, _>(repository)
        .bind::<Uuid, _>(start(after))
        .bind::<BigInt, _>(number.0)
        .bind::<BigInt, _>(i64::from(limit))
        .load(c))?;
    Ok(rows.into_iter().map(|row| row.content_id).collect())
}

/// Whether the version has the unit.
pub fn contains(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    content: ContentId,
) -> Result<bool, DbError> {
    use repository_content as t;
    Ok(on!(conn, c => diesel::select(exists(t::table
        .filter(t::repository_id.eq(repository))
        .filter(t::content_id.eq(content))
        .filter(t::version_added.le(number.0))
        .filter(t::version_removed.is_null().or(t::version_removed.gt(number.0)))))
        .get_result(c))?)
}

/// `CROSS JOIN` keeps SQLite from reading the whole version instead.
pub(super) const AT_REPO_KEY: &str = "
    SELECT unit.id, unit.type AS type_name, unit.natural_key, unit.metadata, unit.raw
    FROM content AS unit
    CROSS JOIN repository_content AS member
    WHERE unit.repo_key = $1 AND member.content_id = unit.id
      AND member.repository_id = $2 AND member.version_added <= $3
      AND (member.version_removed IS NULL OR member.version_removed > $3)
    LIMIT 1";

/// The unit of the version that takes the place `repo_key`, such as the one tag of a name. Goes by
/// the index on that key (`CROSS JOIN` keeps SQLite to that); the version's size doesn't matter.
pub fn at_repo_key(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    repo_key: &Key,
) -> Result<Option<StoredContent>, DbError> {
    let row: Option<Row> = on!(conn, c => c.statement(AT_REPO_KEY)
        .bind::<Binary, _>(repo_key)
        .bind::<Uuid, _>(repository)
        .bind::<BigInt, _>(number.0)
        .get_result(c)
        .optional())?;
    Ok(row.map(StoredContent::from))
}

/// What happened to a unit from one version to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the second version has it.
    Added,
    /// Only the first version has it.
    Removed,
}

/// At most `limit` differences from version `from` to version `to`, after the unit `after`.
pub fn diff(
    conn: &mut Connection,
    repository: RepositoryId,
    from: VersionNumber,
    to: VersionNumber,
    after: Option<ContentId>,
    limit: u32,
) -> Result<Vec<(ContentId, Change)>, DbError> {
    #[derive(QueryableByName)]
    struct Difference {
        #[diesel(sql_type = Uuid)]
        content_id: ContentId,
        #[diesel(sql_type = Integer)]
        added: i32,
    }
    let rows: Vec<Difference> = on!(conn, c => c.statement(
        "SELECT content_id, CAST(sum(second) AS INTEGER) AS added
         FROM (
             SELECT content_id,
                 CASE WHEN version_added <= $1
                     AND (version_removed IS NULL OR version_removed > $1)
                     THEN 1 ELSE 0 END AS first,
                 CASE WHEN version_added <= $2
                     AND (version_removed IS NULL OR version_removed > $2)
                     THEN 1 ELSE 0 END AS second
             FROM repository_content
             WHERE repository_id = $3 AND content_id > $4) AS member
         GROUP BY content_id HAVING sum(first) <> sum(second)
         ORDER BY content_id LIMIT $5")
        .bind::<BigInt, _>(from.0)
        .bind::<BigInt, _>(to.0)
        .bind::<Uuid, _>(repository)
        .bind::<Uuid, _>(start(after))
        .bind::<BigInt, _>(i64::from(limit))
        .load(c))?;
    let change = |row: Difference| {
        (row.content_id, if row.added == 1 { Change::Added } else { Change::Removed })
    };
    Ok(rows.into_iter().map(change).collect())
}

/// Before every id, unless a page came before.
fn start(after: Option<ContentId>) -> ContentId {
    after.unwrap_or(ContentId(uuid::Uuid::nil()))
}
