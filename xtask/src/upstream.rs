//! An upstream on the loopback: files from memory or a folder, a log of requests, faults on demand.
//!
//! How requests and answers travel is [`server`](crate::server)'s. Nothing here knows what the
//! files mean.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Component, Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::Result;

pub(crate) use crate::server::Gate;
use crate::{
    client,
    server::{Answer, Ending, Request, Server, Service, lock},
};

/// A running server; ends when dropped.
pub(crate) struct Upstream {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Arc<File>>>,
    folder: Mutex<Option<PathBuf>>,
    faults: Mutex<HashMap<String, Vec<Fault>>>,
    log: Mutex<Vec<Seen>>,
    /// Rings when the log has grown.
    logged: Condvar,
}

/// Something to be served.
struct File {
    bytes: Vec<u8>,
    tag: String,
    /// Of an image's manifest.
    manifest: Option<Manifest>,
}

/// What a registry says of a manifest.
struct Manifest {
    media_type: &'static str,
    digest: String,
}

impl File {
    fn new(bytes: Vec<u8>, media_type: Option<&'static str>) -> Arc<Self> {
        let sha256 = crate::pulp::sha256(&bytes);
        let tag = sha256[..16].to_owned();
        let digest = format!("sha256:{sha256}");
        let manifest = media_type.map(|media_type| Manifest { media_type, digest });
        Arc::new(Self { bytes, tag, manifest })
    }
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Decoded, without the leading slash and the query.
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) status: u16,
    pub(crate) at: Instant,
}

/// What goes wrong with an answer.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status and no file.
    Status(u16),
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// The last byte of the file is another one.
    FlippedEnd,
    /// Half of the body, and the rest when the gate opens.
    Held(Arc<Gate>),
}

impl Upstream {
    /// Starts a server without files.
    pub(crate) fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        Ok(Self { server: Server::start(Arc::clone(&shared))?, shared })
    }

    /// The URL of `path`, encoded.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.server.address(), client::encode(path))
    }

    /// Adds or replaces a file.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.insert(path, None, bytes.into());
    }

    /// Adds or replaces an image's manifest.
    pub(crate) fn put_manifest(&self, path: &str, media_type: &'static str, bytes: Vec<u8>) {
        self.insert(path, Some(media_type), bytes);
    }

    fn insert(&self, path: &str, media_type: Option<&'static str>, bytes: Vec<u8>) {
        lock(&self.shared.files).insert(path.to_owned(), File::new(bytes, media_type));
    }

    /// Serves the files below `folder`, too: more than memory should hold. What was added by
    /// itself goes before.
    pub(crate) fn mount(&self, folder: &Path) {
        *lock(&self.shared.folder) = Some(folder.to_owned());
    }

    /// Replaces all files.
    pub(crate) fn replace(&self, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let files = files.into_iter().map(|(path, bytes)| (path, File::new(bytes, None)));
        *lock(&self.shared.files) = files.collect();
    }

    /// The next `times` answers for `path` go wrong, after those planned before.
    pub(crate) fn plan(&self, path: &str, times: usize, fault: &Fault) {
        let mut faults = lock(&self.shared.faults);
        faults.entry(path.to_owned()).or_default().extend(vec![fault.clone(); times]);
    }

    /// Forgets planned faults.
    pub(crate) fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Waits until `count` requests are in the log, at most `limit`; false if they are not.
    pub(crate) fn wait_for_requests(&self, count: usize, limit: Duration) -> bool {
        let missing = |log: &mut Vec<Seen>| log.len() < count;
        let log = self.shared.logged.wait_timeout_while(lock(&self.shared.log), limit, missing);
        log.expect("no thread panics while it holds the log").0.len() >= count
    }

    /// The requests since the last call.
    pub(crate) fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared.log))
    }
}

impl Service for Shared {
    fn answer(&self, request: &Request) -> Answer {
        let path = request.path.trim_start_matches('/');
        let file = self.find(path);
        let fault = match lock(&self.faults).get_mut(path) {
            Some(planned) if !planned.is_empty() => Some(planned.remove(0)),
            _ => None,
        };
        let answer = match (file, fault) {
            (_, Some(Fault::Status(status))) => Answer::new(status, ""),
            (None, _) => Answer::new(404, "not here"),
            (Some(file), fault) => answer_file(request, &file, fault),
        };
        lock(&self.log).push(Seen {
            path: path.to_owned(),
            range: request.header("range").map(ToOwned::to_owned),
            status: answer.status,
            at: Instant::now(),
        });
        self.logged.notify_all();
        answer
    }
}

impl Shared {
    fn find(&self, path: &str) -> Option<Arc<File>> {
        if let Some(file) = lock(&self.files).get(path) {
            return Some(Arc::clone(file));
        }
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let path = lock(&self.folder).as_ref().filter(|_| inside)?.join(path);
        let bytes = fs::read(&path).ok()?;
        let changed = fs::metadata(&path).and_then(|found| found.modified()).ok()?;
        let age = changed.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let tag = format!("{:x}-{age:x}", bytes.len());
        Some(Arc::new(File { bytes, tag, manifest: None }))
    }
}

fn answer_file(request: &Request, file: &File, fault: Option<Fault>) -> Answer {
    let File { bytes, tag, manifest } = file;
    let answer = |bytes: &[u8]| {
        let answer = Answer::file(request, bytes, tag);
        match manifest {
            Some(Manifest { media_type, digest }) => answer
                .with("Content-Type", *media_type)
                .with("Docker-Content-Digest", digest.as_str()),
            None => answer,
        }
    };
    match fault {
        Some(Fault::FlippedEnd) => {
            let mut flipped = bytes.clone();
            if let Some(last) = flipped.last_mut() {
                *last ^= 0xFF;
            }
            answer(&flipped)
        }
        Some(Fault::CutAfter(length)) => answer(bytes).ending(Ending::CutAfter(length)),
        Some(Fault::Held(gate)) => answer(bytes).ending(Ending::Held(gate)),
        Some(Fault::Status(_)) | None => answer(bytes),
    }
}

#[cfg(test)]
mod tests;
