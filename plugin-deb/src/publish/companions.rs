//! What clients of a structured publication find beside its indices of packages.
//!
//! Upstream's optional files (translations, lists of files and commands, data for software centres,
//! the installer) are passed through where they are still true, and lists of files are else
//! [made so](super::contents); what is not published is not listed
//! either, since clients fail on a listed file that is absent. Each index has a small `Release` of
//! its own beside it, which the Debian installer reads.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use pulp_models::{
    RelativePath,
    store::{ArtifactStore, Verified},
};
use pulp_stages::publish::{PublicationWriter, PublishContext, PublishError, PublishedUnit};

use super::{contents::filtered, path, suite::Suites};
use crate::{
    Deb,
    content::{self, DebContent, IndexFile, ReleaseFile},
    index_writer::ReleaseWriter,
    openpgp::unverified_text,
    release::{Release, ReleaseFields},
    selection::{Family, all_by_hash},
};

/// The largest release file in bytes; Debian's have 150 KB.
const MAX_RELEASE: u64 = 64 << 20;

/// What a distribution has beside its indices of packages.
#[derive(Default)]
pub(super) struct Companions {
    /// Published already, to be listed.
    pub(super) listed: ReleaseWriter,
    /// Plain files, to be published in every compression: by path below the release file's directory.
    pub(super) filtered: Vec<(RelativePath, Verified)>,
}

/// Publishes what is passed through of all distributions; gives what is left to do for each.
pub(super) async fn pass_through(
    context: &PublishContext<Deb>,
    suites: &mut Suites,
    writer: &mut PublicationWriter,
) -> Result<BTreeMap<String, Companions>, PublishError> {
    let mut upstream = BTreeMap::new();
    for (name, suite) in &mut suites.by_distribution {
        // A flat repository has no place of its own for such files.
        let release = suite.release.as_ref().filter(|_| !name.ends_with('/'));
        if let Some(release) = release {
            let read = read_release(&context.installation.store, release).await;
            let names = suite.names.take().map(Arc::new);
            upstream.extend(read.map(|text| (name.clone(), (text, names))));
        }
    }
    let mut companions: BTreeMap<String, Companions> = BTreeMap::new();
    let mut contents = context.contents_of(content::INDEX_FILE);
    while let Some(page) = contents.next_page().await? {
        for unit in page {
            let DebContent::IndexFile(index) = &unit.content else { continue };
            let Some((release, names)) = upstream.get(&index.distribution) else { continue };
            if index.on_demand {
                continue;
            }
            let into = companions.entry(index.distribution.clone()).or_default();
            if is_true(index.family, names.is_some()) {
                publish_file(&unit, index, release, &mut into.listed, writer).await?;
            } else if let (Family::Contents, Some(names), Some(name)) =
                (index.family, names, name_of(index))
                && let Some(plain) = filtered(context, &unit, index, release, names).await?
            {
                name_all(index, &mut into.listed);
                into.filtered.push((path(name)?, plain));
            }
        }
    }
    Ok(companions)
}

/// The plain file's path below the release file's directory.
pub(super) fn name_of(index: &IndexFile) -> Option<&str> {
    index.path.as_str().strip_prefix("dists/")?.strip_prefix(&index.distribution)?.strip_prefix('/')
}

/// Clients ask for files of architecture `all` only where it is named.
fn name_all(index: &IndexFile, listed: &mut ReleaseWriter) {
    let all = "all".to_owned();
    if index.architecture.as_ref() == Some(&all) && listed.fields.architectures.is_empty() {
        listed.fields.architectures.push(all);
    }
}

/// Whether upstream's file still says the truth where, with `filtered`, packages were left out. A
/// translation is of one package's description, whatever else there is.
fn is_true(family: Family, filtered: bool) -> bool {
    match family {
        Family::Translations | Family::Installer => true,
        Family::Contents | Family::Commands | Family::Appstream | Family::Icons | Family::Other => {
            !filtered
        }
        Family::Packages
        | Family::InstallerPackages
        | Family::Sources
        | Family::IndexRelease
        | Family::Diffs => false,
    }
}

/// Upstream's release file, which knows the size and the digests of every file. `None` if it was
/// given up meanwhile: nothing of it can be listed then.
async fn read_release(store: &ArtifactStore, release: &ReleaseFile) -> Option<Release> {
    if let Some(sha256) = release.digest("Release") {
        let text = store.read(&sha256, MAX_RELEASE).await.ok()?;
        return Release::parse(&text).ok();
    }
    let message = store.read(&release.digest("InRelease")?, MAX_RELEASE).await.ok()?;
    Release::parse(&unverified_text(&message).ok()?).ok()
}

/// Publishes the compressions of a file that upstream's release file lists as they are, and lists
/// them; the uncompressed one, too, although it need not be there.
async fn publish_file(
    unit: &PublishedUnit<DebContent>,
    index: &IndexFile,
    upstream: &Release,
    listed: &mut ReleaseWriter,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let directory = format!("dists/{}/", index.distribution);
    let Some(plain) = name_of(index) else { return Ok(()) };
    let mut found = false;
    for (suffix, digests) in &index.files {
        let name = format!("{plain}{suffix}");
        let Some(expected) = upstream.file(&name).filter(|file| file.digests == *digests) else {
            continue;
        };
        let Some(size) = expected.size else { continue };
        let own = path(&format!("{directory}{name}"))?;
        for hashed in all_by_hash(&own, expected) {
            writer.content(hashed, unit.id, own.clone()).await?;
        }
        writer.content(own.clone(), unit.id, own).await?;
        listed.list(path(&name)?, size, digests.clone());
        found = true;
    }
    if let Some(expected) = upstream.file(plain).filter(|_| found)
        && let Some(size) = expected.size
    {
        listed.list(path(plain)?, size, expected.digests.clone());
    }
    if found {
        name_all(index, listed);
    }
    Ok(())
}

/// The `Release` beside the index at `index` (`main/binary-amd64/Packages`), and its path.
pub(super) fn index_release(
    index: &str,
    fields: &ReleaseFields,
) -> Result<Option<(RelativePath, String)>, PublishError> {
    let Some((folder, _)) = index.rsplit_once('/') else { return Ok(None) };
    let Some((component, architecture)) = folder.rsplit_once('/') else { return Ok(None) };
    let component = component.strip_suffix("/debian-installer").unwrap_or(component);
    let architecture = architecture.strip_prefix("binary-").unwrap_or(architecture);
    let mut text = String::new();
    for (name, value) in [
        ("Archive", fields.suite.as_deref().or(fields.codename.as_deref())),
        ("Origin", fields.origin.as_deref()),
        ("Label", fields.label.as_deref()),
        ("Version", fields.version.as_deref()),
        ("Acquire-By-Hash", Some("yes")),
        ("Component", Some(component)),
        ("Architecture", Some(architecture)),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{name}: {}", value.replace(['\n', '\r'], " "));
        }
    }
    Ok(Some((path(&format!("{folder}/Release"))?, text)))
}
