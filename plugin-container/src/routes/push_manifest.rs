//! Pushing and deleting manifests: each makes a repository version (distribution-spec, "Pushing
//! Manifests", "Content Management").
//!
//! A manifest is taken if its digest is right and everything that it refers to, its subject apart,
//! is in the repository. It enters a version together with its blobs and its tag, in one
//! transaction, under the repository's lock; so no client ever sees an image without its layers.

use std::{collections::HashMap, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use pulp_models::{
    Connection, ContentId, DbError,
    content::{self, NewContent},
    lock::{LockError, RepositoryLock},
    repository,
    version::{self, Columns, Completion, Mode},
};
use pulp_stages::Content as _;

use super::{
    RegistryRoutes, Writable, failed, internal, lookup,
    lookup::Site,
    pull::{Asked, DOCKER_CONTENT_DIGEST, blob_unknown, header_value},
};
use crate::{
    content::{ContainerContent, ManifestContent, TagContent},
    digest::Digest,
    errors::{ErrorCode, RegistryError},
    manifest::{self, ConfigFacts, Manifest, ManifestError},
    media_type,
    reference::{Reference, RepositoryName, Tag},
};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// How long a push waits for somebody else who changes the repository.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
/// Largest configuration that is looked into, in bytes.
const MAX_CONFIG: u64 = 8 * 1024 * 1024;

impl RegistryRoutes {
    /// `PUT`: by tag or by digest.
    pub(super) async fn put_manifest(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        reference: Reference,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let writable = self.writable(asked, &name).await?;
        let limit = manifest::DEFAULT_MAX_SIZE;
        let raw = axum::body::to_bytes(body, limit).await.map_err(|_| {
            let message = format!("The manifest is larger than {limit} bytes, or broke off");
            RegistryError::new(ErrorCode::SizeInvalid, message)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        })?;
        let content_type = asked.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let expected = match &reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(_) => None,
        };
        let manifest = Manifest::parse_pushed(raw, content_type, expected, limit)
            .map_err(|error| invalid(&error))?;
        if manifest.media_type.is_schema1() {
            let message = "Schema 1 manifests are obsolete and not taken";
            return Err(RegistryError::new(ErrorCode::ManifestInvalid, message));
        }
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let (digest, subject) = (manifest.digest, manifest.subject.as_ref().map(|s| s.digest));
        self.enter(&writable, manifest, tag).await?;
        let location = format!("/v2/{name}/manifests/{digest}");
        let mut response = (
            StatusCode::CREATED,
            [
                (header::LOCATION, header_value(&location)),
                (DOCKER_CONTENT_DIGEST, header_value(&digest.to_string())),
            ],
        )
            .into_response();
        if let Some(subject) = subject {
            response.headers_mut().insert(OCI_SUBJECT, header_value(&subject.to_string()));
        }
        Ok(response)
    }

    /// `DELETE`: by digest, with all tags that name it; by tag, the tag alone.
    pub(super) async fn delete_manifest(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        reference: Reference,
    ) -> Result<Response, RegistryError> {
        let writable = self.writable(asked, &name).await?;
        let shown = reference.to_string();
        let found = self.change(&writable, Vec::new(), move |conn, site, change| {
            change.remove = match &reference {
                Reference::Tag(tag) => tag_row(conn, site, tag)?.into_iter().collect(),
                Reference::Digest(digest) => manifest_and_tags(conn, site, digest)?,
            };
            Ok(!change.remove.is_empty())
        });
        if found.await? {
            Ok(StatusCode::ACCEPTED.into_response())
        } else {
            let message = format!("There is no manifest `{shown}`");
            Err(RegistryError::new(ErrorCode::ManifestUnknown, message))
        }
    }

    /// `DELETE`: the blob leaves the repository, whatever refers to it.
    pub(super) async fn delete_blob(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        digest: Digest,
    ) -> Result<Response, RegistryError> {
        let writable = self.writable(asked, &name).await?;
        let was_pending = self.pending.remove(writable.repository, &digest);
        let was_member = self.change(&writable, Vec::new(), move |conn, site, change| {
            change.remove.extend(lookup::blob(conn, site, &digest)?.map(|blob| blob.content));
            Ok(!change.remove.is_empty())
        });
        if was_member.await? || was_pending {
            Ok(StatusCode::ACCEPTED.into_response())
        } else {
            Err(blob_unknown(&digest))
        }
    }

    /// Makes a version with the manifest, its blobs and its tag.
    async fn enter(
        &self,
        writable: &Writable,
        manifest: Manifest,
        tag: Option<Tag>,
    ) -> Result<(), RegistryError> {
        let pending: HashMap<Digest, ContentId> = manifest
            .blobs(true)
            .filter_map(|blob| {
                let content = self.pending.get(writable.repository, &blob.digest)?;
                Some((blob.digest, content))
            })
            .collect();
        let facts = self.facts(writable, &manifest, &pending).await?;
        let digests: Vec<_> = pending.keys().copied().collect();
        let contents = new_contents(&manifest, facts, tag);
        let missing = self.change(writable, contents, move |conn, site, change| {
            let missing = references(conn, site, &manifest, &pending, &mut change.add)?;
            Ok(missing)
        });
        if let Some(missing) = missing.await? {
            let message = format!("The repository has no `{missing}`, which the manifest names");
            return Err(RegistryError::new(ErrorCode::ManifestBlobUnknown, message)
                .with_detail(serde_json::json!({"digest": missing})));
        }
        for digest in digests {
            self.pending.remove(writable.repository, &digest);
        }
        Ok(())
    }

    /// What the configuration says of an image.
    async fn facts(
        &self,
        writable: &Writable,
        manifest: &Manifest,
        pending: &HashMap<Digest, ContentId>,
    ) -> Result<ConfigFacts, RegistryError> {
        let Some(config) = manifest.config.as_ref() else { return Ok(ConfigFacts::default()) };
        if !media_type::IMAGE_CONFIGS.contains(&&*config.media_type) {
            return Ok(ConfigFacts::default());
        }
        let (digest, known) = (config.digest, pending.get(&config.digest).copied());
        let site = writable.site;
        let find = self.db().read(move |conn| {
            let content = match known {
                Some(content) => Some(content),
                None => lookup::blob(conn, site, &digest)?.map(|blob| blob.content),
            };
            let files = pulp_models::content_artifact::load(conn, content.as_slice())?;
            Ok(files.into_values().flatten().find_map(|file| file.artifact))
        });
        let Some(sha256) = find.await.map_err(|error| internal(&error))? else {
            return Ok(ConfigFacts::default());
        };
        let bytes = self.app.installation().store.read(&sha256, MAX_CONFIG).await;
        Ok(bytes.map(|bytes| ConfigFacts::read(&bytes)).unwrap_or_default())
    }

    /// Writes `contents`, lets `plan` add and remove, and completes a version, in one transaction
    /// under the repository's lock. An outcome of `plan` that [refuses](Outcome) makes no version.
    async fn change<T, F>(
        &self,
        writable: &Writable,
        contents: Vec<NewContent>,
        plan: F,
    ) -> Result<T, RegistryError>
    where
        T: Outcome,
        F: Fn(&mut Connection, Site, &mut Change) -> Result<T, DbError> + Send + Sync + 'static,
    {
        // In turn within this process; the lock itself only asks now and then.
        let turn = self.turn(writable.repository);
        let _turn = turn.lock().await;
        let installation = self.app.installation();
        let id = writable.repository;
        let lock = RepositoryLock::lock(&installation.db, installation.home(), id, LOCK_PATIENCE);
        let lock = lock.await.map_err(|error| busy(&error))?;
        let outcome = lock
            .write(move |conn| {
                let row = repository::get_by_id(conn, id)?;
                let site = Site { repository: id, version: version::latest(conn, id)? };
                let mut change = Change::default();
                let outcome = plan(conn, site, &mut change)?;
                if outcome.refuses() {
                    return Ok(outcome);
                }
                let written = content::insert(conn, &contents)?;
                change.add.extend(written.into_values().map(|(content, _)| content));
                let number = version::begin(conn, id)?;
                version::stage_content(conn, id, number, &change.add)?;
                let how = Completion { remove: change.remove, ..Completion::new(Mode::Additive) };
                let completed = version::complete_version(conn, id, number, &how)?;
                if let (Some(_), Some(retain)) = (completed, row.retain_versions) {
                    version::retain_versions(conn, id, retain)?;
                }
                Ok(outcome)
            })
            .await;
        if let Err(error) = lock.unlock().await {
            tracing::warn!(%error, "Failed to unlock a repository");
        }
        outcome.map_err(|error| internal(&error))
    }
}

