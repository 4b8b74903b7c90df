//! Repositories: a name, its options, and a row of versions.
//!
//! The versions themselves are in [`crate::version`]; creating a repository makes the empty
//! version 0. Who may change a repository is decided by its lock, not here.

use diesel::prelude::*;
use serde_json::Value;

use crate::{
    RemoteId, RepositoryId, Timestamp, VersionNumber,
    db::{Connection, DbError, named, on, types::JsonText},
    schema::{incomplete_version_content, repository},
    version,
};

pub(crate) const KIND: &str = "Repository";
/// Between a repository's name and that of what is kept for it.
const KEPT_FOR: &str = "//";

/// A repository to be created.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// Unique among repositories.
    pub name: String,
    /// The plugin that understands `options`.
    pub plugin: String,
    /// For people.
    pub description: Option<String>,
    /// What to sync from when the command names none.
    pub remote: Option<RemoteId>,
    /// How many versions to keep; all when absent.
    pub retain_versions: Option<u32>,
    /// Made for the program's own use (an alternate content source), not shown in lists.
    pub hidden: bool,
    /// The plugin's `RepositoryOptions`.
    pub options: Value,
}

impl NewRepository {
    /// A repository without options of any kind.
    pub fn new(name: impl Into<String>, plugin: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            plugin: plugin.into(),
            description: None,
            remote: None,
            retain_versions: None,
            hidden: false,
            options: Value::Object(serde_json::Map::new()),
        }
    }
}

/// A repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Its row.
    pub id: RepositoryId,
    /// Unique among repositories.
    pub name: String,
    /// The plugin that understands `options`; never changes.
    pub plugin: String,
    /// For people.
    pub description: Option<String>,
    /// What to sync from when the command names none.
    pub remote: Option<RemoteId>,
    /// The number that the next version gets; changed by completing a version only.
    pub next_version: VersionNumber,
    /// How many versions to keep; all when absent.
    pub retain_versions: Option<u32>,
    /// Made for the program's own use, not shown in lists.
    pub hidden: bool,
    /// The plugin's `RepositoryOptions`.
    pub options: Value,
    /// What the last successful sync saw of its upstream; lets an unchanged one be recognised.
    pub last_sync: Option<Value>,
    /// When it was created.
    pub created: Timestamp,
    /// When its row was last changed.
    pub updated: Timestamp,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = repository, treat_none_as_null = true)]
struct Row {
    id: RepositoryId,
    name: String,
    plugin: String,
    description: Option<String>,
    remote_id: Option<RemoteId>,
    next_version: i64,
    retain_versions: Option<i32>,
    hidden: bool,
    options: JsonText,
    last_sync: Option<JsonText>,
    created: Timestamp,
    updated: Timestamp,
}

impl Row {
    fn of(repository: &Repository) -> Result<Self, DbError> {
        let retain = repository.retain_versions;
        Ok(Self {
            id: repository.id,
            name: repository.name.clone(),
            plugin: repository.plugin.clone(),
            description: repository.description.clone(),
            remote_id: repository.remote,
            next_version: repository.next_version.0,
            retain_versions: retain.map(|count| i32::try_from(count).unwrap_or(i32::MAX)),
            hidden: repository.hidden,
            options: JsonText::write(&repository.options, "repository.options")?,
            last_sync: match &repository.last_sync {
                None => None,
                Some(value) => Some(JsonText::write(value, "repository.last_sync")?),
            },
            created: repository.created,
            updated: repository.updated,
        })
    }

    fn read(self) -> Result<Repository, DbError> {
        Ok(Repository {
            id: self.id,
            name: self.name,
            plugin: self.plugin,
            description: self.description,
            remote: self.remote_id,
            next_version: VersionNumber(self.next_version),
            retain_versions: self.retain_versions.map(i32::unsigned_abs),
            hidden: self.hidden,
            options: self.options.read("repository.options")?,
            last_sync: match self.last_sync {
                None => None,
                Some(text) => Some(text.read("repository.last_sync")?),
            },
            created: self.created,
            updated: self.updated,
        })
    }
}

impl Repository {
    /// What the repository is kept as, if it is kept for `parent`; see [`name_kept_for`].
    pub fn is_kept_for(&self, parent: &str) -> Option<&str> {
        self.name.strip_prefix(parent)?.strip_prefix(KEPT_FOR)
    }
}

/// Creates a repository with its empty version 0. A name that is taken is
/// [`DbError::AlreadyExists`].
pub fn create(conn: &mut Connection, new: &NewRepository) -> Result<Repository, DbError> {
    let now = Timestamp::now();
    let repository = Repository {
        id: RepositoryId::new(),
        name: new.name.clone(),
        plugin: new.plugin.clone(),
        description: new.description.clone(),
        remote: new.remote,
        next_version: VersionNumber(1),
        retain_versions: new.retain_versions,
        hidden: new.hidden,
        options: new.options.clone(),
        last_sync: None,
        created: now,
        updated: now,
    };
    let row = Row::of(&repository)?;
    on!(conn, c => diesel::insert_into(repository::table).values(&row).execute(c))
        .map_err(named(KIND, &new.name))?;
    version::create_first(conn, repository.id)?;
    Ok(repository)
}

/// The repository with this name.
pub fn get(conn: &mut Connection, name: &str) -> Result<Repository, DbError> {
    let row: Option<Row> = on!(conn, c => repository::table
        .filter(repository::name.eq(name)).select(Row::as_select()).first(c).optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, name))?.read()
}

