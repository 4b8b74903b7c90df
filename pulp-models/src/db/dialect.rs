//! Every statement that must differ between SQLite and PostgreSQL, and nothing else.
//!
//! The pipeline writes rows by the thousand. On PostgreSQL a batch is one statement over arrays
//! (`UNNEST`): multi-row `VALUES` costs several times the server CPU, a statement per row more
//! still. On SQLite one prepared statement per row is the cheapest there is, for there is no round
//! trip to save.
//!
//! All of them expect rows sorted by key and without duplicates (their callers see to it), so that
//! concurrent writers lock rows in one order, and PostgreSQL touches none twice in a statement.

use std::collections::HashSet;

use diesel::{
    dsl::exists,
    prelude::*,
    query_builder::SqlQuery,
    sql_query,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text},
    upsert::excluded,
};

use super::{
    Connection,
    connection::PgConnection,
    types::{Json, JsonRef, JsonText, Uuid},
};
use crate::{
    AlternateContentSourceId, ContentId, Key, PublicationId, RelativePath, RemoteId, RepositoryId,
    Sha256, VersionNumber,
    content::NewContent,
    content_artifact::NewContentArtifact,
    publication::PublishedRow,
    schema::{
        alternate_artifact, artifact, artifact_digest, content, content_artifact,
        incomplete_version_content, published_artifact, remote_artifact, repository_content,
    },
    time::Timestamp,
};

/// Keys per `IN` list (SQLite, at most 32,766 parameters) or array (PostgreSQL).
pub(crate) const KEYS_PER_QUERY: usize = 1000;

/// Statements written out, for both databases, with parameters `$1`, `$2`, … in any order.
pub(crate) trait Statements {
    /// Makes a query of `text`.
    fn statement(&self, text: &str) -> SqlQuery;
}

impl Statements for SqliteConnection {
    /// `$1` is a name to SQLite, numbered by its first appearance; `?1` is a number.
    fn statement(&self, text: &str) -> SqlQuery {
        sql_query(text.replace('$', "?"))
    }
}

impl Statements for PgConnection {
    fn statement(&self, text: &str) -> SqlQuery {
        sql_query(text)
    }
}

/// Writes the units whose natural key is new; returns the ids of those written.
pub(crate) fn insert_content(
    conn: &mut Connection,
    rows: &[(ContentId, &NewContent)],
) -> QueryResult<HashSet<ContentId>> {
    match conn {
        Connection::Sqlite(c) => {
            let mut written = HashSet::with_capacity(rows.len());
            for (id, unit) in rows {
                let count = diesel::insert_into(content::table)
                    .values((
                        content::id.eq(id),
                        content::type_name.eq(&*unit.type_name),
                        content::natural_key.eq(&unit.natural_key),
                        content::repo_key.eq(&unit.repo_key),
                        content::metadata.eq(JsonRef(&unit.metadata)),
                        content::raw.eq(unit.raw.as_deref()),
                    ))
                    .on_conflict(content::natural_key)
                    .do_nothing()
                    .execute(c)?;
                if count == 1 {
                    written.insert(*id);
                }
            }
            Ok(written)
        }
        Connection::Postgres(c) => {
            #[derive(QueryableByName)]
            struct Written {
                #[diesel(sql_type = Uuid)]
                id: ContentId,
            }
            let written: Vec<Written> = sql_query(
                "INSERT INTO content (id, type, natural_key, repo_key, metadata, raw)
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (natural_key) DO NOTHING
                 RETURNING id",
            )
            .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |(id, _)| *id))
            .bind::<Array<Text>, Vec<&str>>(column(rows, |(_, unit)| &*unit.type_name))
            .bind::<Array<Binary>, Vec<Key>>(column(rows, |(_, unit)| unit.natural_key))
            .bind::<Array<Nullable<Binary>>, Vec<Option<Key>>>(column(rows, |(_, unit)| {
                unit.repo_key
            }))
            .bind::<Array<Json>, Vec<JsonRef<'_>>>(column(rows, |(_, unit)| {
                JsonRef(&unit.metadata)
            }))
            .bind::<Array<Nullable<Binary>>, Vec<Option<&[u8]>>>(column(rows, |(_, unit)| {
                unit.raw.as_deref()
            }))
            .load(c)?;
            Ok(written.into_iter().map(|row| row.id).collect())
        }
    }
}

