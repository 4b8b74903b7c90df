//! Looking a path up in one edition: the queries behind [`super::resolve`].
//!
//! A publication's own rows come first; where it passes its version's files through, those come second.

use std::collections::{BTreeMap, HashMap};

use pulp_models::{
    Connection, ContentId, DbError, RelativePath, Timestamp,
    content_artifact::{self, ContentArtifact},
    publication::{self, Published, PublishedArtifact},
    version::{self, Entry as VersionEntry},
};

use super::{
    Servable,
    catalog::Edition,
    listing::{Entry, EntryKind},
};

/// The page that stands for a folder.
const INDEX: &str = "index.html";
/// Rows read at a time for a listing.
const PAGE: u32 = 1000;

/// What an edition has at a path.
#[derive(Debug)]
pub(super) enum Looked {
    File(Servable),
    /// A folder's own page, under its name within the folder.
    Index(Servable, &'static str),
    Folder(Vec<Entry>),
    SlashMissing,
    Nothing,
}

/// One edition in one transaction.
pub(super) struct Lookup<'a> {
    pub(super) conn: &'a mut Connection,
    pub(super) edition: Edition,
}

impl Lookup<'_> {
    /// Looks up a file, or `folder` (empty: the top).
    pub(super) fn run(&mut self, path: &str, folder: bool) -> Result<Looked, DbError> {
        // No published path has a segment or a length that these checks refuse.
        let parsed = RelativePath::new(path).ok();
        if parsed.is_none() && !path.is_empty() {
            return Ok(Looked::Nothing);
        }
        if folder {
            return self.folder(parsed.as_ref());
        }
        let Some(path) = parsed else { return Ok(Looked::SlashMissing) };
        if let Some(servable) = self.file(&path)? {
            return Ok(Looked::File(servable));
        }
        Ok(if self.is_folder(&path)? { Looked::SlashMissing } else { Looked::Nothing })
    }

    fn file(&mut self, path: &RelativePath) -> Result<Option<Servable>, DbError> {
        let source = self.edition.source;
        if let Some(id) = source.publication
            && let Some(published) = publication::find(self.conn, id, path.as_str())?
        {
            return self.published(published);
        }
        if !source.pass_through {
            return Ok(None);
        }
        let file = version::find_file(self.conn, source.repository, source.version, path)?;
        Ok(file.map(|file| {
            let stored = file.artifact.zip(file.size);
            Servable::content(file.content, file.relative_path).stored_as(stored)
        }))
    }

    fn published(&mut self, published: Published) -> Result<Option<Servable>, DbError> {
        Ok(match published {
            Published::Metadata { sha256, size } => Some(Servable::artifact(sha256, size)),
            Published::Content { content, path } => {
                let files = content_artifact::load(self.conn, &[content])?;
                let stored =
                    find(&files, content, &path).and_then(|file| file.artifact.zip(file.size));
                Some(Servable::content(content, path).stored_as(stored))
            }
            Published::Nothing => None,
        })
    }

    fn folder(&mut self, path: Option<&RelativePath>) -> Result<Looked, DbError> {
        let index = match path {
            Some(path) => RelativePath::new(&format!("{path}/{INDEX}")).ok(),
            None => RelativePath::new(INDEX).ok(),
        };
        if let Some(index) = index
            && let Some(servable) = self.file(&index)?
        {
            return Ok(Looked::Index(servable, INDEX));
        }
        let entries = self.entries(path)?;
        if entries.is_empty() && path.is_some() {
            return Ok(Looked::Nothing);
        }
        Ok(Looked::Folder(entries))
    }

    fn is_folder(&mut self, path: &RelativePath) -> Result<bool, DbError> {
        let source = self.edition.source;
        if let Some(id) = source.publication
            && publication::has_directory(self.conn, id, path.as_str())?
        {
            return Ok(true);
        }
        Ok(source.pass_through && !self.version_entries(Some(path))?.is_empty())
    }

    /// What is in a folder; what the publication has replaces what the version has.
    fn entries(&mut self, folder: Option<&RelativePath>) -> Result<Vec<Entry>, DbError> {
        let mut entries = BTreeMap::new();
        if self.edition.source.pass_through {
            for entry in self.version_entries(folder)? {
                let (name, kind) = match entry {
                    VersionEntry::Directory(name) => (name, EntryKind::Folder),
                    VersionEntry::File(file) => {
                        let name = file.relative_path.file_name().to_owned();
                        (name, self.file_kind(file.size))
                    }
                };
                entries.insert(name, kind);
            }
        }
        if self.edition.source.publication.is_some() {
            self.published_entries(folder, &mut entries)?;
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
    }

    fn version_entries(
        &mut self,
        folder: Option<&RelativePath>,
    ) -> Result<Vec<VersionEntry>, DbError> {
        let source = self.edition.source;
        version::list_directory(self.conn, source.repository, source.version, folder)
    }

    /// Reads the publication's rows page by page; what lies deeper in a folder that was seen is
    /// skipped, not read.
    fn published_entries(
        &mut self,
        folder: Option<&RelativePath>,
        entries: &mut BTreeMap<String, EntryKind>,
    ) -> Result<(), DbError> {
        let Some(id) = self.edition.source.publication else { return Ok(()) };
        let directory = folder.map(RelativePath::as_str).unwrap_or_default();
        let prefix = if directory.is_empty() { 0 } else { directory.len() + 1 };
        let mut after: Option<String> = None;
        loop {
            let rows = publication::page(self.conn, id, directory, after.as_deref(), PAGE)?;
            let full = rows.len() >= PAGE as usize;
            let Some(last) = rows.last().map(|row| row.relative_path.clone()) else { break };
            let sizes = self.sizes(&rows)?;
            for (row, size) in rows.iter().zip(sizes) {
                let inside = &row.relative_path.as_str()[prefix..];
                match (inside.split_once('/'), &row.published) {
                    (None, Published::Nothing) => entries.remove(inside),
                    (Some(_), Published::Nothing) => continue,
                    (Some((name, _)), _) => entries.insert(name.to_owned(), EntryKind::Folder),
                    (None, _) => entries.insert(inside.to_owned(), self.file_kind(size)),
                };
            }
            if !full {
                break;
            }
            let inside = &last.as_str()[prefix..];
            after = Some(match inside.split_once('/') {
                // After every path below this folder, before every other one.
                Some((name, _)) if entries.contains_key(name) => {
                    format!("{}{name}/{}", &last.as_str()[..prefix], char::MAX)
                }
                _ => last.as_str().to_owned(),
            });
        }
        Ok(())
    }

    /// The length of each row's bytes, as far as they are stored.
    fn sizes(&mut self, rows: &[PublishedArtifact]) -> Result<Vec<Option<u64>>, DbError> {
        let contents: Vec<_> = rows
            .iter()
            .filter_map(|row| match &row.published {
                Published::Content { content, .. } => Some(*content),
                Published::Metadata { .. } | Published::Nothing => None,
            })
            .collect();
        let files = content_artifact::load(self.conn, &contents)?;
        let size = |row: &PublishedArtifact| match &row.published {
            Published::Metadata { size, .. } => Some(*size),
            Published::Content { content, path } => find(&files, *content, path)?.size,
            Published::Nothing => None,
        };
        Ok(rows.iter().map(size).collect())
    }

    fn file_kind(&self, size: Option<u64>) -> EntryKind {
        let modified: Option<Timestamp> = Some(self.edition.created);
        EntryKind::File { modified, size }
    }
}

fn find<'a>(
    files: &'a HashMap<ContentId, Vec<ContentArtifact>>,
    content: ContentId,
    path: &RelativePath,
) -> Option<&'a ContentArtifact> {
    files.get(&content)?.iter().find(|file| file.relative_path == *path)
}
