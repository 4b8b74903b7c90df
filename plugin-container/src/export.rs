//! `pulp container export`: a repository version as an OCI image layout (image-spec,
//! `image-layout.md`), in a folder or in a tar archive ([`target`]).
//!
//! Writes manifests byte for byte, every blob once, and the signatures that are kept beside manifests
//! (`layout` says where); `index.json` comes last, so a folder without
//! it is an export that was killed; one that fails or is interrupted leaves nothing. What is still
//! upstream cannot be exported. The way back is a
//! mirror of the folder or archive (`layout`).

mod target;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
};

use clap::{Args, FromArgMatches as _};
use pulp_models::{
    ArtifactStore, ContentId, Sha256, VersionNumber, content,
    db::{Connection, DbError},
    repository,
    store::StoreError,
    version::{self, Columns},
};
use pulp_stages::{
    options::add_flags,
    plugin::{CommandContext, CommandError, FailureKind, PluginFailure},
};
use serde_json::{Value, json};

use self::target::Target;
use crate::{
    content::{ContainerContent, ManifestContent, SignatureContent, TagContent},
    digest::Digest,
    layout::{REF_NAME, blob_name, signature_name},
    routes::lookup::{self, Site},
};

/// Manifests that are in memory at once.
const CHUNK: usize = 20;

/// Flags of the command.
#[derive(Debug, Args)]
struct ExportFlags {
    /// Repository to export
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Version of the repository [default: the newest]
    #[arg(long = "repository-version", value_name = "N")]
    number: Option<i64>,
    /// Folder to write, empty or not there yet; a name that ends in `.tar` makes an archive
    #[arg(value_name = "FOLDER|FILE.tar")]
    target: PathBuf,
}

/// An export that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum ExportError {
    /// A file or folder cannot be written.
    #[error("Failed to write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    /// Something is in the folder already.
    #[error("Folder `{0}` is not empty")]
    NotEmpty(PathBuf),
    /// The archive is there already.
    #[error("`{0}` exists already")]
    Exists(PathBuf),
    /// The command was interrupted.
    #[error("Interrupted")]
    Cancelled,
    /// The bytes are not here.
    #[error("Blob `{0}` is not stored")]
    NotStored(Digest),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The artifact store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The command's description.
pub(crate) fn command() -> clap::Command {
    add_flags::<ExportFlags>(
        clap::Command::new("export").about("Write a repository version as an OCI image layout"),
    )
}

/// Runs the command; the value says what was written.
pub(crate) async fn run(
    context: &CommandContext,
    matches: &clap::ArgMatches,
) -> Result<Value, CommandError> {
    let flags = ExportFlags::from_arg_matches(matches)
        .map_err(|error| PluginFailure::new(error.to_string()))?;
    let db = &context.installation.db;
    let plan = db.read(move |conn| {
        let row = repository::get(conn, &flags.repository)?;
        let number = match flags.number {
            Some(number) => version::get(conn, row.id, VersionNumber(number))?.number,
            None => version::latest(conn, row.id)?,
        };
        Ok(Plan::read(conn, Site { repository: row.id, version: number }))
    });
    let plan = plan.await?.map_err(explain)?;
    let path = flags.target.clone();
    let ids = [&*plan.manifest_ids, &*plan.signature_ids].concat();
    let cancel = context.cancel.clone();
    let create = move || Ok(Writing::new(Target::create(&path, cancel)?, plan));
    let mut writing = blocking(create).await?;
    for chunk in ids.chunks(CHUNK) {
        let chunk = chunk.to_vec();
        let rows = db.read(move |conn| {
            content::load(conn, &chunk)?
                .into_iter()
                .map(lookup::load)
                .collect::<Result<Vec<_>, _>>()
        });
        let rows = rows.await?;
        writing = blocking(move || {
            for row in rows {
                match row {
                    ContainerContent::Manifest(manifest) => writing.manifest(&manifest)?,
                    ContainerContent::Signature(signature) => writing.signature(&signature)?,
                    ContainerContent::Tag(_) | ContainerContent::Blob(_) => {}
                }
            }
            Ok(writing)
        })
        .await?;
    }
    let store = context.installation.store.clone();
    let mut value = blocking(move || writing.finish(&store)).await?;
    value["target"] = flags.target.display().to_string().into();
    Ok(value)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, CommandError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PluginFailure::interrupted())?.map_err(explain)
}

fn explain(error: ExportError) -> CommandError {
    if matches!(error, ExportError::Cancelled) {
        return PluginFailure::interrupted().into();
    }
    let kind = match error {
        ExportError::NotEmpty(_) | ExportError::Exists(_) => FailureKind::Conflict,
        _ => FailureKind::Other,
    };
    let hint = match &error {
        ExportError::NotStored(_) => Some("sync the repository with `--policy immediate`"),
        ExportError::NotEmpty(_) => Some("name another folder, or empty it"),
        ExportError::Exists(_) => Some("name another file, or remove it"),
        _ => None,
    };
    let failed = PluginFailure::new("Failed to export the repository");
    let failed = failed.of_kind(kind).caused_by(error);
    match hint {
        Some(hint) => failed.with_hint(hint).into(),
        None => failed.into(),
    }
}

/// What is to be in the layout.
struct Plan {
    site: Site,
    tags: Vec<TagContent>,
    manifest_ids: Vec<ContentId>,
    signature_ids: Vec<ContentId>,
    blobs: Vec<(Digest, Sha256)>,
}

