//! From local files to units: what a package is, where its files go, and the stanza that says so.
//!
//! The stanza is the package's own control data with the fields that indices add: for a binary
//! package `Filename`, `Size` and digests, for a source package `Directory` and its lists of files.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use debversion::Version;
use pulp_models::{Algorithm, Expected, Hasher, Mismatch, RelativePath, store::ArtifactStore};
use pulp_stages::{
    Budget, DeclarativeArtifact, DeclarativeContent, Inbox, Outbox, Stage, StageError,
    local_file::take_up,
};

use crate::{
    binary_archive::{ArchiveError, read_control},
    content::{DebContent, Package, SourcePackage},
    index_writer::LISTED,
    openpgp::{VerifyError, unverified_text},
    package::PackageFields,
    source::SourceFields,
    stanza::{MAX_STANZA, Stanza, StanzaError, without_fields},
};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Why a file is no package.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("Its name ends neither in `.deb` nor in `.udeb` nor in `.dsc`")]
    Kind,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Stanza(#[from] StanzaError),
    #[error("Its signature cannot be taken off")]
    Signature(#[from] VerifyError),
    #[error("`{0}` is no name of a package: lower-case letters, digits and `+-.` make one")]
    Name(String),
    #[error("`{0}` is no version")]
    Version(String),
    #[error("Failed to read `{}`, which it names", .0.display())]
    Named(PathBuf, #[source] io::Error),
    #[error("`{}` is not the file that it names", .0.display())]
    Other(PathBuf, #[source] Mismatch),
    #[error("It is larger than {0} bytes")]
    TooLarge(usize),
}

/// A package and the local files that belong to it.
pub(super) struct PackageFile {
    pub(super) content: DebContent,
    /// Where each file goes, where it is, and what it was when its digests were written down.
    files: Vec<(RelativePath, PathBuf, Expected)>,
}

/// Reads a package that is to stand in `component` of `distribution`. Blocks.
pub(super) fn read(
    file: &Path,
    distribution: &str,
    component: &str,
) -> Result<PackageFile, ReadError> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("deb") => read_binary(file, distribution, component, false),
        Some("udeb") => read_binary(file, distribution, component, true),
        Some("dsc") => read_source(file, distribution, component),
        _ => Err(ReadError::Kind),
    }
}

fn read_binary(
    file: &Path,
    distribution: &str,
    component: &str,
    installer: bool,
) -> Result<PackageFile, ReadError> {
    let control = read_control(BufReader::new(fs::File::open(file)?))?;
    let view = Stanza::of(&control);
    let get = |name| view.text(name).unwrap_or_default();
    let (package, version) = (get("Package"), get("Version"));
    check_name(&package)?;
    let source = get("Source");
    let source = source.split(' ').next().filter(|name| !name.is_empty()).unwrap_or(&package);
    check_name(source)?;
    let kind = if installer { "udeb" } else { "deb" };
    let name = format!("{package}_{}_{}.{kind}", without_epoch(&version)?, get("Architecture"));
    let path = format!("{}/{name}", folder_of(component, source));

    let expected = measure(file)?;
    let added = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Status"];
    let mut stanza = without_fields(&control, &added);
    let mut text = format!("Filename: {path}\nSize: {}\n", expected.size.unwrap_or_default());
    for (algorithm, digest) in expected.digests.iter() {
        let field = match algorithm {
            Algorithm::Md5 => "MD5sum",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
            _ => continue,
        };
        let _ = writeln!(text, "{field}: {}", hex::encode(digest));
    }
    stanza.extend_from_slice(text.as_bytes());
    let stanza = Bytes::from(stanza);
    let fields = PackageFields::read(&Stanza::of(&stanza))?;
    let files = vec![(fields.filename.clone(), file.to_owned(), expected)];
    let package = Package::new(&fields, stanza.clone(), distribution, component, installer);
    Ok(PackageFile { content: DebContent::Package(package), files })
}

fn read_source(file: &Path, distribution: &str, component: &str) -> Result<PackageFile, ReadError> {
    let mut text = Vec::new();
    fs::File::open(file)?.take(MAX_STANZA as u64 + 1).read_to_end(&mut text)?;
    if text.len() > MAX_STANZA {
        return Err(ReadError::TooLarge(MAX_STANZA));
    }
    if text.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
        text = unverified_text(&text)?;
    }
    let view = Stanza::of(&text);
    let name = view.text("Source").unwrap_or_default().into_owned();
    check_name(&name)?;
    without_epoch(&view.text("Version").unwrap_or_default())?;
    let head = format!("Package: {name}\n").into_bytes();
    let moved = ["Source", "Package", "Directory", "Files"];
    let lists = ["Checksums-Sha1", "Checksums-Sha256", "Checksums-Sha512"];
    let named = [&head[..], &without_fields(&text, &moved[..3])].concat();
    let named = SourceFields::read(&Stanza::of(&named))?.files;

    let folder = folder_of(component, &name);
    let mut files = measure_named(file, named)?;
    let own_name = file.file_name().and_then(|name| name.to_str()).ok_or(ReadError::Kind)?;
    files.insert(own_name.to_owned(), (file.to_owned(), measure(file)?));
    let mut stanza = [head, without_fields(&text, &[&moved[..], &lists].concat())].concat();
    stanza.extend_from_slice(format!("Directory: {folder}\n").as_bytes());
    for (field, algorithm) in
        [("Files", Algorithm::Md5), (lists[0], Algorithm::Sha1), (lists[1], Algorithm::Sha256)]
    {
        let mut list = format!("{field}:\n");
        for (name, (_, expected)) in &files {
            let digest = expected.digests.get(algorithm).map(hex::encode).unwrap_or_default();
            let _ = writeln!(list, " {digest} {} {name}", expected.size.unwrap_or_default());
        }
        stanza.extend_from_slice(list.as_bytes());
    }
    let stanza = Bytes::from(stanza);
    let fields = SourceFields::read(&Stanza::of(&stanza))?;
    let package = SourcePackage::new(&fields, stanza.clone(), distribution, component);
    let place = |(name, (local, expected)): (String, _)| {
        let path = fields.files.keys().find(|path| path.file_name() == name);
        path.map(|path| (path.clone(), local, expected))
    };
    let files = files.into_iter().filter_map(place).collect();
    Ok(PackageFile { content: DebContent::SourcePackage(package), files })
}