/// Writes the artifacts that are new.
pub(crate) fn insert_artifacts(conn: &mut Connection, rows: &[(Sha256, i64)]) -> QueryResult<()> {
    let now = Timestamp::now();
    match conn {
        Connection::Sqlite(c) => {
            for (sha256, size) in rows {
                diesel::insert_into(artifact::table)
                    .values((
                        artifact::sha256.eq(sha256),
                        artifact::size.eq(size),
                        artifact::created.eq(now),
                    ))
                    .on_conflict(artifact::sha256)
                    .do_nothing()
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO artifact (sha256, size, created)
                 SELECT sha256, size, $3 FROM unnest($1, $2) AS new (sha256, size)
                 ON CONFLICT (sha256) DO NOTHING",
            )
            .bind::<Array<Binary>, Vec<Sha256>>(column(rows, |(sha256, _)| *sha256))
            .bind::<Array<BigInt>, Vec<i64>>(column(rows, |(_, size)| *size))
            .bind::<BigInt, _>(now)
            .execute(c)?;
        }
    }
    Ok(())
}

/// Further digests of one artifact. Sorts by its key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DigestRow<'a> {
    pub(crate) algorithm: &'static str,
    pub(crate) digest: &'a [u8],
    pub(crate) sha256: Sha256,
}

/// Writes the digests that are new.
pub(crate) fn insert_digests(conn: &mut Connection, rows: &[DigestRow<'_>]) -> QueryResult<()> {
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(artifact_digest::table)
                    .values((
                        artifact_digest::algorithm.eq(row.algorithm),
                        artifact_digest::digest.eq(row.digest),
                        artifact_digest::sha256.eq(row.sha256),
                    ))
                    .on_conflict_do_nothing()
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO artifact_digest (algorithm, digest, sha256)
                 SELECT * FROM unnest($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.algorithm))
            .bind::<Array<Binary>, Vec<&[u8]>>(column(rows, |row| row.digest))
            .bind::<Array<Binary>, Vec<Sha256>>(column(rows, |row| row.sha256))
            .execute(c)?;
        }
    }
    Ok(())
}

/// Writes content artifacts; a given digest replaces what is there, an absent one changes nothing.
pub(crate) fn upsert_content_artifacts(
    conn: &mut Connection,
    rows: &[&NewContentArtifact],
) -> QueryResult<()> {
    use content_artifact::{content_id, relative_path, sha256, table};
    use diesel::query_dsl::methods::FilterDsl as _;
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(table)
                    .values((
                        content_id.eq(row.content),
                        relative_path.eq(&row.relative_path),
                        sha256.eq(row.artifact),
                    ))
                    .on_conflict((content_id, relative_path))
                    .do_update()
                    .set(sha256.eq(excluded(sha256)))
                    .filter(excluded(sha256).is_not_null())
                    .filter(sha256.is_not(excluded(sha256)))
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO content_artifact AS old (content_id, relative_path, sha256)
                 SELECT * FROM unnest($1, $2, $3)
                 ON CONFLICT (content_id, relative_path) DO UPDATE SET sha256 = excluded.sha256
                 WHERE excluded.sha256 IS NOT NULL
                   AND old.sha256 IS DISTINCT FROM excluded.sha256",
            )
            .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |row| row.content))
            .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| &row.relative_path))
            .bind::<Array<Nullable<Binary>>, Vec<Option<Sha256>>>(column(rows, |row| row.artifact))
            .execute(c)?;
        }
    }
    Ok(())
}

