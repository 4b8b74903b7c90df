//! From names to rows: which repository version a name serves, and what is in it.
//!
//! Every function runs inside one read transaction of the caller. A blob or manifest counts only
//! if it belongs to the version that is served, whoever else has it.

use std::{collections::HashMap, time::Duration};

use pulp_models::{
    Connection, ContentId, DbError, RepositoryId, VersionNumber,
    content::{self, StoredContent},
    content_artifact::{self, ContentArtifact},
    distribution::{self, Distribution, Target},
    publication,
    repository::{self, Repository},
    version::{self, Columns},
};
use pulp_stages::{Content as _, options, repository_settings::RepositorySettings};

use super::unknown_name;
use crate::{
    access::Rights,
    content::{ContainerContent, ManifestContent},
    digest::Digest,
    errors::RegistryError,
    options::ContainerRepositoryOptions,
    pull_through::Behind,
    reference::{Reference, RepositoryName},
};

/// How long a pulled tag counts as unmoved, if the repository doesn't say.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);

/// Repositories that are kept for one that pulls through, if it doesn't say.
const DEFAULT_LIMIT: usize = 1000;

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

/// What a name serves, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `None`: nothing was pulled through yet.
    pub(super) site: Option<Site>,
    pub(super) rights: Rights,
    /// Whether it is always the newest version, so that what is pushed shows.
    pub(super) is_newest: bool,
    /// Where it is pulled through from, if it is.
    pub(super) behind: Option<Behind>,
}

impl Place {
    /// What it serves, or that there is no such repository.
    pub(super) fn site(&self, name: &RepositoryName) -> Result<Site, RegistryError> {
        self.site.ok_or_else(|| unknown_name(name))
    }
}

/// The place that `name` names; `None` if no distribution of this plugin has that base path, or it
/// serves nothing.
pub(super) fn place(
    conn: &mut Connection,
    name: &RepositoryName,
) -> Result<Option<Place>, DbError> {
    let Some((distribution, rest)) = distribution::find(conn, name.as_str())? else {
        return Ok(None);
    };
    if distribution.plugin != crate::NAME {
        return Ok(None);
    }
    if !rest.is_empty() {
        return place_behind(conn, &distribution, rest);
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
    let options = options_of(&repository::get_by_id(conn, repository)?)?;
    Ok(Some(Place {
        site: Some(Site { repository, version }),
        rights: Rights::of(&options),
        is_newest: matches!(distribution.target, Target::Repository(_)),
        behind: None,
    }))
}

/// What stands for `upstream` below a distribution, if its repository pulls that through.
fn place_behind(
    conn: &mut Connection,
    distribution: &Distribution,
    upstream: &str,
) -> Result<Option<Place>, DbError> {
    let (Target::Repository(parent), Ok(upstream)) = (distribution.target, upstream.parse()) else {
        return Ok(None);
    };
    let parent = repository::get_by_id(conn, parent)?;
    let options = options_of(&parent)?;
    let is_wanted = options.pull_through_repositories.iter().any(|glob| glob.matches(&upstream));
    let Some(remote) = options.pull_through.clone().filter(|_| is_wanted) else { return Ok(None) };
    let repository = repository::name_kept_for(&parent.name, upstream.as_str());
    let site = match repository::get(conn, &repository) {
        Ok(row) => Some(Site { repository: row.id, version: version::latest(conn, row.id)? }),
        Err(DbError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let max_age = options.pull_through_max_age.map_or(DEFAULT_MAX_AGE, Duration::from_secs);
    Ok(Some(Place {
        site,
        rights: Rights::of(&options).without_push(),
        is_newest: true,
        behind: Some(Behind {
            remote,
            upstream,
            parent: parent.name,
            repository,
            limit: options.pull_through_limit.unwrap_or(DEFAULT_LIMIT),
            max_age,
        }),
    }))
}

/// A repository's own options. Nobody guesses rights: options that cannot be read are an error.
fn options_of(row: &Repository) -> Result<ContainerRepositoryOptions, DbError> {
    RepositorySettings::of(row)
        .and_then(|settings| options::parse::<ContainerRepositoryOptions>(&settings.options))
        .map_err(DbError::corrupt("repository.options"))
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

/// The names that are served, sorted, and the rights to them.
pub(super) fn names(conn: &mut Connection) -> Result<Vec<(String, Rights)>, DbError> {
    let mut rows = repository::list(conn)?;
    rows.retain(|row| row.plugin == crate::NAME);
    let mut known = HashMap::new();
    for row in &rows {
        known.insert(row.id, (row, options_of(row)?));
    }
    let mut names = Vec::new();
    for found in distribution::list(conn)?.into_iter().filter(|found| found.plugin == crate::NAME) {
        let repository = match found.target {
            Target::Nothing => continue,
            Target::Repository(repository) | Target::Version(repository, _) => repository,
            Target::Publication(id) => publication::get(conn, id)?.repository,
        };
        let Some((row, options)) = known.get(&repository) else { continue };
        let base_path = found.base_path.as_str();
        if base_path.parse::<RepositoryName>().is_ok() {
            names.push((base_path.to_owned(), Rights::of(options)));
        }
        if options.pull_through.is_some() {
            let behind = rows.iter().filter_map(|kept| kept.is_kept_for(&row.name));
            let rights = Rights::of(options).without_push();
            names.extend(behind.map(|name| (format!("{base_path}/{name}"), rights.clone())));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _): &(String, Rights)| a.cmp(b));
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
