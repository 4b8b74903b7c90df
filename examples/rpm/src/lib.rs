//! RPM repositories: `repodata/repomd.xml` lists metadata files, one of which lists the packages.
//!
//! An example of a repository type that somebody else adds. Metadata is kept byte for byte and is
//! published as it is, so a publication is what a mirror had upstream.

pub mod records;

use std::{fs::File, io::BufRead, io::BufReader};

use async_trait::async_trait;
use liblzma::bufread::XzDecoder;
use pulp_models::{
    ArtifactStore, Digests, Expected, Key, RelativePath, RemoteUrl, store::Verified,
};
use pulp_stages::{
    Blame as _, Content, DeclarativeContent, Inbox, Outbox, Stage, StageError,
    options::NoOptions,
    plugin::{FirstStage, Plugin},
    sync::{Origin, SyncContext, SyncError},
};
use records::{Record, RecordError, Records};
use serde::{Deserialize, Serialize};

/// A file of an RPM repository.
#[derive(Clone, Serialize, Deserialize)]
pub struct RpmFile {
    /// Where it lies; metadata is often named by its digest.
    pub path: RelativePath,
    /// What upstream says of its bytes.
    pub digests: Digests,
    /// `package`, or what `repomd.xml` calls a metadata file: `primary`, `filelists`, …
    pub role: String,
    /// A package's name, epoch, version, release and architecture: `bash-0:5.2-1.x86_64`.
    pub nevra: Option<String>,
}

impl Content for RpmFile {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        if self.nevra.is_some() { "rpm.package" } else { "rpm.metadata" }
    }

    fn natural_key(&self) -> Option<Key> {
        let (_, digest) = self.digests.strongest()?;
        Some(Key::of(self.type_name()).path(&self.path).field(digest).finish())
    }

    /// One package per path, one metadata file per role: new metadata takes the old one's place.
    fn repo_key(&self) -> Option<Key> {
        let key = Key::of(self.type_name());
        let place = if self.nevra.is_some() { key.path(&self.path) } else { key.field(&self.role) };
        Some(place.finish())
    }
}

/// RPM repositories; see the [crate].
#[derive(Debug, Clone, Copy)]
pub struct Rpm;

#[async_trait]
impl Plugin for Rpm {
    const NAME: &'static str = "rpm";
    const ABOUT: &'static str = "RPM repositories, for dnf and zypper";
    type Content = RpmFile;
    type RemoteOptions = NoOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = NoOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<RpmFile>, SyncError> {
        let root = context.remote.url.clone();
        let repomd = context.fetch_document(&root.join_path("repodata/repomd.xml")).await?;
        let fingerprint = Some(Key::of("rpm.metadata").field(repomd.sha256().0).finish());
        let (store, declare) =
            (context.installation.store.clone(), Declare { root, origin: context.origin() });
        Ok(FirstStage { fingerprint, stage: Box::new(ReadRepository { repomd, declare, store }) })
    }
}

/// The first stage: puts the metadata, awaits what lists the packages, puts those.
struct ReadRepository {
    repomd: Verified,
    declare: Declare,
    store: ArtifactStore,
}

#[async_trait]
impl Stage<RpmFile> for ReadRepository {
    fn name(&self) -> &'static str {
        "ReadRepository"
    }

    async fn run(
        self: Box<Self>,
        _: Inbox<RpmFile>,
        output: Outbox<RpmFile>,
    ) -> Result<(), StageError> {
        let Self { repomd, declare, store } = *self;
        let url = declare.root.join_path("repodata/repomd.xml");
        let mut primary = None;
        for record in Records::new(BufReader::new(repomd.reader()), "data") {
            let unit = record.and_then(|record| declare.metadata(&record)).at_url(&url)?;
            if unit.content.role == "primary" {
                // Not awaited yet: the other files travel along.
                primary = Some((unit.content.path.clone(), output.put_awaitable(unit).await?));
            } else {
                output.put(unit).await?;
            }
        }
        output.put(declare.repomd(url.clone(), repomd)?).await?;
        let missing = || RecordError::Missing("data type=\"primary\"".to_owned());
        let (path, primary) = primary.ok_or_else(missing).at_url(&url)?;

        let url = declare.root.join_path(path.as_str());
        let primary = primary.await?.open(&store).await?;
        let records = Records::new(decompressed(&path, primary)?, "package");
        let packages = records
            .map(move |record| record.and_then(|record| declare.package(&record)).at_url(&url));
        output.put_parsed(packages).await
    }
}

fn decompressed(path: &RelativePath, file: File) -> std::io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::new(file);
    Ok(match path.as_str().rsplit_once('.') {
        Some((_, "gz")) => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        Some((_, "bz2")) => Box::new(BufReader::new(bzip2::bufread::MultiBzDecoder::new(file))),
        Some((_, "xz")) => Box::new(BufReader::new(XzDecoder::new_multi_decoder(file))),
        Some((_, "zst")) => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        _ => Box::new(file),
    })
}

/// From records to units.
struct Declare {
    root: RemoteUrl,
    origin: Origin,
}

type Unit = DeclarativeContent<RpmFile>;

impl Declare {
    fn repomd(&self, url: RemoteUrl, bytes: Verified) -> Result<Unit, StageError> {
        let (path, digests) = (RelativePath::new("repodata/repomd.xml")?, bytes.digests().clone());
        let artifact = self.origin.document(path.clone(), url, bytes);
        let content = RpmFile { path, digests, role: "repomd".to_owned(), nevra: None };
        Ok(DeclarativeContent::new(content, vec![artifact]))
    }

    fn metadata(&self, record: &Record) -> Result<Unit, RecordError> {
        let (path, digests) = (record.parse("location@href")?, record.digests()?);
        let size = record.find("size").map(|_| record.parse("size")).transpose()?;
        let content = RpmFile { path, digests, role: record.get("@type")?.to_owned(), nevra: None };
        Ok(self.unit(content, size))
    }

    fn package(&self, record: &Record) -> Result<Unit, RecordError> {
        let (path, digests) = (record.parse("location@href")?, record.digests()?);
        let (name, arch) = (record.get("name")?, record.get("arch")?);
        let (version, release) = (record.get("version@ver")?, record.get("version@rel")?);
        let epoch = record.find("version@epoch").unwrap_or("0");
        let nevra = Some(format!("{name}-{epoch}:{version}-{release}.{arch}"));
        let content = RpmFile { path, digests, role: "package".to_owned(), nevra };
        Ok(self.unit(content, Some(record.parse("size@package")?)))
    }

    fn unit(&self, content: RpmFile, size: Option<u64>) -> Unit {
        let (path, url) = (content.path.clone(), self.root.join_path(content.path.as_str()));
        let expected = Expected { size, digests: content.digests.clone() };
        let artifact = if content.nevra.is_some() {
            self.origin.artifact(path, url, expected)
        } else {
            self.origin.metadata(path, url, expected)
        };
        DeclarativeContent::new(content, vec![artifact])
    }
}
