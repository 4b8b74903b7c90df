//! Reclaiming space: giving up bytes that can be fetched again.
//!
//! The content of the given repositories becomes what an `on_demand` sync would have made of it. Bytes
//! are given up only where a remote artifact with a digest says where the same ones are, and only
//! where no other repository and no version to be kept has the content. Slices and locks are those of
//! [`crate::orphan`].

use std::{collections::HashSet, time::Duration};

use diesel::{dsl::exists, prelude::*};
use uuid::Uuid;

use crate::{
    ArtifactStore, ContentId, Db, DbError, RepositoryId, Sha256, VersionNumber,
    db::{Connection, dialect, on},
    maintenance::MaintenanceError,
    orphan::delete_unreferenced,
    schema::{content, content_artifact, remote_artifact, repository_content},
};

/// How many rows are compared at a time.
const RANGE: i64 = 200_000;

/// What may be given up.
#[derive(Debug, Clone)]
pub struct Reclaim {
    /// The repositories whose content it is.
    pub repositories: Vec<RepositoryId>,
    /// Versions whose content keeps its bytes.
    pub keep: Vec<(RepositoryId, VersionNumber)>,
    /// Types of content that keep their bytes, as in `deb.release`.
    pub keep_types: Vec<String>,
    /// How long to wait for the store lock, for each slice.
    pub patience: Duration,
}

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Artifacts.
    pub artifacts: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Gives up bytes. `report` hears of the sum after each slice.
pub async fn reclaim(
    db: &Db,
    store: &ArtifactStore,
    what: &Reclaim,
    mut report: impl FnMut(&Reclaimed),
) -> Result<Reclaimed, MaintenanceError> {
    let mut sum = Reclaimed::default();
    let mut after = Some(ContentId(Uuid::nil()));
    while let Some(begin) = after {
        let wanted = what.clone();
        let (units, end) = db.read(move |conn| candidates(conn, &wanted, begin)).await?;
        for slice in units.chunks(dialect::KEYS_PER_QUERY) {
            let guard = store.exclusive(what.patience).await?;
            let (slice, types) = (slice.to_vec(), what.keep_types.clone());
            let given_up = db.write(move |conn| give_up(conn, &slice, &types)).await?;
            let deleted = delete_unreferenced(db, store, &guard, given_up).await?;
            drop(guard);
            sum.artifacts += deleted.len() as u64;
            sum.bytes += deleted.iter().map(|(_, size)| size).sum::<u64>();
            report(&sum);
        }
        after = end;
    }
    Ok(sum)
}

/// The units after `begin`, in a range of ids, that only the given repositories have and no kept
/// version; and where the range ends, unless it was the last.
fn candidates(
    conn: &mut Connection,
    what: &Reclaim,
    begin: ContentId,
) -> Result<(Vec<ContentId>, Option<ContentId>), DbError> {
    let end: Option<ContentId> = on!(conn, c => content::table
        .filter(content::id.gt(begin))
        .order(content::id)
        .offset(RANGE - 1)
        .select(content::id)
        .first(c)
        .optional())?;
    let last = end.unwrap_or(ContentId(Uuid::max()));
    let mut units: Vec<ContentId> = on!(conn, c => repository_content::table
        .filter(repository_content::repository_id.eq_any(&what.repositories))
        .filter(repository_content::content_id.gt(begin))
        .filter(repository_content::content_id.le(last))
        .select(repository_content::content_id)
        .except(
            repository_content::table
                .filter(repository_content::repository_id.ne_all(&what.repositories))
                .filter(repository_content::content_id.gt(begin))
                .filter(repository_content::content_id.le(last))
                .select(repository_content::content_id),
        )
        .load(c))?;
    for (repository, number) in &what.keep {
        let kept: Vec<ContentId> = on!(conn, c => repository_content::table
            .filter(repository_content::repository_id.eq(repository))
            .filter(repository_content::version_added.le(number.0))
            .filter(repository_content::version_removed.is_null().or(
                repository_content::version_removed.gt(number.0)))
            .filter(repository_content::content_id.gt(begin))
            .filter(repository_content::content_id.le(last))
            .select(repository_content::content_id)
            .load(c))?;
        let kept: HashSet<_> = kept.into_iter().collect();
        units.retain(|id| !kept.contains(id));
    }
    units.sort_unstable();
    Ok((units, end))
}

/// Takes their artifacts from the units' files that can be fetched again; returns the artifacts.
fn give_up(
    conn: &mut Connection,
    units: &[ContentId],
    keep_types: &[String],
) -> Result<Vec<Sha256>, DbError> {
    let units: Vec<ContentId> = on!(conn, c => content::table
        .filter(content::id.eq_any(units))
        .filter(content::type_name.ne_all(keep_types))
        .select(content::id)
        .load(c))?;
    // A macro, since the type of such a condition cannot be named.
    macro_rules! can_be_fetched {
        () => {
            content_artifact::content_id
                .eq_any(&units)
                .and(content_artifact::sha256.is_not_null())
                .and(exists(
                    remote_artifact::table
                        .filter(remote_artifact::content_id.eq(content_artifact::content_id))
                        .filter(remote_artifact::relative_path.eq(content_artifact::relative_path))
                        .filter(
                            remote_artifact::sha256
                                .is_not_null()
                                .or(remote_artifact::digests.is_not_null()),
                        ),
                ))
        };
    }
    let given_up: Vec<Option<Sha256>> = on!(conn, c => content_artifact::table
        .filter(can_be_fetched!())
        .select(content_artifact::sha256)
        .distinct()
        .load(c))?;
    on!(conn, c => diesel::update(content_artifact::table.filter(can_be_fetched!()))
        .set(content_artifact::sha256.eq(None::<Sha256>))
        .execute(c))?;
    Ok(given_up.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