/// A remote artifact as its columns.
pub(crate) struct RemoteArtifactRow<'a> {
    pub(crate) content: ContentId,
    pub(crate) relative_path: &'a RelativePath,
    pub(crate) remote: RemoteId,
    pub(crate) position: i32,
    pub(crate) url: &'a str,
    pub(crate) size: Option<i64>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) digests: Option<JsonText>,
}

/// Writes remote artifacts, replacing what is known of the same source.
pub(crate) fn upsert_remote_artifacts(
    conn: &mut Connection,
    rows: &[RemoteArtifactRow<'_>],
) -> QueryResult<()> {
    use diesel::query_dsl::methods::FilterDsl as _;
    use remote_artifact as t;
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(t::table)
                    .values((
                        t::content_id.eq(row.content),
                        t::relative_path.eq(row.relative_path),
                        t::remote_id.eq(row.remote),
                        t::position.eq(row.position),
                        t::url.eq(row.url),
                        t::size.eq(row.size),
                        t::sha256.eq(row.sha256),
                        t::digests.eq(&row.digests),
                    ))
                    .on_conflict((t::content_id, t::relative_path, t::remote_id, t::position))
                    .do_update()
                    .set((
                        t::url.eq(excluded(t::url)),
                        t::size.eq(excluded(t::size)),
                        t::sha256.eq(excluded(t::sha256)),
                        t::digests.eq(excluded(t::digests)),
                    ))
                    .filter(
                        t::url
                            .ne(excluded(t::url))
                            .or(t::size.is_not(excluded(t::size)))
                            .or(t::sha256.is_not(excluded(t::sha256)))
                            .or(t::digests.is_not(excluded(t::digests))),
                    )
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO remote_artifact AS old
                     (content_id, relative_path, remote_id, position, url, size, sha256, digests)
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (content_id, relative_path, remote_id, position)
                 DO UPDATE SET url = excluded.url, size = excluded.size,
                     sha256 = excluded.sha256, digests = excluded.digests
                 WHERE (old.url, old.size, old.sha256, old.digests) IS DISTINCT FROM
                     (excluded.url, excluded.size, excluded.sha256, excluded.digests)",
            )
            .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |row| row.content))
            .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| row.relative_path))
            .bind::<Array<Uuid>, Vec<RemoteId>>(column(rows, |row| row.remote))
            .bind::<Array<Integer>, Vec<i32>>(column(rows, |row| row.position))
            .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.url))
            .bind::<Array<Nullable<BigInt>>, Vec<Option<i64>>>(column(rows, |row| row.size))
            .bind::<Array<Nullable<Binary>>, Vec<Option<Sha256>>>(column(rows, |row| row.sha256))
            .bind::<Array<Nullable<Json>>, Vec<Option<JsonRef<'_>>>>(column(rows, |row| {
                row.digests.as_ref().map(|text| JsonRef(&text.0))
            }))
            .execute(c)?;
        }
    }
    Ok(())
}

/// Writes published artifacts; a path that is there gets the new value.
pub(crate) fn upsert_published_artifacts(
    conn: &mut Connection,
    rows: &[PublishedRow],
) -> QueryResult<()> {
    use published_artifact as t;
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(t::table)
                    .values(row)
                    .on_conflict((t::publication_id, t::relative_path))
                    .do_update()
                    .set((
                        t::content_id.eq(excluded(t::content_id)),
                        t::content_path.eq(excluded(t::content_path)),
                        t::sha256.eq(excluded(t::sha256)),
                        t::size.eq(excluded(t::size)),
                    ))
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO published_artifact
                     (publication_id, relative_path, content_id, content_path, sha256, size)
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (publication_id, relative_path)
                 DO UPDATE SET content_id = excluded.content_id,
                     content_path = excluded.content_path, sha256 = excluded.sha256,
                     size = excluded.size",
            )
            .bind::<Array<Uuid>, Vec<PublicationId>>(column(rows, |row| row.publication_id))
            .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| &row.relative_path))
            .bind::<Array<Nullable<Uuid>>, Vec<Option<ContentId>>>(column(rows, |row| {
                row.content_id
            }))
            .bind::<Array<Nullable<Text>>, Vec<Option<&RelativePath>>>(column(rows, |row| {
                row.content_path.as_ref()
            }))
            .bind::<Array<Nullable<Binary>>, Vec<Option<Sha256>>>(column(rows, |row| row.sha256))
            .bind::<Array<Nullable<BigInt>>, Vec<Option<i64>>>(column(rows, |row| row.size))
            .execute(c)?;
        }
    }
    Ok(())
}

