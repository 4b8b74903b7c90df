//! Batches of rows, thousands at a time.
//!
//! On PostgreSQL a batch is one statement over arrays (`UNNEST`): multi-row `VALUES` costs several
//! times the server CPU, a statement per row more still. On SQLite one prepared statement per row
//! is the cheapest there is, for there is no round trip to save. What happens on a conflict is
//! said once, for both.
//!
//! All functions expect rows sorted by key and without duplicates (their callers see to it), so
//! that concurrent writers lock rows in one order, and PostgreSQL touches none twice in a statement.

use std::collections::HashSet;

use diesel::{
    IntoSql as _, QueryResult, QueryableByName, RunQueryDsl as _,
    query_builder::SqlQuery,
    sql_query,
    sql_types::{Array, BigInt, Binary, Integer, Nullable, Text},
};

use super::{
    super::{
        Backend, Connection,
        types::{Json, JsonRef, JsonText, Uuid},
    },
    insert_row::{InsertText, insert_row},
};
use crate::{
    AlternateContentSourceId, ContentId, Key, PublicationId, RelativePath, RemoteId, RepositoryId,
    Sha256, VersionNumber, content::NewContent, content_artifact::NewContentArtifact,
    publication::PublishedRow, time::Timestamp,
};

/// Declares the text of an insert, and a type for it.
macro_rules! insert_text {
    ($name:ident, $into:literal, on conflict $on_conflict:literal) => {
        struct $name;

        impl InsertText for $name {
            const INTO: &'static str = $into;
            const ON_CONFLICT: &'static str = $on_conflict;
        }
    };
}

/// Inserts what `select` yields: PostgreSQL's form of an insert.
fn insert_from<T: InsertText>(_: T, select: &str) -> SqlQuery {
    sql_query(format!("INSERT INTO {} {select} ON CONFLICT {}", T::INTO, T::ON_CONFLICT))
}

fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}

insert_text!(
    IntoContent,
    "content (id, type, natural_key, repo_key, metadata, raw)",
    on conflict "(natural_key) DO NOTHING"
);

/// Writes the units whose natural key is new; returns the ids of those written.
pub(crate) fn insert_content(
    conn: &mut Connection,
    rows: &[(ContentId, &NewContent)],
) -> QueryResult<HashSet<ContentId>> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            let mut written = HashSet::with_capacity(rows.len());
            for (id, unit) in rows {
                let values = (
                    id.into_sql::<Uuid>(),
                    (&*unit.type_name).into_sql::<Text>(),
                    unit.natural_key.into_sql::<Binary>(),
                    unit.repo_key.into_sql::<Nullable<Binary>>(),
                    JsonRef(&unit.metadata).into_sql::<Json>(),
                    unit.raw.as_deref().into_sql::<Nullable<Binary>>(),
                );
                if insert_row(IntoContent, values).execute(c)? == 1 {
                    written.insert(*id);
                }
            }
            Ok(written)
        }
        Backend::Postgres(c) => {
            let repo_keys: Vec<Option<Key>> = column(rows, |(_, unit)| unit.repo_key);
            let metadata: Vec<JsonRef<'_>> = column(rows, |(_, unit)| JsonRef(&unit.metadata));
            let raw: Vec<Option<&[u8]>> = column(rows, |(_, unit)| unit.raw.as_deref());
            let written: Vec<Written> =
                insert_from(IntoContent, "SELECT * FROM unnest($1, $2, $3, $4, $5, $6)")
                    .sql(" RETURNING id")
                    .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |(id, _)| *id))
                    .bind::<Array<Text>, Vec<&str>>(column(rows, |(_, unit)| &*unit.type_name))
                    .bind::<Array<Binary>, Vec<Key>>(column(rows, |(_, unit)| unit.natural_key))
                    .bind::<Array<Nullable<Binary>>, _>(repo_keys)
                    .bind::<Array<Json>, _>(metadata)
                    .bind::<Array<Nullable<Binary>>, _>(raw)
                    .load(c)?;
            Ok(written.into_iter().map(|row| row.id).collect())
        }
    }
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Uuid)]
    id: ContentId,
}

insert_text!(
    IntoArtifact,
    "artifact (sha256, size, created)",
    on conflict "(sha256) DO NOTHING"
);

