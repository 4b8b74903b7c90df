//! Publications: a complete, immutable map from paths to bytes.
//!
//! A publication belongs to one repository version. With `pass_through` it serves that version's own
//! files at their own paths, and has rows only for what differs: generated metadata, files at other
//! paths. It is written in batches and becomes visible when it is completed; one that was never
//! completed is garbage to whoever holds the repository's lock ([`delete_incomplete`]).

use diesel::{dsl::exists, prelude::*};
use serde_json::Value;

use crate::{
    ContentId, DbError, PublicationId, RelativePath, RepositoryId, Sha256, Timestamp,
    VersionNumber,
    db::{Connection, dialect, on, types::JsonText},
    schema::{publication, published_artifact},
};

const KIND: &str = "Publication";

/// A publication to be created.
#[derive(Debug, Clone)]
pub struct NewPublication {
    /// Whose version is published.
    pub repository: RepositoryId,
    /// Which version.
    pub version: VersionNumber,
    /// The plugin that published it.
    pub plugin: String,
    /// The plugin's `PublicationOptions`.
    pub options: Value,
    /// Whether it can be found by its time for good.
    pub checkpoint: bool,
}

/// A publication.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// Its row.
    pub id: PublicationId,
    /// Whose version is published.
    pub repository: RepositoryId,
    /// Which version.
    pub version: VersionNumber,
    /// The plugin that published it.
    pub plugin: String,
    /// The plugin's `PublicationOptions`.
    pub options: Value,
    /// Whether it may be served.
    pub complete: bool,
    /// Whether the version's files are served at their own paths.
    pub pass_through: bool,
    /// Whether it can be found by its time for good.
    pub checkpoint: bool,
    /// When it was completed; before that, when it was begun.
    pub created: Timestamp,
}

/// What lies at a published path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// A file of the version's content, stored or not.
    Content {
        /// Whose file.
        content: ContentId,
        /// Its path in the version.
        path: RelativePath,
    },
    /// An artifact that was made for this publication.
    Metadata {
        /// The artifact.
        sha256: Sha256,
        /// Its length in bytes.
        size: u64,
    },
    /// Nothing, although the version has a file there that would be passed through.
    Nothing,
}

/// A published path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedArtifact {
    /// Where it is served.
    pub relative_path: RelativePath,
    /// What is there.
    pub published: Published,
}

/// Creates a publication that nobody can see.
pub fn create(conn: &mut Connection, new: &NewPublication) -> Result<PublicationId, DbError> {
    let row = Row {
        id: PublicationId::new(),
        repository_id: new.repository,
        version: new.version.0,
        plugin: new.plugin.clone(),
        options: JsonText::write(&new.options, "publication.options")?,
        complete: false,
        pass_through: false,
        checkpoint: new.checkpoint,
        created: Timestamp::now(),
    };
    on!(conn, c => diesel::insert_into(publication::table).values(&row).execute(c))?;
    Ok(row.id)
}