/// What an alternate content source has, as its columns.
pub(crate) struct OfferRow<'a> {
    pub(crate) algorithm: &'static str,
    pub(crate) digest: &'a [u8],
    pub(crate) url: &'a str,
}

/// Notes that a source has these bytes, as of `refreshed`.
pub(crate) fn upsert_alternate_artifacts(
    conn: &mut Connection,
    source: AlternateContentSourceId,
    refreshed: Timestamp,
    rows: &[OfferRow<'_>],
) -> QueryResult<()> {
    use alternate_artifact as t;
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(t::table)
                    .values((
                        t::algorithm.eq(row.algorithm),
                        t::digest.eq(row.digest),
                        t::source_id.eq(source),
                        t::url.eq(row.url),
                        t::refreshed.eq(refreshed),
                    ))
                    .on_conflict((t::algorithm, t::digest, t::source_id, t::url))
                    .do_update()
                    .set(t::refreshed.eq(refreshed))
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO alternate_artifact (algorithm, digest, source_id, url, refreshed)
                 SELECT algorithm, digest, $4, url, $5
                 FROM unnest($1, $2, $3) AS new (algorithm, digest, url)
                 ON CONFLICT (algorithm, digest, source_id, url)
                 DO UPDATE SET refreshed = excluded.refreshed",
            )
            .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.algorithm))
            .bind::<Array<Binary>, Vec<&[u8]>>(column(rows, |row| row.digest))
            .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.url))
            .bind::<Uuid, _>(source)
            .bind::<BigInt, _>(refreshed)
            .execute(c)?;
        }
    }
    Ok(())
}

/// Until the transaction ends, nobody else writes to `table`; reading goes on. SQLite has one writer
/// anyway.
pub(crate) fn serialize_writers(conn: &mut Connection, table: &'static str) -> QueryResult<()> {
    match conn {
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(_) => {
            conn.batch_execute(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
        }
    }
}

/// Stages units for a version that is being made; units staged before stay staged.
pub(crate) fn stage_content(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    units: &[ContentId],
) -> QueryResult<()> {
    use incomplete_version_content as t;
    match conn {
        Connection::Sqlite(c) => {
            for unit in units {
                diesel::insert_into(t::table)
                    .values((
                        t::repository_id.eq(repository),
                        t::number.eq(number.0),
                        t::content_id.eq(unit),
                    ))
                    .on_conflict((t::repository_id, t::number, t::content_id))
                    .do_nothing()
                    .execute(c)?;
            }
        }
        Connection::Postgres(c) => {
            sql_query(
                "INSERT INTO incomplete_version_content (repository_id, number, content_id)
                 SELECT $1, $2, unit FROM unnest($3) AS unit ON CONFLICT DO NOTHING",
            )
            .bind::<Uuid, _>(repository)
            .bind::<BigInt, _>(number.0)
            .bind::<Array<Uuid>, _>(units)
            .execute(c)?;
        }
    }
    Ok(())
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
    match conn {
        Connection::Sqlite(c) => {
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
        Connection::Postgres(c) => {
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

fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
