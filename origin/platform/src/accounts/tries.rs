//! Guessing has a price: who fails to sign in too often, for one handle, waits.
//!
//! A try counts as failed from before its password is looked at: those that come side by side gain nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Failures that cost nothing: a person who does not remember.
const FREE: u32 = 5;
/// Milliseconds that each failure beyond those costs, doubled each time, and at most.
const WAIT_MS: (u64, u64) = (1_000, 15 * 60_000);
/// Milliseconds after its last failure in which a handle's are forgotten: a day.
const FORGOTTEN_MS: u64 = 24 * 3_600_000;
/// Handles remembered, some 10 MB. One more, and the one is forgotten whose last failure is the longest ago.
const MAX_HANDLES: usize = 100_000;

/// What a handle is remembered by: so many bytes, however long the handle is.
type Name = [u8; 16];

/// Failures by handle.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by: HashMap<Name, Failed>,
    /// In the order of their last failures.
    order: BTreeMap<u64, Name>,
    next: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failed {
    times: u32,
    last_ms: u64,
    until_ms: u64,
    /// Its place in the order.
    place: u64,
}

impl Tries {
    /// Begins a try, which counts as failed until it is told otherwise.
    ///
    /// # Errors
    /// The milliseconds until the handle may be tried again; it is no try then.
    pub(super) fn begin(&self, handle: &str, now_ms: u64) -> Result<(), u64> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget(now_ms);
        let name = name(handle);
        let mut failed = inner.by.get(&name).copied().unwrap_or_default();
        if failed.until_ms > now_ms {
            return Err(failed.until_ms - now_ms);
        }
        failed.times = failed.times.saturating_add(1);
        failed.last_ms = now_ms;
        if failed.times > FREE {
            let doubled = WAIT_MS.0 << (failed.times - FREE - 1).min(20);
            failed.until_ms = now_ms + doubled.min(WAIT_MS.1);
        }
        inner.put(name, failed);
        Ok(())
    }

    /// The try was good: all failures of the handle are forgotten.
    pub(super) fn good(&self, handle: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.remove(&name(handle));
    }

    /// Nobody could say whether the try was good: it counts no more.
    pub(super) fn undone(&self, handle: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = inner.by.get_mut(&name(handle)) {
            failed.times = failed.times.saturating_sub(1);
            failed.until_ms = 0;
        }
    }
}

impl Inner {
    fn put(&mut self, name: Name, failed: Failed) {
        self.remove(&name);
        while self.by.len() >= MAX_HANDLES
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.by.remove(&oldest);
        }
        self.next += 1;
        self.by.insert(name, Failed { place: self.next, ..failed });
        self.order.insert(self.next, name);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(failed) = self.by.remove(name) {
            self.order.remove(&failed.place);
        }
    }

    /// Forgets those whose last failure is long ago.
    fn forget(&mut self, now_ms: u64) {
        while let Some((_, oldest)) = self.order.first_key_value()
            && let Some(failed) = self.by.get(oldest)
            && failed.last_ms.saturating_add(FORGOTTEN_MS) < now_ms
        {
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }
}

/// A name for a handle that does not tell it.
pub(super) fn digest(handle: &str) -> String {
    format!("sha256:{}", hex::encode(name(handle)))
}

fn name(handle: &str) -> Name {
    let digest = Sha256::digest(handle);
    let mut name = Name::default();
    name.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_longer_each_time_and_who_knows_does_not() {
        let (tries, mut now_ms) = (Tries::default(), 0);
        (0..=FREE).for_each(|_| tries.begin("ann", now_ms).unwrap());
        assert_eq!((tries.begin("ann", now_ms), tries.begin("ben", now_ms)), (Err(1_000), Ok(())));
        assert_eq!(tries.begin("ann", 999), Err(1));
        for wait_ms in [1_000, 2_000, 4_000] {
            assert_eq!(tries.begin("ann", now_ms), Err(wait_ms));
            now_ms += wait_ms;
            assert_eq!(tries.begin("ann", now_ms), Ok(()));
        }
        for _ in 0..40 {
            now_ms += WAIT_MS.1;
            assert_eq!(tries.begin("ann", now_ms), Ok(()));
        }
        assert_eq!(tries.begin("ann", now_ms), Err(WAIT_MS.1));
        tries.good("ann");
        assert_eq!(tries.begin("ann", now_ms), Ok(()));
    }

    #[test]
    fn guesses_that_come_side_by_side_are_no_more_than_those_that_come_one_by_one() {
        let tries = Tries::default();
        let let_in = (0..1_000).filter(|_| tries.begin("ann", 0).is_ok()).count();
        assert_eq!(let_in, FREE as usize + 1, "none has ended yet");
    }

    #[test]
    fn what_nobody_could_answer_does_not_count() {
        let tries = Tries::default();
        for _ in 0..100 {
            assert_eq!(tries.begin("ann", 0), Ok(()));
            tries.undone("ann");
        }
    }

    #[test]
    fn a_flood_of_names_takes_no_more_room_and_frees_only_those_that_failed_longest_ago() {
        let tries = Tries::default();
        (0..=FREE).for_each(|_| tries.begin("old", 0).unwrap());
        (0..=FREE).for_each(|_| tries.begin("new", 1).unwrap());
        for n in 0..MAX_HANDLES - 1 {
            tries.begin(&n.to_string(), 2).unwrap();
        }
        assert!(tries.begin("new", 2).is_err(), "it is still locked");
        assert_eq!(tries.begin("old", 2), Ok(()), "it made room");
        let inner = tries.0.lock().unwrap();
        assert_eq!((inner.by.len(), inner.order.len()), (MAX_HANDLES, MAX_HANDLES));
    }

    #[test]
    fn a_day_later_all_is_forgotten() {
        let tries = Tries::default();
        (0..=FREE).for_each(|_| tries.begin("ann", 0).unwrap());
        (0..=FREE).for_each(|_| tries.begin("ann", FORGOTTEN_MS + 1).unwrap());
        assert_eq!(tries.begin("ann", FORGOTTEN_MS + 1), Err(WAIT_MS.0), "as if it were the first time");
    }
}
