//! Publishing a version: as upstream has it, or with metadata of our own.
//!
//! *Verbatim* passes the version's files through at upstream's paths and adds the paths by hash.
//! *Structured* passes packages through and writes `dists/` anew from their stanzas: one pass over
//! the version writes every plain index, then each is compressed, listed, and the release file
//! signed. Packages of architecture `all` stand in every architecture's index (debootstrap knows no
//! other way), which `No-Support-for-Architecture-all` tells apt. Stanzas keep upstream's order and
//! bytes.

use pulp_models::RelativePath;
use pulp_stages::{
    plugin::PluginFailure,
    publish::{PublicationWriter, PublishContext, PublishError, PublishedUnit},
};

use crate::{
    Deb,
    content::{self, DebContent, IndexFile},
    options::Layout,
    selection::all_by_hash,
};

mod structured;
mod suite;
mod pool;
mod companions;
mod contents;

use structured::structured;

/// Publishes as the options say.
pub(crate) async fn publish(
    context: &PublishContext<Deb>,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let obstacle = obstacle(context).await?;
    match (context.options.layout, obstacle) {
        (Some(Layout::Verbatim), Some(obstacle)) => {
            let message = format!("Failed to publish verbatim: {obstacle}");
            Err(PluginFailure::new(message).with_hint("publish it structured").into())
        }
        (Some(Layout::Structured), _) | (None, Some(_)) => structured(context, writer).await,
        (Some(Layout::Verbatim) | None, None) => verbatim(context, writer).await,
    }
}

/// Why upstream's own indices do not say what the version holds, if so.
async fn obstacle(context: &PublishContext<Deb>) -> Result<Option<String>, PublishError> {
    if context.options.say_otherwise() {
        let flags = "`--origin`, `--label` and their like";
        return Ok(Some(format!("upstream has signed what it says of itself, without {flags}")));
    }
    let present = &context.version.counts.present;
    if present.contains_key(content::ADDITIONS) {
        return Ok(Some("the version holds packages that upstream's indices do not list".into()));
    }
    if !present.contains_key(content::RELEASE_FILE) {
        return Ok(Some("the version holds no release file".into()));
    }
    let mut contents = context.contents_of(content::RELEASE_FILE);
    while let Some(page) = contents.next_page().await? {
        for unit in page {
            if let DebContent::ReleaseFile(release) = unit.content
                && release.filtered
            {
                let name = release.distribution;
                return Ok(Some(format!(
                    "the indices of `{name}` list packages that the filters left out"
                )));
            }
        }
    }
    Ok(None)
}

async fn verbatim(
    context: &PublishContext<Deb>,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    writer.pass_through();
    let mut contents = context.contents_of(content::INDEX_FILE);
    while let Some(page) = contents.next_page().await? {
        for unit in page {
            let DebContent::IndexFile(index) = &unit.content else { continue };
            if index.by_hash {
                publish_by_hash(&unit, index, writer).await?;
            }
        }
    }
    Ok(())
}

/// Publishes each variant of an upstream index at its paths by hash.
async fn publish_by_hash(
    unit: &PublishedUnit<DebContent>,
    index: &IndexFile,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    for (suffix, digests) in &index.files {
        let path = path(&format!("{}{suffix}", index.path))?;
        let expected = pulp_models::Expected { size: None, digests: digests.clone() };
        for hashed in all_by_hash(&path, &expected) {
            writer.content(hashed, unit.id, path.clone()).await?;
        }
    }
    Ok(())
}

fn path(text: &str) -> Result<RelativePath, PublishError> {
    RelativePath::new(text).map_err(|error| failed("name a file", error))
}

fn failed(operation: &str, error: impl std::error::Error + Send + Sync + 'static) -> PublishError {
    PluginFailure::new(format!("Failed to {operation}")).caused_by(error).into()
}
