//! Refused tries are written down, but so many an hour: who guesses fills no disk.

use std::sync::{Mutex, PoisonError};

/// Those of an hour that are written down by a process; handles that somebody has and all others count apart.
const MOST: u32 = 600;
/// An hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// How many were written down lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Hour>);

#[derive(Debug, Default)]
struct Hour {
    since_ms: u64,
    written: u32,
    /// Since the last one that was written down.
    passed_over: u64,
}

impl Refusals {
    /// Whether one more is written down: then how many before it were not. `None` where this one is not.
    pub(super) fn take(&self, now_ms: u64) -> Option<u64> {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hour.since_ms.saturating_add(HOUR_MS) <= now_ms {
            (hour.since_ms, hour.written) = (now_ms, 0);
        }
        if hour.written >= MOST {
            hour.passed_over += 1;
            return None;
        }
        hour.written += 1;
        Some(std::mem::take(&mut hour.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_an_hour_and_then_how_many_there_were() {
        let refusals = Refusals::default();
        let written = |at_ms| (0..1_000).filter(|_| refusals.take(at_ms).is_some()).count();
        assert_eq!((written(HOUR_MS), written(2 * HOUR_MS - 1)), (600, 0));
        assert_eq!(refusals.take(2 * HOUR_MS), Some(1_400));
        assert_eq!(refusals.take(2 * HOUR_MS), Some(0));
    }
}