/// What a change does to a repository.
#[derive(Default)]
struct Change {
    add: Vec<ContentId>,
    remove: Vec<ContentId>,
}

/// What a plan found out.
trait Outcome: Send + 'static {
    /// Whether nothing is to be changed.
    fn refuses(&self) -> bool;
}

/// Whether there is something to delete.
impl Outcome for bool {
    fn refuses(&self) -> bool {
        !self
    }
}

/// What is missing.
impl Outcome for Option<Digest> {
    fn refuses(&self) -> bool {
        self.is_some()
    }
}

fn new_contents(manifest: &Manifest, facts: ConfigFacts, tag: Option<Tag>) -> Vec<NewContent> {
    let tag = tag
        .map(|name| ContainerContent::Tag(TagContent { name, tagged_manifest: manifest.digest }));
    let manifest = ContainerContent::Manifest(Box::new(ManifestContent::new(manifest, facts)));
    let units = std::iter::once(manifest).chain(tag);
    units
        .filter_map(|unit| {
            Some(NewContent {
                type_name: unit.type_name().into(),
                natural_key: unit.natural_key()?,
                repo_key: unit.repo_key(),
                metadata: serde_json::to_string(&unit).ok()?,
                raw: unit.raw(),
            })
        })
        .collect()
}

/// Adds what the manifest refers to; gives the first digest that the repository doesn't have.
/// Foreign layers and the subject need not be there.
fn references(
    conn: &mut Connection,
    site: Site,
    manifest: &Manifest,
    pending: &HashMap<Digest, ContentId>,
    add: &mut Vec<ContentId>,
) -> Result<Option<Digest>, DbError> {
    for blob in manifest.blobs(true) {
        if let Some(content) = pending.get(&blob.digest) {
            add.push(*content);
        } else if lookup::blob(conn, site, &blob.digest)?.is_none()
            && !media_type::is_foreign(&blob.media_type)
        {
            return Ok(Some(blob.digest));
        }
    }
    for child in &manifest.children {
        let reference = Reference::Digest(child.digest);
        if lookup::manifest(conn, site, &reference)?.is_none() {
            return Ok(Some(child.digest));
        }
    }
    Ok(None)
}

