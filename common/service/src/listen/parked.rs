//! Connections that wait for their next request, at a hundred bytes each.
//!
//! A connection's task with its buffers and timers holds some kilobytes, which a viewer needs for milliseconds every few
//! seconds. While nothing comes, only its socket is kept, watched by an epoll set of its own; the first byte gives it a task
//! again.

use super::limits::{PARK_AFTER, REAP};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Connections parked since memory was last given back that make it worth while: some megabytes.
const WAVE: u32 = 1_000;
/// Sockets looked at in one go.
const BATCH: usize = 256;

/// The parked connections of one thread, each with what its task goes on with.
pub(super) struct Parking<H> {
    watched: AsyncFd<Watched>,
    rows: Mutex<Rows<H>>,
    idle: Duration,
}

struct Watched(Epoll);

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// Has the runtime watch an epoll set.
#[expect(
    unsafe_code,
    reason = "the runtime must be told that the descriptor stays open as long as it is watched"
)]
fn watched(epoll: Epoll) -> io::Result<AsyncFd<Watched>> {
    // SAFETY: the set owns its descriptor and always names the same one; the `AsyncFd` owns the set, lends it immutably, and
    // stops watching before it drops it.
    unsafe { AsyncFd::register(Watched(epoll)) }.map_err(io::Error::from)
}

/// Gives free memory back to the system: the allocator keeps what lies below anything that is still held.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "the allocator has no other way to be told"))]
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches only memory that is free.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

struct Rows<H> {
    parked: Slab<Row<H>>,
    /// In the order of their parking, which is that of their deadlines: place, number, and when they came.
    order: VecDeque<(u32, u32, Instant)>,
    /// Tells one use of a place from the next.
    number: u32,
    closed: bool,
}

struct Row<H> {
    number: u32,
    stream: std::net::TcpStream,
    held: H,
}

impl<H> Row<H> {
    fn give(self, wake: &mut impl FnMut(TcpStream, H)) {
        match TcpStream::from_std(self.stream) {
            Ok(stream) => wake(stream, self.held),
            Err(error) => tracing::warn!(%error, "a connection cannot be watched again"),
        }
    }
}

impl<H> Parking<H> {
    /// An empty one; a connection in it is closed after `idle`. Within a runtime.
    pub(super) fn new(idle: Duration) -> io::Result<Self> {
        let watched = watched(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?)?;
        let rows = Rows { parked: Slab::new(), order: VecDeque::new(), number: 0, closed: false };
        Ok(Self { watched, rows: Mutex::new(rows), idle: idle.saturating_sub(PARK_AFTER) })
    }

