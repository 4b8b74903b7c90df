//! What orphan cleanup, reclaiming and checking have in common: they need both the database and the
//! store, and either may fail.

use crate::{DbError, store::StoreError};

/// Why work on database and store stopped. What was done before stays done, and nothing is half
/// done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The store failed, or is in use ([`StoreError::Busy`]).
    #[error(transparent)]
    Store(#[from] StoreError),
}
