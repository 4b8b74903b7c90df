//! What a unit costs below the line: its key, its rows on SQLite, its bytes in the store.
//!
//! `cargo bench -p pulp-models`, with a part of a name to choose. One iteration is one batch of
//! 1,000 rows, as stages write them, or one artifact.

use bytes::Bytes;
use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use pulp_models::{
    ArtifactStore, ContentId, Db, Digests, Expected, Key, RelativePath, RemoteId, RemoteUrl,
    RepositoryId, Sha256, VersionNumber,
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    db::{Connection, DbError},
    remote_artifact::{self, NewRemoteArtifact},
    store::Verified,
    version,
};
use tokio::runtime::Runtime;

/// Rows of a batch.
const BATCH: u64 = 1000;
/// A stanza of Debian's has so many bytes on average.
const STANZA: usize = 789;

fn main() {
    divan::main();
}

#[divan::bench]
fn natural_key(bencher: Bencher<'_, '_>) {
    let stanza = vec![b'x'; STANZA];
    bencher.counter(BytesCount::new(STANZA)).bench_local(|| {
        Key::of("deb.package").field("bookworm").field("main").field(&stanza).finish()
    });
}

/// A database in a folder of its own, with what a batch of known units left in it.
struct Bench {
    runtime: Runtime,
    db: Db,
    ids: Vec<ContentId>,
    remote: RemoteId,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/db.sqlite", folder.path().display());
        let url = url.parse().expect("a URL");
        let db = runtime.block_on(Db::open(&url)).expect("it opens");
        let mut bench =
            Self { runtime, db, ids: Vec::new(), remote: RemoteId::new(), _folder: folder };
        bench.ids = bench.write(|conn| {
            let units = units(0);
            let written = content::insert(conn, &units)?;
            Ok(units.iter().map(|unit| written[&unit.natural_key].0).collect())
        });
        let (files, sources) = (bench.files(), bench.sources());
        bench.write(move |conn| content_artifact::upsert(conn, &files));
        bench.write(move |conn| remote_artifact::upsert(conn, &sources));
        bench
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Connection) -> Result<T, DbError> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.db.write(work)).expect("it succeeds")
    }

    fn files(&self) -> Vec<NewContentArtifact> {
        let file = |content: &ContentId| NewContentArtifact {
            content: *content,
            relative_path: path(),
            artifact: None,
        };
        self.ids.iter().map(file).collect()
    }

    fn sources(&self) -> Vec<NewRemoteArtifact> {
        let url: RemoteUrl = "http://upstream/debian/pool/main/h/hello.deb".parse().expect("a URL");
        let digests = Digests::from(Sha256::of(b"hello"));
        let source = |content: &ContentId| NewRemoteArtifact {
            content: *content,
            relative_path: path(),
            remote: self.remote,
            position: 0,
            url: url.clone(),
            expected: Expected { size: Some(1000), digests: digests.clone() },
        };
        self.ids.iter().map(source).collect()
    }
}

fn path() -> RelativePath {
    RelativePath::new("pool/main/h/hello/hello_1.0_amd64.deb").expect("a path")
}

/// A batch of units; another seed, other units.
fn units(seed: u64) -> Vec<NewContent> {
    let unit = |number: u64| NewContent {
        type_name: "deb.package".into(),
        natural_key: Key::of("deb.package").field(number.to_le_bytes()).finish(),
        repo_key: Some(Key::of("place").field(number.to_le_bytes()).finish()),
        metadata: format!(r#"{{"package": "p{number}", "version": "1.0-1", "section": "net"}}"#),
        raw: Some(Bytes::from(vec![b'x'; STANZA])),
    };
    (seed * BATCH..(seed + 1) * BATCH).map(unit).collect()
}

#[divan::bench(sample_count = 30)]
fn insert_new_content(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let mut seed = 0;
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            seed += 1;
            units(seed)
        })
        .bench_local_values(|units| bench.write(move |conn| content::insert(conn, &units)));
}

#[divan::bench(sample_count = 30)]
fn find_known_content(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let keys: Vec<Key> = units(0).iter().map(|unit| unit.natural_key).collect();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let keys = keys.clone();
        bench.write(move |conn| content::find(conn, &keys))
    });
}

#[divan::bench(sample_count = 30)]
fn load_content_artifacts(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let ids = bench.ids.clone();
        bench.write(move |conn| content_artifact::load(conn, &ids))
    });
}

#[divan::bench(sample_count = 30)]
fn upsert_unchanged_content_artifacts(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| bench.files())
        .bench_local_values(|rows| bench.write(move |conn| content_artifact::upsert(conn, &rows)));
}

#[divan::bench(sample_count = 30)]
fn upsert_unchanged_remote_artifacts(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| bench.sources())
        .bench_local_values(|rows| bench.write(move |conn| remote_artifact::upsert(conn, &rows)));
}

#[divan::bench(sample_count = 30)]
fn stage_content(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let mut number = 0;
    let repository = RepositoryId::new();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            number += 1;
            VersionNumber(number)
        })
        .bench_local_values(|number| {
            let ids = bench.ids.clone();
            bench.write(move |conn| version::stage_content(conn, repository, number, &ids));
        });
}

/// Hashing while writing: received in pieces of 64 KiB, as from a socket.
#[divan::bench(args = [1 << 10, 64 << 10, 8 << 20], sample_count = 20)]
fn verify_and_save(bencher: Bencher<'_, '_>, size: usize) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let store = runtime.block_on(ArtifactStore::open(folder.path())).expect("it opens");
    let mut number = 0_u64;
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| {
            number += 1;
            let mut bytes = vec![0; size];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Bytes::from(bytes)
        })
        .bench_local_values(|bytes| {
            runtime.block_on(async {
                let mut verifier = store.verifier(&Expected::default(), &[]);
                for at in (0..size).step_by(64 << 10) {
                    let piece = bytes.slice(at..size.min(at + (64 << 10)));
                    verifier.push(piece).await.expect("it is taken");
                }
                let verified: Verified = verifier.finish().await.expect("it is good");
                black_box(store.save(vec![verified]).await.expect("it is saved"))
            })
        });
}