    /// Parks a connection of which nothing is read or written at the moment.
    ///
    /// # Errors
    /// When the system cannot watch it; it is closed then.
    pub(super) fn park(&self, stream: TcpStream, held: H) -> io::Result<()> {
        let stream = stream.into_std()?;
        let mut rows = self.lock();
        if rows.closed {
            return Ok(());
        }
        rows.number = rows.number.wrapping_add(1);
        let number = rows.number;
        let entry = rows.parked.vacant_entry();
        let place = u32::try_from(entry.key()).map_err(io::Error::other)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, u64::from(place));
        self.watched.get_ref().0.add(&stream, event)?;
        entry.insert(Row { number, stream, held });
        rows.order.push_back((place, number, Instant::now()));
        Ok(())
    }

    /// Gives connections to `wake` as soon as something comes, and closes those that wait for too long. When the drain has
    /// `begun` all of them are woken, to end as connections do, and it ends.
    pub(super) async fn run(&self, begun: CancellationToken, mut wake: impl FnMut(TcpStream, H)) {
        let mut reap = interval(REAP);
        reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut trimmed) = (0, 0);
        loop {
            tokio::select! {
                ready = self.watched.readable() => {
                    let Ok(mut ready) = ready else { break };
                    let woken = self.woken();
                    if woken.len() < BATCH {
                        ready.clear_ready();
                    }
                    woken.into_iter().for_each(|row| row.give(&mut wake));
                }
                _ = reap.tick() => {
                    drop(self.expired(Instant::now()));
                    let parked = self.lock().number;
                    // A wave of connections is over: what their tasks held is given back.
                    if parked == seen && parked.wrapping_sub(trimmed) >= WAVE {
                        trimmed = parked;
                        drop(spawn_blocking(trim));
                    }
                    seen = parked;
                }
                () = begun.cancelled() => break,
            }
        }
        let mut rows = self.lock();
        rows.closed = true;
        rows.order = VecDeque::new();
        let all = std::mem::take(&mut rows.parked);
        drop(rows);
        all.iter().for_each(|(_, row)| _ = self.watched.get_ref().0.delete(&row.stream));
        all.into_iter().for_each(|(_, row)| row.give(&mut wake));
    }

    fn woken(&self) -> Vec<Row<H>> {
        let mut events = [EpollEvent::empty(); BATCH];
        let epoll = &self.watched.get_ref().0;
        let count = epoll.wait(&mut events, 0u8).unwrap_or(0);
        let mut rows = self.lock();
        let places = events.iter().take(count).filter_map(|event| usize::try_from(event.data()).ok());
        let woken: Vec<Row<H>> = places.filter_map(|place| rows.parked.try_remove(place)).collect();
        drop(rows);
        // A socket's other life begins in the runtime's own set.
        woken.iter().for_each(|row| _ = epoll.delete(&row.stream));
        woken
    }

    /// Takes out those whose time is over.
    fn expired(&self, now: Instant) -> Vec<Row<H>> {
        let mut rows = self.lock();
        let mut expired = vec![];
        while let Some(&(place, number, since)) = rows.order.front() {
            let place = place as usize;
            let waits = rows.parked.get(place).is_some_and(|row| row.number == number);
            if waits && now.duration_since(since) < self.idle {
                break;
            }
            rows.order.pop_front();
            expired.extend(waits.then(|| rows.parked.remove(place)));
        }
        expired
    }

    fn lock(&self) -> MutexGuard<'_, Rows<H>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    struct Story {
        parking: Arc<Parking<&'static str>>,
        woken: mpsc::Receiver<(TcpStream, &'static str)>,
        begun: CancellationToken,
        running: JoinSet<()>,
    }

    fn story(idle: Duration) -> Story {
        let parking = Arc::new(Parking::new(idle).unwrap());
        let (sender, woken) = mpsc::channel(8);
        let (begun, mut running) = (CancellationToken::new(), JoinSet::new());
        let (theirs, stop) = (Arc::clone(&parking), begun.clone());
        running.spawn(async move {
            theirs.run(stop, |stream, held| sender.try_send((stream, held)).unwrap()).await;
        });
        Story { parking, woken, begun, running }
    }

    #[tokio::test]
    async fn the_first_byte_wakes_a_connection_and_no_other() {
        let mut story = story(Duration::from_secs(75));
        let ((mut loud, at_loud), (mut quiet, at_quiet)) = (pair().await, pair().await);
        story.parking.park(at_loud, "loud").unwrap();
        story.parking.park(at_quiet, "quiet").unwrap();
        for _ in 0..3 {
            loud.write_all(b"x").await.unwrap();
            let (mut stream, name) = story.woken.recv().await.unwrap();
            assert_eq!((name, stream.read_u8().await.unwrap()), ("loud", b'x'));
            story.parking.park(stream, "loud").unwrap();
        }
        story.begun.cancel();
        story.running.join_next().await.unwrap().unwrap();
        let mut left = vec![story.woken.recv().await.unwrap().1, story.woken.recv().await.unwrap().1];
        left.sort_unstable();
        assert_eq!(left, ["loud", "quiet"], "the end wakes what is parked, which nothing else did");
        assert_eq!(quiet.read(&mut [0; 1]).await.unwrap(), 0);
        let (mut late, at_late) = pair().await;
        story.parking.park(at_late, "late").unwrap();
        assert_eq!(late.read(&mut [0; 1]).await.unwrap(), 0, "and what comes after it");
    }

    #[tokio::test]
    async fn a_connection_that_waits_for_too_long_is_closed() {
        let story = story(PARK_AFTER);
        let (mut client, server) = pair().await;
        story.parking.park(server, "idle").unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(story.parking.lock().order.len(), 0);
    }
}
