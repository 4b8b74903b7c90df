//! `pulp container export`: a repository version as an OCI image layout (image-spec,
//! `image-layout.md`).
//!
//! Writes manifests byte for byte and every blob once; `index.json` comes last, so a folder without
//! it is an export that did not end. What is still upstream cannot be exported. The way back is a
//! mirror of the folder (`layout`).

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use clap::{Args, FromArgMatches as _};
use pulp_models::{
    ArtifactStore, Sha256, VersionNumber,
    db::{Connection, DbError},
    repository,
    store::StoreError,
    version::{self, Columns},
};
use pulp_stages::plugin::{CommandContext, CommandError, PluginFailure};
use serde_json::{Value, json};

use crate::{
    content::{ContainerContent, ManifestContent, TagContent},
    digest::Digest,
    layout::REF_NAME,
    routes::lookup::{self, Site},
};

/// Flags of the command.
#[derive(Debug, Args)]
struct ExportFlags {
    /// Repository to export
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// Version of the repository [default: the newest]
    #[arg(long = "repository-version", value_name = "N")]
    number: Option<i64>,
    /// Folder to write; must be empty or not there yet
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// An export that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum ExportError {
    /// A file or folder cannot be written.
    #[error("Failed to write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    /// Something is there already.
    #[error("Folder `{0}` is not empty")]
    NotEmpty(PathBuf),
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
    ExportFlags::augment_args(
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
    let folder = flags.folder.clone();
    prepare(&folder).map_err(explain)?;
    let plan = context.installation.db.read(move |conn| {
        let row = repository::get(conn, &flags.repository)?;
        let number = match flags.number {
            Some(number) => version::get(conn, row.id, VersionNumber(number))?.number,
            None => version::latest(conn, row.id)?,
        };
        let site = Site { repository: row.id, version: number };
        Ok(Plan::read(conn, site, &flags.folder))
    });
    let plan = plan.await?.map_err(explain)?;
    let (store, cancel) = (context.installation.store.clone(), context.cancel.clone());
    let copy =
        tokio::task::spawn_blocking(move || plan.write(&store, &folder, || cancel.is_cancelled()));
    copy.await.map_err(|_| PluginFailure::new("Interrupted"))?.map_err(explain)
}

fn explain(error: ExportError) -> CommandError {
    let hint = match &error {
        ExportError::NotStored(_) => Some("sync the repository with `--policy immediate`"),
        ExportError::NotEmpty(_) => Some("name another folder, or empty it"),
        _ => None,
    };
    let failed = PluginFailure::new("Failed to export the repository").caused_by(error);
    match hint {
        Some(hint) => failed.with_hint(hint).into(),
        None => failed.into(),
    }
}

/// What is to be in the layout.
struct Plan {
    site: Site,
    tags: Vec<TagContent>,
    /// Manifests are written while they are read.
    manifests: Vec<(Digest, Value)>,
    /// Manifests that an index lists: they need no entry of their own.
    listed: HashSet<Digest>,
    blobs: Vec<(Digest, Sha256)>,
    bytes: u64,
    /// Manifests whose digest is not that of their bytes, which a layout cannot hold.
    left_out: Vec<Digest>,
}

impl Plan {
    /// Reads the version, and writes its manifests on the way.
    fn read(conn: &mut Connection, site: Site, folder: &Path) -> Result<Self, ExportError> {
        let mut plan = Self {
            site,
            tags: Vec::new(),
            manifests: Vec::new(),
            listed: HashSet::new(),
            blobs: Vec::new(),
            bytes: 0,
            left_out: Vec::new(),
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
        // A failure ends the writing; the database's own error type cannot carry it.
        let mut failure = None;
        lookup::each(conn, site, ContainerContent::MANIFEST, Columns::All, |row| {
            if let ContainerContent::Manifest(manifest) = lookup::load(row)?
                && failure.is_none()
            {
                failure = plan.manifest(&manifest, folder).err();
            }
            Ok(())
        })?;
        failure.map_or(Ok(plan), Err)
    }

    /// Writes the blobs, then what makes the folder a layout.
    fn write(
        self,
        store: &ArtifactStore,
        folder: &Path,
        cancelled: impl Fn() -> bool,
    ) -> Result<Value, ExportError> {
        let mut bytes = self.bytes;
        for (digest, sha256) in &self.blobs {
            if cancelled() {
                return Err(ExportError::Cancelled);
            }
            let (mut from, size) = store.open_artifact_blocking(sha256)?;
            let path = path(folder, digest)?;
            // A manifest may be another's blob.
            if !path.exists() {
                let copy = File::create_new(&path).and_then(|mut to| io::copy(&mut from, &mut to));
                copy.map_err(failed(&path))?;
            }
            bytes += size;
        }
        write(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        write(&folder.join("index.json"), self.index().to_string().as_bytes())?;
        Ok(json!({
            "folder": folder.display().to_string(),
            "version": self.site.version.0,
            "tags": self.tags.len(),
            "manifests": self.manifests.len(),
            "blobs": self.blobs.len(),
            "bytes": bytes,
            "left_out": self.left_out,
        }))
    }

    fn manifest(&mut self, manifest: &ManifestContent, folder: &Path) -> Result<(), ExportError> {
        if !manifest.digest.matches(&manifest.raw) {
            self.left_out.push(manifest.digest);
            return Ok(());
        }
        write(&path(folder, &manifest.digest)?, &manifest.raw)?;
        self.listed.extend(&manifest.listed_manifests);
        self.bytes += manifest.size;
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

    /// Tags first, by name; then manifests that neither a tag nor an index names.
    fn index(&self) -> Value {
        let tagged: HashSet<Digest> = self.tags.iter().map(|tag| tag.tagged_manifest).collect();
        let of: HashMap<_, _> = self.manifests.iter().map(|(key, value)| (key, value)).collect();
        let by_tag = self.tags.iter().filter_map(|tag| {
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

/// Makes the folder, which must hold nothing.
fn prepare(folder: &Path) -> Result<(), ExportError> {
    create(folder)?;
    let mut entries = fs::read_dir(folder).map_err(failed(folder))?;
    match entries.next() {
        Some(_) => Err(ExportError::NotEmpty(folder.into())),
        None => Ok(()),
    }
}

fn path(folder: &Path, digest: &Digest) -> Result<PathBuf, ExportError> {
    let folder = folder.join("blobs").join(digest.algorithm().name());
    create(&folder)?;
    Ok(folder.join(digest.hex()))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    |source| ExportError::Write { path, source }
}

fn create(folder: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(folder).map_err(failed(folder))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    fs::write(path, bytes).map_err(failed(path))
}
