//! The hours of a day against its mean, learnt of everything that a site is asked for: one key alone has too few requests to
//! tell its hours from chance (group seasonal indices, Dalhart 1974).

/// Slots of a day.
pub const SLOTS: usize = 24;
/// Milliseconds of a slot.
pub const SLOT_MS: u64 = 3_600_000;
/// How much a new day counts beside those before: of a week ago half is left.
const GAMMA: f64 = 0.1;
/// What a ratio is at the least and the most: an hour in which nothing was asked for is no proof that nothing will be.
const RATIO: (f64, f64) = (0.05, 20.0);

/// What each hour of a day is asked for, over the mean of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Season {
    means: [Option<f64>; SLOTS],
    ratios: [f64; SLOTS],
}

impl Default for Season {
    fn default() -> Self {
        Self { means: [None; SLOTS], ratios: [1.0; SLOTS] }
    }
}

impl Season {
    /// Takes what was asked for in a slot that is over. Until every hour was seen once, all are alike.
    pub fn learn(&mut self, slot: u64, count: f64) {
        let mean = &mut self.means[hour(slot)];
        *mean = Some(mean.map_or(count, |before| GAMMA.mul_add(count, (1.0 - GAMMA) * before)));
        let sum: Option<f64> = self.means.iter().copied().sum();
        let Some(of_all) = sum.map(|sum| sum / SLOTS as f64).filter(|of_all| *of_all > 0.0) else { return };
        for (ratio, mean) in self.ratios.iter_mut().zip(self.means) {
            *ratio = (mean.unwrap_or(of_all) / of_all).clamp(RATIO.0, RATIO.1);
        }
    }

    /// A slot's ratio, from 0.05 to 20.
    #[must_use]
    pub fn ratio(&self, slot: u64) -> f64 {
        self.ratios[hour(slot)]
    }
}

const fn hour(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ratios_are_bounded_whatever_is_learnt(counts in prop::collection::vec(0.0f64..1e12, 0..200), at: u64) {
            let mut season = Season::default();
            counts.iter().zip(at % (1 << 40)..).for_each(|(count, slot)| season.learn(slot, *count));
            for slot in 0..24 {
                prop_assert!((RATIO.0..=RATIO.1).contains(&season.ratio(slot)));
            }
        }
    }

    #[test]
    fn an_evening_is_learnt_in_a_day() {
        let mut season = Season::default();
        for slot in 0..23 {
            season.learn(slot, if slot == 20 { 300.0 } else { 100.0 });
            assert_eq!(season.ratio(20), 1.0, "not before every hour was seen");
        }
        season.learn(23, 100.0);
        assert!(season.ratio(20) > 2.5 && season.ratio(3) < 1.0);
    }
}
