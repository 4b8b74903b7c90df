//! Structured publications: indices and release files of our own, made from the stanzas.
//!
//! The stanzas come from the version in upstream's order; what is written goes through the
//! publication's writer. Which layout a version gets is decided in [`super`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pulp_models::{RelativePath, Timestamp, store::Verified};
use pulp_stages::publish::{PublicationWriter, PublishContext, PublishError};

use super::{failed, path};
use crate::{
    Deb,
    compression::Compression,
    content::{self, DebContent, Package, ReleaseFile},
    index_writer::{IndexError, IndexWriter, ReleaseWriter, compress},
    keys::KeyStore,
    openpgp::SigningKey,
    options::SigningKeyName,
    release::ReleaseFields,
    selection::all_by_hash,
};

/// Compressions that run at once.
const COMPRESSORS: usize = 4;

pub(super) async fn structured(
    context: &PublishContext<Deb>,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let now = context.options.date.unwrap_or_else(|| Timestamp::now().as_seconds());
    let key = signing_key(context, now).await?;
    let mut suites = Suites::of_releases(context).await?;
    if suites.are_incomplete() || !suites.write_stanzas(context, writer).await? {
        suites = Suites::of_packages(context).await?;
        suites.write_stanzas(context, writer).await?;
    }
    for suite in suites.by_distribution.into_values() {
        suite.publish(context, key.as_ref(), now, writer).await?;
    }
    if let Some(key) = key {
        let public =
            key.public_armored().map_err(|error| failed("export the public key", error))?;
        writer.metadata(path("key.asc")?, public.into()).await?;
    }
    Ok(())
}

