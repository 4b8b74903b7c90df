//! What alternate content sources are known to have.
//!
//! A refresh notes every file that it reads about, in batches, all with one point in time; when it has
//! come to its end, older notes are dropped ([`complete`]). One that fails half-way has added to what
//! is known, and dropped nothing.

use std::collections::HashMap;

use diesel::prelude::*;

use super::KIND;
use crate::{
    Algorithm, AlternateContentSourceId, DbError, Expected, RemoteId, RemoteUrl, Timestamp,
    db::{Connection, dialect, on},
    schema::{alternate_artifact, alternate_content_source},
};

/// A place from which bytes may be fetched, with the settings of its remote. What comes from there is
/// verified like anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternate {
    /// With whose settings to fetch.
    pub remote: RemoteId,
    /// Where the bytes are.
    pub url: RemoteUrl,
}

/// Notes where the source has which bytes. `round` is when the refresh began. Bytes without a digest
/// that proves anything ([`Algorithm::is_trusted`]) are left out.
pub fn note(
    conn: &mut Connection,
    source: AlternateContentSourceId,
    round: Timestamp,
    offers: &[(Expected, RemoteUrl)],
) -> Result<(), DbError> {
    let mut rows = Vec::with_capacity(offers.len());
    for (expected, url) in offers {
        let trusted = expected.digests.iter().filter(|(algorithm, _)| algorithm.is_trusted());
        rows.extend(trusted.map(|(algorithm, digest)| dialect::OfferRow {
            algorithm: algorithm.name(),
            digest,
            url: url.expose().as_str(),
        }));
    }
    rows.sort_unstable_by_key(|row| (row.algorithm, row.digest, row.url));
    rows.dedup_by_key(|row| (row.algorithm, row.digest, row.url));
    dialect::upsert_alternate_artifacts(conn, source, round, &rows)?;
    Ok(())
}

/// Ends a refresh: what it did not find is no longer offered, and the source was refreshed at `round`.
pub fn complete(
    conn: &mut Connection,
    source: AlternateContentSourceId,
    round: Timestamp,
) -> Result<(), DbError> {
    let count = on!(conn, c => diesel::update(alternate_content_source::table.find(source))
        .set(alternate_content_source::last_refreshed.eq(round))
        .execute(c))?;
    if count == 0 {
        return Err(DbError::not_found(KIND, &source));
    }
    on!(conn, c => diesel::delete(alternate_artifact::table
        .filter(alternate_artifact::source_id.eq(source))
        .filter(alternate_artifact::refreshed.lt(round)))
        .execute(c))?;
    Ok(())
}

/// Whether any source is enabled: if not, there is nothing to ask.
pub fn any(conn: &mut Connection) -> Result<bool, DbError> {
    let enabled = on!(conn, c => alternate_content_source::table
        .filter(alternate_content_source::enabled.eq(true))
        .select(alternate_content_source::id)
        .first::<AlternateContentSourceId>(c)
        .optional())?;
    Ok(enabled.is_some())
}

/// Where enabled sources have each of the wanted bytes, in the order of `wanted`; each list in the
/// order of the sources' names.
pub fn find(conn: &mut Connection, wanted: &[&Expected]) -> Result<Vec<Vec<Alternate>>, DbError> {
    let mut known: HashMap<(Algorithm, Vec<u8>), Vec<Alternate>> = HashMap::new();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_trusted()) {
        let digests = wanted.iter().filter_map(|expected| expected.digests.get(algorithm));
        let mut digests: Vec<_> = digests.collect();
        digests.sort_unstable();
        digests.dedup();
        for chunk in digests.chunks(dialect::KEYS_PER_QUERY) {
            let rows: Vec<(Vec<u8>, RemoteId, String)> = on!(conn, c => alternate_artifact::table
                .inner_join(alternate_content_source::table.on(
                    alternate_content_source::id.eq(alternate_artifact::source_id),
                ))
                .filter(alternate_content_source::enabled.eq(true))
                .filter(alternate_artifact::algorithm.eq(algorithm.name()))
                .filter(alternate_artifact::digest.eq_any(chunk))
                .order((alternate_content_source::name, alternate_artifact::url))
                .select((
                    alternate_artifact::digest,
                    alternate_content_source::remote_id,
                    alternate_artifact::url,
                ))
                .load(c))?;
            for (digest, remote, url) in rows {
                let url = url.parse().map_err(DbError::corrupt("alternate_artifact.url"))?;
                known.entry((algorithm, digest)).or_default().push(Alternate { remote, url });
            }
        }
    }
    let places = |expected: &&Expected| {
        // One digest is as good as another: the bytes are compared with all of them.
        let mut digests = expected.digests.iter();
        let found = digests.find_map(|(algorithm, digest)| known.get(&(algorithm, digest.into())));
        found.cloned().unwrap_or_default()
    };
    Ok(wanted.iter().map(places).collect())
}
