//! Index files of a structured publication: stanzas in, verified bytes out, and the release file
//! that lists them.
//!
//! Reproducible: the same stanzas in the same order give the same bytes, the same fields and files
//! the same release file. Which stanzas, and which paths, is the publisher's business; so is
//! signing. The plain file is written and hashed while stanzas come in (its bytes go to the store's
//! temporary folder in blocks); each compression reads it back, all of them in parallel.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufReader, Write},
};

use bytes::{Bytes, BytesMut};
use pulp_models::{
    Algorithm, Digests, Expected, RelativePath,
    store::{ArtifactStore, StoreError, Verified, Verifier, VerifyError},
};
use tokio::sync::mpsc;

use crate::{compression::Compression, release::ReleaseFields};

/// Bytes handed on at a time.
const BLOCK: usize = 256 << 10;

/// The digests that a release file of ours lists, SHA-256 among them.
pub const LISTED: [Algorithm; 4] =
    [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

/// An index file that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The store refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused its bytes.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Compressing failed.
    #[error("Failed to compress an index as {compression}")]
    Compress {
        /// As what.
        compression: Compression,
        /// What the compressor, or the reading of the plain file, says.
        #[source]
        source: io::Error,
    },
    /// Making it failed.
    #[error("Failed to write an index")]
    Write(#[source] io::Error),
    /// The runtime is shutting down.
    #[error("Interrupted")]
    Interrupted,
}

/// Writes one plain index file.
#[derive(Debug)]
pub struct IndexWriter {
    verifier: Verifier,
    block: BytesMut,
    stanzas: u64,
}

impl IndexWriter {
    /// Begins a file that will lie in `store`.
    pub fn new(store: &ArtifactStore) -> Self {
        Self {
            verifier: store.verifier(&Expected::default(), &LISTED),
            block: BytesMut::new(),
            stanzas: 0,
        }
    }

    /// Appends a stanza and the empty line that ends it.
    pub async fn push(&mut self, stanza: &[u8]) -> Result<(), IndexError> {
        self.block.extend_from_slice(stanza);
        self.block.extend_from_slice(if stanza.ends_with(b"\n") { b"\n" } else { b"\n\n" });
        self.stanzas += 1;
        if self.block.len() >= BLOCK {
            self.verifier.push(self.block.split().freeze()).await?;
        }
        Ok(())
    }

    /// How many stanzas were written.
    pub fn stanzas(&self) -> u64 {
        self.stanzas
    }

    /// Ends the file.
    pub async fn finish(mut self) -> Result<Verified, IndexError> {
        self.verifier.push(self.block.freeze()).await?;
        Ok(self.verifier.finish().await?)
    }
}

/// Compresses a plain index file, on a blocking thread.
pub async fn compress(
    store: &ArtifactStore,
    plain: &Verified,
    compression: Compression,
) -> Result<Verified, IndexError> {
    let reader = plain.reader();
    let work = move |sink: &mut dyn Write| {
        let mut encoder = crate::compression::Encoder::new(compression, sink)?;
        io::copy(&mut BufReader::with_capacity(BLOCK, reader), &mut encoder)?;
        encoder.finish().map(drop)
    };
    written(store, work).await.map_err(|error| match error {
        IndexError::Write(source) => IndexError::Compress { compression, source },
        other => other,
    })
}

/// What `work` writes, on a blocking thread.
pub async fn written(
    store: &ArtifactStore,
    work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Verified, IndexError> {
    let mut verifier = store.verifier(&Expected::default(), &LISTED);
    let (sender, mut receiver) = mpsc::channel(4);
    let work = tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender, block: BytesMut::with_capacity(BLOCK) };
        work(&mut sink)?;
        sink.flush()
    });
    let mut pushed = Ok(());
    while let (Ok(()), Some(bytes)) = (&pushed, receiver.recv().await) {
        pushed = verifier.push(bytes).await;
    }
    // Without a receiver the work ends, too: it is always joined.
    drop(receiver);
    let ended = work.await.map_err(|_| IndexError::Interrupted)?;
    pushed?;
    ended.map_err(IndexError::Write)?;
    Ok(verifier.finish().await?)
}

/// Sends what is written in blocks. A receiver that is gone is an error: nobody wants the rest.
struct Sink {
    sender: mpsc::Sender<Bytes>,
    block: BytesMut,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(bytes);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sender
            .blocking_send(self.block.split().freeze())
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A release file to be written.
#[derive(Debug, Clone, Default)]
pub struct ReleaseWriter {
    /// What it says of its distribution; `components` and `architectures` as they are published.
    pub fields: ReleaseFields,
    /// Seconds since the epoch.
    pub date: i64,
    /// Seconds since the epoch.
    pub valid_until: Option<i64>,
    /// Whether clients may ask for indices by hash.
    pub acquire_by_hash: bool,
    /// Whether every architecture's index holds the packages of architecture `all`.
    pub all_in_each_architecture: bool,
    /// Size and digests by path below the release file's directory; see [`ReleaseWriter::list`].
    pub files: BTreeMap<RelativePath, (u64, Digests)>,
}

impl ReleaseWriter {
    /// Lists a file at `path` below the release file's directory.
    pub fn list(&mut self, path: RelativePath, size: u64, digests: Digests) {
        self.files.insert(path, (size, digests));
    }

    /// The listed files with their paths by hash, all below the release file's directory.
    pub fn by_hash(&self) -> impl Iterator<Item = (&RelativePath, Vec<RelativePath>)> {
        self.files.iter().map(|(path, (_, digests))| {
            let expected = Expected { size: None, digests: digests.clone() };
            (path, crate::selection::all_by_hash(path, &expected))
        })
    }

