//! What a unit costs in the database: all packages of a Debian index, written as a sync writes them.
//!
//! ```sh
//! xz -dc dists/bookworm/main/binary-amd64/Packages.xz > /tmp/Packages
//! cargo build --release -p pulp-models --example schema_spike
//! target/release/examples/schema_spike /tmp/Packages sqlite:///tmp/spike.sqlite
//! target/release/examples/schema_spike /tmp/Packages postgres://postgres@127.0.0.1/spike 2000
//! ```
//!
//! The last argument is the batch size, 1000 unless given. The database should be empty; a second
//! run on the same one measures a sync of known content. Prints wall-clock seconds per step of the
//! pipeline, and CPU seconds in all: ours, and those of all `postgres` processes of this machine.

use std::{collections::HashMap, time::Instant};

use bytes::Bytes;
use pulp_models::{
    ContentId, Db, Digests, Expected, Key, RelativePath, RemoteId, RemoteUrl, Sha256,
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    db::DbError,
    remote_artifact::{self, NewRemoteArtifact},
    repository::{self, NewRepository},
    version::{self, Completion, Mode},
};

type AnyError = Box<dyn std::error::Error>;

/// A stanza of the index with what the rows need of it.
#[derive(Clone)]
struct Package {
    new: NewContent,
    path: RelativePath,
    expected: Expected,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [index, url, rest @ ..] = arguments.as_slice() else {
        return Err("usage: schema_spike PACKAGES DATABASE-URL [BATCH-SIZE]".into());
    };
    let batch_size: usize = rest.first().map_or(Ok(1000), |text| text.parse())?;
    let packages = read_index(&std::fs::read(index)?)?;
    let db = Db::open(&url.parse()?).await?;
    let name = uuid::Uuid::now_v7().to_string();
    let new = NewRepository::new(name, "deb");
    let repository = db.write(move |conn| repository::create(conn, &new)).await?.id;
    let number = db.write(move |conn| version::begin(conn, repository)).await?;
    let remote = RemoteId::new();
    let base: RemoteUrl = "http://deb.debian.org/debian/".parse()?;

    let (start, ours, servers) = (Instant::now(), cpu_seconds("self")?, postgres_seconds()?);
    let mut watch = Watch::default();
    for batch in packages.chunks(batch_size) {
        let keys: Vec<Key> = batch.iter().map(|package| package.new.natural_key).collect();
        watch.time("find", db.read(move |conn| content::find(conn, &keys))).await?;

        let units: Vec<NewContent> = batch.iter().map(|package| package.new.clone()).collect();
        let paths: Vec<RelativePath> = batch.iter().map(|package| package.path.clone()).collect();
        let save = db.write(move |conn| save(conn, &units, &paths));
        let ids = watch.time("content", save).await?;

        let sources: Vec<NewRemoteArtifact> = batch
            .iter()
            .zip(&ids)
            .map(|(package, content)| NewRemoteArtifact {
                content: *content,
                relative_path: package.path.clone(),
                remote,
                position: 0,
                url: base.join_path(package.path.as_str()),
                expected: package.expected.clone(),
            })
            .collect();
        let save = db.write(move |conn| remote_artifact::upsert(conn, &sources));
        watch.time("remote artifacts", save).await?;

        let stage = db.write(move |conn| version::stage_content(conn, repository, number, &ids));
        watch.time("stage", stage).await?;
    }
    let how = Completion::new(Mode::Mirror);
    let complete = db.write(move |conn| version::complete_version(conn, repository, number, &how));
    let summary = watch.time("complete", complete).await?;

    let wall = start.elapsed().as_secs_f64();
    let ours = cpu_seconds("self")? - ours;
    let servers = postgres_seconds()? - servers;
    let per_unit = (ours + servers) * 1e6 / packages.len() as f64;
    report(&format!("{summary:?}"));
    for (step, seconds) in watch.steps {
        report(&format!("{seconds:7.3} s wall  {step}"));
    }
    report(&format!("{wall:7.3} s wall  in all"));
    report(&format!("{ours:7.2} s CPU   ours, {servers:.2} s of postgres: {per_unit:.1} µs/unit"));
    Ok(())
}

/// What `ContentSaver` does with a batch.
fn save(
    conn: &mut pulp_models::Connection,
    units: &[NewContent],
    paths: &[RelativePath],
) -> Result<Vec<ContentId>, DbError> {
    let ids = content::insert(conn, units)?;
    let ids: Vec<ContentId> = units.iter().map(|unit| ids[&unit.natural_key].0).collect();
    let files: Vec<NewContentArtifact> = ids
        .iter()
        .zip(paths)
        .map(|(content, path)| NewContentArtifact {
            content: *content,
            relative_path: path.clone(),
            artifact: None,
        })
        .collect();
    content_artifact::upsert(conn, &files)?;
    Ok(ids)
}

/// Wall-clock time by step.
#[derive(Default)]
struct Watch {
    steps: Vec<(&'static str, f64)>,
}

impl Watch {
    async fn time<T>(&mut self, step: &'static str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let value = work.await;
        let seconds = start.elapsed().as_secs_f64();
        match self.steps.iter_mut().find(|(name, _)| *name == step) {
            Some((_, sum)) => *sum += seconds,
            None => self.steps.push((step, seconds)),
        }
        value
    }
}

fn read_index(index: &[u8]) -> Result<Vec<Package>, AnyError> {
    let text = std::str::from_utf8(index)?;
    text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).map(read_stanza).collect()
}

fn read_stanza(stanza: &str) -> Result<Package, AnyError> {
    let fields: HashMap<&str, &str> =
        stanza.lines().filter_map(|line| line.split_once(": ")).collect();
    let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("no `{name}`"));
    let (name, version) = (field("Package")?, field("Version")?);
    let (architecture, sha256) = (field("Architecture")?, field("SHA256")?);
    let digest: Sha256 = sha256.parse()?;
    let metadata = serde_json::json!({
        "package": name,
        "version": version,
        "architecture": architecture,
        "relative_path": field("Filename")?,
        "sha256": sha256,
    });
    let key = Key::of("deb.package").field(name).field(version).field(architecture);
    Ok(Package {
        new: NewContent {
            type_name: "deb.package".into(),
            natural_key: key.clone().field(sha256).finish(),
            repo_key: Some(key.finish()),
            metadata: metadata.to_string(),
            raw: Some(Bytes::copy_from_slice(stanza.as_bytes())),
        },
        path: RelativePath::new(field("Filename")?)?,
        expected: Expected { size: Some(field("Size")?.parse()?), digests: Digests::from(digest) },
    })
}

/// User and system time of a process and of its children that have ended.
fn cpu_seconds(process: &str) -> Result<f64, AnyError> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit_once(") ").ok_or("unknown format of /proc/*/stat")?.1;
    // Fields 14 to 17 of proc(5), in ticks of 1/100 s on every Linux we know.
    let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

/// The same of the server, if it runs here: of its root process and of those it has started.
fn postgres_seconds() -> Result<f64, AnyError> {
    let mut sum = 0.0;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let comm = std::fs::read_to_string(format!("/proc/{name}/comm")).unwrap_or_default();
        if name.chars().all(|digit| digit.is_ascii_digit()) && comm.trim() == "postgres" {
            sum += cpu_seconds(&name).unwrap_or(0.0);
        }
    }
    Ok(sum)
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn report(line: &str) {
    println!("{line}");
}
