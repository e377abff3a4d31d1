//! The orderly end: stop accepting, finish what is under way, cut what takes too long.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A server's end, shared by everything that must know of it. Clones are the same drain.
#[derive(Debug, Clone)]
pub struct Drain {
    begun: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    grace_ms: Arc<AtomicU64>,
    /// Another process has taken the ports over.
    succeeded: Arc<AtomicBool>,
    /// Where that process passes on what is for HTTP/3 connections of this one.
    line: Arc<Mutex<Option<OwnedFd>>>,
    /// Cancelled once nothing is read from the UDP port any more.
    udp_free: CancellationToken,
}

/// What the end of a server was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Tasks and connections still under way when the grace was over.
    pub cut: usize,
}

impl Drain {
    /// A drain that has not begun. `grace` is the time between its beginning and the cut.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        let (begun, cut, udp_free) = Default::default();
        let grace_ms = Arc::new(AtomicU64::new(grace.as_millis() as u64));
        let (succeeded, line) = Default::default();
        Self { begun, cut, tasks: TaskTracker::new(), grace_ms, succeeded, line, udp_free }
    }

    /// Changes the time between the beginning and the cut.
    pub(crate) fn set_grace_ms(&self, ms: u64) {
        self.grace_ms.store(ms, Ordering::Relaxed);
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms.load(Ordering::Relaxed))
    }

    /// Begins the end of a server whose ports another process serves already: its clients may finish without haste. Over
    /// the line comes what is for HTTP/3 connections once the UDP port is free.
    pub(crate) fn begin_succeeded(&self, line: Option<OwnedFd>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
        self.succeeded.store(true, Ordering::Release);
        self.begin();
    }

    /// True when another process has taken the ports over.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.succeeded.load(Ordering::Acquire)
    }

    /// Where what is for HTTP/3 connections comes from, for whom reads the UDP port.
    pub(crate) fn take_line(&self) -> Option<OwnedFd> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Cancelled once nothing is read from the UDP port any more.
    pub(crate) const fn udp_free(&self) -> &CancellationToken {
        &self.udp_free
    }

    /// Cancelled when the server must accept nothing new and finish what it has.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Cancelled when the grace is over and whatever is left must end at once.
    #[must_use]
    pub fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// The owner of background tasks; they are waited for.
    #[must_use]
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Begins the end. Calling it again changes nothing.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// True once it has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Has a server run until it is drained. Connections that have not ended when the grace is over are cut: what runs must
    /// heed [`cut`](Self::cut).
    pub async fn bounded<F: Future>(&self, run: F) -> F::Output {
        let mut run = std::pin::pin!(run);
        let over = async {
            self.begun.cancelled().await;
            tokio::time::sleep(self.grace()).await;
        };
        tokio::select! {
            ended = run.as_mut() => return ended,
            () = over => {}
        }
        self.cut.cancel();
        run.await
    }

    /// Waits for all tasks, at most for the grace; then cuts what is left and waits a second more for it to notice.
    pub async fn finish(&self) -> DrainReport {
        self.begin();
        self.tasks.close();
        if tokio::time::timeout(self.grace(), self.tasks.wait()).await.is_ok() {
            return DrainReport { cut: 0 };
        }
        let report = DrainReport { cut: self.tasks.len() };
        self.cut.cancel();
        drop(tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await);
        report
    }
}
