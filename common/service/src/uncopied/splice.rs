//! From pages to a socket, through a pipe: what goes through are the pages themselves.

use super::InFile;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice as splice_pipe, vmsplice};
use nix::unistd::pipe2;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

/// Bytes a pipe is asked to hold: 256 pages, what the kernel allows everybody.
const ROOM: i32 = 1 << 20;

thread_local! {
    /// This thread's pipe, empty.
    static PIPE: RefCell<Option<Pipe>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Pipe {
    from: OwnedFd,
    to: OwnedFd,
}

/// How much of some bytes went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spliced {
    Sent(usize),
    /// They cannot go this way here: they must be copied.
    Cannot,
}

/// Sends as much of the bytes, which must not change until it has arrived, as a socket takes now.
///
/// # Errors
/// `WouldBlock` when it takes none; what the connection failed with.
pub(crate) fn splice(socket: impl AsFd, bytes: &[u8]) -> io::Result<Spliced> {
    through(socket, bytes.len(), |pipe| {
        vmsplice(&pipe.to, &[IoSlice::new(bytes)], SpliceFFlags::SPLICE_F_NONBLOCK).ok()
    })
}

/// Sends as much of a part of a file as a socket takes now.
///
/// # Errors
/// `WouldBlock` when it takes none; what the connection, or the file, failed with.
pub(crate) fn splice_file(socket: impl AsFd, part: &InFile) -> io::Result<Spliced> {
    let length = usize::try_from(part.length()).unwrap_or(usize::MAX).min(ROOM as usize);
    if !part.is_ready(length) {
        return Ok(Spliced::Cannot);
    }
    let mut failed = None;
    let spliced = through(socket, length, |pipe| {
        let mut at = i64::try_from(part.from).ok()?;
        match splice_pipe(
            part.file.file(),
            Some(&mut at),
            &pipe.to,
            None,
            length,
            SpliceFFlags::SPLICE_F_NONBLOCK,
        ) {
            Ok(0) => failed = Some(io::ErrorKind::UnexpectedEof.into()),
            Ok(filled) => return Some(filled),
            Err(Errno::EINVAL) => {}
            Err(error) => failed = Some(error.into()),
        }
        None
    });
    match failed {
        None => spliced,
        Some(error) => {
            part.file.failed(&error);
            Err(error)
        }
    }
}

/// Fills this thread's pipe and empties it into a socket.
fn through(socket: impl AsFd, of: usize, fill: impl FnOnce(&Pipe) -> Option<usize>) -> io::Result<Spliced> {
    PIPE.with_borrow_mut(|kept| {
        let Some(pipe) = kept.take().or_else(Pipe::open) else { return Ok(Spliced::Cannot) };
        let Some(filled) = fill(&pipe) else { return Ok(Spliced::Cannot) };
        let sent = pipe.empty(socket, filled, filled < of)?;
        // One that still holds something is closed, and that something with it.
        if sent == filled {
            *kept = Some(pipe);
        }
        if sent == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(Spliced::Sent(sent)) }
    })
}

impl Pipe {
    fn open() -> Option<Self> {
        let (from, to) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
        // A smaller one does as well, in more steps.
        fcntl(&to, FcntlArg::F_SETPIPE_SZ(ROOM)).ok();
        Some(Self { from, to })
    }

    /// Moves what it holds to a socket, as far as that takes it.
    fn empty(&self, socket: impl AsFd, filled: usize, more: bool) -> io::Result<usize> {
        let more = if more { SpliceFFlags::SPLICE_F_MORE } else { SpliceFFlags::empty() };
        let mut sent = 0;
        while sent < filled {
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK | more;
            match splice_pipe(&self.from, None, &socket, None, filled - sent, flags) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(moved) => sent += moved,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sent)
    }
}
