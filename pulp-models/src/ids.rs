//! Row ids: one newtype per table that has an id of its own.
//!
//! Ids are UUIDs of version 7 (RFC 9562 §5.7): time-ordered, so that new rows append to their
//! indexes, and made by us, so that a row's id is known before it is written. What names a thing
//! by what it *is* (an artifact's SHA-256, content's natural key) is no id and lives elsewhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares one id type.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Serialize,
            Deserialize,
            diesel::expression::AsExpression,
            diesel::deserialize::FromSqlRow,
        )]
        #[serde(transparent)]
        #[diesel(sql_type = crate::db::types::Uuid)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, greater than every id this process made before.
            #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// Names a content unit's row.
    ContentId
}
id! {
    /// Names a repository.
    RepositoryId
}
id! {
    /// Names a remote.
    RemoteId
}
id! {
    /// Names a publication.
    PublicationId
}
id! {
    /// Names a distribution.
    DistributionId
}
id! {
    /// Names a task.
    TaskId
}
id! {
    /// Names an alternate content source.
    AlternateContentSourceId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_one_after_the_other_are_sorted() {
        let ids: Vec<_> = (0..10_000).map(|_| ContentId::new()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_id_survives_its_text() {
        let id = TaskId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0".parse::<TaskId>().is_err());
    }
}
