//! A crowd of clients in few threads: each thread waits for all of its sockets at once (epoll) and reads them into one
//! buffer, so that the clients take as little of the machine as can be from the servers they listen to.
//!
//! A client whose connection ends comes back, to wherever the crowd is turned then, after the last number it has.

use super::ear::{Ear, Wish};
use super::stamp::Clock;
use super::tally::Tally;
use anyhow::Context;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Clients that come in at a time, of each thread: fewer than wait in a server's queue of new connections.
const ENTERING: usize = 64;
/// Events taken at a time, and bytes read at a time.
const EVENTS: usize = 512;
const BUFFER: usize = 64 << 10;
/// How long a thread sleeps when nothing comes, in milliseconds.
const NAP_MS: u8 = 5;
/// In which time who was not let in comes again.
const AGAIN: Duration = Duration::from_millis(200);

/// What the threads of a crowd share with who leads it.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    path: &'static str,
    /// Where clients come in, and within which time after their connection ended.
    door: Mutex<(SocketAddr, Duration)>,
    stop: AtomicBool,
    inside: AtomicUsize,
    /// When the last came in.
    last_in_us: AtomicU64,
    tallies: Vec<Mutex<Tally>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A crowd. Dropped, it goes.
#[derive(Debug)]
pub(super) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    size: usize,
}

impl Crowd {
    /// Has clients come in at a door as fast as it lets them, in so many threads.
    pub(super) fn gather(
        clock: Clock,
        address: SocketAddr,
        path: &'static str,
        wishes: Vec<Wish>,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let (size, threads) = (wishes.len(), threads.clamp(1, wishes.len().max(1)));
        let shared = Arc::new(Shared {
            clock,
            path,
            door: Mutex::new((address, AGAIN)),
            stop: AtomicBool::new(false),
            inside: AtomicUsize::new(0),
            last_in_us: AtomicU64::new(0),
            tallies: (0..threads).map(|_| Mutex::default()).collect(),
        });
        let mut shares: Vec<Vec<Ear>> = (0..threads).map(|_| vec![]).collect();
        for (number, wish) in wishes.into_iter().enumerate() {
            shares[number % threads].push(Ear::new(wish));
        }
        let mut crowd = Self { shared, threads: vec![], size };
        for (number, ears) in shares.into_iter().enumerate() {
            let shared = Arc::clone(&crowd.shared);
            let work = move || Listener::new(shared, number, ears)?.run();
            crowd.threads.push(std::thread::Builder::new().name(format!("crowd-{number}")).spawn(work)?);
        }
        Ok(crowd)
    }

    /// How many it is.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// How many are inside now.
    pub(super) fn inside(&self) -> usize {
        self.shared.inside.load(Ordering::Acquire)
    }

    /// When the last came in, by the clock of the run.
    pub(super) fn last_in_us(&self) -> u64 {
        self.shared.last_in_us.load(Ordering::Acquire)
    }

    /// Waits until all are inside.
    pub(super) async fn all_inside(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.inside() < self.size {
            if begun.elapsed() > limit || self.threads.iter().any(JoinHandle::is_finished) {
                let tally = self.tally();
                let (inside, refused, why) = (self.inside(), tally.refused, tally.why);
                anyhow::bail!("{inside} of {} came in, {refused} were refused: {why:?}", self.size);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// From now on clients whose connection ends come back here, spread over so much time.
    pub(super) fn turn_to(&self, address: SocketAddr, spread: Duration) {
        *locked(&self.shared.door) = (address, spread);
    }

    /// What it has heard so far.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.shared.tallies.iter().for_each(|tally| sum.merge(&locked(tally)));
        sum
    }

    /// Sends it home; what it heard.
    pub(super) fn disperse(mut self) -> anyhow::Result<Tally> {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            ended.map_err(|_| anyhow::anyhow!("a thread of the crowd failed"))??;
        }
        Ok(self.tally())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// A thread's part of the crowd.
struct Listener {
    shared: Arc<Shared>,
    number: usize,
    ears: Vec<Ear>,
    epoll: Epoll,
    /// Who is outside, by when they come.
    outside: BinaryHeap<Reverse<(Instant, usize)>>,
    entering: usize,
}

impl Listener {
    fn new(shared: Arc<Shared>, number: usize, ears: Vec<Ear>) -> anyhow::Result<Self> {
        let now = Instant::now();
        let outside = (0..ears.len()).map(|ear| Reverse((now, ear))).collect();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll")?;
        Ok(Self { shared, number, ears, epoll, outside, entering: 0 })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (mut events, mut buffer) = (vec![EpollEvent::empty(); EVENTS], vec![0; BUFFER]);
        while !shared.stop.load(Ordering::Acquire) {
            self.let_in(&mut locked(&shared.tallies[self.number]));
            let count = match self.epoll.wait(&mut events, EpollTimeout::from(NAP_MS)) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("waiting for events"),
            };
            let mut tally = locked(&shared.tallies[self.number]);
            for event in &events[..count] {
                let ear = usize::try_from(event.data())?;
                self.read(ear, &mut buffer, &mut tally);
            }
        }
        Ok(())
    }

    /// Begins to let in those who are due.
    fn let_in(&mut self, tally: &mut Tally) {
        while self.entering < ENTERING
            && self.outside.peek().is_some_and(|Reverse((due, _))| *due <= Instant::now())
        {
            let Some(Reverse((_, number))) = self.outside.pop() else { return };
            let (address, _) = *locked(&self.shared.door);
            self.entering += 1;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            let called = self.ears[number].call(address, self.shared.path, self.shared.clock.us());
            let watched =
                called.and_then(|stream| self.epoll.add(stream, event).context("watching a socket"));
            if let Err(error) = watched {
                tally.refuse(&format!("{error:#}"));
                self.entering -= 1;
                self.send_out(number, AGAIN);
            }
        }
    }

    /// Reads what came for one.
    fn read(&mut self, number: usize, buffer: &mut [u8], tally: &mut Tally) {
        let Some(ear) = self.ears.get_mut(number) else { return };
        let was_inside = ear.is_inside();
        let read = ear.read(buffer, self.shared.clock, tally);
        match (was_inside, ear.is_inside()) {
            (false, true) => {
                self.entering -= 1;
                self.shared.last_in_us.store(self.shared.clock.us(), Ordering::Release);
                self.shared.inside.fetch_add(1, Ordering::AcqRel);
            }
            (true, false) => {
                self.shared.inside.fetch_sub(1, Ordering::AcqRel);
                tally.cut += 1;
            }
            (false, false) if read.is_err() => self.entering -= 1,
            _ => {}
        }
        if let Err(why) = read {
            if !was_inside {
                tally.refuse(&format!("{why:#}"));
            }
            let (_, spread) = *locked(&self.shared.door);
            self.send_out(number, spread);
        }
    }

    /// Has one come back within a time.
    fn send_out(&mut self, number: usize, spread: Duration) {
        let due = Instant::now() + spread.mul_f64(rand::random::<f64>());
        self.outside.push(Reverse((due, number)));
    }
}
