//! Orphan cleanup: content that no repository version has, and bytes that nobody needs.
//!
//! Orphans are looked for without any lock, range by range so that memory stays flat. They are
//! deleted in small slices, each under the exclusive store lock: no sync, upload or fill is under
//! way, and each slice is looked at once more before it goes. Rows go first and durably, bytes after;
//! a crash in between leaves a file that nobody names ([`crate::check`] finds it), never a row
//! without its bytes.
//!
//! What was created lately is left alone, for an upload may be followed by the command that uses it.
//! A unit's id tells when it was created.

use std::{collections::HashSet, time::Duration};

use diesel::prelude::*;
use uuid::Uuid;

use crate::{
    ArtifactStore, ContentId, Db, DbError, Sha256, Timestamp,
    db::{Connection, dialect, on},
    maintenance::MaintenanceError,
    schema::{
        artifact, content, content_artifact, incomplete_version_content, published_artifact,
        repository, repository_content,
    },
    store::StoreGuard,
};

/// How long new content and artifacts are left alone unless the settings say otherwise.
pub const PROTECTION: Duration = Duration::from_secs(24 * 60 * 60);

/// How many rows are compared at a time: at most about 40 bytes of memory each.
const RANGE: i64 = 200_000;

/// What to clean up, and how patiently.
#[derive(Debug, Clone, Copy)]
pub struct CleanUp {
    /// Only what was created before; usually [`PROTECTION`] ago.
    pub created_before: Timestamp,
    /// How long to wait for the store lock, for each slice.
    pub patience: Duration,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanedUp {
    /// Units of content.
    pub content: u64,
    /// Artifacts.
    pub artifacts: u64,
    /// The size of those artifacts, in bytes.
    pub bytes: u64,
}

/// Deletes orphaned content, then artifacts that nothing refers to. `report` hears of the sum after
/// each slice.
pub async fn clean_up(
    db: &Db,
    store: &ArtifactStore,
    what: &CleanUp,
    mut report: impl FnMut(&CleanedUp),
) -> Result<CleanedUp, MaintenanceError> {
    let mut sum = CleanedUp::default();
    let time = what.created_before;
    let mut after = Some(ContentId(Uuid::nil()));
    while let Some(begin) = after {
        let (orphans, end) = db.read(move |conn| orphaned_content(conn, begin, time)).await?;
        for slice in orphans.chunks(dialect::KEYS_PER_QUERY) {
            let guard = store.exclusive(what.patience).await?;
            let slice = slice.to_vec();
            sum.content += db.write(move |conn| delete_content(conn, &slice)).await?;
            drop(guard);
            report(&sum);
        }
        after = end;
    }
    let mut after = Some(None);
    while let Some(begin) = after {
        let (orphans, end) = db.read(move |conn| orphaned_artifacts(conn, begin, time)).await?;
        for slice in orphans.chunks(dialect::KEYS_PER_QUERY) {
            let guard = store.exclusive(what.patience).await?;
            let deleted = delete_unreferenced(db, store, &guard, slice.to_vec()).await?;
            drop(guard);
            sum.artifacts += deleted.len() as u64;
            sum.bytes += deleted.iter().map(|(_, size)| size).sum::<u64>();
            report(&sum);
        }
        after = end.map(Some);
    }
    Ok(sum)
}

/// Deletes those of the artifacts to which nothing refers: rows, then bytes. Returns them with their
/// sizes.
pub(crate) async fn delete_unreferenced(
    db: &Db,
    store: &ArtifactStore,
    _exclusive: &StoreGuard,
    candidates: Vec<Sha256>,
) -> Result<Vec<(Sha256, u64)>, MaintenanceError> {
    let deleted = db.write(move |conn| delete_artifacts(conn, &candidates)).await?;
    db.make_durable().await?;
    let digests: Vec<_> = deleted.iter().map(|(sha256, _)| *sha256).collect();
    store.remove(&digests).await?;
    Ok(deleted)
}

/// The units after `begin`, in a range of ids, that no version has and that are old enough; and where
/// the range ends, unless it was the last.
fn orphaned_content(
    conn: &mut Connection,
    begin: ContentId,
    time: Timestamp,
) -> Result<(Vec<ContentId>, Option<ContentId>), DbError> {
    let end: Option<ContentId> = on!(conn, c => content::table
        .filter(content::id.gt(begin))
        .order(content::id)
        .offset(RANGE - 1)
        .select(content::id)
        .first(c)
        .optional())?;
    let last = end.unwrap_or(ContentId(Uuid::max()));
    let mut orphans: Vec<ContentId> = on!(conn, c => content::table
        .filter(content::id.gt(begin).and(content::id.le(last)))
        .filter(content::id.lt(first_id(time)))
        .select(content::id)
        .except(
            repository_content::table
                .filter(repository_content::content_id.gt(begin))
                .filter(repository_content::content_id.le(last))
                .select(repository_content::content_id),
        )
        .except(
            incomplete_version_content::table
                .filter(incomplete_version_content::content_id.gt(begin))
                .filter(incomplete_version_content::content_id.le(last))
                .select(incomplete_version_content::content_id),
        )
        .except(
            published_artifact::table
                .filter(published_artifact::content_id.gt(begin))
                .filter(published_artifact::content_id.le(last))
                .select(published_artifact::content_id.assume_not_null()),
        )
        .load(c))?;
    orphans.sort_unstable();
    Ok((orphans, end))
}

/// The least id that is made at `time`: ids begin with their milliseconds (RFC 9562 §5.7).
fn first_id(time: Timestamp) -> ContentId {
    let milliseconds = u64::try_from(time.0 / 1000).unwrap_or_default();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    ContentId(Uuid::from_bytes(bytes))
}

/// Deletes those of the units that are still orphans, with their files' rows.
fn delete_content(conn: &mut Connection, ids: &[ContentId]) -> Result<u64, DbError> {
    // Naming every repository lets the primary key find each unit.
    let used: Vec<ContentId> = on!(conn, c => repository_content::table
        .filter(repository_content::repository_id.eq_any(repository::table.select(repository::id)))
        .filter(repository_content::content_id.eq_any(ids))
        .select(repository_content::content_id)
        .load(c))?;
    let staged: Vec<ContentId> = on!(conn, c => incomplete_version_content::table
        .filter(incomplete_version_content::content_id.eq_any(ids))
        .select(incomplete_version_content::content_id)
        .load(c))?;
    let used: HashSet<_> = used.into_iter().chain(staged).collect();
    let orphans: Vec<_> = ids.iter().filter(|id| !used.contains(id)).collect();
    let count = on!(conn, c => diesel::delete(content::table
        .filter(content::id.eq_any(orphans)))
        .execute(c))?;
    Ok(count as u64)
}

/// The artifacts after `begin`, in a range of digests, to which nothing refers and that are old
/// enough; and where the range ends, unless it was the last.
fn orphaned_artifacts(
    conn: &mut Connection,
    begin: Option<Sha256>,
    time: Timestamp,
) -> Result<(Vec<Sha256>, Option<Sha256>), DbError> {
    // No digest is smaller than no bytes at all.
    let begin: Vec<u8> = begin.map_or_else(Vec::new, |sha256| sha256.0.to_vec());
    let end: Option<Sha256> = on!(conn, c => artifact::table
        .filter(artifact::sha256.gt(&begin))
        .order(artifact::sha256)
        .offset(RANGE - 1)
        .select(artifact::sha256)
        .first(c)
        .optional())?;
    let last = end.unwrap_or(Sha256([0xff; 32]));
    let mut orphans: Vec<Sha256> = on!(conn, c => artifact::table
        .filter(artifact::sha256.gt(&begin).and(artifact::sha256.le(last)))
        .filter(artifact::created.lt(time))
        .select(artifact::sha256)
        .except(
            content_artifact::table
                .filter(content_artifact::sha256.gt(&begin))
                .filter(content_artifact::sha256.le(last))
                .select(content_artifact::sha256.assume_not_null()),
        )
        .except(
            published_artifact::table
                .filter(published_artifact::sha256.gt(&begin))
                .filter(published_artifact::sha256.le(last))
                .select(published_artifact::sha256.assume_not_null()),
        )
        .load(c))?;
    orphans.sort_unstable();
    Ok((orphans, end))
}

/// Deletes the rows of those of the artifacts to which nothing refers.
fn delete_artifacts(
    conn: &mut Connection,
    candidates: &[Sha256],
) -> Result<Vec<(Sha256, u64)>, DbError> {
    let mut deleted = Vec::new();
    for chunk in candidates.chunks(dialect::KEYS_PER_QUERY) {
        let of_content: Vec<Option<Sha256>> = on!(conn, c => content_artifact::table
            .filter(content_artifact::sha256.eq_any(chunk))
            .select(content_artifact::sha256)
            .load(c))?;
        let published: Vec<Option<Sha256>> = on!(conn, c => published_artifact::table
            .filter(published_artifact::sha256.eq_any(chunk))
            .select(published_artifact::sha256)
            .load(c))?;
        let used: HashSet<_> = of_content.into_iter().chain(published).flatten().collect();
        let orphans: Vec<_> = chunk.iter().filter(|sha256| !used.contains(sha256)).collect();
        let rows: Vec<(Sha256, i64)> = on!(conn, c => artifact::table
            .filter(artifact::sha256.eq_any(&orphans))
            .select((artifact::sha256, artifact::size))
            .load(c))?;
        on!(conn, c => diesel::delete(artifact::table
            .filter(artifact::sha256.eq_any(&orphans)))
            .execute(c))?;
        deleted.extend(rows.into_iter().map(|(sha256, size)| (sha256, size.unsigned_abs())));
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests;
