//! Content: what a unit is, whatever its type.
//!
//! A content type is a serde struct of its plugin; here it is a row with its type's name, its two
//! keys, its metadata as JSON and, where they matter, upstream's exact bytes. Content is immutable
//! and shared by all repositories: writing a unit that exists yields the existing one's id.
//!
//! Which files a unit has is in [`crate::content_artifact`], which repositories it belongs to in
//! [`crate::version`].
//!
//! # What a unit costs
//! All 63,440 packages of Debian bookworm main/amd64, each with its stanza as `raw`, a small metadata
//! document, a repository key, one content artifact and one remote artifact, looked up, written,
//! staged and completed into a version in batches of 1,000 (2,000): 31 (28) µs of CPU per unit on
//! SQLite, 2.0 (1.8) s in all; 60 (58) µs, 3.8 (3.7) s, on PostgreSQL 15, its server included.
//! Measured on two busy cores, built without LTO, with `examples/schema_spike.rs`: its header has the
//! command.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use bytes::Bytes;
use diesel::prelude::*;

use crate::{
    ContentId, Key,
    db::{Connection, DbError, dialect, on, types::JsonText},
    schema::content,
};

/// A unit to be written.
#[derive(Debug, Clone)]
pub struct NewContent {
    /// As in `deb.package`; begins with the plugin's name.
    pub type_name: Cow<'static, str>,
    /// Names the unit in the whole installation.
    pub natural_key: Key,
    /// Names the place that only one unit may take in a repository version, if there is such.
    pub repo_key: Option<Key>,
    /// One JSON value: what is queried, and nothing more.
    pub metadata: String,
    /// Upstream's exact bytes, where they matter.
    pub raw: Option<Bytes>,
}

/// A unit as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    /// Its row.
    pub id: ContentId,
    /// As in `deb.package`.
    pub type_name: String,
    /// Names the unit in the whole installation.
    pub natural_key: Key,
    /// One JSON value; PostgreSQL keeps neither its order of fields nor its white space.
    pub metadata: String,
    /// Upstream's exact bytes. Absent also when the reader did not ask for them.
    pub raw: Option<Vec<u8>>,
}

/// Columns of a [`StoredContent`].
pub(crate) type StoredRow = (ContentId, String, Key, JsonText, Option<Vec<u8>>);

impl From<StoredRow> for StoredContent {
    fn from((id, type_name, natural_key, metadata, raw): StoredRow) -> Self {
        Self { id, type_name, natural_key, metadata: metadata.0, raw }
    }
}

/// The ids of those of `keys` that exist.
pub fn find(conn: &mut Connection, keys: &[Key]) -> Result<HashMap<Key, ContentId>, DbError> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let mut found = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(dialect::KEYS_PER_QUERY) {
        let rows: Vec<(Key, ContentId)> = on!(conn, c => content::table
            .filter(content::natural_key.eq_any(chunk))
            .select((content::natural_key, content::id))
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// The units with these ids, in order of their ids; ids that do not exist are left out.
pub fn load(conn: &mut Connection, ids: &[ContentId]) -> Result<Vec<StoredContent>, DbError> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut units = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(dialect::KEYS_PER_QUERY) {
        let rows: Vec<StoredRow> = on!(conn, c => content::table
            .filter(content::id.eq_any(chunk))
            .order(content::id)
            .select((
                content::id,
                content::type_name,
                content::natural_key,
                content::metadata,
                content::raw,
            ))
            .load(c))?;
        units.extend(rows.into_iter().map(StoredContent::from));
    }
    Ok(units)
}

/// Writes the units that do not exist, and says of each key which row it is and whether this call
/// wrote it. Units with equal keys are one unit; the first is written.
///
/// Rows are written in the order of their keys, so that two transactions that write the same units
/// wait for each other instead of deadlocking. Their ids grow in the order of the batch: whoever
/// reads a version in order of ids reads it in upstream's order.
pub fn insert(
    conn: &mut Connection,
    batch: &[NewContent],
) -> Result<HashMap<Key, (ContentId, bool)>, DbError> {
    let mut rows: Vec<(ContentId, &NewContent)> =
        batch.iter().map(|unit| (ContentId::new(), unit)).collect();
    rows.sort_by_key(|(_, unit)| unit.natural_key);
    rows.dedup_by_key(|(_, unit)| unit.natural_key);

    let written: HashSet<ContentId> = dialect::insert_content(conn, &rows)?;
    let mut ids = HashMap::with_capacity(rows.len());
    let mut existing = Vec::new();
    for (id, unit) in &rows {
        if written.contains(id) {
            ids.insert(unit.natural_key, (*id, true));
        } else {
            existing.push(unit.natural_key);
        }
    }
    // A statement of its own: only now is a row visible that another transaction wrote meanwhile.
    let found = find(conn, &existing)?;
    ids.extend(found.into_iter().map(|(key, id)| (key, (id, false))));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, testing::TestDatabase};

    fn unit(name: &str) -> NewContent {
        NewContent {
            type_name: "file.file".into(),
            natural_key: Key::of("file.file").field(name).finish(),
            repo_key: None,
            metadata: format!(r#"{{"name": "{name}"}}"#),
            raw: Some(Bytes::copy_from_slice(name.as_bytes())),
        }
    }

    both_databases! {
        async fn content_is_written_once_and_found_by_its_key(db: TestDatabase) {
            let (a, b, c) = (unit("a"), unit("b"), unit("c"));
            let keys = [a.natural_key, b.natural_key, c.natural_key];
            let batch = [b.clone(), a.clone(), a.clone()];
            let first = db.write(move |conn| insert(conn, &batch)).await.expect("written");
            assert_eq!(first.len(), 2);
            assert!(first.values().all(|(_, new)| *new));

            let batch = [a, b, c];
            let second = db.write(move |conn| insert(conn, &batch)).await.expect("written");
            assert_eq!(second[&keys[0]], (first[&keys[0]].0, false));
            assert_eq!(second[&keys[1]], (first[&keys[1]].0, false));
            assert!(second[&keys[2]].1);

            let found = db.read(move |conn| find(conn, &keys)).await.expect("found");
            assert_eq!(found.len(), 3);
            let id = found[&keys[2]];
            let loaded = db.read(move |conn| load(conn, &[id, id])).await.expect("loaded");
            assert_eq!(loaded.len(), 1);
            assert_eq!(loaded[0].metadata, r#"{"name": "c"}"#);
            assert_eq!(loaded[0].raw.as_deref(), Some(&b"c"[..]));
        }

        async fn batches_may_be_larger_than_a_statement_may_have_parameters(db: TestDatabase) {
            let batch: Vec<_> = (0..3_333).map(|number| unit(&number.to_string())).collect();
            let keys: Vec<_> = batch.iter().map(|unit| unit.natural_key).collect();
            let written = db.write(move |conn| insert(conn, &batch)).await.expect("written");
            assert!(keys.is_sorted_by_key(|key| written[key].0), "ids follow the batch");
            let found = db.read(move |conn| find(conn, &keys)).await.expect("found");
            assert_eq!(found.len(), 3_333);
            assert!(found.iter().all(|(key, id)| written[key].0 == *id));
        }
    }
}
