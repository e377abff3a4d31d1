//! Whether what happened while this process was down has been heard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long after the start the events of the time before are waited for: a log that answers has told them by then.
const LIMIT: Duration = Duration::from_secs(5);

/// Open from the start of a process that goes on after an earlier one, until it has heard what happened in between.
#[derive(Debug)]
pub(super) struct Settling {
    open: AtomicBool,
    since: Instant,
}

impl Default for Settling {
    fn default() -> Self {
        Self { open: AtomicBool::new(false), since: Instant::now() }
    }
}

impl Settling {
    pub(super) fn begin(&self) {
        self.open.store(true, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.open.store(false, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        !self.open.load(Ordering::Acquire) || self.since.elapsed() > LIMIT
    }
}
