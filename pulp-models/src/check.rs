//! Checking: whether the database agrees with itself and with the store.
//!
//! The schema enforces few of its references, since each would cost an index on every write; the rest
//! are checked here. A difference is told one by one and changes nothing. The store is compared
//! folder by folder, and what differs is looked at once more, for syncs and cleanups may go on
//! meanwhile.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use diesel::prelude::*;

use crate::{
    ArtifactStore, Db, DbError, Sha256,
    artifact::find_artifacts,
    db::{Connection, on},
    maintenance::MaintenanceError,
    schema::artifact,
    store::{Condition, Listed, StoreError},
};

mod references;

pub use references::Reference;

/// How young a file may be and still wait for the row that names it.
const SETTLING: Duration = Duration::from_secs(60 * 60);

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether they are there, and how long they are.
    Sizes,
    /// Every byte of them.
    Digests,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The artifact has no file.
    Missing(Sha256),
    /// The artifact's file holds something else.
    Corrupt(Sha256),
    /// The file belongs to no artifact: left by a crash; [`remove_unknown`] takes it away.
    Unknown {
        /// What its name says.
        sha256: Sha256,
        /// Its length in bytes.
        size: u64,
    },
    /// Not a file of ours.
    Foreign(PathBuf),
    /// A row refers to one that does not exist.
    Dangling {
        /// What should refer to what.
        reference: Reference,
        /// The row, for people.
        row: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(sha256) => write!(f, "Artifact `{sha256}` has no file"),
            Self::Corrupt(sha256) => write!(f, "Artifact `{sha256}` is corrupt"),
            Self::Unknown { sha256, size } => {
                write!(f, "File `{sha256}` ({size} bytes) belongs to no artifact")
            }
            Self::Foreign(path) => write!(f, "`{}` does not belong into the store", path.display()),
            Self::Dangling { reference, row } => write!(f, "{row}: {reference}"),
        }
    }
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Artifacts compared with their files.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was wrong.
    pub findings: u64,
}

/// Looks at everything. Of each kind of reference at most `limit` dangling ones are told.
pub async fn check(
    db: &Db,
    store: &ArtifactStore,
    depth: Depth,
    limit: u32,
    mut found: impl FnMut(Finding),
) -> Result<Checked, MaintenanceError> {
    let mut checked = Checked::default();
    for reference in Reference::ALL {
        let rows = db.read(move |conn| reference.dangling(conn, limit)).await?;
        checked.findings += rows.len() as u64;
        for row in rows {
            found(Finding::Dangling { reference, row });
        }
    }
    for first in 0..=u8::MAX {
        // Files first: a row that is committed later has its file, and is not looked at.
        let listed = store.list(first).await?;
        let rows = db.read(move |conn| artifacts(conn, first)).await?;
        checked.artifacts += rows.len() as u64;
        checked.bytes += rows.values().sum::<u64>();
        for finding in compare(db, store, depth, listed, rows).await? {
            checked.findings += 1;
            found(finding);
        }
    }
    Ok(checked)
}

/// Removes files that belong to no artifact, as found by [`check`], under the exclusive store lock.
/// Returns how many.
pub async fn remove_unknown(
    db: &Db,
    store: &ArtifactStore,
    unknown: &[Sha256],
    patience: Duration,
) -> Result<usize, MaintenanceError> {
    let guard = store.exclusive(patience).await?;
    let digests = unknown.to_vec();
    let known = db.read(move |conn| find_artifacts(conn, &digests)).await?;
    let unknown: Vec<_> =
        unknown.iter().copied().filter(|sha256| !known.contains_key(sha256)).collect();
    let removed = store.remove(&unknown).await?;
    drop(guard);
    Ok(removed)
}

/// The artifacts whose digest begins with `first`, with their sizes in bytes.
pub(crate) fn artifacts(
    conn: &mut Connection,
    first: u8,
) -> Result<BTreeMap<Sha256, u64>, DbError> {
    let (mut begin, mut end) = ([0; 32], [0xff; 32]);
    (begin[0], end[0]) = (first, first);
    let rows: Vec<(Sha256, i64)> = on!(conn, c => artifact::table
        .filter(artifact::sha256.ge(Sha256(begin)).and(artifact::sha256.le(Sha256(end))))
        .select((artifact::sha256, artifact::size))
        .load(c))?;
    Ok(rows.into_iter().map(|(sha256, size)| (sha256, size.unsigned_abs())).collect())
}

/// Compares one folder of the store with the rows that belong to it.
async fn compare(
    db: &Db,
    store: &ArtifactStore,
    depth: Depth,
    listed: Listed,
    mut rows: BTreeMap<Sha256, u64>,
) -> Result<Vec<Finding>, MaintenanceError> {
    let mut findings: Vec<_> = listed.foreign.into_iter().map(Finding::Foreign).collect();
    for (sha256, size) in listed.artifacts {
        match rows.remove(&sha256) {
            Some(expected) if expected != size => findings.push(Finding::Corrupt(sha256)),
            Some(_) if depth == Depth::Sizes => {}
            Some(_) => match store.check(&sha256).await? {
                Condition::Intact => {}
                Condition::Corrupt => findings.push(Finding::Corrupt(sha256)),
                Condition::Missing => drop(rows.insert(sha256, size)),
            },
            None if is_settled(store, &sha256).await? && !is_known(db, sha256).await? => {
                findings.push(Finding::Unknown { sha256, size });
            }
            None => {}
        }
    }
    // Saved since the folder was listed, or cleaned up since: then file and row agree again.
    for sha256 in rows.into_keys() {
        let exists = match store.exists(&sha256).await {
            Err(StoreError::NotAFile(_)) => false,
            other => other?,
        };
        if !exists && is_known(db, sha256).await? {
            findings.push(Finding::Missing(sha256));
        }
    }
    Ok(findings)
}

async fn is_known(db: &Db, sha256: Sha256) -> Result<bool, DbError> {
    db.read(move |conn| Ok(!find_artifacts(conn, &[sha256])?.is_empty())).await
}

/// Whether the file is too old to be part of a batch whose rows are about to be committed.
async fn is_settled(store: &ArtifactStore, sha256: &Sha256) -> Result<bool, StoreError> {
    let Some(modified) = store.modified(sha256).await? else { return Ok(false) };
    Ok(SystemTime::now().duration_since(modified).is_ok_and(|age| age > SETTLING))
}

#[cfg(test)]
mod tests;
