//! A cork: what a connection writes in one turn goes out in one piece.
//!
//! HTTP/2 flushes after every frame of data, and each flush is a TLS record and a system call. A corked connection keeps
//! what it writes until its task has nothing more to do in this turn, then sends all of it.

use super::limits::CORK;
use bytes::{Buf, BytesMut};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection's end: writes are kept, flushes done at the turn's end.
pub(super) struct Corked<I>(Shared<I>);

/// The task's end: lets out what was kept.
pub(super) struct Cork<I>(Shared<I>);

type Shared<I> = Arc<Mutex<Inner<I>>>;

struct Inner<I> {
    io: I,
    kept: BytesMut,
    /// False for one that only passes on what it is given.
    keeps: bool,
    /// True from a write until all of it has left: TLS may hold on to what it was given.
    unsent: bool,
    /// What went wrong at a turn's end: the connection hears of it when it reads or writes next.
    failed: Option<io::Error>,
}

/// Corks a connection; `keeps` false leaves it as it is.
pub(super) fn corked<I>(io: I, keeps: bool) -> (Corked<I>, Cork<I>) {
    let inner = Arc::new(Mutex::new(Inner { io, kept: BytesMut::new(), keeps, unsent: false, failed: None }));
    (Corked(Arc::clone(&inner)), Cork(inner))
}

fn lock<I>(shared: &Shared<I>) -> MutexGuard<'_, Inner<I>> {
    // Never contended: both ends belong to one task.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I> Inner<I> {
    fn health(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl<I: AsyncWrite + Unpin> Inner<I> {
    /// Writes what was kept, as far as the connection takes it.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> Cork<I> {
    /// Drives a connection; after each of its turns, sends what was kept.
    pub(super) fn turns<'a, F: Future>(
        &'a self,
        mut connection: Pin<&'a mut F>,
    ) -> impl Future<Output = F::Output> {
        poll_fn(move |context| {
            let turn = connection.as_mut().poll(context);
            if let Poll::Ready(Err(error)) = self.poll_flush(context) {
                lock(&self.0).failed = Some(error);
                context.waker().wake_by_ref();
            }
            turn
        })
    }

    /// Sends what was kept. `Pending` wakes the task when the connection takes more.
    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        if !inner.keeps || !inner.unsent {
            return Poll::Ready(Ok(()));
        }
        ready!(inner.poll_out(context))?;
        // All of it is gone: an idle connection holds nothing.
        inner.kept = BytesMut::new();
        ready!(Pin::new(&mut inner.io).poll_flush(context))?;
        inner.unsent = false;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Corked<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        inner.health()?;
        Pin::new(&mut inner.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Corked<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        inner.health()?;
        if !inner.keeps {
            return Pin::new(&mut inner.io).poll_write(context, bytes);
        }
        if inner.kept.len() >= CORK {
            ready!(inner.poll_out(context))?;
        }
        inner.unsent = true;
        let taken = bytes.len().min(CORK);
        inner.kept.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        inner.health()?;
        if !inner.keeps {
            return Pin::new(&mut inner.io).poll_write_vectored(context, slices);
        }
        if inner.kept.len() >= CORK {
            ready!(inner.poll_out(context))?;
        }
        inner.unsent = true;
        let mut taken = 0;
        for slice in slices {
            let here = slice.len().min(CORK - taken);
            inner.kept.extend_from_slice(&slice[..here]);
            taken += here;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        if inner.keeps { Poll::Ready(Ok(())) } else { Pin::new(&mut inner.io).poll_flush(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_out(context))?;
        Pin::new(&mut inner.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_written_in_a_turn_comes_out_in_one_piece_at_its_end() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut corked, cork) = corked(near, true);
        for _ in 0..10 {
            corked.write_all(b"0123456789").await.unwrap();
            corked.flush().await.unwrap();
        }
        let mut read = [0; 200];
        let early = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut read);
            Poll::Ready(Pin::new(&mut far).poll_read(context, &mut buffer).is_ready())
        });
        assert!(!early.await, "nothing before the turn's end");
        poll_fn(|context| cork.poll_flush(context)).await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 100);
    }

    /// Takes everything, and sends it only when it is flushed for the second time: as TLS over a full socket.
    struct Lazy {
        sent: Arc<Mutex<bool>>,
        refused: bool,
    }

    impl AsyncWrite for Lazy {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            if !std::mem::replace(&mut self.refused, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            *self.sent.lock().unwrap() = true;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_could_not_leave_in_one_turn_leaves_in_the_next() {
        let sent = Arc::new(Mutex::new(false));
        let (mut io, cork) = corked(Lazy { sent: Arc::clone(&sent), refused: false }, true);
        io.write_all(b"x").await.unwrap();
        let seen = Arc::clone(&sent);
        let connection =
            poll_fn(move |_| if *seen.lock().unwrap() { Poll::Ready(()) } else { Poll::Pending });
        let mut connection = std::pin::pin!(connection);
        let first =
            poll_fn(|context| Poll::Ready(std::pin::pin!(cork.turns(connection.as_mut())).poll(context)));
        assert!(first.await.is_pending());
        let second =
            poll_fn(|context| Poll::Ready(std::pin::pin!(cork.turns(connection.as_mut())).poll(context)));
        assert!(second.await.is_pending() && *sent.lock().unwrap());
    }

    #[tokio::test]
    async fn more_than_a_cork_holds_goes_out_as_it_comes() {
        let (near, mut far) = tokio::io::duplex(16 << 10);
        let (mut corked, cork) = corked(near, true);
        let truth: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let sent = truth.clone();
        let writing = async move {
            corked.write_all(&sent).await.unwrap();
            poll_fn(|context| cork.poll_flush(context)).await.unwrap();
            corked.shutdown().await.unwrap();
        };
        let mut read = vec![];
        let (_, got) = tokio::join!(writing, far.read_to_end(&mut read));
        assert_eq!((got.unwrap(), read == truth), (truth.len(), true));
    }
}
