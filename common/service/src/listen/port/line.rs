//! The line between two processes that serve one port, the older at its tail: a pair of Unix sockets that keep messages
//! apart and tell either end when the other is gone.

use super::envelope::{self, HEAD};
use super::ids::Ids;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use quinn::udp::RecvMeta;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdLine;
use std::task::{Context, Poll, ready};
use tokio::net::UnixDatagram;

/// Bytes of the largest datagrams that a system gathers, in an envelope.
const LARGEST: usize = HEAD + (64 << 10);
/// Bytes that may wait on a line, as far as the system grants them: some milliseconds of a fast download's
/// acknowledgements, or of an upload.
const WAITING: usize = 4 << 20;

/// Both ends of a new line, closed to children: the tail of the process that hands over first.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (tail, head) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    setsockopt(&head, sockopt::SndBuf, &WAITING)?;
    Ok((tail, head))
}

/// A process before this one, as it is told from one to the next.
#[derive(Debug)]
pub(crate) struct Elder {
    pub(crate) ids: Ids,
    pub(crate) line: OwnedFd,
}

impl Elder {
    /// Another handle of the same.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { ids: self.ids, line: self.line.try_clone()? })
    }

    /// True while the process is there.
    pub(crate) fn lives(&self) -> bool {
        // It never says anything, so that all there is to read is its end.
        let Ok(line) = self.line.try_clone().map(StdLine::from) else { return false };
        line.recv(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// As it is sent to.
    pub(super) fn listen(self) -> io::Result<Listening> {
        Ok(Listening { ids: self.ids, line: UnixDatagram::from_std(StdLine::from(self.line))? })
    }
}

/// A process before this one that takes what is for it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) ids: Ids,
    line: UnixDatagram,
}

/// What came of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Passed,
    /// The process reads too slowly: as on a network that is full.
    Dropped,
    /// The process has ended.
    Gone,
}

impl Sent {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Dropped => "dropped",
            Self::Gone => "gone",
        }
    }
}

impl Listening {
    pub(super) fn send(&self, envelope: &[u8]) -> Sent {
        match self.line.try_send(envelope) {
            Ok(_) => Sent::Passed,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Sent::Dropped,
            Err(_) => Sent::Gone,
        }
    }

    /// True while the process is there; its end wakes the task.
    pub(super) fn lives(&self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(readable) = self.line.poll_recv_ready(cx) {
            let ended = || self.line.try_recv(&mut [0]).map_err(|error| error.kind());
            match readable.map_or_else(|error| Err(error.kind()), |()| ended()) {
                // Readiness that was not: it is watched on.
                Err(ErrorKind::WouldBlock) => {}
                _ => return false,
            }
        }
        true
    }
}

/// The older process's end.
#[derive(Debug)]
pub(super) struct Tail {
    line: UnixDatagram,
    envelope: Box<[u8]>,
}

impl Tail {
    pub(super) fn new(line: OwnedFd) -> io::Result<Self> {
        let line = UnixDatagram::from_std(StdLine::from(line))?;
        Ok(Self { line, envelope: vec![0; LARGEST].into() })
    }

    /// As of a socket; an error when the newer process has gone and left nobody in its place.
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.line.poll_recv_ready(cx))?;
            let mut count = 0;
            let ended = loop {
                let (Some(buffer), Some(meta)) = (bufs.get_mut(count), meta.get_mut(count)) else {
                    break None;
                };
                match self.line.try_recv(&mut self.envelope) {
                    Ok(0) => break Some(ErrorKind::UnexpectedEof.into()),
                    Ok(length) => count += usize::from(take(&self.envelope[..length], buffer, meta)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                    Err(error) => break Some(error),
                }
            };
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if let Some(error) = ended {
                return Poll::Ready(Err(error));
            }
        }
    }
}

/// Puts what is in an envelope where the system would have; false when there is nothing that fits.
fn take(envelope: &[u8], buffer: &mut [u8], meta: &mut RecvMeta) -> bool {
    let Some((came, datagrams)) = envelope::open(envelope) else { return false };
    let Some(room) = buffer.get_mut(..datagrams.len()) else { return false };
    room.copy_from_slice(datagrams);
    *meta = came;
    true
}
