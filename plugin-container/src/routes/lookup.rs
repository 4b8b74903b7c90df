//! From names to rows: which repository version a name serves, and what is in it.
//!
//! Every function runs inside one read transaction of the caller. A blob or manifest counts only
//! if it belongs to the version that is served, whoever else has it.

use pulp_models::{
    Connection, ContentId, DbError, RepositoryId, VersionNumber,
    content::{self, StoredContent},
    content_artifact::{self, ContentArtifact},
    distribution::{self, Target},
    publication, repository,
    version::{self, Columns},
};
use pulp_stages::{Content as _, options, repository_settings::RepositorySettings};

use crate::{
    content::{ContainerContent, ManifestContent},
    digest::Digest,
    options::ContainerRepositoryOptions,
    reference::{Reference, RepositoryName},
};

/// What a name serves: a version of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Site {
    pub(crate) repository: RepositoryId,
    pub(crate) version: VersionNumber,
}

/// A blob of a version.
#[derive(Debug, Clone)]
pub(crate) struct BlobRow {
    pub(crate) content: ContentId,
    pub(crate) file: ContentArtifact,
}

/// The site that `name` serves; `None` if no distribution of this plugin has that base path, or
/// it serves nothing.
pub(super) fn site(conn: &mut Connection, name: &RepositoryName) -> Result<Option<Site>, DbError> {
    let found = distribution::find(conn, name.as_str())?;
    let Some((distribution, "")) = found else { return Ok(None) };
    if distribution.plugin != crate::NAME {
        return Ok(None);
    }
    let (repository, version) = match distribution.target {
        Target::Nothing => return Ok(None),
        Target::Repository(repository) => (repository, version::latest(conn, repository)?),
        Target::Version(repository, version) => (repository, version),
        Target::Publication(id) => {
            let publication = publication::get(conn, id)?;
            (publication.repository, publication.version)
        }
    };
    Ok(Some(Site { repository, version }))
}

/// The repository that `name` lets clients push to: its newest version is served, and its options
/// say so. `None` if there is no such name; the second value tells whether pushing is allowed.
pub(super) fn writable(
    conn: &mut Connection,
    name: &RepositoryName,
) -> Result<Option<(Site, bool)>, DbError> {
    let Some(site) = site(conn, name)? else { return Ok(None) };
    let found = distribution::find(conn, name.as_str())?;
    let newest = found.is_some_and(|(found, _)| matches!(found.target, Target::Repository(_)));
    let row = repository::get_by_id(conn, site.repository)?;
    let push = RepositorySettings::of(&row)
        .and_then(|settings| options::parse::<ContainerRepositoryOptions>(&settings.options))
        .is_ok_and(|options| options.push);
    Ok(Some((site, newest && push)))
}

/// The manifest that `reference` names.
pub(super) fn manifest(
    conn: &mut Connection,
    site: Site,
    reference: &Reference,
) -> Result<Option<ManifestContent>, DbError> {
    let digest = match reference {
        Reference::Digest(digest) => *digest,
        Reference::Tag(tag) => {
            let key = ContainerContent::tag_key(tag);
            let row = version::at_repo_key(conn, site.repository, site.version, &key)?;
            let Some(row) = row else { return Ok(None) };
            match load(row)? {
                ContainerContent::Tag(tag) => tag.tagged_manifest,
                _ => return Ok(None),
            }
        }
    };
    let Some(id) = member(conn, site, ContainerContent::manifest_key(&digest))? else {
        return Ok(None);
    };
    let row = content::load(conn, &[id])?.into_iter().next();
    Ok(match row.map(load).transpose()? {
        Some(ContainerContent::Manifest(manifest)) => Some(*manifest),
        _ => None,
    })
}

/// The blob called `digest`, stored or not.
pub(crate) fn blob(
    conn: &mut Connection,
    site: Site,
    digest: &Digest,
) -> Result<Option<BlobRow>, DbError> {
    let Some(id) = member(conn, site, ContainerContent::blob_key(digest))? else {
        return Ok(None);
    };
    let mut files = content_artifact::load(conn, &[id])?;
    let file = files.remove(&id).and_then(|files| files.into_iter().next());
    Ok(file.map(|file| BlobRow { content: id, file }))
}

/// The unit with this natural key, if the site has it.
pub(super) fn member(
    conn: &mut Connection,
    site: Site,
    key: pulp_models::Key,
) -> Result<Option<ContentId>, DbError> {
    let Some(id) = content::find(conn, &[key])?.remove(&key) else { return Ok(None) };
    let contained = version::contains(conn, site.repository, site.version, id)?;
    Ok(contained.then_some(id))
}

/// The names that are served, sorted.
pub(super) fn names(conn: &mut Connection) -> Result<Vec<String>, DbError> {
    let distributions = distribution::list(conn)?.into_iter();
    let mut names: Vec<_> = distributions
        .filter(|found| found.plugin == crate::NAME && found.target != Target::Nothing)
        .map(|found| found.base_path.as_str().to_owned())
        .filter(|name| name.parse::<RepositoryName>().is_ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Rows per page.
const PAGE: u32 = 1000;

/// Reads the site's units of one type, page by page.
pub(crate) fn each(
    conn: &mut Connection,
    site: Site,
    type_name: &str,
    columns: Columns,
    mut take: impl FnMut(StoredContent) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let mut after: Option<ContentId> = None;
    loop {
        let (repository, number) = (site.repository, site.version);
        let page = version::page(conn, repository, number, Some(type_name), columns, after, PAGE)?;
        after = page.last().map(|row| row.id);
        let is_last = page.len() < PAGE as usize;
        page.into_iter().try_for_each(&mut take)?;
        if is_last {
            return Ok(());
        }
    }
}

/// The content that a row holds.
pub(crate) fn load(row: StoredContent) -> Result<ContainerContent, DbError> {
    ContainerContent::load(row).map_err(DbError::corrupt("content.metadata"))
}
