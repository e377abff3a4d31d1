//! Whether the disk may be used now: after it failed, the cache goes on without it for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long the disk is left alone after it failed: short enough that it serves again well within 5 s of its recovery.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// The state of reads and writes, each with a pause of its own: a full disk can still be read.
#[derive(Debug)]
pub(super) struct Health {
    since: Instant,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), reads: AtomicU64::new(0), writes: AtomicU64::new(0) }
    }

    pub(super) fn may_read(&self) -> bool {
        self.now() >= self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn may_write(&self) -> bool {
        self.now() >= self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn read_failed(&self) {
        self.reads.store(self.now() + PAUSE.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn write_failed(&self) {
        self.writes.store(self.now() + PAUSE.as_millis() as u64, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }
}
