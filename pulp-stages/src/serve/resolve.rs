//! From a request's path to what is to be sent.
//!
//! [`super::catalog`] says which editions a path may belong to; here it is looked up in them: what is
//! published at the path itself, then what the version has there, then whether it is a folder. Bytes
//! are delivered in [`super::deliver`].

use std::{collections::BTreeMap, ops::Bound, time::Instant};

use http::HeaderValue;
use percent_encoding::utf8_percent_encode;
use pulp_models::{Connection, DbError, Timestamp};

use super::{
    CONTENT_PREFIX, ContentApp, Servable,
    catalog::{Catalog, Edition, Site, Source, Target, is_stamp, stamp},
    listing::{Entry, EntryKind, SEGMENT},
    lookup::{Looked, Lookup},
    media_type,
    request_path::RequestPath,
};

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// A file and its content type.
    File(Servable, HeaderValue),
    /// A folder and what is in it.
    Folder(Vec<Entry>),
    /// A folder, which was asked for as if it were a file.
    SlashMissing,
    /// Another absolute path, encoded.
    Elsewhere(String),
    /// Nothing, for this reason.
    Nothing(String),
}

/// A path in an edition: the key under which what it led to is remembered.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ResolvedPath {
    source: Source,
    path: String,
}

impl ContentApp {
    /// Looks up a path below [`CONTENT_PREFIX`].
    pub(super) async fn resolve(&self, path: &RequestPath) -> Result<Found, DbError> {
        let asked = Instant::now();
        let catalogs = &self.inner.catalogs;
        let catalog = catalogs.current().await?;
        let found = self.resolve_in(&catalog, path).await?;
        if !matches!(found, Found::Nothing(_)) || catalog.is_newer_than(asked) {
            return Ok(found);
        }
        // It may have been published since the catalog was read.
        let catalog = catalogs.newer_than(asked).await?;
        self.resolve_in(&catalog, path).await
    }

    async fn resolve_in(&self, catalog: &Catalog, path: &RequestPath) -> Result<Found, DbError> {
        let Some(site) = catalog.site(path) else {
            return Ok(above_distributions(catalog, path));
        };
        let rest = path.below(&site.base_path).unwrap_or_default();
        let place = Place { path: rest, folder: path.is_folder() };
        match &site.target {
            Target::Nothing(reason) => Ok(Found::Nothing(reason.clone())),
            Target::Edition(edition, superseded) => {
                let found = self.look(site, edition, &place).await?;
                if !matches!(found, Found::Nothing(_)) || place.folder {
                    return Ok(found);
                }
                for edition in superseded {
                    let found = self.look(site, edition, &place).await?;
                    if matches!(found, Found::File(..)) {
                        return Ok(found);
                    }
                }
                Ok(found)
            }
            Target::Checkpoints(checkpoints) => match Checkpoint::of(checkpoints, site, &place) {
                Checkpoint::Edition(edition, place) => self.look(site, &edition, &place).await,
                Checkpoint::Found(found) => Ok(found),
            },
        }
    }

    /// Looks a path up in one edition.
    async fn look(
        &self,
        site: &Site,
        edition: &Edition,
        place: &Place<'_>,
    ) -> Result<Found, DbError> {
        let modified = edition.created.max(site.updated);
        let file = |servable: Servable, name| {
            Found::File(servable.modified(modified), media_type::of(name))
        };
        let key = ResolvedPath { source: edition.source, path: place.path.to_owned() };
        if !place.folder
            && let Some(servable) = self.inner.resolved.get(&key)
        {
            return Ok(file(servable, place.path));
        }
        let (edition, path, folder) = (*edition, place.path.to_owned(), place.folder);
        let lookup = move |conn: &mut Connection| Lookup { conn, edition }.run(&path, folder);
        Ok(match self.inner.installation.db.read(lookup).await? {
            Looked::File(servable) => {
                if servable.stored.is_some() {
                    self.inner.resolved.insert(key, servable.clone());
                }
                file(servable, place.path)
            }
            Looked::Index(servable, name) => file(servable, name),
            Looked::Folder(entries) => Found::Folder(entries),
            Looked::SlashMissing => Found::SlashMissing,
            Looked::Nothing => Found::Nothing(site.lacks(&edition, place.path)),
        })
    }
}

/// A path below a distribution or a checkpoint.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    folder: bool,
}

/// The folders that lead to distributions; the top is one even if there are none.
fn above_distributions(catalog: &Catalog, path: &RequestPath) -> Found {
    let children = catalog.children(path.as_str());
    if children.is_empty() && !path.as_str().is_empty() {
        let path = path.as_str();
        return Found::Nothing(format!(
            "No distribution is served at `{path}` or above it\nhint: {CONTENT_PREFIX} lists them"
        ));
    }
    if path.is_folder() { Found::Folder(children) } else { Found::SlashMissing }
}

/// What a path below a checkpoint distribution means.
enum Checkpoint<'a> {
    /// A path in this edition.
    Edition(Edition, Place<'a>),
    /// Something that needs no edition.
    Found(Found),
}

impl<'a> Checkpoint<'a> {
    fn of(checkpoints: &BTreeMap<String, Edition>, site: &Site, place: &Place<'a>) -> Self {
        if place.path.is_empty() {
            let name = |stamp: &String| Entry { name: stamp.clone(), kind: EntryKind::Folder };
            if !place.folder {
                return Self::Found(Found::SlashMissing);
            }
            return Self::Found(Found::Folder(checkpoints.keys().map(name).collect()));
        }
        let (wanted, path) = place.path.split_once('/').unwrap_or((place.path, ""));
        if let Some(edition) = checkpoints.get(wanted) {
            return Self::Edition(*edition, Place { path, folder: place.folder });
        }
        let nothing = |reason: &str| {
            let base = &site.base_path;
            Self::Found(Found::Nothing(format!(
                "`{wanted}` {reason}\nhint: {CONTENT_PREFIX}{base}/ lists the checkpoints"
            )))
        };
        if !is_stamp(wanted) {
            return nothing("is no time as in `20261123T050232Z`");
        }
        if *wanted > *stamp(Timestamp::now()) {
            return nothing("lies in the future");
        }
        let earlier = (Bound::Unbounded, Bound::Excluded(wanted));
        let Some((earlier, _)) = checkpoints.range::<str, _>(earlier).next_back() else {
            return nothing("lies before the first checkpoint");
        };
        let slash = if place.folder || path.is_empty() { "/" } else { "" };
        let below = if path.is_empty() { String::new() } else { format!("/{path}") };
        let target = encoded(&format!("{}/{earlier}{below}", site.base_path));
        Self::Found(Found::Elsewhere(format!("{CONTENT_PREFIX}{target}{slash}")))
    }
}

/// Each segment of `path` percent-encoded.
fn encoded(path: &str) -> String {
    let segments: Vec<_> =
        path.split('/').map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
    segments.join("/")
}