async fn signing_key(
    context: &PublishContext<Deb>,
    now: i64,
) -> Result<Option<SigningKey>, PublishError> {
    let chosen = context.options.signing_key.clone();
    let home = context.installation.home().to_owned();
    let load = move || {
        let store = KeyStore::new(&home);
        match chosen {
            Some(name) if name.as_str() == SigningKeyName::NONE => Ok(None),
            Some(name) => store.load(&name).map(Some),
            None => store.load_or_create(&SigningKeyName::default_key(), now).map(Some),
        }
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(|_| PublishError::Cancelled)?;
    loaded.map_err(|error| failed("get the signing key", error))
}

/// What will be published, by upstream's distribution.
struct Suites {
    by_distribution: BTreeMap<String, Suite>,
}

/// One distribution of the publication.
struct Suite {
    /// The path below `dists/`.
    path: String,
    fields: ReleaseFields,
    /// Indices being written, by their path below the release file's directory.
    indices: BTreeMap<String, IndexWriter>,
}

impl Suites {
    /// The distributions of which there is a release file, as that describes them.
    async fn of_releases(context: &PublishContext<Deb>) -> Result<Self, PublishError> {
        let mut by_distribution = BTreeMap::new();
        let mut contents = context.contents_of(content::RELEASE_FILE);
        while let Some(page) = contents.next_page().await? {
            for unit in page {
                if let DebContent::ReleaseFile(release) = unit.content {
                    let name = release.distribution.clone();
                    let suite = Suite::new(&name, Some(release), Seen::default());
                    by_distribution.insert(name, suite);
                }
            }
        }
        Ok(Self { by_distribution })
    }

    /// Whether the release files leave out what a publication must name.
    fn are_incomplete(&self) -> bool {
        let mut suites = self.by_distribution.values();
        self.by_distribution.is_empty() || suites.any(|suite| suite.fields.architectures.is_empty())
    }

    /// The distributions as their packages describe them, where release files do not: those of
    /// flat repositories and of uploads. Reads the whole version.
    async fn of_packages(context: &PublishContext<Deb>) -> Result<Self, PublishError> {
        let mut releases = BTreeMap::new();
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let mut contents = context.contents();
        while let Some(page) = contents.next_page().await? {
            for unit in page {
                match unit.content {
                    DebContent::ReleaseFile(release) => {
                        seen.entry(release.distribution.clone()).or_default();
                        releases.insert(release.distribution.clone(), release);
                    }
                    DebContent::Package(package) => {
                        let seen = seen.entry(package.distribution).or_default();
                        seen.components.insert(component_or_main(&package.component).to_owned());
                        seen.architectures.insert(package.architecture);
                    }
                    DebContent::SourcePackage(package) => {
                        let seen = seen.entry(package.distribution).or_default();
                        seen.components.insert(component_or_main(&package.component).to_owned());
                    }
                    DebContent::IndexFile(_) | DebContent::InstallerFile(_) => {}
                }
            }
        }
        let suites = seen.into_iter().map(|(name, seen)| {
            let suite = Suite::new(&name, releases.remove(&name), seen);
            (name, suite)
        });
        Ok(Self { by_distribution: suites.collect() })
    }

    /// Writes every stanza into its indices, and publishes the packages at upstream's paths. False
    /// if there is a package of a distribution that is not known: nothing is complete then.
    async fn write_stanzas(
        &mut self,
        context: &PublishContext<Deb>,
        writer: &mut PublicationWriter,
    ) -> Result<bool, PublishError> {
        let store = &context.installation.store;
        for suite in self.by_distribution.values_mut() {
            for name in suite.mandatory_indices() {
                suite.indices.insert(name, IndexWriter::new(store));
            }
        }
        let mut contents = context.contents();
        while let Some(page) = contents.next_page().await? {
            for unit in page {
                let (distribution, stanza) = match &unit.content {
                    DebContent::Package(package) => (&package.distribution, &package.stanza),
                    DebContent::SourcePackage(package) => (&package.distribution, &package.stanza),
                    _ => continue,
                };
                let Some(suite) = self.by_distribution.get_mut(distribution) else {
                    return Ok(false);
                };
                for name in suite.indices_of(&unit.content) {
                    let index =
                        suite.indices.entry(name).or_insert_with(|| IndexWriter::new(store));
                    index.push(stanza).await.map_err(|error| failed("write an index", error))?;
                }
                for artifact in &unit.artifacts {
                    let path = artifact.relative_path.clone();
                    writer.content(path.clone(), unit.id, path).await?;
                }
            }
        }
        Ok(true)
    }
}

/// What a distribution's packages say of it.
#[derive(Default)]
struct Seen {
    components: BTreeSet<String>,
    architectures: BTreeSet<String>,
}

impl Suite {
    fn new(name: &str, release: Option<ReleaseFile>, seen: Seen) -> Self {
        let mut fields = release.as_ref().map(|release| release.fields.clone()).unwrap_or_default();
        let (mut components, mut architectures) = match release {
            Some(release) => (release.components, release.architectures),
            None => (Vec::new(), Vec::new()),
        };
        if components.is_empty() {
            components = seen.components.into_iter().collect();
        }
        if components.is_empty() {
            components.push(component_or_main("").to_owned());
        }
        if architectures.is_empty() {
            architectures = seen.architectures.into_iter().filter(|name| name != "all").collect();
        }
        let path = if name.ends_with('/') {
            let flat = fields.codename.clone().or_else(|| fields.suite.clone());
            let flat = flat.filter(|name| RelativePath::new(name).is_ok());
            flat.unwrap_or_else(|| "flat".to_owned())
        } else {
            name.to_owned()
        };
        if fields.codename.is_none() && fields.suite.is_none() {
            fields.codename = Some(path.clone());
        }
        fields.components = components;
        fields.architectures = architectures;
        Self { path, fields, indices: BTreeMap::new() }
    }

    /// Indices that exist even if they are empty: clients were promised them.
    fn mandatory_indices(&self) -> Vec<String> {
        let architectures = &self.fields.architectures;
        let components = self.fields.components.iter();
        components
            .flat_map(|component| {
                architectures.iter().map(move |name| format!("{component}/binary-{name}/Packages"))
            })
            .collect()
    }

    /// The indices in which a package stands.
    fn indices_of(&self, content: &DebContent) -> Vec<String> {
        match content {
            DebContent::Package(package) => self.indices_of_package(package),
            DebContent::SourcePackage(package) => {
                vec![format!("{}/source/Sources", component_or_main(&package.component))]
            }
            _ => Vec::new(),
        }
    }

    fn indices_of_package(&self, package: &Package) -> Vec<String> {
        let component = component_or_main(&package.component);
        let folder = if package.installer { "debian-installer/" } else { "" };
        let index = |name: &str| format!("{component}/{folder}binary-{name}/Packages");
        if package.architecture == "all" {
            let all = &self.fields.architectures;
            return all.iter().map(|name| index(name)).collect();
        }
        vec![index(&package.architecture)]
    }

    /// Compresses, lists, signs and publishes what was written.
    async fn publish(
        self,
        context: &PublishContext<Deb>,
        key: Option<&SigningKey>,
        now: i64,
        writer: &mut PublicationWriter,
    ) -> Result<(), PublishError> {
        let days = context.options.valid_for.map(i64::from);
        let mut release = ReleaseWriter {
            fields: self.fields,
            date: now,
            valid_until: days.map(|days| now + days * 24 * 3600),
            acquire_by_hash: true,
            all_in_each_architecture: true,
            ..ReleaseWriter::default()
        };
        let directory = format!("dists/{}/", self.path);
        let mut finished = Vec::new();
        for (name, index) in self.indices {
            let plain = index.finish().await.map_err(|error| failed("write an index", error))?;
            finished.push((name, Arc::new(plain)));
        }
        let mut jobs = Vec::new();
        for (name, plain) in &finished {
            for kind in context.options.compressions() {
                if kind != Compression::Plain {
                    jobs.push((name.clone(), Arc::clone(plain), kind));
                }
            }
        }
        let store = &context.installation.store;
        let compressed: Vec<(String, Verified)> = stream::iter(jobs)
            .map(|(name, plain, kind)| async move {
                let bytes = compress(store, &plain, kind).await?;
                Ok::<_, IndexError>((format!("{name}{}", kind.suffix()), bytes))
            })
            .buffered(COMPRESSORS)
            .try_collect()
            .await
            .map_err(|error| failed("compress an index", error))?;
        let plain = finished.into_iter().filter_map(|(name, bytes)| {
            // Every compressor has dropped its own by now.
            Arc::into_inner(bytes).map(|bytes| (name, bytes))
        });
        for (name, bytes) in plain.chain(compressed) {
            publish_index(&directory, &name, bytes, &mut release, writer).await?;
        }
        publish_release(&directory, &release, key, now, writer).await
    }
}

/// Lists an index and publishes it at its own path and at its paths by hash.
async fn publish_index(
    directory: &str,
    name: &str,
    bytes: Verified,
    release: &mut ReleaseWriter,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let listed = path(name)?;
    let published = path(&format!("{directory}{name}"))?;
    let expected = pulp_models::Expected { size: None, digests: bytes.digests().clone() };
    let mut paths = all_by_hash(&published, &expected);
    paths.push(published);
    release.list(listed, bytes.size(), expected.digests);
    writer.verified(paths, bytes).await
}

async fn publish_release(
    directory: &str,
    release: &ReleaseWriter,
    key: Option<&SigningKey>,
    now: i64,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let text = release.text();
    if let Some(key) = key {
        // No signature may be older than its key.
        let time = now.max(key.created());
        let sign = || {
            let message = key.sign_cleartext(text.as_bytes(), time)?;
            Ok::<_, crate::openpgp::SigningError>((
                message,
                key.sign_detached(text.as_bytes(), time)?,
            ))
        };
        let (message, detached) = sign().map_err(|error| failed("sign a release file", error))?;
        writer.metadata(path(&format!("{directory}InRelease"))?, message.into()).await?;
        writer.metadata(path(&format!("{directory}Release.gpg"))?, detached.into()).await?;
    }
    writer.metadata(path(&format!("{directory}Release"))?, Bytes::from(text)).await
}

/// Flat repositories have no components; structured ones must.
fn component_or_main(component: &str) -> &str {
    if component.is_empty() { "main" } else { component }
}
