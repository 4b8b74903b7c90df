//! HTTP/1.1 on the loopback, as much of it as upstreams need: keep-alive, `HEAD`, entity tags and
//! single ranges (`206`, `416`, `If-Range`), answers that end badly on purpose.
//!
//! One thread per connection; the port is the system's choice. What is answered is decided by a
//! [`Service`]; nothing here knows what the bytes mean.

use std::{
    io::{BufRead, BufReader, Read as _, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{client, run::PATIENCE};

/// Decides what is answered.
pub(crate) trait Service: Send + Sync + 'static {
    /// Called once per request, from many threads.
    fn answer(&self, request: &Request) -> Answer;
}

/// A running server; ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// A request.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded, with its leading slash, without the query.
    pub(crate) path: String,
    /// As it was sent, without the question mark; empty if there is none.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is sent back, and how it ends.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Arc<[u8]>,
    pub(crate) ending: Ending,
}

/// How an answer's body comes to its end.
#[derive(Clone)]
pub(crate) enum Ending {
    /// Properly.
    Whole,
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
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

impl Server {
    /// Listens on a port of the system's choice.
    pub(crate) fn start(service: Arc<impl Service>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("Failed to listen")?;
        let address = listener.local_addr().context("Failed to read the port")?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (service, end) = (Arc::clone(&service), Arc::clone(&end));
                // A connection's failure is the client's to notice.
                thread::spawn(move || drop(converse(stream, &*service, &end)));
            }
        });
        Ok(Self { address, ended })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

impl Request {
    /// The first header of this name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// A whole answer without headers.
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into().into(), ending: Ending::Whole }
    }

    /// A file that is there, as far as `request` wants it. The entity tag is `tag`, unquoted.
    pub(crate) fn file(request: &Request, file: &[u8], tag: &str) -> Self {
        let tag = format!("\"{tag}\"");
        let answer = |status, body: &[u8]| {
            Self::new(status, body).with("ETag", &tag).with("Accept-Ranges", "bytes")
        };
        if request.header("if-none-match") == Some(&tag) {
            return answer(304, b"");
        }
        let honoured = request.header("if-range").is_none_or(|known| known == tag);
        let range = request.header("range").filter(|_| honoured);
        match range.map(|range| resolve_range(range, file.len())) {
            None => answer(200, file),
            Some(None) => answer(416, b"").with("Content-Range", format!("bytes */{}", file.len())),
            Some(Some((first, last))) => {
                let range = format!("bytes {first}-{last}/{}", file.len());
                answer(206, &file[first..=last]).with("Content-Range", range)
            }
        }
    }

    /// With a further header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With another ending.
    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Writes it; false if the connection ends here.
    fn write(&self, head_only: bool, writer: &mut TcpStream) -> std::io::Result<bool> {
        let Self { status, headers, body, ending } = self;
        let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        writer.write_all(head.as_bytes())?;
        if head_only || *status == 304 {
            return Ok(true);
        }
        match ending {
            Ending::Whole => writer.write_all(body)?,
            Ending::CutAfter(length) => {
                writer.write_all(&body[..(*length).min(body.len())])?;
                return Ok(false);
            }
            Ending::Held(gate) => {
                let (first, rest) = body.split_at(body.len() / 2);
                writer.write_all(first)?;
                gate.pass();
                writer.write_all(rest)?;
            }
        }
        Ok(true)
    }
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

/// Answers the requests of one connection.
fn converse(stream: TcpStream, service: &impl Service, end: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let answer = service.answer(&request);
        if !answer.write(request.method == "HEAD", &mut writer)? || close {
            break;
        }
    }
    writer.shutdown(Shutdown::Both)
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

/// The type of the first record of a TLS connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    // Who tries TLS first, as skopeo does, would wait for an answer that never comes.
    if reader.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        return Ok(None);
    }
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
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let mut request = Request {
        method: method.to_owned(),
        path: client::decode(path),
        query: query.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    reader.take(length.unwrap_or_default()).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// Locks what no thread panics with.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds this")
}
