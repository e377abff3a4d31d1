//! What clients ask this edge for most: media groups, counted in sketches, one for each of a few threads so that they do not
//! wait for one another. The control plane is told of the most frequent.

use sluice_wire::PlacementKey;
use sluice_wire::sketch::{Popularity, TopKeys};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Sketches: as many as threads of a machine that serve at a time, up to here. A sketch has 40 KiB.
const SKETCHES: usize = 8;
/// Time after which half is forgotten: what is left is a window of about ten seconds.
const HALVE: Duration = Duration::from_secs(5);
/// The least share that is told: a part of what makes two replicas of 1,000 nodes.
const TOLD: f64 = 0.000_1;

thread_local! {
    static SKETCH: Cell<Option<usize>> = const { Cell::new(None) };
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Counts of what clients ask for.
#[derive(Debug)]
pub(crate) struct Popular {
    sketches: [Mutex<Popularity>; SKETCHES],
    halved: Mutex<Instant>,
}

impl Default for Popular {
    fn default() -> Self {
        Self { sketches: Default::default(), halved: Mutex::new(Instant::now()) }
    }
}

impl Popular {
    /// Counts a request for a group.
    pub(crate) fn record(&self, key: PlacementKey) {
        let own = SKETCH.get().unwrap_or_else(|| {
            let own = NEXT.fetch_add(1, Ordering::Relaxed) % SKETCHES;
            SKETCH.set(Some(own));
            own
        });
        self.sketches[own].lock().unwrap_or_else(PoisonError::into_inner).record(key);
    }

    /// The most frequent groups of all threads. Half of the counts is forgotten when it is time to.
    pub(crate) fn report(&self, now: Instant) -> TopKeys {
        let mut halved = self.halved.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.saturating_duration_since(*halved) >= HALVE;
        if due {
            *halved = now;
        }
        drop(halved);
        let mut all = Popularity::default();
        for sketch in &self.sketches {
            let mut sketch = sketch.lock().unwrap_or_else(PoisonError::into_inner);
            all.merge(&sketch);
            if due {
                sketch.halve();
            }
        }
        all.top().above(TOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_threads_are_counted_and_what_is_old_is_forgotten() {
        let (popular, key) = (Popular::default(), PlacementKey::of("x"));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..4).for_each(|_| popular.record(key)));
            }
        });
        let now = Instant::now();
        assert_eq!(popular.report(now), TopKeys { total: 12, keys: vec![(key, 12)] });
        assert_eq!(popular.report(now + HALVE).total, 12, "told, and then forgotten by half");
        assert_eq!(popular.report(now + HALVE).total, 6);
    }
}
