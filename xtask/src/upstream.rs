//! An upstream on the loopback: files from memory or a folder, a log of requests, faults on demand.
//!
//! HTTP/1.1 with keep-alive, `HEAD`, entity tags (`304`) and single ranges (`206`, `416`,
//! `If-Range`). One thread per connection; the port is the system's choice. Nothing here knows what
//! the files mean.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{BufRead, BufReader, Read as _, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};

use crate::client;

/// Longest wait at a gate, so that a failed test ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; ends when dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
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
    ended: AtomicBool,
}

/// Something to be served.
struct File {
    bytes: Vec<u8>,
    tag: String,
    media_type: Option<&'static str>,
}

impl File {
    fn new(bytes: Vec<u8>, media_type: Option<&'static str>) -> Arc<Self> {
        let tag = format!("\"{}\"", &crate::pulp::sha256(&bytes)[..16]);
        Arc::new(Self { bytes, tag, media_type })
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

/// Holds answers back until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    /// Whether it is open, and how many have arrived.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    /// Lets everything through, now and later.
    pub(crate) fn open(&self) {
        lock(&self.state).0 = true;
        self.changed.notify_all();
    }

    /// Waits until `count` answers have arrived at the gate.
    pub(crate) fn wait_for_arrivals(&self, count: usize) -> Result<()> {
        let arrived = |state: &mut (bool, usize)| state.1 < count;
        let state = self.changed.wait_timeout_while(lock(&self.state), PATIENCE, arrived);
        let state = state.expect("no thread panics while it holds the gate");
        if state.1.timed_out() {
            bail!("Upstream was not asked within {PATIENCE:?}");
        }
        Ok(())
    }

    fn pass(&self) {
        let mut state = lock(&self.state);
        state.1 += 1;
        self.changed.notify_all();
        // After too long a wait it passes; the test has failed by then.
        drop(self.changed.wait_timeout_while(state, PATIENCE, |state| !state.0));
    }
}

impl Upstream {
    /// Starts a server without files.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("Failed to listen")?;
        let address = listener.local_addr().context("Failed to read the port")?;
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.ended.load(Ordering::Relaxed) {
                    break;
                }
                let server = Arc::clone(&server);
                // A connection's failure is the client's to notice.
                thread::spawn(move || drop(server.serve(stream)));
            }
        });
        Ok(Self { address, shared })
    }

    /// The URL of `path`, encoded.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, client::encode(path))
    }

    /// Adds or replaces a file.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.insert(path, None, bytes.into());
    }

    /// Adds or replaces a file that is served as `media_type`.
    pub(crate) fn put_typed(&self, path: &str, media_type: &'static str, bytes: Vec<u8>) {
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

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

/// A request's head, as far as it matters.
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    if_none_match: Option<String>,
    if_range: Option<String>,
    close: bool,
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            if self.ended.load(Ordering::Relaxed) || !self.answer(&request, &mut writer)? {
                break;
            }
        }
        writer.shutdown(Shutdown::Both)
    }

    fn find(&self, path: &str) -> Option<Arc<File>> {
        if let Some(file) = lock(&self.files).get(path) {
            return Some(Arc::clone(file));
        }
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let path = lock(&self.folder).as_ref().filter(|_| inside)?.join(path);
        let bytes = fs::read(&path).ok()?;
        let changed = fs::metadata(&path).and_then(|found| found.modified()).ok()?;
        let age = changed.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let tag = format!("\"{:x}-{age:x}\"", bytes.len());
        Some(Arc::new(File { bytes, tag, media_type: None }))
    }

    /// False: the connection ends here.
    fn answer(&self, request: &Request, writer: &mut TcpStream) -> std::io::Result<bool> {
        let file = self.find(&request.path);
        let fault = match lock(&self.faults).get_mut(&request.path) {
            Some(planned) if !planned.is_empty() => Some(planned.remove(0)),
            _ => None,
        };
        let (status, header, body) = match (file, &fault) {
            (_, Some(Fault::Status(status))) => (*status, String::new(), Vec::new()),
            (None, _) => (404, String::new(), b"not here".to_vec()),
            (Some(file), fault) => answer_file(request, &file, fault.as_ref()),
        };
        lock(&self.log).push(Seen {
            path: request.path.clone(),
            range: request.range.clone(),
            status,
            at: Instant::now(),
        });
        self.logged.notify_all();
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n{header}\r\n", body.len());
        writer.write_all(head.as_bytes())?;
        if request.method == "HEAD" || status == 304 {
            return Ok(!request.close);
        }
        match fault {
            Some(Fault::CutAfter(length)) => {
                writer.write_all(&body[..length.min(body.len())])?;
                return Ok(false);
            }
            Some(Fault::Held(gate)) => {
                let (first, rest) = body.split_at(body.len() / 2);
                writer.write_all(first)?;
                gate.pass();
                writer.write_all(rest)?;
            }
            _ => writer.write_all(&body)?,
        }
        Ok(!request.close)
    }
}

/// Status, further header lines and body for a file that is there.
fn answer_file(request: &Request, file: &File, fault: Option<&Fault>) -> (u16, String, Vec<u8>) {
    let File { bytes, tag, media_type } = file;
    let mut bytes = bytes.clone();
    if let (Some(Fault::FlippedEnd), Some(last)) = (fault, bytes.last_mut()) {
        *last ^= 0xFF;
    }
    let mut header = format!("ETag: {tag}\r\nAccept-Ranges: bytes\r\n");
    if let Some(media_type) = media_type {
        header = header + "Content-Type: " + media_type + "\r\n";
    }
    if request.if_none_match.as_ref() == Some(tag) {
        return (304, header, Vec::new());
    }
    let honoured = request.if_range.as_ref().is_none_or(|known| known == tag);
    let range = request.range.as_deref().filter(|_| honoured);
    match range.map(|range| resolve_range(range, bytes.len())) {
        None => (200, header, bytes),
        Some(None) => {
            (416, format!("{header}Content-Range: bytes */{}\r\n", bytes.len()), Vec::new())
        }
        Some(Some((first, last))) => {
            let line = format!("Content-Range: bytes {first}-{last}/{}\r\n", bytes.len());
            (206, header + &line, bytes[first..=last].to_vec())
        }
    }
}

/// First and last byte of `bytes=first-[last]` or `bytes=-length`. `None`: not satisfiable.
fn resolve_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok().filter(|suffix| *suffix > 0)?;
        return Some((length.saturating_sub(suffix), end));
    }
    let first = first.parse().ok().filter(|first| *first <= end)?;
    let last = if last.is_empty() { end } else { last.parse().ok()? };
    (first <= last).then_some((first, last.min(end)))
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let read = reader.by_ref().take(64 * 1024).read_until(b'\n', &mut head)?;
        if read == 0 {
            return Ok(None);
        }
        if head[before..].trim_ascii().is_empty() {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let path = target.split('?').next().unwrap_or_default();
    let mut request = Request {
        method: method.to_owned(),
        path: client::decode(path.trim_start_matches('/')),
        range: None,
        if_none_match: None,
        if_range: None,
        close: false,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value),
            "if-none-match" => request.if_none_match = Some(value),
            "if-range" => request.if_range = Some(value),
            "connection" => request.close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Ok(Some(request))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds this")
}

#[cfg(test)]
mod tests;