impl Plan {
    fn read(conn: &mut Connection, site: Site) -> Result<Self, ExportError> {
        let mut plan = Self {
            site,
            tags: Vec::new(),
            manifest_ids: Vec::new(),
            signature_ids: Vec::new(),
            blobs: Vec::new(),
        };
        let mut digests = Vec::new();
        lookup::each(conn, site, ContainerContent::BLOB, Columns::Metadata, |row| {
            if let ContainerContent::Blob(blob) = lookup::load(row)? {
                digests.push(blob.digest);
            }
            Ok(())
        })?;
        for digest in digests {
            let row = lookup::blob(conn, site, &digest)?;
            let stored = row.and_then(|row| row.file.artifact);
            plan.blobs.push((digest, stored.ok_or(ExportError::NotStored(digest))?));
        }
        lookup::each(conn, site, ContainerContent::TAG, Columns::Metadata, |row| {
            if let ContainerContent::Tag(tag) = lookup::load(row)? {
                plan.tags.push(tag);
            }
            Ok(())
        })?;
        plan.tags.sort_by(|a, b| a.name.cmp(&b.name));
        lookup::each(conn, site, ContainerContent::MANIFEST, Columns::Metadata, |row| {
            plan.manifest_ids.push(row.id);
            Ok(())
        })?;
        lookup::each(conn, site, ContainerContent::SIGNATURE, Columns::Metadata, |row| {
            plan.signature_ids.push(row.id);
            Ok(())
        })?;
        Ok(plan)
    }
}

/// A layout that is being written.
struct Writing {
    target: Target,
    plan: Plan,
    /// What `index.json` says of the manifests.
    manifests: Vec<(Digest, Value)>,
    /// Manifests that an index lists: they need no entry of their own.
    listed: HashSet<Digest>,
    /// How many signatures of each manifest were written.
    signatures: HashMap<Digest, usize>,
    bytes: u64,
    /// Manifests whose digest is not that of their bytes, which a layout cannot hold.
    left_out: Vec<Digest>,
}

impl Writing {
    fn new(target: Target, plan: Plan) -> Self {
        Self {
            target,
            plan,
            manifests: Vec::new(),
            listed: HashSet::new(),
            signatures: HashMap::new(),
            bytes: 0,
            left_out: Vec::new(),
        }
    }

    fn manifest(&mut self, manifest: &ManifestContent) -> Result<(), ExportError> {
        if !manifest.digest.matches(&manifest.raw) {
            self.left_out.push(manifest.digest);
            return Ok(());
        }
        let size = manifest.raw.len() as u64;
        self.target.add(&blob_name(&manifest.digest), size, &manifest.raw[..])?;
        self.listed.extend(&manifest.listed_manifests);
        self.bytes += size;
        let mut descriptor = json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.size,
        });
        if let Some(artifact_type) = &manifest.artifact_type {
            descriptor["artifactType"] = artifact_type.as_str().into();
        }
        self.manifests.push((manifest.digest, descriptor));
        Ok(())
    }

    fn signature(&mut self, signature: &SignatureContent) -> Result<(), ExportError> {
        let number = self.signatures.entry(signature.signed_manifest).or_default();
        *number += 1;
        let name = signature_name(&signature.signed_manifest, *number);
        let size = signature.raw.len() as u64;
        self.bytes += size;
        self.target.add(&name, size, &signature.raw[..])
    }

    /// Writes the blobs, then what makes it a layout.
    fn finish(mut self, store: &ArtifactStore) -> Result<Value, ExportError> {
        // A manifest may be another's blob.
        let written: HashSet<Digest> = self.manifests.iter().map(|(digest, _)| *digest).collect();
        let blobs = std::mem::take(&mut self.plan.blobs);
        for (digest, sha256) in blobs.iter().filter(|(digest, _)| !written.contains(digest)) {
            let (from, size) = store.open_artifact_blocking(sha256)?;
            self.target.add(&blob_name(digest), size, from)?;
            self.bytes += size;
        }
        for (name, text) in [
            ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned()),
            ("index.json", self.index().to_string()),
        ] {
            self.target.add(name, text.len() as u64, text.as_bytes())?;
        }
        self.target.finish()?;
        Ok(json!({
            "version": self.plan.site.version.0,
            "tags": self.plan.tags.len(),
            "manifests": self.manifests.len(),
            "blobs": blobs.len(),
            "signatures": self.signatures.values().sum::<usize>(),
            "bytes": self.bytes,
            "left_out": self.left_out,
        }))
    }

    /// Tags first, by name; then manifests that neither a tag nor an index names.
    fn index(&self) -> Value {
        let tags = &self.plan.tags;
        let tagged: HashSet<Digest> = tags.iter().map(|tag| tag.tagged_manifest).collect();
        let of: HashMap<_, _> = self.manifests.iter().map(|(key, value)| (key, value)).collect();
        let by_tag = tags.iter().filter_map(|tag| {
            let mut descriptor = Value::clone(of.get(&tag.tagged_manifest)?);
            descriptor["annotations"] = json!({REF_NAME: tag.name});
            Some(descriptor)
        });
        let others = self
            .manifests
            .iter()
            .filter(|(digest, _)| !tagged.contains(digest) && !self.listed.contains(digest))
            .map(|(_, descriptor)| descriptor.clone());
        let entries: Vec<Value> = by_tag.chain(others).collect();
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        })
    }
}
