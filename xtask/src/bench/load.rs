//! Clients that ask a server as fast as it answers, and how many answers they get.
//!
//! One thread per client, each with one connection that it keeps, and one request at a time.
//! An answer with a wrong status or a short body is an error, not a fast answer.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    cases::{Load, Target},
    data,
};

const PATIENCE: Duration = Duration::from_secs(60);
const LENGTH: &[u8] = b"content-length:";
/// Bytes of a range.
const RANGE: u64 = 64 << 10;

/// Where a set of files is served.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    /// The path of the set's folder, ending in `/`.
    pub(super) path: String,
    /// How many files, of how many bytes.
    pub(super) files: u64,
    pub(super) size: u64,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) seconds: f64,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

/// Makes `requests` requests in all.
pub(super) fn run(served: &Served, load: Load, requests: u64) -> Result<Answers> {
    let (next, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        let client = || -> Result<()> {
            let mut client = Client::new(served.address)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(());
                }
                bytes.fetch_add(client.ask(served, load.target, number)?, Ordering::Relaxed);
            }
        };
        let clients: Vec<_> =
            (0..load.connections.min(requests)).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().expect("clients do not panic"))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Answers { seconds, requests, bytes: bytes.into_inner() })
}

struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("Failed to connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::with_capacity(256 << 10, stream);
        Ok(Self { stream, line: Vec::new() })
    }

    /// Makes one request; returns the length of the body.
    fn ask(&mut self, served: &Served, target: Target, number: u64) -> Result<u64> {
        let file = data::file_path(number % served.files);
        let (path, header, status, length) = match target {
            Target::Files => (file, String::new(), 200, Some(served.size)),
            Target::Ranges => {
                let length = RANGE.min(served.size / 2);
                let start = (number * 97 * 4096) % (served.size - length);
                let header = format!("Range: bytes={start}-{}\r\n", start + length - 1);
                (file, header, 206, Some(length))
            }
            Target::Listing => ("d000/".to_owned(), String::new(), 200, None),
        };
        let head = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\n{header}\r\n",
            served.path, served.address
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let found = self.read_head(status).with_context(|| format!("`{path}`"))?;
        match (found, length) {
            (None, None) => self.read_chunks(),
            (Some(found), None) => self.skip(found),
            (found, Some(length)) => {
                ensure!(found == Some(length), "`{path}` has {found:?} bytes, not {length}");
                self.skip(length)
            }
        }
    }

    /// Reads a head; returns the length that it names.
    fn read_head(&mut self, status: u16) -> Result<Option<u64>> {
        self.read_line()?;
        let code = self.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if code != status.to_string().as_bytes() {
            bail!("Expected status {status}, got `{}`", String::from_utf8_lossy(&self.line));
        }
        let mut length = None;
        loop {
            self.read_line()?;
            if self.line.is_empty() {
                return Ok(length);
            }
            if let Some((name, value)) = self.line.split_at_checked(LENGTH.len())
                && name.eq_ignore_ascii_case(LENGTH)
            {
                length = Some(std::str::from_utf8(value)?.trim().parse()?);
            }
        }
    }

    fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line)?;
        ensure!(self.line.ends_with(b"\r\n"), "The connection was cut");
        self.line.truncate(self.line.len() - 2);
        Ok(())
    }

    fn read_chunks(&mut self) -> Result<u64> {
        let mut sum = 0;
        loop {
            self.read_line()?;
            let size = u64::from_str_radix(std::str::from_utf8(&self.line)?, 16)?;
            sum += self.skip(size)?;
            self.read_line()?;
            if size == 0 {
                return Ok(sum);
            }
        }
    }

    /// Reads so many bytes and forgets them.
    fn skip(&mut self, length: u64) -> Result<u64> {
        let mut left = length;
        while left > 0 {
            let available = self.stream.fill_buf()?.len();
            ensure!(available > 0, "The connection was cut {left} bytes before the end");
            let taken = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.stream.consume(taken);
            left -= taken as u64;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    fn served(files: u64) -> (Upstream, Served) {
        let upstream = Upstream::start().expect("it starts");
        for number in 0..2 {
            upstream.put(&format!("x/{}", data::file_path(number)), vec![7; 1000]);
        }
        let address = upstream.url("").trim_start_matches("http://").trim_end_matches('/').parse();
        let address = address.expect("an address");
        (upstream, Served { address, path: "/x/".into(), files, size: 1000 })
    }

    #[test]
    fn every_request_is_made_once_and_every_byte_counted() {
        let (upstream, served) = served(2);
        let load = Load { connections: 4, requests: 20, target: Target::Files };
        let answers = run(&served, load, 20).expect("all answered");
        assert_eq!((answers.requests, answers.bytes), (20, 20_000));
        assert_eq!(upstream.take_log().len(), 20);
        let load = Load { target: Target::Ranges, ..load };
        assert_eq!(run(&served, load, 4).expect("all answered").bytes, 2000);
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let (_upstream, served) = served(3);
        let load = Load { connections: 1, requests: 3, target: Target::Files };
        let error = format!("{:#}", run(&served, load, 3).expect_err("one is missing"));
        assert!(error.contains("f000002.dat") && error.contains("404"), "{error}");
    }
}
