//! A web server that does to its clients whatever a script says, down to the bytes on the wire.
//!
//! One request per connection, one thread per connection; the port is the system's choice. The
//! well-behaved upstream is another: here the point is what no server should do.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{client, run::PATIENCE};

/// A request's head.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Decoded, without the leading slash and the query.
    pub(super) path: String,
    /// How many requests there were for this path before.
    pub(super) before: usize,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// The first header of this name (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is done to a client.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// These bytes, then a proper end of the connection.
    Say(Vec<u8>),
    /// These bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// These bytes, then silence.
    Stall(Vec<u8>),
    /// The first bytes, then the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// So many bytes at a time, with a pause between.
    Drip(Vec<u8>, usize, Duration),
}

/// Decides what is done.
pub(super) type Script = Box<dyn Fn(&Asked) -> Deed + Send + Sync>;

/// A running server; ends when dropped.
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    asked: Mutex<(Vec<Asked>, HashMap<String, usize>)>,
    ended: AtomicBool,
}

impl Hostile {
    pub(super) fn start(script: Script) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("Failed to listen")?;
        let address = listener.local_addr().context("Failed to read the port")?;
        let shared =
            Arc::new(Shared { script, asked: Mutex::default(), ended: AtomicBool::new(false) });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.ended.load(Ordering::Relaxed) {
                    break;
                }
                let server = Arc::clone(&server);
                // A connection's failure is the client's to notice.
                thread::spawn(move || drop(server.converse(stream)));
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, client::encode(path))
    }

    /// All requests so far.
    pub(super) fn log(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no thread panics while it holds the log").0.clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

impl Shared {
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut head = Vec::new();
        // All but the very last byte: who closes with bytes unread resets the connection.
        while !head.ends_with(b"\r\n\r") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let deed = (self.script)(&self.note(&String::from_utf8_lossy(&head)));
        if let Deed::Reset(bytes) = deed {
            return stream.write_all(&bytes);
        }
        stream.read_exact(&mut [0])?;
        match deed {
            Deed::Say(bytes) | Deed::Reset(bytes) => stream.write_all(&bytes)?,
            Deed::Stall(bytes) => {
                stream.write_all(&bytes)?;
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
            }
            Deed::Endless(first, rest) => {
                stream.write_all(&first)?;
                while !self.ended.load(Ordering::Relaxed) {
                    stream.write_all(&rest)?;
                }
            }
            Deed::Drip(bytes, size, pause) => {
                stream.set_nodelay(true)?;
                for piece in bytes.chunks(size) {
                    stream.write_all(piece)?;
                    thread::sleep(pause);
                }
            }
        }
        stream.shutdown(std::net::Shutdown::Both)
    }

    fn note(&self, head: &str) -> Asked {
        let mut lines = head.lines();
        let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
        let path = client::decode(target.split('?').next().unwrap_or_default());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut asked = self.asked.lock().expect("no thread panics while it holds the log");
        let path = path.trim_start_matches('/').to_owned();
        let count = asked.1.entry(path.clone()).or_default();
        let before = *count;
        *count += 1;
        let request = Asked { path, before, headers };
        asked.0.push(request.clone());
        request
    }
}

/// A whole answer: head and body.
pub(super) fn answer(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes =
        head(status, &[headers, &[&format!("Content-Length: {}", body.len())]].concat());
    bytes.extend(body);
    bytes
}

/// A head alone.
pub(super) fn head(status: u16, headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().flat_map(|line| [*line, "\r\n"]).collect();
    format!("HTTP/1.1 {status} x\r\n{lines}Connection: close\r\n\r\n").into_bytes()
}

/// What an honest server answers: the file, or the rest of it.
pub(super) fn honest(asked: &Asked, file: &[u8]) -> Vec<u8> {
    let tag = format!("ETag: \"{}\"", &crate::pulp::sha256(file)[..16]);
    let from = asked.header("range").and_then(|range| {
        let from = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()?;
        (from > 0 && from < file.len()).then_some(from)
    });
    match from {
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len());
            answer(206, &[&tag, &range], &file[from..])
        }
        None => answer(200, &[&tag, "Accept-Ranges: bytes"], file),
    }
}
