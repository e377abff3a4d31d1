//! What stands between the wire and HTTP/2: a reader that counts frames, and cuts the connection of a client that floods,
//! dawdles or takes nothing.
//!
//! - `frames`: frame heads out of a stream of bytes; `budget`: what is allowed of each kind; `streams`: windows
//! - `guard`: the account of a connection, pure; [`Guarded`]: the account kept on a live one

mod budget;
mod frames;
mod guard;
mod streams;

pub(super) use budget::Reason;

use crate::config::LimitsConfig;
use guard::Guard;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// What a client's side of a connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Looks at the clock within the shortest deadline: none is overrun by more than a quarter.
const TICKS: u32 = 4;
/// Time for a client that is cut to take the farewell and to stop sending: closing with bytes unread resets a TCP
/// connection, and the farewell with it.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes read, and dropped, of what a client that is cut sends on meanwhile.
const FAREWELL_BYTES: u64 = 1 << 20;

/// A connection that was cut, with what is left to say.
pub(super) struct Cut<I> {
    pub(super) reason: Reason,
    io: I,
    farewell: Vec<u8>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Cut<I> {
    /// Says it, and closes.
    pub(super) async fn part(mut self) {
        let parting = async {
            self.io.write_all(&self.farewell).await?;
            self.io.shutdown().await?;
            tokio::io::copy(&mut self.io.take(FAREWELL_BYTES), &mut tokio::io::sink()).await
        };
        drop(timeout(FAREWELL, parting).await);
    }
}

/// Where a connection is found after it was cut.
pub(super) struct Remains<I>(Arc<Mutex<Option<Cut<I>>>>);

impl<I> Remains<I> {
    pub(super) fn take(&self) -> Option<Cut<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection that is watched. One that is cut reads and writes as a broken one, and is found in its [`Remains`].
pub(super) struct Guarded<I> {
    io: Option<I>,
    guard: Guard,
    tick: Pin<Box<Sleep>>,
    every: Duration,
    /// The transport took nothing when it was last written to.
    full: bool,
    remains: Arc<Mutex<Option<Cut<I>>>>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Guarded<I> {
    /// Watches a connection on which the client speaks HTTP/2 from its first byte on.
    pub(super) fn new(io: I, limits: LimitsConfig) -> (Self, Remains<I>) {
        let remains = Arc::new(Mutex::new(None));
        let every = limits.head().min(limits.idle()).min(limits.write_stall()) / TICKS;
        let guarded = Self {
            io: Some(io),
            guard: Guard::new(limits, PREFACE.len(), Instant::now()),
            tick: Box::pin(sleep(every)),
            every,
            full: false,
            remains: Arc::clone(&remains),
        };
        (guarded, Remains(remains))
    }

    fn cut(&mut self, reason: Reason) -> io::Error {
        let farewell = self.guard.farewell(reason);
        let cut = self.io.take().map(|io| Cut { reason, io, farewell });
        *self.remains.lock().unwrap_or_else(PoisonError::into_inner) = cut;
        io::Error::new(io::ErrorKind::ConnectionAborted, reason.as_str())
    }

    fn io(&mut self) -> io::Result<Pin<&mut I>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
    }

    /// Looks at the clock until it is to be looked at again.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Err(reason) = self.guard.tick(self.full, now) {
                return Err(self.cut(reason));
            }
            self.tick.as_mut().reset(now + self.every);
        }
        Ok(())
    }

    /// Takes note of how a write went.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.full = outcome.is_pending();
        if self.full {
            // HTTP/2 reads nothing while it must write: the clock is looked at here.
            self.poll_tick(cx)?;
        }
        let written = ready!(outcome)?;
        let now = Instant::now();
        let (mut left, mut allowed) = (written, Ok(()));
        for slice in slices {
            let here = left.min(slice.len());
            let sent = self.guard.sent(&slice[..here], now);
            allowed = allowed.and(sent);
            left -= here;
        }
        Poll::Ready(allowed.map(|()| written).map_err(|reason| self.cut(reason)))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_tick(cx)?;
        let before = out.filled().len();
        ready!(self.io()?.poll_read(cx, out))?;
        let read = self.guard.received(&out.filled()[before..], Instant::now());
        Poll::Ready(read.map_err(|reason| self.cut(reason)))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = self.io()?.poll_write(cx, bytes);
        self.wrote(cx, outcome, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.io()?.poll_write_vectored(cx, slices);
        self.wrote(cx, outcome, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = self.io()?.poll_flush(cx);
        self.full = outcome.is_pending();
        if self.full {
            self.poll_tick(cx)?;
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }
}