    /// The text of `Release`.
    pub fn text(&self) -> String {
        let fields = &self.fields;
        let mut text = String::new();
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                // A field's value comes from upstream: nothing in it may begin a field of its own.
                let value = value.replace(['\n', '\r'], " ");
                let _ = writeln!(text, "{name}: {value}");
            }
        };
        line("Origin", fields.origin.as_deref());
        line("Label", fields.label.as_deref());
        line("Suite", fields.suite.as_deref());
        line("Version", fields.version.as_deref());
        line("Codename", fields.codename.as_deref());
        line("Date", Some(&date(self.date)));
        line("Valid-Until", self.valid_until.map(date).as_deref());
        line("NotAutomatic", fields.not_automatic.as_deref());
        line("ButAutomaticUpgrades", fields.but_automatic_upgrades.as_deref());
        line("Acquire-By-Hash", self.acquire_by_hash.then_some("yes"));
        line(
            "No-Support-for-Architecture-all",
            self.all_in_each_architecture.then_some("Packages"),
        );
        line("Architectures", Some(&fields.architectures.join(" ")));
        line("Components", Some(&fields.components.join(" ")));
        line("Description", fields.description.as_deref());
        for (algorithm, name) in LISTED.into_iter().zip(["MD5Sum", "SHA1", "SHA256", "SHA512"]) {
            let _ = writeln!(text, "{name}:");
            for (path, (size, digests)) in &self.files {
                if let Some(digest) = digests.get(algorithm) {
                    let _ = writeln!(text, " {} {size:>8} {path}", hex::encode(digest));
                }
            }
        }
        text
    }
}

/// A date as release files have it: RFC 2822 with the zone `UTC`.
fn date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::{compression::Bound, release::Release};

    async fn store(home: &tempfile::TempDir) -> ArtifactStore {
        ArtifactStore::open(home.path()).await.expect("a store")
    }

    fn content(verified: &Verified) -> Vec<u8> {
        let mut bytes = Vec::new();
        verified.reader().read_to_end(&mut bytes).expect("readable");
        bytes
    }

    #[tokio::test]
    async fn every_compression_holds_the_stanzas_and_is_reproducible() {
        let home = tempfile::tempdir().expect("a folder");
        let store = store(&home).await;
        let mut writer = IndexWriter::new(&store);
        for number in 0..20_000 {
            let end = if number % 2 == 0 { "\n" } else { "" };
            let stanza = format!("Package: p{number}\nVersion: 1{end}");
            writer.push(stanza.as_bytes()).await.expect("written");
        }
        assert_eq!(writer.stanzas(), 20_000);
        let plain = writer.finish().await.expect("written");
        let text = content(&plain);
        assert!(text.ends_with(b"Package: p19999\nVersion: 1\n\n"));
        assert_eq!(plain.digests().iter().count(), LISTED.len());
        for compression in [Compression::Gz, Compression::Xz, Compression::Zst] {
            let file = compress(&store, &plain, compression).await.expect("compressed");
            let again = compress(&store, &plain, compression).await.expect("compressed");
            assert_eq!(file.sha256(), again.sha256());
            let bytes = content(&file);
            let mut decoder =
                compression.decoder(&bytes[..], Bound::Exactly(plain.size())).expect("valid");
            let mut found = Vec::new();
            decoder.read_to_end(&mut found).expect("valid");
            assert!(found == text, "{compression}");
        }
    }

    #[tokio::test]
    async fn an_empty_index_is_an_empty_file() {
        let home = tempfile::tempdir().expect("a folder");
        let store = store(&home).await;
        let plain = IndexWriter::new(&store).finish().await.expect("written");
        assert_eq!(plain.size(), 0);
        let gz = compress(&store, &plain, Compression::Gz).await.expect("compressed");
        assert_eq!(content(&gz).len(), 20);
    }

    #[test]
    fn a_release_file_is_read_as_it_was_written() {
        let mut writer = ReleaseWriter {
            fields: ReleaseFields {
                origin: Some("Evil\nSuite: x".to_owned()),
                codename: Some("stable".to_owned()),
                architectures: vec!["amd64".to_owned()],
                components: vec!["main".to_owned()],
                ..ReleaseFields::default()
            },
            date: 1_783_764_997,
            valid_until: Some(1_784_369_797),
            acquire_by_hash: true,
            all_in_each_architecture: true,
            ..ReleaseWriter::default()
        };
        let bytes = Verified::from_bytes_also(Bytes::from_static(b"abc"), &LISTED);
        let path = RelativePath::new("main/binary-amd64/Packages").expect("valid");
        writer.list(path, bytes.size(), bytes.digests().clone());
        let text = writer.text();
        assert!(text.contains("Date: Sat, 11 Jul 2026 10:16:37 UTC\n"), "{text}");
        let release = Release::parse(text.as_bytes()).expect("a release file");
        assert_eq!(release.fields.origin.as_deref(), Some("Evil Suite: x"));
        assert_eq!(release.fields.suite, None);
        assert_eq!((release.date, release.valid_until), (Some(writer.date), writer.valid_until));
        assert!(release.acquire_by_hash && release.all_in_each_architecture);
        let listed = release.file("main/binary-amd64/Packages").expect("listed");
        assert_eq!((listed.size, &listed.digests), (Some(3), bytes.digests()));
        assert_eq!(writer.by_hash().map(|(_, paths)| paths.len()).sum::<usize>(), 4);
    }
}
