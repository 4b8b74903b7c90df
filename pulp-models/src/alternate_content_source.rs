//! Alternate content sources: nearer places that have some of a remote's bytes.
//!
//! A source is a remote and paths below it. Refreshing it reads the metadata found there and notes
//! which bytes are where, by digest ([`offers`]); a later sync from anywhere asks the source first for
//! bytes that it is known to have. No content comes of a refresh.

use diesel::prelude::*;

use crate::{
    AlternateContentSourceId, DbError, RemoteId, Timestamp,
    db::{Connection, named, on, types::JsonText},
    schema::{alternate_artifact, alternate_content_source},
};

pub mod offers;

const KIND: &str = "Alternate content source";

/// An alternate content source to be created.
#[derive(Debug, Clone)]
pub struct NewAlternateContentSource {
    /// Unique among alternate content sources.
    pub name: String,
    /// Where it is, and how to reach it.
    pub remote: RemoteId,
    /// Paths below the remote's URL, as its plugin takes them; none means the URL itself.
    pub paths: Vec<String>,
    /// Whether syncs ask it.
    pub enabled: bool,
}

/// An alternate content source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternateContentSource {
    /// Its row.
    pub id: AlternateContentSourceId,
    /// Unique among alternate content sources.
    pub name: String,
    /// Where it is, and how to reach it.
    pub remote: RemoteId,
    /// Paths below the remote's URL, as its plugin takes them; none means the URL itself.
    pub paths: Vec<String>,
    /// Whether syncs ask it.
    pub enabled: bool,
    /// When it was last refreshed to the end.
    pub last_refreshed: Option<Timestamp>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// Creates an alternate content source. A name that is taken is [`DbError::AlreadyExists`].
pub fn create(
    conn: &mut Connection,
    new: &NewAlternateContentSource,
) -> Result<AlternateContentSource, DbError> {
    let now = Timestamp::now();
    let source = AlternateContentSource {
        id: AlternateContentSourceId::new(),
        name: new.name.clone(),
        remote: new.remote,
        paths: new.paths.clone(),
        enabled: new.enabled,
        last_refreshed: None,
        created: now,
        updated: now,
    };
    let row = Row::of(&source)?;
    on!(conn, c => diesel::insert_into(alternate_content_source::table).values(&row).execute(c))
        .map_err(named(KIND, &new.name))?;
    Ok(source)
}

/// The source with this name.
pub fn get(conn: &mut Connection, name: &str) -> Result<AlternateContentSource, DbError> {
    let row: Option<Row> = on!(conn, c => alternate_content_source::table
        .filter(alternate_content_source::name.eq(name))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, name))?.read()
}

/// Every source, sorted by name.
pub fn list(conn: &mut Connection) -> Result<Vec<AlternateContentSource>, DbError> {
    let rows: Vec<Row> = on!(conn, c => alternate_content_source::table
        .order(alternate_content_source::name)
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::read).collect()
}

/// Writes the source as it is given, and sets `updated`.
pub fn update(conn: &mut Connection, changed: &AlternateContentSource) -> Result<(), DbError> {
    let mut row = Row::of(changed)?;
    row.updated = Timestamp::now();
    let count = on!(conn, c => diesel::update(alternate_content_source::table.find(row.id))
        .set(&row)
        .execute(c))
    .map_err(named(KIND, &changed.name))?;
    if count == 0 { Err(DbError::not_found(KIND, &changed.name)) } else { Ok(()) }
}

/// Deletes a source, and what it was known to have.
pub fn delete(conn: &mut Connection, name: &str) -> Result<(), DbError> {
    let id = get(conn, name)?.id;
    on!(conn, c => diesel::delete(alternate_artifact::table
        .filter(alternate_artifact::source_id.eq(id)))
        .execute(c))?;
    on!(conn, c => diesel::delete(alternate_content_source::table.find(id)).execute(c))?;
    Ok(())
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = alternate_content_source, treat_none_as_null = true)]
struct Row {
    id: AlternateContentSourceId,
    name: String,
    remote_id: RemoteId,
    paths: JsonText,
    enabled: bool,
    last_refreshed: Option<Timestamp>,
    created: Timestamp,
    updated: Timestamp,
}

impl Row {
    fn of(source: &AlternateContentSource) -> Result<Self, DbError> {
        Ok(Self {
            id: source.id,
            name: source.name.clone(),
            remote_id: source.remote,
            paths: JsonText::write(&source.paths, "alternate_content_source.paths")?,
            enabled: source.enabled,
            last_refreshed: source.last_refreshed,
            created: source.created,
            updated: source.updated,
        })
    }

    fn read(self) -> Result<AlternateContentSource, DbError> {
        Ok(AlternateContentSource {
            id: self.id,
            name: self.name,
            remote: self.remote_id,
            paths: self.paths.read("alternate_content_source.paths")?,
            enabled: self.enabled,
            last_refreshed: self.last_refreshed,
            created: self.created,
            updated: self.updated,
        })
    }
}

#[cfg(test)]
mod tests;
