//! Makes ids: time-sorted, unique in this process, and very likely so among all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sluice_wire::id::Id;
use sluice_wire::{JobId, UploadId, VideoId};

use crate::clock::SharedClock;

/// The maker of ids. Clones share it, so ids of one process never repeat and never go back.
#[derive(Debug, Clone)]
pub struct Ids {
    clock: SharedClock,
    last: Arc<AtomicU64>,
}

impl Ids {
    /// A maker that takes time from this clock.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, last: Arc::new(AtomicU64::new(0)) }
    }

    /// A new video's id. Its upload has the same number: [`VideoId::upload`].
    #[must_use]
    pub fn video(&self) -> VideoId {
        self.make()
    }

    /// A new upload's id. The video it becomes has the same number: [`UploadId::video`].
    #[must_use]
    pub fn upload(&self) -> UploadId {
        self.video().upload()
    }

    /// A new job's id.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.make()
    }

    /// A new id of any kind.
    #[must_use]
    pub fn make<T: Id>(&self) -> T {
        T::numbered(self.next()).expect("ids are below 2^63 until the year 2163")
    }

    /// Time and chance, but always above the one before.
    fn next(&self) -> u64 {
        let fresh = VideoId::from_parts(self.clock.now_ms(), rand::random()).as_u64();
        let above = |last: u64| Some(fresh.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, above)
            .expect("the closure always gives a value");
        fresh.max(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn ids_rise_even_when_time_stands_still() {
        let ids = Ids::new(ManualClock::at(1_800_000_000_000));
        let made: Vec<_> = (0..1000).map(|_| ids.video()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(made[0].upload().video(), made[0]);
    }
}
