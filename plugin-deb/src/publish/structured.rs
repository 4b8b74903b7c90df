//! Structured publications: indices and release files of our own, made from the stanzas.
//!
//! The stanzas come from the version in upstream's order; what is written goes through the
//! publication's writer. The version's files are passed through at their own paths, but for
//! upstream's indices and release files. Which distributions and indices there are is in
//! [`super::suite`], where files lie in [`super::pool`], what is passed through in
//! [`super::companions`]; which layout a version gets is decided in [`super`].

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pulp_models::{RelativePath, Timestamp, store::Verified};
use pulp_stages::{
    plugin::{Plugin as _, PluginFailure},
    publish::{PublicationWriter, PublishContext, PublishError},
};

use super::{
    companions::{self, Companions},
    failed, path,
    pool::{Place, Pool},
    suite::{Suite, Suites},
};
use crate::{
    Deb,
    compression::Compression,
    content::DebContent,
    index_writer::{IndexError, IndexWriter, LISTED, ReleaseWriter, compress},
    keys::KeyStore,
    openpgp::SigningKey,
    options::SigningKeyName,
    selection::all_by_hash,
};

/// Compressions that run at once.
const COMPRESSORS: usize = 4;

pub(super) async fn structured(
    context: &PublishContext<Deb>,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    writer.pass_through();
    let now = context.options.date.unwrap_or_else(|| Timestamp::now().as_seconds());
    let key = signing_key(context, now).await?;
    let mut suites = Suites::of_releases(context).await?;
    if suites.are_incomplete() || !write_stanzas(&mut suites, context, writer).await? {
        suites = Suites::of_packages(context).await?;
        write_stanzas(&mut suites, context, writer).await?;
    }
    let mut companions = companions::pass_through(context, &mut suites, writer).await?;
    for (name, suite) in suites.by_distribution {
        let companions = companions.remove(&name).unwrap_or_default();
        publish_suite(suite, companions, context, key.as_ref(), now, writer).await?;
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
    let store = KeyStore::new(context.installation.keys(Deb::NAME));
    let load = move || match chosen {
        Some(name) if name.as_str() == SigningKeyName::NONE => Ok(None),
        Some(name) => store.load(&name).map(Some),
        None => store.load_or_create(&SigningKeyName::default_key(), now).map(Some),
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(|_| PublishError::Cancelled)?;
    loaded.map_err(|error| {
        let (hint, kind) = (error.hint(), error.kind());
        let failure = PluginFailure::new("Failed to get the signing key");
        let failure = failure.of_kind(kind).caused_by(error);
        match hint {
            Some(hint) => failure.with_hint(hint).into(),
            None => failure.into(),
        }
    })
}

/// Writes every stanza into its indices, publishes the packages' files where they do not lie at
/// paths of their own, and hides upstream's indices. False if there is a
/// package of a distribution, component or architecture that is not known: nothing is complete
/// then.
async fn write_stanzas(
    suites: &mut Suites,
    context: &PublishContext<Deb>,
    writer: &mut PublicationWriter,
) -> Result<bool, PublishError> {
    let store = &context.installation.store;
    suites.begin_indices(store);
    let mut pool = Pool::default();
    let mut contents = context.contents();
    while let Some(page) = contents.next_page().await? {
        for unit in page {
            let distribution = match &unit.content {
                DebContent::Package(package) => &package.distribution,
                DebContent::SourcePackage(package) => &package.distribution,
                DebContent::ReleaseFile(_) | DebContent::IndexFile(_) => {
                    for artifact in unit.artifacts {
                        writer.hide(artifact.relative_path).await?;
                    }
                    continue;
                }
                DebContent::InstallerFile(_) | DebContent::Additions(_) => continue,
            };
            let suite = suites.by_distribution.get_mut(distribution);
            let names = suite.as_ref().and_then(|suite| suite.indices_of(&unit.content));
            let Some((suite, names)) = suite.zip(names) else { return Ok(false) };
            suite.note(&unit.content);
            let Place { stanza, files } = pool.place(&unit)?;
            for name in names {
                let index = suite.indices.entry(name).or_insert_with(|| IndexWriter::new(store));
                index.push(&stanza).await.map_err(|error| failed("write an index", error))?;
            }
            for file in files {
                writer.content(file.published, file.unit, file.own).await?;
            }
        }
    }
    Ok(true)
}

/// Compresses, lists, signs and publishes what was written, beside its `companions`.
async fn publish_suite(
    suite: Suite,
    companions: Companions,
    context: &PublishContext<Deb>,
    key: Option<&SigningKey>,
    now: i64,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let days = context.options.valid_for.map(i64::from);
    let Companions { listed, filtered } = companions;
    let mut fields = suite.fields;
    fields.architectures.extend(listed.fields.architectures);
    let mut release = ReleaseWriter {
        fields,
        date: now,
        valid_until: days.map(|days| now + days * 24 * 3600),
        acquire_by_hash: true,
        all_in_each_architecture: true,
        files: listed.files,
    };
    let directory = format!("dists/{}/", suite.path);
    let mut finished: Vec<_> =
        filtered.into_iter().map(|(name, plain)| (name, Arc::new(plain))).collect();
    let mut files = Vec::new();
    for (name, index) in suite.indices {
        if let Some((path, text)) = companions::index_release(&name, &release.fields)? {
            files.push((path, Verified::from_bytes_also(text.into(), &LISTED)));
        }
        let plain = index.finish().await.map_err(|error| failed("write an index", error))?;
        finished.push((path(&name)?, Arc::new(plain)));
    }
    let compressed = compress_all(&finished, context).await?;
    // Every compressor has dropped its own by now.
    let plain = finished
        .into_iter()
        .filter_map(|(name, bytes)| Arc::into_inner(bytes).map(|bytes| (name, bytes)));
    files.extend(plain.chain(compressed));
    let mut published = Vec::new();
    for (name, bytes) in files {
        let own = path(&format!("{directory}{name}"))?;
        let expected = pulp_models::Expected { size: None, digests: bytes.digests().clone() };
        let mut paths = all_by_hash(&own, &expected);
        paths.push(own);
        release.list(name, bytes.size(), expected.digests);
        published.push((paths, bytes));
    }
    writer.verified_all(published).await?;
    publish_release(&directory, &release, key, now, writer).await
}

/// Every index in every compression that was chosen, several at once.
async fn compress_all(
    plain: &[(RelativePath, Arc<Verified>)],
    context: &PublishContext<Deb>,
) -> Result<Vec<(RelativePath, Verified)>, PublishError> {
    let kinds = context.options.compressions();
    let jobs = plain.iter().flat_map(|(name, plain)| {
        let kinds = kinds.iter().filter(|kind| **kind != Compression::Plain);
        kinds.map(|kind| (name.clone(), Arc::clone(plain), *kind))
    });
    let jobs: Vec<_> = jobs.collect();
    let store = &context.installation.store;
    let compressed = stream::iter(jobs).map(|(name, plain, kind)| async move {
        let bytes = compress(store, &plain, kind).await?;
        Ok::<_, IndexError>((format!("{name}{}", kind.suffix()), bytes))
    });
    let compressed: Vec<(String, Verified)> = compressed
        .buffered(COMPRESSORS)
        .try_collect()
        .await
        .map_err(|error| failed("compress an index", error))?;
    compressed.into_iter().map(|(name, bytes)| Ok((path(&name)?, bytes))).collect()
}

async fn publish_release(
    directory: &str,
    release: &ReleaseWriter,
    key: Option<&SigningKey>,
    now: i64,
    writer: &mut PublicationWriter,
) -> Result<(), PublishError> {
    let text = release.text();
    let mut files = Vec::new();
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
        files.push(("InRelease", Bytes::from(message)));
        files.push(("Release.gpg", Bytes::from(detached)));
    }
    files.push(("Release", Bytes::from(text)));
    let files = files.into_iter().map(|(name, bytes)| {
        Ok((vec![path(&format!("{directory}{name}"))?], Verified::from_bytes(bytes)))
    });
    writer.verified_all(files.collect::<Result<_, PublishError>>()?).await
}