/// Adds paths to a publication that is not complete. Where a path is given twice, or is there
/// already, the last one counts.
pub fn add(
    conn: &mut Connection,
    id: PublicationId,
    batch: &[PublishedArtifact],
) -> Result<(), DbError> {
    let mut rows: Vec<_> = batch.iter().map(|artifact| PublishedRow::of(id, artifact)).collect();
    rows.sort_by(|a, b| a.relative_path.cmp(&b.relative_path));
    rows.dedup_by(|later, earlier| {
        let same = later.relative_path == earlier.relative_path;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    dialect::upsert_published_artifacts(conn, &rows)?;
    Ok(())
}

/// Makes a publication visible, from now on. False when it is gone or was completed before.
pub fn complete(
    conn: &mut Connection,
    id: PublicationId,
    pass_through: bool,
) -> Result<bool, DbError> {
    let changed = on!(conn, c => diesel::update(publication::table)
        .filter(publication::id.eq(id).and(publication::complete.eq(false)))
        .set((
            publication::complete.eq(true),
            publication::pass_through.eq(pass_through),
            publication::created.eq(Timestamp::now()),
        ))
        .execute(c))?;
    Ok(changed == 1)
}

/// The publication with this id, complete or not.
pub fn get(conn: &mut Connection, id: PublicationId) -> Result<Publication, DbError> {
    let row: Option<Row> = on!(conn, c => publication::table
        .find(id)
        .select(Row::as_select())
        .first(c)
        .optional())?;
    row.ok_or_else(|| DbError::not_found(KIND, &id))?.read()
}

/// The complete publications of a repository, newest first: by version, then by time.
pub fn list(conn: &mut Connection, repository: RepositoryId) -> Result<Vec<Publication>, DbError> {
    let rows: Vec<Row> = on!(conn, c => publication::table
        .filter(publication::repository_id.eq(repository))
        .filter(publication::complete.eq(true))
        .order((publication::version.desc(), publication::created.desc(), publication::id.desc()))
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::read).collect()
}

/// The newest complete publication of a repository.
pub fn newest(
    conn: &mut Connection,
    repository: RepositoryId,
) -> Result<Option<Publication>, DbError> {
    let row: Option<Row> = on!(conn, c => publication::table
        .filter(publication::repository_id.eq(repository))
        .filter(publication::complete.eq(true))
        .order((publication::version.desc(), publication::created.desc(), publication::id.desc()))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    row.map(Row::read).transpose()
}

/// A publication that was the newest once.
#[derive(Debug, Clone, PartialEq)]
pub struct Superseded {
    /// It.
    pub publication: Publication,
    /// Since when a newer one is served instead.
    pub since: Timestamp,
}

/// The publications of a repository that were superseded after `time`, newest first: clients that
/// read an index from one of them still ask for its files.
pub fn superseded(
    conn: &mut Connection,
    repository: RepositoryId,
    time: Timestamp,
) -> Result<Vec<Superseded>, DbError> {
    let mut since = None;
    let mut superseded = Vec::new();
    for publication in list(conn, repository)? {
        if let Some(since) = since
            && since > time
        {
            superseded.push(Superseded { publication: publication.clone(), since });
        }
        // A publication of an older version that was made later never was the newest.
        let before = since.unwrap_or(Timestamp(i64::MAX));
        since = Some(before.min(publication.created));
    }
    Ok(superseded)
}

/// Deletes a publication. A distribution that serves it serves nothing afterwards.
pub fn delete(conn: &mut Connection, id: PublicationId) -> Result<(), DbError> {
    let count = on!(conn, c => diesel::delete(publication::table.find(id)).execute(c))?;
    if count == 0 { Err(DbError::not_found(KIND, &id)) } else { Ok(()) }
}

/// Deletes what a publishing task that died left behind; returns how many there were. Only for the
/// holder of the repository's lock.
pub fn delete_incomplete(
    conn: &mut Connection,
    repository: RepositoryId,
) -> Result<usize, DbError> {
    Ok(on!(conn, c => diesel::delete(publication::table
        .filter(publication::repository_id.eq(repository))
        .filter(publication::complete.eq(false)))
        .execute(c))?)
}

/// What lies at a path of its own rows. Of a pass-through publication the version has more.
pub fn find(
    conn: &mut Connection,
    id: PublicationId,
    path: &str,
) -> Result<Option<Published>, DbError> {
    let row: Option<PublishedRow> = on!(conn, c => published_artifact::table
        .find((id, path))
        .select(PublishedRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(PublishedRow::read).transpose()?.map(|artifact| artifact.published))
}

/// Whether anything of its own rows lies below the directory.
pub fn has_directory(
    conn: &mut Connection,
    id: PublicationId,
    directory: &str,
) -> Result<bool, DbError> {
    use published_artifact as t;
    let (first, end) = below(directory);
    Ok(on!(conn, c => diesel::select(exists(t::table
        .filter(t::publication_id.eq(id))
        .filter(t::relative_path.ge(first))
        .filter(t::relative_path.lt(end))
        .filter(t::content_id.is_not_null().or(t::sha256.is_not_null()))))
        .get_result(c))?)
}

/// At most `limit` of its own rows, in the order of their paths' bytes: those below `directory`
/// (empty: all) that come after `after`.
pub fn page(
    conn: &mut Connection,
    id: PublicationId,
    directory: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<PublishedArtifact>, DbError> {
    let (first, end) = below(directory);
    let rows: Vec<PublishedRow> = on!(conn, c => published_artifact::table
        .filter(published_artifact::publication_id.eq(id))
        .filter(published_artifact::relative_path.ge(first))
        .filter(published_artifact::relative_path.lt(end))
        .filter(published_artifact::relative_path.gt(after.unwrap_or_default()))
        .order(published_artifact::relative_path)
        .limit(limit.into())
        .select(PublishedRow::as_select())
        .load(c))?;
    rows.into_iter().map(PublishedRow::read).collect()
}

/// The range, end exclusive, in which the paths below a directory lie when sorted by their bytes.
fn below(directory: &str) -> (String, String) {
    match directory {
        "" => (String::new(), char::MAX.to_string()),
        _ => (format!("{directory}/"), format!("{directory}0")),
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = publication)]
struct Row {
    id: PublicationId,
    repository_id: RepositoryId,
    version: i64,
    plugin: String,
    options: JsonText,
    complete: bool,
    pass_through: bool,
    checkpoint: bool,
    created: Timestamp,
}

impl Row {
    fn read(self) -> Result<Publication, DbError> {
        Ok(Publication {
            id: self.id,
            repository: self.repository_id,
            version: VersionNumber(self.version),
            plugin: self.plugin,
            options: self.options.read("publication.options")?,
            complete: self.complete,
            pass_through: self.pass_through,
            checkpoint: self.checkpoint,
            created: self.created,
        })
    }
}

/// A row of `published_artifact`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = published_artifact)]
pub(crate) struct PublishedRow {
    pub(crate) publication_id: PublicationId,
    pub(crate) relative_path: RelativePath,
    pub(crate) content_id: Option<ContentId>,
    pub(crate) content_path: Option<RelativePath>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) size: Option<i64>,
}

impl PublishedRow {
    fn of(publication: PublicationId, artifact: &PublishedArtifact) -> Self {
        let (content_id, content_path, sha256, size) = match &artifact.published {
            Published::Content { content, path } => {
                (Some(*content), Some(path.clone()), None, None)
            }
            Published::Metadata { sha256, size } => {
                (None, None, Some(*sha256), Some(i64::try_from(*size).unwrap_or(i64::MAX)))
            }
            Published::Nothing => (None, None, None, None),
        };
        let relative_path = artifact.relative_path.clone();
        Self { publication_id: publication, relative_path, content_id, content_path, sha256, size }
    }

    fn read(self) -> Result<PublishedArtifact, DbError> {
        let published = match (self.content_id, self.content_path, self.sha256, self.size) {
            (Some(content), Some(path), ..) => Published::Content { content, path },
            (.., Some(sha256), Some(size)) => {
                Published::Metadata { sha256, size: size.unsigned_abs() }
            }
            (None, None, None, None) => Published::Nothing,
            _ => {
                let source = "it names only half of what is there".into();
                return Err(DbError::Corrupt { place: "published_artifact", source });
            }
        };
        Ok(PublishedArtifact { relative_path: self.relative_path, published })
    }
}

#[cfg(test)]
mod tests;
