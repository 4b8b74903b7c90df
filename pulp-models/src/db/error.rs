//! What can go wrong between us and a database, as one enum.
//!
//! The variants name the thing (which repository, which file), never the statement: statements
//! are ours, and a failing one is a bug or an outage, told in the source.

use crate::{keyring::SealError, version::VersionError};

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The database could not be reached or opened.
    #[error("Failed to open database `{database}`")]
    Open {
        /// The URL without its password.
        database: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database was migrated by a newer version of this program.
    #[error("Database `{database}` is newer than this program: unknown migrations {unknown:?}")]
    Newer {
        /// The URL without its password.
        database: String,
        /// The migrations this program does not have.
        unknown: Vec<String>,
    },
    /// A migration failed; it was rolled back.
    #[error("Failed to migrate database `{database}`")]
    Migrate {
        /// The URL without its password.
        database: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Committed changes could not be written to disk.
    #[error("Failed to sync database `{database}`")]
    Sync {
        /// The URL without its password.
        database: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A statement failed; its transaction was rolled back.
    #[error("Database query failed")]
    Query(#[from] diesel::result::Error),
    /// A name that must be unique is taken.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// What kind of thing, as in `Repository`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing has this name or id.
    #[error("{kind} `{name}` does not exist")]
    NotFound {
        /// What kind of thing, as in `Repository`.
        kind: &'static str,
        /// What was looked for.
        name: String,
    },
    /// Something else refers to the thing, so it stays.
    #[error("{kind} `{name}` is used by {user}")]
    InUse {
        /// What kind of thing, as in `Remote`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Who uses it, as in "repository `bookworm`".
        user: String,
    },
    /// A stored value cannot be read: damaged by hand, or written by something else.
    #[error("Corrupt value in {place}")]
    Corrupt {
        /// Table and column, as in `remote_artifact.url`.
        place: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A secret is encrypted, and not with a key that is at hand.
    #[error("Failed to decrypt {what}")]
    Sealed {
        /// Whose secret, as in "the settings of remote `debian`".
        what: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// A repository version cannot be completed or changed this way.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The connection that held a repository's lock is gone, and the lock with it; nothing was
    /// changed.
    #[error("The repository's lock was lost with its database connection")]
    LockLost,
    /// The runtime was shut down before the operation ran.
    #[error("Database operation was dropped: the program is stopping")]
    Stopping,
}

impl DbError {
    /// What the user can do about it, for a separate `hint:` line.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Newer { .. } => Some(
                "run the newer version of this program, or restore a backup made before it ran",
            ),
            Self::Sealed { source: SealError::Damaged, .. } => {
                Some("give the remote its settings again, with `remote update`")
            }
            Self::Sealed { .. } => Some(
                "name the file with the key: `--secret-key-file FILE`, `PULP_SECRET_KEY_FILE` or \
                 `secret_key_file` in the settings file",
            ),
            Self::Query(error) if error.to_string().contains("database is locked") => {
                Some("another process has been writing for a minute; is it stuck?")
            }
            _ => None,
        }
    }

    /// [`DbError::NotFound`] for `name`.
    pub(crate) fn not_found(kind: &'static str, name: &(impl ToString + ?Sized)) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    /// Makes a [`DbError::Corrupt`] of whatever was wrong with a value in `place`.
    pub fn corrupt<E>(place: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |error| Self::Corrupt { place, source: error.into() }
    }

    /// Whether the same transaction may succeed when it is run again from its start.
    pub(crate) fn is_transient(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Self::Query(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            // 40P01 has no kind of its own in diesel.
            Self::Query(Error::DatabaseError(_, information)) => {
                information.message() == "deadlock detected"
            }
            _ => false,
        }
    }
}

/// Makes a [`DbError::AlreadyExists`] of a violated `UNIQUE`, for the thing that has the name.
pub(crate) fn named(
    kind: &'static str,
    name: &str,
) -> impl FnOnce(diesel::result::Error) -> DbError {
    use diesel::result::{DatabaseErrorKind::UniqueViolation, Error};
    move |error| match error {
        Error::DatabaseError(UniqueViolation, _) => {
            DbError::AlreadyExists { kind, name: name.to_owned() }
        }
        other => DbError::Query(other),
    }
}
