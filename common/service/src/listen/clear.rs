//! Connections without TLS, on which large bodies go out without being copied.

use crate::uncopied::{Arena, InFile, Spliced, splice, splice_file};
use nix::libc::MSG_MORE;
use nix::sys::socket::{MsgFlags, send};
use prometheus::IntCounter;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Where answers go.
pub(super) trait Outlet: AsyncWrite + Unpin {
    /// The socket behind it, where nobody must see what goes to it.
    fn socket(&self) -> Option<Socket<'_>> {
        None
    }
}

/// A connection without TLS.
#[derive(Debug)]
pub(super) struct Clear {
    stream: TcpStream,
    uncopied: Uncopied,
}

/// Where bodies are kept that need not be copied, and how much of them went out so.
#[derive(Debug, Clone, Default)]
pub(super) struct Uncopied {
    pub(super) arena: Option<Arena>,
    pub(super) bytes: Option<IntCounter>,
}

impl Clear {
    pub(super) const fn new(stream: TcpStream, uncopied: Uncopied) -> Self {
        Self { stream, uncopied }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl Outlet for Clear {
    fn socket(&self) -> Option<Socket<'_>> {
        Some(Socket(self))
    }
}

impl Outlet for TlsStream<TcpStream> {}
impl<I: AsyncWrite + Unpin> Outlet for WriteHalf<I> {}

/// A socket, for bytes that stay as they are until they have arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Socket<'a>(&'a Clear);

impl Socket<'_> {
    /// True when these bytes stay as they are.
    pub(super) fn takes(self, bytes: &[u8]) -> bool {
        self.0.uncopied.arena.as_ref().is_some_and(|arena| arena.holds(bytes))
    }

    /// Sends what goes before such bytes: it waits for them.
    pub(super) async fn send_before(self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::from_bits_retain(MSG_MORE) | MsgFlags::MSG_NOSIGNAL;
        let stream = &self.0.stream;
        stream.async_io(Interest::WRITABLE, || Ok(send(stream.as_raw_fd(), bytes, flags)?)).await
    }

    /// Sends of such bytes.
    pub(super) async fn send(self, bytes: &[u8]) -> io::Result<Spliced> {
        self.spliced(|stream| splice(stream, bytes)).await
    }

    /// Sends of a file.
    pub(super) async fn send_file(self, part: &InFile) -> io::Result<Spliced> {
        self.spliced(|stream| splice_file(stream, part)).await
    }

    async fn spliced(
        self,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<Spliced>,
    ) -> io::Result<Spliced> {
        let stream = &self.0.stream;
        let spliced = stream.async_io(Interest::WRITABLE, || send(stream.as_fd())).await?;
        if let (Spliced::Sent(sent), Some(bytes)) = (spliced, &self.0.uncopied.bytes) {
            bytes.inc_by(sent as u64);
        }
        Ok(spliced)
    }
}

impl AsyncRead for Clear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Clear {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
