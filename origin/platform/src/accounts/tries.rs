//! Guessing has a price: who fails to sign in too often, for one handle, waits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Failures that cost nothing: a person who does not remember.
const FREE: u32 = 5;
/// Milliseconds that each failure beyond those costs, doubled each time, and at most.
const WAIT_MS: (u64, u64) = (1_000, 15 * 60_000);
/// Handles remembered. One more, and all are forgotten: a flood of names gains five tries each.
const MAX_HANDLES: usize = 100_000;

/// Failures by handle.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<String, Failed>>);

#[derive(Debug, Clone, Copy, Default)]
struct Failed {
    times: u32,
    until_ms: u64,
}

impl Tries {
    /// Milliseconds until a handle may be tried again; 0 when at once.
    pub(super) fn wait_ms(&self, handle: &str, now_ms: u64) -> u64 {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(handle).map_or(0, |failed| failed.until_ms.saturating_sub(now_ms))
    }

    /// Notes how a try ended.
    pub(super) fn ended(&self, handle: &str, well: bool, now_ms: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if well {
            all.remove(handle);
            return;
        }
        if all.len() >= MAX_HANDLES {
            all.clear();
        }
        let failed = all.entry(handle.to_owned()).or_default();
        failed.times = failed.times.saturating_add(1);
        if failed.times > FREE {
            let doubled = WAIT_MS.0 << (failed.times - FREE - 1).min(20);
            failed.until_ms = now_ms + doubled.min(WAIT_MS.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_longer_each_time_and_who_knows_does_not() {
        let tries = Tries::default();
        (0..FREE).for_each(|_| tries.ended("ann", false, 0));
        assert_eq!(tries.wait_ms("ann", 0), 0);
        tries.ended("ann", false, 0);
        assert_eq!((tries.wait_ms("ann", 0), tries.wait_ms("ben", 0)), (1_000, 0));
        (0..40).for_each(|_| tries.ended("ann", false, 0));
        assert_eq!(tries.wait_ms("ann", 0), WAIT_MS.1);
        tries.ended("ann", true, 0);
        assert_eq!(tries.wait_ms("ann", 0), 0);
    }
}