/// The files that a source package names, which lie beside it, as they are.
fn measure_named(
    file: &Path,
    named: BTreeMap<RelativePath, Expected>,
) -> Result<BTreeMap<String, (PathBuf, Expected)>, ReadError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let measured = named.into_iter().map(|(name, expected)| {
        let local = folder.join(name.file_name());
        let actual = measure(&local).map_err(|error| ReadError::Named(local.clone(), error))?;
        let size = actual.size.unwrap_or_default();
        match expected.check(size, &actual.digests) {
            Ok(()) => Ok((name.file_name().to_owned(), (local, actual))),
            Err(mismatch) => Err(ReadError::Other(local, mismatch)),
        }
    });
    measured.collect()
}

/// A file's length and digests.
fn measure(file: &Path) -> io::Result<Expected> {
    let mut hasher = Hasher::new(LISTED);
    let mut file = fs::File::open(file)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            length => hasher.update(&chunk[..length]),
        }
    }
    let (size, _, digests) = hasher.finish();
    Ok(Expected { size: Some(size), digests })
}

/// Debian Policy, section 5.6.1.
fn check_name(name: &str) -> Result<(), ReadError> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if is_name && name.chars().all(is_part) {
        return Ok(());
    }
    Err(ReadError::Name(name.chars().take(80).collect()))
}

/// A version as names of files have it.
fn without_epoch(version: &str) -> Result<&str, ReadError> {
    if version.is_empty() || version.contains('/') || version.parse::<Version>().is_err() {
        return Err(ReadError::Version(version.chars().take(80).collect()));
    }
    Ok(version.split_once(':').map_or(version, |(_, rest)| rest))
}

/// The folder of a source package's files, as in Debian's own archive.
fn folder_of(component: &str, source: &str) -> String {
    let length = if source.starts_with("lib") { 4 } else { 1 };
    let prefix = source.get(..length).unwrap_or(source);
    format!("pool/{component}/{prefix}/{source}")
}

/// The first stage: one unit per package.
pub(super) struct ReadPackages {
    packages: Vec<PackageFile>,
    store: ArtifactStore,
    budget: Budget,
}

impl ReadPackages {
    pub(super) fn new(packages: Vec<PackageFile>, store: ArtifactStore) -> Self {
        Self { packages, store, budget: Budget::new(Budget::DEFAULT_BYTES) }
    }
}

#[async_trait]
impl Stage<DebContent> for ReadPackages {
    fn name(&self) -> &'static str {
        "ReadPackages"
    }

    async fn run(
        mut self: Box<Self>,
        _input: Inbox<DebContent>,
        output: Outbox<DebContent>,
    ) -> Result<(), StageError> {
        for PackageFile { content, files } in std::mem::take(&mut self.packages) {
            let length = files.iter().filter_map(|(_, _, expected)| expected.size).sum();
            let permit = self.budget.acquire(length).await;
            let mut artifacts = Vec::new();
            for (path, file, expected) in files {
                // It must still be what it was.
                let bytes = take_up(&self.store, &file, &expected).await?;
                artifacts.push(DeclarativeArtifact::from_verified(path, bytes));
            }
            let mut unit = DeclarativeContent::new(content, artifacts);
            unit.charge(permit);
            output.put(unit).await?;
        }
        Ok(())
    }
}
