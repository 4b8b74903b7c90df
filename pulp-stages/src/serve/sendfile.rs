//! Bytes that the system itself sends from a file to a client.
//!
//! The HTTP library takes bytes in memory only. So where bytes of a file belong, a response's body
//! gives it a stand-in of the same length ([`Lane::stand_in`]), and the socket below the library
//! ([`FileSocket`]), which knows stand-ins by their address, has the system send the file's bytes
//! instead: they are never copied into this process, which is most of what serving costs. The
//! socket writes nothing unless it finds exactly the stand-ins that it was promised: should the
//! library ever copy one, the connection is cut instead of sending what it consists of.
//!
//! It is for HTTP/1 without TLS on Linux; everybody else gets bytes from memory.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};

use axum::response::Response;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// Longest stand-in in bytes: what one connection may send before others get their turn.
pub(super) const LONGEST: u64 = STAND_IN.len() as u64;

/// What stand-ins are slices of; nobody ever reads it.
static STAND_IN: [u8; 1024 * 1024] = [0; 1024 * 1024];

/// A response's wish for a lane, as an extension of it; the server fulfils it where it can.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish(Arc<OnceLock<Lane>>);

impl Wish {
    /// The lane, if the connection has one.
    pub(super) fn lane(&self) -> Option<&Lane> {
        self.0.get()
    }
}

/// What a connection is to send from files, in order. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane(Arc<Mutex<Promised>>);

#[derive(Debug, Default)]
struct Promised {
    pieces: VecDeque<(Arc<File>, Range<u64>)>,
    /// Bytes of all pieces.
    bytes: u64,
}

impl Lane {
    /// Lets the body of `response` use this lane, if it wants one.
    pub(super) fn fulfil(&self, response: &Response) {
        if let Some(wish) = response.extensions().get::<Wish>() {
            let _ = wish.0.set(self.clone());
        }
    }

    /// Stands for the beginning of `range` of `file`, up to a length that is fair to others. It has
    /// to be the next that the connection's HTTP library is given.
    pub(super) fn stand_in(&self, file: &Arc<File>, range: &Range<u64>) -> &'static [u8] {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let stand_in = &STAND_IN[..wanted.min(STAND_IN.len())];
        let bytes = stand_in.len() as u64;
        let mut promised = self.lock();
        promised.bytes += bytes;
        promised.pieces.push_back((file.clone(), range.start..range.start + bytes));
        stand_in
    }

    /// The file's bytes that the first stand-in is for.
    fn first(&self) -> Option<(Arc<File>, Range<u64>)> {
        self.lock().pieces.front().cloned()
    }

    /// So many bytes of the first piece are on their way.
    fn sent(&self, bytes: usize) {
        let mut promised = self.lock();
        promised.bytes -= bytes as u64;
        if let Some((_, range)) = promised.pieces.front_mut() {
            range.start += bytes as u64;
            if range.is_empty() {
                promised.pieces.pop_front();
            }
        }
    }

    /// Fails unless `slices` hold what was promised, neither more nor less.
    fn check<'a>(&self, slices: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let there: u64 =
            slices.filter(|slice| is_stand_in(slice)).map(|slice| slice.len() as u64).sum();
        if there == self.lock().bytes {
            return Ok(());
        }
        Err(io::Error::other("The HTTP library does not pass on what stands in for a file's bytes"))
    }

    fn lock(&self) -> MutexGuard<'_, Promised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_stand_in(slice: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&slice.as_ptr())
}

/// A client's socket that sends from files what its [`Lane`] says.
#[derive(Debug)]
pub(super) struct FileSocket {
    socket: TcpStream,
    lane: Lane,
}

impl FileSocket {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, lane: Lane::default() }
    }

    /// The lane, where the system can send from files.
    pub(super) fn lane(&self) -> Option<Lane> {
        cfg!(target_os = "linux").then(|| self.lane.clone())
    }

    /// Sends the beginning of the first piece: at most `length` bytes, as its stand-in has left.
    fn poll_send(&self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        let Some((file, range)) = self.lane.first() else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        let piece = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let length = length.min(piece);
        loop {
            ready!(self.socket.poll_write_ready(context))?;
            let send = || sendfile(&self.socket, &file, range.start, length);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(0) => {
                    tracing::error!("A stored artifact became shorter while it was served");
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(sent) => {
                    self.lane.sent(sent);
                    return Poll::Ready(Ok(sent));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn sendfile(socket: &TcpStream, file: &File, mut offset: u64, length: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), length)?)
}

#[cfg(not(target_os = "linux"))]
fn sendfile(_: &TcpStream, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

impl AsyncRead for FileSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for FileSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lane.check(slices.iter().map(|slice| &**slice))?;
        let in_memory = slices.iter().take_while(|slice| !is_stand_in(slice)).count();
        match slices.first() {
            Some(stand_in) if in_memory == 0 => self.poll_send(context, stand_in.len()),
            _ => Pin::new(&mut self.socket).poll_write_vectored(context, &slices[..in_memory]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (FileSocket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (FileSocket::new(accepted.expect("accepted").0), client.expect("connects"))
    }

    fn file_of(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        Arc::new(file)
    }

    #[tokio::test]
    async fn files_come_between_what_is_in_memory() {
        let (mut socket, mut client) = pair().await;
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let file = file_of(&bytes);
        let lane = socket.lane().expect("there is one on Linux");
        let sending = tokio::spawn(async move {
            let mut range = 10..file.metadata().expect("open").len();
            let mut head: &[u8] = b"head";
            while !range.is_empty() {
                let mut stand_in = lane.stand_in(&file, &range);
                range.start += stand_in.len() as u64;
                while !stand_in.is_empty() {
                    let slices = [IoSlice::new(head), IoSlice::new(stand_in)];
                    let slices = if head.is_empty() { &slices[1..] } else { &slices };
                    let sent = socket.write_vectored(slices).await.expect("sent");
                    if head.is_empty() {
                        stand_in = &stand_in[sent..];
                    } else {
                        head = &head[sent..];
                    }
                }
            }
            socket.write_all(b"tail").await.expect("sent");
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.expect("read");
        sending.await.expect("sent");
        assert!(received == [b"head", &bytes[10..], b"tail"].concat());
    }

    #[tokio::test]
    async fn nothing_is_sent_for_a_stand_in_that_was_copied_or_never_promised() {
        let (mut socket, _client) = pair().await;
        let file = file_of(&[7; 100]);
        let lane = socket.lane().expect("there is one on Linux");
        let copied = lane.stand_in(&file, &(0..100)).to_vec();
        assert!(socket.write_all(&copied).await.is_err());
        let (mut socket, _client) = pair().await;
        assert!(socket.write_all(&STAND_IN[..100]).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let (mut socket, _client) = pair().await;
        let file = file_of(&[7; 100]);
        let stand_in = socket.lane().expect("there is one on Linux").stand_in(&file, &(0..200));
        assert_eq!(socket.write(stand_in).await.expect("what there is"), 100);
        let error = socket.write(&stand_in[100..]).await.expect_err("no more");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
