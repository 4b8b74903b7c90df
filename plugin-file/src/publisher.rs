//! Publications: the version's own files, and the list that names them: upstream's own if the version
//! holds it, else a manifest.

use pulp_models::{Expected, RelativePath, content_artifact::ContentArtifact};
use pulp_stages::{
    plugin::PluginFailure,
    publish::{PublicationWriter, PublishContext, PublishError},
};

use crate::{
    File,
    content::{FileContent, FileUnit, UpstreamList},
    manifest::{self, MANIFEST_NAME},
};

/// Passes the files through and writes the manifest.
pub(crate) async fn publish(
    context: &PublishContext<File>,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    writer.pass_through();
    let has_list = context.version.counts.present.contains_key(UpstreamList::TYPE);
    if context.options.no_manifest || has_list {
        return Ok(());
    }
    let name = match &context.options.manifest {
        Some(name) => name.clone(),
        None => RelativePath::new(MANIFEST_NAME)
            .map_err(|error| PluginFailure::new(error.to_string()))?,
    };
    // Of many files the list is long: it grows on disk.
    let mut manifest = context.installation.store.verifier(&Expected::default(), &[]);
    let mut unknown = 0_u64;
    let mut units = context.contents();
    while let Some(page) = units.next_page().await? {
        let mut lines = Vec::new();
        for unit in &page {
            let FileUnit::File(file) = &unit.content else { continue };
            match listed(file, unit.artifacts.first()) {
                Some((sha256, size)) => {
                    let line = manifest::write_line(&mut lines, &file.relative_path, sha256, size);
                    if let Err(error) = line {
                        context.warn(format!("Left out of the manifest: {error}"));
                    }
                }
                None => unknown += 1,
            }
        }
        manifest.push(lines.into()).await?;
    }
    if unknown > 0 {
        context.warn(format!(
            "{unknown} files are not in `{name}`: their SHA-256 or size is not known until they \
             are downloaded"
        ));
    }
    writer.verified([name], manifest.finish().await?).await
}

/// SHA-256 and size: from the stored bytes, or else from what upstream says.
fn listed(
    content: &FileContent,
    artifact: Option<&ContentArtifact>,
) -> Option<(pulp_models::Sha256, u64)> {
    let stored = artifact.and_then(|artifact| Some((artifact.artifact?, artifact.size?)));
    stored.or_else(|| Some((content.sha256()?, content.size?)))
}