fn tag_row(conn: &mut Connection, site: Site, tag: &Tag) -> Result<Option<ContentId>, DbError> {
    let key = ContainerContent::tag_key(tag);
    let row = version::at_repo_key(conn, site.repository, site.version, &key)?;
    Ok(row.map(|row| row.id))
}

/// The rows of a manifest and of all tags that name it; none if the repository hasn't it.
fn manifest_and_tags(
    conn: &mut Connection,
    site: Site,
    digest: &Digest,
) -> Result<Vec<ContentId>, DbError> {
    let key = ContainerContent::manifest_key(digest);
    let Some(manifest) = lookup::member(conn, site, key)? else { return Ok(Vec::new()) };
    let mut rows = vec![manifest];
    lookup::each(conn, site, ContainerContent::TAG, Columns::Metadata, |row| {
        let id = row.id;
        if let ContainerContent::Tag(tag) = lookup::load(row)?
            && tag.tagged_manifest == *digest
        {
            rows.push(id);
        }
        Ok(())
    })?;
    Ok(rows)
}

fn invalid(error: &ManifestError) -> RegistryError {
    let code = match error {
        ManifestError::Digest { .. } => ErrorCode::DigestInvalid,
        _ => ErrorCode::ManifestInvalid,
    };
    RegistryError::new(code, crate::survey::chain(error))
}

fn busy(error: &LockError) -> RegistryError {
    match error {
        LockError::Held { .. } => {
            RegistryError::new(ErrorCode::TooManyRequests, "The repository is being changed")
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
        }
        other => failed(other),
    }
}
