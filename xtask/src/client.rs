//! A small HTTP client that hides nothing: what was cut short stays visible.
//!
//! One request per connection, on the loopback, every step bounded in time.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result, bail};

use crate::run::PATIENCE;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its proper end; false when the connection was cut.
    pub(crate) complete: bool,
}

impl Reply {
    /// The first header of this name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// An error unless it is complete and has this status.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
            bail!("Expected status {status}, got {}: {body}", self.status);
        }
        if !self.complete {
            bail!("The connection was cut after {} bytes", self.body.len());
        }
        Ok(self)
    }
}

/// Sends `GET` for a path that is encoded already.
pub(crate) fn get(server: SocketAddr, path: &str) -> Result<Reply> {
    request(server, "GET", path, &[])
}

/// Sends a request without body and reads the answer as far as it goes.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Reply> {
    let mut reader = send(server, method, path, headers)?;
    read_reply(&mut reader, method == "HEAD")
        .with_context(|| format!("Failed to read the answer to {method} `{path}`"))
}

/// Sends a request with a body and reads the answer as far as it goes.
pub(crate) fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply> {
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Length", &length)]].concat();
    let mut reader = send(server, method, path, &headers)?;
    // A server may refuse, and hang up, before it has seen the whole body: its answer counts.
    let _ = reader.get_mut().write_all(body);
    read_reply(&mut reader, method == "HEAD")
        .with_context(|| format!("Failed to read the answer to {method} `{path}`"))
}

/// Sends a request without body; the answer waits in the connection.
pub(crate) fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)
        .with_context(|| format!("Failed to connect to {server}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).context("Failed to send a request")?;
    Ok(BufReader::new(stream))
}

/// Reads an answer as far as it goes.
pub(crate) fn read_reply(reader: &mut impl BufRead, head_only: bool) -> Result<Reply> {
    let status_line = read_line(reader)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("No status in `{status_line}`"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("No header: `{line}`"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: Vec::new(), complete: true };
    if head_only || matches!(status, 204 | 304) {
        return Ok(reply);
    }
    let body = &mut reply.body;
    reply.complete = if reply.headers.iter().any(|(name, _)| name == "transfer-encoding") {
        read_chunks(reader, body)?
    } else {
        let length = reply.headers.iter().find(|(name, _)| name == "content-length");
        match length {
            Some((_, length)) => read_up_to(reader, length.parse()?, body)?,
            None => reader.read_to_end(body).is_ok(),
        }
    };
    Ok(reply)
}

/// Reads chunks into `body`; false when the connection ends before the last one.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool> {
    loop {
        let Ok(line) = read_line(reader) else { return Ok(false) };
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).with_context(|| format!("No size: `{line}`"))?;
        if size > 0 && !read_up_to(reader, size, body)? {
            return Ok(false);
        }
        // The end of a chunk's bytes, or of the trailer.
        if read_line(reader).is_err() {
            return Ok(false);
        }
        if size == 0 {
            return Ok(true);
        }
    }
}

/// Reads `length` bytes into `body`; false when the connection ends before. Waiting longer than
/// patience allows is an error: a server that hangs is not one that cuts.
fn read_up_to(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<bool> {
    let before = body.len() as u64;
    match reader.take(length).read_to_end(body) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
            bail!("Nothing came for {PATIENCE:?} after {} bytes", body.len())
        }
        _ => Ok(body.len() as u64 - before == length),
    }
}

fn read_line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    reader.take(64 * 1024).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        bail!("The connection was cut within a line");
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Percent-encodes a path, `/` excepted.
pub(crate) fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(
                [byte >> 4, byte & 15]
                    .map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
    }
    encoded
}

/// Undoes [`encode`]; what is no valid encoding stays as it is.
pub(crate) fn decode(path: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if *byte == b'%' => {
                plain.push(value);
                rest = &after[2..];
            }
            _ => plain.push(*byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
