//! Artifacts: which bytes are in the artifact store.
//!
//! A row says that the store holds these bytes durably; the store writes them first, then the row.
//! The key is the SHA-256. Other digests are kept only where somebody computed them, because some
//! upstream names its files by those alone.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::{
    Algorithm, Digests, Sha256,
    db::{Connection, DbError, dialect, on},
    schema::{artifact, artifact_digest},
    store::Saved,
};

/// An artifact to be written. Its bytes are already durable.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its key.
    pub sha256: Sha256,
    /// Length in bytes.
    pub size: u64,
    /// What was computed; may hold the SHA-256 alone, or nothing.
    pub digests: Digests,
}

/// The row of what the store has saved, with every digest that was computed.
impl From<Saved> for NewArtifact {
    fn from(saved: Saved) -> Self {
        let Saved { sha256, size, digests } = saved;
        Self { sha256, size, digests }
    }
}

/// Artifacts by a digest, each with its size in bytes.
pub type FoundByDigest = HashMap<(Algorithm, Vec<u8>), (Sha256, u64)>;

/// Sizes in bytes of those artifacts that exist.
pub fn find_artifacts(
    conn: &mut Connection,
    digests: &[Sha256],
) -> Result<HashMap<Sha256, u64>, DbError> {
    let mut digests = digests.to_vec();
    digests.sort_unstable();
    digests.dedup();
    let mut found = HashMap::with_capacity(digests.len());
    for chunk in digests.chunks(dialect::KEYS_PER_QUERY) {
        let rows: Vec<(Sha256, i64)> = on!(conn, c => artifact::table
            .filter(artifact::sha256.eq_any(chunk))
            .select((artifact::sha256, artifact::size))
            .load(c))?;
        found.extend(rows.into_iter().map(|(sha256, size)| (sha256, size.unsigned_abs())));
    }
    Ok(found)
}

/// Artifacts by any digest.
///
/// Digests other than SHA-256 are known only of artifacts that were written with them. MD5 and
/// SHA-1 prove nothing (see [`Algorithm::is_trusted`]); the caller decides whether to ask by them.
pub fn find_by_digest(
    conn: &mut Connection,
    digests: &[(Algorithm, Vec<u8>)],
) -> Result<FoundByDigest, DbError> {
    let mut found = HashMap::new();
    for algorithm in Algorithm::ALL {
        let mut values: Vec<&Vec<u8>> =
            digests.iter().filter(|(of, _)| *of == algorithm).map(|(_, value)| value).collect();
        values.sort_unstable();
        values.dedup();
        for chunk in values.chunks(dialect::KEYS_PER_QUERY) {
            for (value, sha256, size) in find_by(conn, algorithm, chunk)? {
                found.entry((algorithm, value)).or_insert((sha256, size.unsigned_abs()));
            }
        }
    }
    Ok(found)
}

fn find_by(
    conn: &mut Connection,
    algorithm: Algorithm,
    values: &[&Vec<u8>],
) -> QueryResult<Vec<(Vec<u8>, Sha256, i64)>> {
    if algorithm == Algorithm::Sha256 {
        return on!(conn, c => artifact::table
            .filter(artifact::sha256.eq_any(values))
            .select((artifact::sha256, artifact::sha256, artifact::size))
            .load(c));
    }
    on!(conn, c => artifact_digest::table
        .inner_join(artifact::table.on(artifact::sha256.eq(artifact_digest::sha256)))
        .filter(artifact_digest::algorithm.eq(algorithm.name()))
        .filter(artifact_digest::digest.eq_any(values))
        .order(artifact_digest::sha256)
        .select((artifact_digest::digest, artifact::sha256, artifact::size))
        .load(c))
}

/// Writes the artifacts that are new, and whatever further digests are new.
pub fn insert_artifacts(conn: &mut Connection, batch: &[NewArtifact]) -> Result<(), DbError> {
    let mut rows = Vec::with_capacity(batch.len());
    let mut digests = Vec::new();
    for artifact in batch {
        rows.push((artifact.sha256, signed(artifact.size)));
        for (algorithm, digest) in artifact.digests.iter() {
            if algorithm != Algorithm::Sha256 {
                let algorithm = algorithm.name();
                digests.push(dialect::DigestRow { algorithm, digest, sha256: artifact.sha256 });
            }
        }
    }
    rows.sort_unstable();
    rows.dedup_by_key(|(sha256, _)| *sha256);
    digests.sort_unstable();
    digests.dedup();
    dialect::insert_artifacts(conn, &rows)?;
    dialect::insert_digests(conn, &digests)?;
    Ok(())
}

/// A size as the database holds it. No file reaches 8 EiB.
pub(crate) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, testing::TestDatabase};

    both_databases! {
        async fn artifacts_are_found_by_whatever_digest_was_written(db: TestDatabase) {
            let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
            let mut digests = Digests::from(two);
            digests.insert(Algorithm::Sha512, &[7; 64]).expect("64 bytes");
            db.write(move |conn| {
                let batch = [
                    NewArtifact { sha256: two, size: 4, digests: digests.clone() },
                    NewArtifact { sha256: one, size: 3, digests: Digests::new() },
                    NewArtifact { sha256: one, size: 3, digests: one.into() },
                ];
                insert_artifacts(conn, &batch)?;
                insert_artifacts(conn, &batch)?;

                let sizes = find_artifacts(conn, &[one, two, Sha256::of(b"three"), one])?;
                assert_eq!(sizes, HashMap::from([(one, 3), (two, 4)]));

                let sha512 = (Algorithm::Sha512, vec![7; 64]);
                let sha256 = (Algorithm::Sha256, one.0.to_vec());
                let asked = [sha512.clone(), sha256.clone(), (Algorithm::Md5, vec![7; 16])];
                let found = find_by_digest(conn, &asked)?;
                assert_eq!(found, HashMap::from([(sha512, (two, 4)), (sha256, (one, 3))]));
                Ok(())
            })
            .await
            .expect("done");
        }
    }
}
