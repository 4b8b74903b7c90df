//! What a version holds, as lists: its tags in order, who refers to whom, and who signs whom.
//!
//! Versions are immutable, so a list is built once, by reading the version's rows page by page, and
//! kept for as long as it is among the few that were asked for last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pulp_models::{Connection, ContentId, Db, DbError, version::Columns};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::lookup::{Site, each, load};
use crate::{content::ContainerContent, digest::Digest};

/// Versions whose lists are kept.
const KEPT: usize = 64;

/// The lists of a version.
#[derive(Default)]
struct Lists {
    tags: OnceCell<Arc<Vec<String>>>,
    referrers: OnceCell<Arc<Referrers>>,
    signatures: OnceCell<Arc<Signatures>>,
}

/// Descriptors of referring manifests, by subject.
pub(super) type Referrers = HashMap<Digest, Vec<Value>>;

/// Signatures that are kept beside manifests, by manifest.
pub(super) type Signatures = HashMap<Digest, Vec<ContentId>>;

/// The lists that were asked for last.
pub(super) struct VersionLists {
    db: Db,
    /// Last used last.
    kept: Mutex<Vec<(Site, Arc<Lists>)>>,
}

impl VersionLists {
    pub(super) fn new(db: Db) -> Self {
        Self { db, kept: Mutex::default() }
    }

    /// The version's tags, sorted.
    pub(super) async fn tags(&self, site: Site) -> Result<Arc<Vec<String>>, DbError> {
        let lists = self.lists(site);
        let read = || async {
            let mut tags = self
                .db
                .read(move |conn| {
                    let mut tags = Vec::new();
                    each(conn, site, ContainerContent::TAG, Columns::Metadata, |row| {
                        if let ContainerContent::Tag(tag) = load(row)? {
                            tags.push(tag.name.to_string());
                        }
                        Ok(())
                    })?;
                    Ok(tags)
                })
                .await?;
            tags.sort_unstable();
            Ok(Arc::new(tags))
        };
        lists.tags.get_or_try_init(read).await.cloned()
    }

    /// The version's manifests that refer to others.
    pub(super) async fn referrers(&self, site: Site) -> Result<Arc<Referrers>, DbError> {
        let lists = self.lists(site);
        let read = || async {
            let referrers = self.db.read(move |conn| read_referrers(conn, site)).await?;
            Ok(Arc::new(referrers))
        };
        lists.referrers.get_or_try_init(read).await.cloned()
    }

    /// The version's signatures.
    pub(super) async fn signatures(&self, site: Site) -> Result<Arc<Signatures>, DbError> {
        let lists = self.lists(site);
        let read = || async {
            let signatures = self.db.read(move |conn| read_signatures(conn, site)).await?;
            Ok(Arc::new(signatures))
        };
        lists.signatures.get_or_try_init(read).await.cloned()
    }

    fn lists(&self, site: Site) -> Arc<Lists> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match kept.iter().position(|(known, _)| *known == site) {
            Some(at) => kept.remove(at),
            None => (site, Arc::default()),
        };
        let lists = Arc::clone(&entry.1);
        kept.push(entry);
        if kept.len() > KEPT {
            kept.remove(0);
        }
        lists
    }
}

fn read_referrers(conn: &mut Connection, site: Site) -> Result<Referrers, DbError> {
    let mut referrers = Referrers::new();
    each(conn, site, ContainerContent::MANIFEST, Columns::Metadata, |row| {
        if let ContainerContent::Manifest(manifest) = load(row)?
            && let Some(subject) = manifest.subject
        {
            let mut descriptor = json!({
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": manifest.size,
            });
            if let Some(artifact_type) = &manifest.artifact_type {
                descriptor["artifactType"] = artifact_type.as_str().into();
            }
            if !manifest.annotations.is_empty() {
                descriptor["annotations"] = json!(manifest.annotations);
            }
            referrers.entry(subject).or_default().push(descriptor);
        }
        Ok(())
    })?;
    Ok(referrers)
}

fn read_signatures(conn: &mut Connection, site: Site) -> Result<Signatures, DbError> {
    let mut signatures = Signatures::new();
    each(conn, site, ContainerContent::SIGNATURE, Columns::Metadata, |row| {
        let id = row.id;
        if let ContainerContent::Signature(signature) = load(row)? {
            signatures.entry(signature.signed_manifest).or_default().push(id);
        }
        Ok(())
    })?;
    Ok(signatures)
}