/// Writes the artifacts that are new.
pub(crate) fn insert_artifacts(conn: &mut Connection, rows: &[(Sha256, i64)]) -> QueryResult<()> {
    let now = Timestamp::now();
    match conn.backend() {
        Backend::Sqlite(c) => {
            for (sha256, size) in rows {
                let values = (
                    sha256.into_sql::<Binary>(),
                    size.into_sql::<BigInt>(),
                    now.into_sql::<BigInt>(),
                );
                insert_row(IntoArtifact, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            insert_from(
                IntoArtifact,
                "SELECT sha256, size, $3 FROM unnest($1, $2) AS new (sha256, size)",
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

insert_text!(
    IntoArtifactDigest,
    "artifact_digest (algorithm, digest, sha256)",
    on conflict "DO NOTHING"
);

/// Writes the digests that are new.
pub(crate) fn insert_digests(conn: &mut Connection, rows: &[DigestRow<'_>]) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for row in rows {
                let values = (
                    row.algorithm.into_sql::<Text>(),
                    row.digest.into_sql::<Binary>(),
                    row.sha256.into_sql::<Binary>(),
                );
                insert_row(IntoArtifactDigest, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            insert_from(IntoArtifactDigest, "SELECT * FROM unnest($1, $2, $3)")
                .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.algorithm))
                .bind::<Array<Binary>, Vec<&[u8]>>(column(rows, |row| row.digest))
                .bind::<Array<Binary>, Vec<Sha256>>(column(rows, |row| row.sha256))
                .execute(c)?;
        }
    }
    Ok(())
}

insert_text!(
    IntoContentArtifact,
    "content_artifact (content_id, relative_path, sha256)",
    on conflict "(content_id, relative_path) DO UPDATE SET sha256 = excluded.sha256
        WHERE excluded.sha256 IS NOT NULL
          AND content_artifact.sha256 IS DISTINCT FROM excluded.sha256"
);

/// Writes content artifacts; a given digest replaces what is there, an absent one changes nothing.
pub(crate) fn upsert_content_artifacts(
    conn: &mut Connection,
    rows: &[&NewContentArtifact],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for row in rows {
                let values = (
                    row.content.into_sql::<Uuid>(),
                    (&row.relative_path).into_sql::<Text>(),
                    row.artifact.into_sql::<Nullable<Binary>>(),
                );
                insert_row(IntoContentArtifact, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            let artifacts: Vec<Option<Sha256>> = column(rows, |row| row.artifact);
            insert_from(IntoContentArtifact, "SELECT * FROM unnest($1, $2, $3)")
                .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |row| row.content))
                .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| &row.relative_path))
                .bind::<Array<Nullable<Binary>>, _>(artifacts)
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

insert_text!(
    IntoRemoteArtifact,
    "remote_artifact
         (content_id, relative_path, remote_id, position, url, size, sha256, digests)",
    on conflict "(content_id, relative_path, remote_id, position)
        DO UPDATE SET url = excluded.url, size = excluded.size,
            sha256 = excluded.sha256, digests = excluded.digests
        WHERE remote_artifact.url <> excluded.url
           OR remote_artifact.size IS DISTINCT FROM excluded.size
           OR remote_artifact.sha256 IS DISTINCT FROM excluded.sha256
           OR remote_artifact.digests IS DISTINCT FROM excluded.digests"
);

/// Writes remote artifacts, replacing what is known of the same source.
pub(crate) fn upsert_remote_artifacts(
    conn: &mut Connection,
    rows: &[RemoteArtifactRow<'_>],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for row in rows {
                let values = (
                    row.content.into_sql::<Uuid>(),
                    row.relative_path.into_sql::<Text>(),
                    row.remote.into_sql::<Uuid>(),
                    row.position.into_sql::<Integer>(),
                    row.url.into_sql::<Text>(),
                    row.size.into_sql::<Nullable<BigInt>>(),
                    row.sha256.into_sql::<Nullable<Binary>>(),
                    row.digests.as_ref().into_sql::<Nullable<Json>>(),
                );
                insert_row(IntoRemoteArtifact, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            let sizes: Vec<Option<i64>> = column(rows, |row| row.size);
            let sha256s: Vec<Option<Sha256>> = column(rows, |row| row.sha256);
            let digests: Vec<Option<&JsonText>> = column(rows, |row| row.digests.as_ref());
            insert_from(IntoRemoteArtifact, "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)")
                .bind::<Array<Uuid>, Vec<ContentId>>(column(rows, |row| row.content))
                .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| row.relative_path))
                .bind::<Array<Uuid>, Vec<RemoteId>>(column(rows, |row| row.remote))
                .bind::<Array<Integer>, Vec<i32>>(column(rows, |row| row.position))
                .bind::<Array<Text>, Vec<&str>>(column(rows, |row| row.url))
                .bind::<Array<Nullable<BigInt>>, _>(sizes)
                .bind::<Array<Nullable<Binary>>, _>(sha256s)
                .bind::<Array<Nullable<Json>>, _>(digests)
                .execute(c)?;
        }
    }
    Ok(())
}

insert_text!(
    IntoPublishedArtifact,
    "published_artifact
         (publication_id, relative_path, content_id, content_path, sha256, size)",
    on conflict "(publication_id, relative_path)
        DO UPDATE SET content_id = excluded.content_id, content_path = excluded.content_path,
            sha256 = excluded.sha256, size = excluded.size"
);

/// Writes published artifacts; a path that is there gets the new value.
pub(crate) fn upsert_published_artifacts(
    conn: &mut Connection,
    rows: &[PublishedRow],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for row in rows {
                let values = (
                    row.publication_id.into_sql::<Uuid>(),
                    (&row.relative_path).into_sql::<Text>(),
                    row.content_id.into_sql::<Nullable<Uuid>>(),
                    row.content_path.as_ref().into_sql::<Nullable<Text>>(),
                    row.sha256.into_sql::<Nullable<Binary>>(),
                    row.size.into_sql::<Nullable<BigInt>>(),
                );
                insert_row(IntoPublishedArtifact, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            let contents: Vec<Option<ContentId>> = column(rows, |row| row.content_id);
            let paths: Vec<Option<&RelativePath>> = column(rows, |row| row.content_path.as_ref());
            let sha256s: Vec<Option<Sha256>> = column(rows, |row| row.sha256);
            let sizes: Vec<Option<i64>> = column(rows, |row| row.size);
            insert_from(IntoPublishedArtifact, "SELECT * FROM unnest($1, $2, $3, $4, $5, $6)")
                .bind::<Array<Uuid>, Vec<PublicationId>>(column(rows, |row| row.publication_id))
                .bind::<Array<Text>, Vec<&RelativePath>>(column(rows, |row| &row.relative_path))
                .bind::<Array<Nullable<Uuid>>, _>(contents)
                .bind::<Array<Nullable<Text>>, _>(paths)
                .bind::<Array<Nullable<Binary>>, _>(sha256s)
                .bind::<Array<Nullable<BigInt>>, _>(sizes)
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

insert_text!(
    IntoAlternateArtifact,
    "alternate_artifact (algorithm, digest, source_id, url, refreshed)",
    on conflict "(algorithm, digest, source_id, url)
        DO UPDATE SET refreshed = excluded.refreshed"
);

/// Notes that a source has these bytes, as of `refreshed`.
pub(crate) fn upsert_alternate_artifacts(
    conn: &mut Connection,
    source: AlternateContentSourceId,
    refreshed: Timestamp,
    rows: &[OfferRow<'_>],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for row in rows {
                let values = (
                    row.algorithm.into_sql::<Text>(),
                    row.digest.into_sql::<Binary>(),
                    source.into_sql::<Uuid>(),
                    row.url.into_sql::<Text>(),
                    refreshed.into_sql::<BigInt>(),
                );
                insert_row(IntoAlternateArtifact, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            insert_from(
                IntoAlternateArtifact,
                "SELECT algorithm, digest, $4, url, $5
                 FROM unnest($1, $2, $3) AS new (algorithm, digest, url)",
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

insert_text!(
    IntoIncompleteVersionContent,
    "incomplete_version_content (repository_id, number, content_id)",
    on conflict "(repository_id, number, content_id) DO NOTHING"
);

/// Stages units for a version that is being made; units staged before stay staged.
pub(crate) fn stage_content(
    conn: &mut Connection,
    repository: RepositoryId,
    number: VersionNumber,
    units: &[ContentId],
) -> QueryResult<()> {
    match conn.backend() {
        Backend::Sqlite(c) => {
            for unit in units {
                let values = (
                    repository.into_sql::<Uuid>(),
                    number.0.into_sql::<BigInt>(),
                    unit.into_sql::<Uuid>(),
                );
                insert_row(IntoIncompleteVersionContent, values).execute(c)?;
            }
        }
        Backend::Postgres(c) => {
            insert_from(
                IntoIncompleteVersionContent,
                "SELECT $1, $2, unit FROM unnest($3) AS unit",
            )
            .bind::<Uuid, _>(repository)
            .bind::<BigInt, _>(number.0)
            .bind::<Array<Uuid>, _>(units)
            .execute(c)?;
        }
    }
    Ok(())
}