/// The repository with this id.
pub fn get_by_id(conn: &mut Connection, id: RepositoryId) -> Result<Repository, DbError> {
    let row: Option<Row> = on!(conn, c => repository::table
        .find(id).select(Row::as_select()).first(c).optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, &id))?.read()
}

/// Every repository, the hidden ones too, sorted by name.
pub fn list(conn: &mut Connection) -> Result<Vec<Repository>, DbError> {
    let rows: Vec<Row> = on!(conn, c => repository::table
        .order(repository::name).select(Row::as_select()).load(c))?;
    rows.into_iter().map(Row::read).collect()
}

/// The name of what a plugin keeps as `name` for the repository `parent`. No command makes a
/// repository of such a name.
pub fn name_kept_for(parent: &str, name: &str) -> String {
    format!("{parent}{KEPT_FOR}{name}")
}

/// The repositories that are kept for `parent`, sorted by name.
pub fn kept_for(conn: &mut Connection, parent: &str) -> Result<Vec<Repository>, DbError> {
    let mut rows = list(conn)?;
    rows.retain(|row| row.is_kept_for(parent).is_some());
    Ok(rows)
}

/// Writes the repository as it is given, except for `next_version`, and sets `updated`. Read it in
/// the same transaction, so that nobody else's change is undone.
pub fn update(conn: &mut Connection, changed: &Repository) -> Result<(), DbError> {
    let mut row = Row::of(changed)?;
    row.updated = Timestamp::now();
    row.next_version = get_by_id(conn, changed.id)?.next_version.0;
    on!(conn, c => diesel::update(repository::table.find(row.id)).set(&row).execute(c))
        .map_err(named(KIND, &changed.name))?;
    Ok(())
}

/// Remembers what a sync saw of its upstream; `None` forgets it.
pub fn set_last_sync(
    conn: &mut Connection,
    id: RepositoryId,
    seen: Option<&Value>,
) -> Result<(), DbError> {
    let seen = match seen {
        None => None,
        Some(value) => Some(JsonText::write(value, "repository.last_sync")?),
    };
    let count = on!(conn, c => diesel::update(repository::table.find(id))
        .set(repository::last_sync.eq(&seen)).execute(c))?;
    if count == 0 { Err(DbError::not_found(KIND, &id)) } else { Ok(()) }
}

/// Deletes a repository with its versions and publications. Its content stays until an orphan
/// cleanup; distributions that served it stay and serve nothing.
pub fn delete(conn: &mut Connection, name: &str) -> Result<(), DbError> {
    use incomplete_version_content as staged;
    let id = get(conn, name)?.id;
    on!(conn, c => diesel::delete(staged::table.filter(staged::repository_id.eq(id))).execute(c))?;
    on!(conn, c => diesel::delete(repository::table.find(id)).execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, testing::TestDatabase, version::Mode};

    both_databases! {
        async fn a_repository_comes_back_as_it_was_written(db: TestDatabase) {
            db.write(|conn| {
                let new = NewRepository {
                    description: Some("all of it".to_owned()),
                    retain_versions: Some(3),
                    options: serde_json::json!({"autopublish": true}),
                    ..NewRepository::new("b", "file")
                };
                let mut repository = create(conn, &new)?;
                assert_eq!(get(conn, "b")?, repository);
                repository.description = None;
                repository.retain_versions = None;
                // Completing a version is the only thing that moves the number.
                repository.next_version = VersionNumber(7);
                update(conn, &repository)?;
                set_last_sync(conn, repository.id, Some(&serde_json::json!({"etag": "x"})))?;
                let changed = get_by_id(conn, repository.id)?;
                assert_eq!((&changed.description, changed.retain_versions), (&None, None));
                assert_eq!(changed.next_version, VersionNumber(1));
                assert_eq!(changed.last_sync, Some(serde_json::json!({"etag": "x"})));
                create(conn, &NewRepository::new("a", "deb"))?;
                let names: Vec<_> = list(conn)?.into_iter().map(|row| row.name).collect();
                assert_eq!(names, ["a", "b"]);
                Ok(())
            })
            .await
            .expect("done");
        }

        async fn what_is_kept_for_a_repository_is_found_by_its_name(db: TestDatabase) {
            db.write(|conn| {
                let child = name_kept_for("hub", "library/debian");
                for name in ["hub", "hub/x", "hubs//y", &child] {
                    create(conn, &NewRepository::new(name, "container"))?;
                }
                let kept = kept_for(conn, "hub")?;
                assert_eq!(kept.len(), 1);
                assert_eq!(kept[0].is_kept_for("hub"), Some("library/debian"));
                assert_eq!(kept[0].is_kept_for("hub/x"), None);
                Ok(())
            })
            .await
            .expect("done");
        }

        async fn a_deleted_repository_leaves_no_rows_but_its_content(db: TestDatabase) {
            db.write(|conn| {
                let repository = create(conn, &NewRepository::new("a", "file"))?.id;
                let number = version::begin(conn, repository)?;
                let unit = crate::ContentId::new();
                version::stage_content(conn, repository, number, &[unit])?;
                delete(conn, "a")?;
                let error = get(conn, "a").expect_err("it is gone");
                assert_eq!(error.to_string(), "Repository `a` does not exist");
                assert!(version::list(conn, repository)?.is_empty());
                let again = create(conn, &NewRepository::new("a", "file"))?.id;
                let how = version::Completion::new(Mode::Mirror);
                let number = version::begin(conn, again)?;
                assert_eq!(version::complete_version(conn, again, number, &how)?, None);
                Ok(())
            })
            .await
            .expect("done");
        }
    }
}
