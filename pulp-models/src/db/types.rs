//! The SQL types that the two databases spell differently, and how our types map to columns.
//!
//! One `table!` serves both: [`Uuid`] is PostgreSQL's `uuid` and 16 bytes on SQLite, [`Json`] is
//! `jsonb` and text. Times are `bigint` microseconds, keys and digests are bytes on both.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql},
    pg::Pg,
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Binary, SqlType, Text},
    sqlite::Sqlite,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io::Write as _;

use super::DbError;
use crate::{Key, RelativePath, Sha256, ids, time::Timestamp};

/// A UUID column.
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(sqlite_type(name = "Binary"))]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
pub struct Uuid;

/// A JSON document column, held as text in Rust.
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(sqlite_type(name = "Text"))]
#[diesel(postgres_type(oid = 3802, array_oid = 3807))]
pub struct Json;

macro_rules! uuid_column {
    ($($id:ident),*) => {$(
        impl ToSql<Uuid, Sqlite> for ids::$id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.0.as_bytes().as_slice());
                Ok(IsNull::No)
            }
        }

        impl ToSql<Uuid, Pg> for ids::$id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.0.as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<Uuid, Sqlite> for ids::$id {
            fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
                Ok(Self(uuid::Uuid::from_slice(&bytes)?))
            }
        }

        impl FromSql<Uuid, Pg> for ids::$id {
            fn from_sql(value: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                Ok(Self(uuid::Uuid::from_slice(value.as_bytes())?))
            }
        }
    )*};
}

uuid_column!(
    ContentId,
    RepositoryId,
    RemoteId,
    PublicationId,
    DistributionId,
    TaskId,
    AlternateContentSourceId
);

/// A JSON document as the database holds it: the text of one JSON value.
#[derive(
    Debug, Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = Json)]
pub struct JsonText(pub String);

impl JsonText {
    /// The JSON of `value`; `place` is the table and column, for the error.
    pub(crate) fn write<T: Serialize>(value: &T, place: &'static str) -> Result<Self, DbError> {
        serde_json::to_string(value).map(Self).map_err(DbError::corrupt(place))
    }

    /// The value whose JSON this is; `place` is the table and column, for the error.
    pub(crate) fn read<T: DeserializeOwned>(&self, place: &'static str) -> Result<T, DbError> {
        serde_json::from_str(&self.0).map_err(DbError::corrupt(place))
    }
}

/// A borrowed [`JsonText`], for writing.
#[derive(Debug, Clone, Copy, diesel::expression::AsExpression)]
#[diesel(sql_type = Json)]
pub struct JsonRef<'a>(pub &'a str);

impl ToSql<Json, Sqlite> for JsonRef<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl ToSql<Json, Pg> for JsonRef<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        // The binary form of `jsonb` is its version, 1, and the text.
        out.write_all(&[1])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl ToSql<Json, Sqlite> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_str());
        Ok(IsNull::No)
    }
}

impl ToSql<Json, Pg> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Json, Pg>::to_sql(&JsonRef(&self.0), &mut out.reborrow())
    }
}

impl FromSql<Json, Sqlite> for JsonText {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        <String as FromSql<Text, Sqlite>>::from_sql(value).map(Self)
    }
}

impl FromSql<Json, Pg> for JsonText {
    fn from_sql(value: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            [1, text @ ..] => Ok(Self(String::from_utf8(text.to_vec())?)),
            _ => Err("unknown version of the `jsonb` binary form".into()),
        }
    }
}

macro_rules! bytes_column {
    ($($key:ident),*) => {$(
        impl<DB: Backend> ToSql<Binary, DB> for $key
        where
            [u8]: ToSql<Binary, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.0.as_slice().to_sql(out)
            }
        }

        impl<DB: Backend> FromSql<Binary, DB> for $key
        where
            Vec<u8>: FromSql<Binary, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = Vec::<u8>::from_sql(value)?;
                let length = bytes.len();
                bytes.try_into().map(Self).map_err(|_| format!("{length} bytes, not 32").into())
            }
        }
    )*};
}

bytes_column!(Key, Sha256);

impl<DB: Backend> ToSql<BigInt, DB> for Timestamp
where
    i64: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.to_sql(out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Timestamp
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(value).map(Self)
    }
}

impl<DB: Backend> ToSql<Text, DB> for RelativePath
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.as_str().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for RelativePath
where
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::try_from(String::from_sql(value)?)?)
    }
}
