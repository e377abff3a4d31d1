//! Request bodies of HTTP/1: read from the connection as the service takes them.

use super::super::limits::{BODY_PIECES, LINGER, LINGER_STALL};
use super::chunks::{Chunks, Piece};
use super::head::Framing;
use crate::Body;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// Bytes read at a time.
const READ: usize = 64 << 10;

/// The service's end of a body.
struct Taken {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    wanted: Arc<Notify>,
}

impl Stream for Taken {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.wanted.notify_one();
        self.pieces.poll_recv(context)
    }
}

/// The connection's end of a body.
pub(super) struct Given {
    framing: Reader,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    wanted: Arc<Notify>,
}

enum Reader {
    Length(u64),
    Chunked(Chunks),
}

/// A body of this framing, which is not `None`: the service's end and the connection's.
pub(super) fn body(framing: Framing) -> (Body, Given) {
    let (sender, pieces) = mpsc::channel(BODY_PIECES);
    let wanted = Arc::new(Notify::new());
    let framing = match framing {
        Framing::Length(length) => Reader::Length(length),
        Framing::None => Reader::Length(0),
        Framing::Chunked => Reader::Chunked(Chunks::default()),
    };
    let taken = Taken { pieces, wanted: Arc::clone(&wanted) };
    (Body::from_stream(taken), Given { framing, pieces: sender, wanted })
}

impl Given {
    /// Waits until the service takes from the body, or will not. True when it does.
    pub(super) async fn is_wanted(&self) -> bool {
        tokio::select! {
            () = self.wanted.notified() => true,
            () = self.pieces.closed() => false,
        }
    }

    /// Reads the body to its end: for the service while it takes it, for nobody after that, so that an early answer is
    /// heard (RFC 9112 section 9.6). True when the connection may serve another request.
    pub(super) async fn read<R: AsyncRead + Unpin>(mut self, io: &mut R, buffer: &mut BytesMut) -> bool {
        loop {
            match self.framing.take(buffer) {
                Ok(Piece::End) => return true,
                Ok(Piece::Data(piece)) => {
                    if self.pieces.send(Ok(piece)).await.is_err() {
                        return self.discard(io, buffer).await;
                    }
                }
                Ok(Piece::Wanting) => {
                    buffer.reserve(READ);
                    let read = tokio::select! {
                        read = io.read_buf(buffer) => read,
                        () = self.pieces.closed() => return self.discard(io, buffer).await,
                    };
                    if let Err(error) = ended(read) {
                        // Nobody is left to be told when this fails.
                        drop(self.pieces.send(Err(error)).await);
                        return false;
                    }
                }
                Err(error) => {
                    drop(self.pieces.send(Err(io::Error::new(io::ErrorKind::InvalidData, error))).await);
                    return false;
                }
            }
        }
    }

    async fn discard<R: AsyncRead + Unpin>(mut self, io: &mut R, buffer: &mut BytesMut) -> bool {
        let rest = async {
            loop {
                match self.framing.take(buffer) {
                    Ok(Piece::End) => return true,
                    Ok(Piece::Data(_)) => {}
                    Ok(Piece::Wanting) => {
                        buffer.reserve(READ);
                        match timeout(LINGER_STALL, io.read_buf(buffer)).await {
                            Ok(Ok(read)) if read > 0 => {}
                            _ => return false,
                        }
                    }
                    Err(_) => return false,
                }
            }
        };
        timeout(LINGER, rest).await.unwrap_or(false)
    }
}

impl Reader {
    fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, super::chunks::BadChunk> {
        match self {
            Self::Chunked(chunks) => chunks.take(buffer),
            Self::Length(0) => Ok(Piece::End),
            Self::Length(_) if buffer.is_empty() => Ok(Piece::Wanting),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= here as u64;
                Ok(Piece::Data(buffer.split_to(here).freeze()))
            }
        }
    }
}

fn ended(read: io::Result<usize>) -> io::Result<()> {
    match read? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended before its end")),
        _ => Ok(()),
    }
}
