//! Repository versions.
mod error;
use crate::{
    RepositoryId, Timestamp,
    db::{Connection, DbError, on, types::JsonText},
    schema::repository_version,
};
use diesel::prelude::*;
pub use error::{Unit, VersionError};
/// n
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(pub i64);
impl std::fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
pub(crate) fn create_first(
    conn: &mut Connection,
    repository: RepositoryId,
    now: Timestamp,
) -> Result<(), DbError> {
    on!(conn, c => diesel::insert_into(repository_version::table).values((
        repository_version::repository_id.eq(repository),
        repository_version::number.eq(0),
        repository_version::created.eq(now),
        repository_version::summary.eq(JsonText("{}".to_owned())),
    )).execute(c))?;
    Ok(())
}
