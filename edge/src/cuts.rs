//! Media whose bodies did not come whole a moment ago, whoever was asked for the rest: the next one who asks is sent to another edge.
//! A stock player asks for a segment that broke off at the same address again, where the same is likely to happen.

use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Objects that are remembered.
const MAX: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// How long: a player has asked again by then.
const FOR: Duration = Duration::from_secs(10);

/// What broke off, and when.
#[derive(Debug)]
pub(crate) struct Cuts(Mutex<LruCache<Box<str>, Instant>>);

impl Default for Cuts {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX)))
    }
}

impl Cuts {
    /// The body of what is at a path broke off.
    pub(crate) fn note(&self, path: &str, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(path.into(), now);
    }

    /// True when that was a moment ago.
    pub(crate) fn lately(&self, path: &str, now: Instant) -> bool {
        let mut cuts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.get(path).is_some_and(|at| now.duration_since(*at) < FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_off_is_remembered_for_a_moment() {
        let (cuts, now) = (Cuts::default(), Instant::now());
        assert!(!cuts.lately("/a", now));
        cuts.note("/a", now);
        assert!(cuts.lately("/a", now) && !cuts.lately("/b", now));
        assert!(!cuts.lately("/a", now + FOR));
        (0..MAX.get()).for_each(|n| cuts.note(&n.to_string(), now));
        assert!(!cuts.lately("/a", now) && cuts.lately("1023", now));
    }
}
