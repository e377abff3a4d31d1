//! Media whose bodies did not come whole a moment ago, whoever was asked for the rest: the next one who asks is sent to another edge.
//! A stock player asks for a segment that broke off at the same address again, where the same is likely to happen. Once several have
//! broken off, it is the way of this edge to its parents that is bad, and whatever it has not got is asked for elsewhere: to wait for
//! each to break off would leave a player with less than it plays.

use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Objects that are remembered.
const MAX: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// So many that broke off in a moment are no chance.
const SEVERAL: usize = 3;
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

    /// True when that was a moment ago, or so many others broke off then that this is likely to.
    pub(crate) fn lately(&self, path: &str, now: Instant) -> bool {
        let cuts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: &Instant| now.duration_since(*at) < FOR;
        cuts.peek(path).is_some_and(lately)
            || cuts.iter().take(SEVERAL).filter(|(_, at)| lately(at)).count() == SEVERAL
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
    }

    #[test]
    fn several_that_broke_off_speak_for_all() {
        let (cuts, now) = (Cuts::default(), Instant::now());
        for (nth, path) in (0..).zip(["/a", "/b", "/b", "/c"]) {
            assert!(!cuts.lately("/other", now), "{nth} are few");
            cuts.note(path, now + nth * Duration::from_secs(1));
        }
        assert!(cuts.lately("/other", now + Duration::from_secs(9)));
        assert!(!cuts.lately("/other", now + FOR), "the first of them is forgotten");
        (0..2 * MAX.get()).for_each(|n| cuts.note(&n.to_string(), now));
        assert_eq!(cuts.0.lock().unwrap().len(), MAX.get());
    }
}
