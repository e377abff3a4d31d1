//! A budget for extra work: ordinary work earns it, each extra costs. Without a clock, so that a quiet edge saves nothing up
//! beyond its burst and a busy one never doubles its parents' load.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one extra costs.
const COST: u32 = 1_000;

/// A bucket of extras.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: AtomicU32,
    earn: u32,
    most: u32,
}

impl Budget {
    /// `permille` extras a thousand pieces of ordinary work, and `burst` at once; it begins full.
    pub(crate) const fn new(permille: u32, burst: u32) -> Self {
        let most = burst * COST;
        Self { tokens: AtomicU32::new(most), earn: permille, most }
    }

    /// Counts a piece of ordinary work.
    pub(crate) fn earn(&self) {
        let more = |tokens: u32| (tokens < self.most).then(|| (tokens + self.earn).min(self.most));
        _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// True when one extra may be done.
    pub(crate) fn spend(&self) -> bool {
        let less = |tokens: u32| tokens.checked_sub(COST);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extras_never_pass_the_share_and_the_burst(work in prop::collection::vec(any::<bool>(), 0..2_000)) {
            let budget = Budget::new(100, 3);
            let (mut ordinary, mut extras) = (0u32, 0u32);
            for extra in work {
                if extra {
                    extras += u32::from(budget.spend());
                } else {
                    ordinary += 1;
                    budget.earn();
                }
                prop_assert!(extras <= 3 + ordinary / 10);
            }
        }
    }
}
