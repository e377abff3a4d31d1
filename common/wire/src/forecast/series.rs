//! One key's requests, slot by slot: a level and a damped trend (Holt 1957; Gardner and McKenzie 1985), each slot taken over
//! its season's ratio as Winters has it (1960; Hyndman and Athanasopoulos, Forecasting, sections 8.2 and 8.3).

use super::season::Season;

/// How much a slot counts beside those before: of a day ago a twelfth is left. Most keys are asked for once in a while; with more,
/// one request would be taken for one an hour (intermittent demand, Croston 1972).
const ALPHA: f64 = 0.1;
/// The same of the trend: what an hour did by chance is no trend.
const BETA: f64 = 0.02;
/// What is left of a trend from slot to slot: it goes on for some ten.
const DAMPING: f64 = 0.9;
/// Slots without a request after which nothing is left to expect (0.9 to the 128th).
const IDLE: u64 = 128;
/// The most that is counted in a slot: far above what a fleet is asked for, far below what sums lose.
const MOST: f64 = 1e12;

/// A key's requests. 32 bytes, however long it goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Series {
    level: f64,
    trend: f64,
    /// The slot that goes on, and what was asked for in it.
    slot: u64,
    open: f64,
}

impl Series {
    /// Nothing asked for yet, from a slot on.
    #[must_use]
    pub const fn begin(slot: u64) -> Self {
        Self { level: 0.0, trend: 0.0, slot, open: 0.0 }
    }

    /// Counts requests in a slot. What comes late counts in the one that goes on.
    pub fn add(&mut self, slot: u64, count: f64, season: &Season) {
        self.pass(slot, season);
        if count > 0.0 {
            self.open = (self.open + count).min(MOST);
        }
    }

    /// Ends all slots before one.
    fn pass(&mut self, slot: u64, season: &Season) {
        let passed = slot.saturating_sub(self.slot);
        for ended in self.slot..self.slot + passed.min(IDLE) {
            let count = std::mem::take(&mut self.open);
            self.observe(count / season.ratio(ended));
        }
        if passed > IDLE {
            (self.level, self.trend) = (0.0, 0.0);
        }
        self.slot = self.slot.max(slot);
    }

    fn observe(&mut self, count: f64) {
        let (before, foreseen) = (self.level, DAMPING.mul_add(self.trend, self.level));
        self.level = ALPHA.mul_add(count, (1.0 - ALPHA) * foreseen).clamp(0.0, MOST * 20.0);
        self.trend = BETA.mul_add(self.level - before, (1.0 - BETA) * DAMPING * self.trend);
    }

    /// What is expected of so many slots from one on: never below 0, never without a bound. What the slot that goes on has had
    /// counts once it is more than was expected: rising popularity need not wait for the hour.
    #[must_use]
    pub fn expect(&self, from: u64, slots: u64, season: &Season) -> f64 {
        let mut now = *self;
        now.pass(from, season);
        let mut news = now;
        news.observe(now.open / season.ratio(now.slot));
        now.sum(from, slots, season).max(news.sum(from, slots, season))
    }

    fn sum(&self, from: u64, slots: u64, season: &Season) -> f64 {
        let (mut level, mut trend, mut sum) = (self.level, self.trend, 0.0);
        for slot in from..from.saturating_add(slots.min(IDLE)) {
            trend *= DAMPING;
            level += trend;
            sum += level.max(0.0) * season.ratio(slot);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(counts: &[f64]) -> Series {
        let mut series = Series::begin(0);
        counts.iter().zip(0..).for_each(|(count, slot)| series.add(slot, *count, &Season::default()));
        series
    }

    fn next_day(counts: &[f64]) -> f64 {
        of(counts).expect(counts.len() as u64 - 1, 24, &Season::default())
    }

    proptest! {
        #[test]
        fn what_is_expected_is_a_number_above_0_and_bounded(
            told in prop::collection::vec((0u64..400, -1e15f64..1e15), 0..80), from in 0u64..1_000, slots in 0u64..100,
        ) {
            let mut series = Series::begin(0);
            told.iter().for_each(|(slot, count)| series.add(*slot, *count, &Season::default()));
            let expected = series.expect(from, slots, &Season::default());
            prop_assert!(expected.is_finite() && (0.0..=1e18).contains(&expected), "{}", expected);
            prop_assert_eq!(expected, series.expect(from, slots, &Season::default()), "the same each time");
        }

        #[test]
        fn more_requests_now_make_no_less_expected(counts in prop::collection::vec(0.0f64..1e6, 1..60), more in 0.0f64..1e6) {
            let mut risen = counts.clone();
            *risen.last_mut().unwrap() += more;
            prop_assert!(next_day(&risen) >= next_day(&counts) * (1.0 - 1e-9));
        }

        #[test]
        fn twice_as_many_all_along_make_twice_as_many(counts in prop::collection::vec(0.0f64..1e6, 1..60)) {
            let twice: Vec<f64> = counts.iter().map(|count| count * 2.0).collect();
            prop_assert!((next_day(&twice) - 2.0 * next_day(&counts)).abs() <= 1e-6 * (1.0 + next_day(&twice)));
        }
    }

    #[test]
    fn what_goes_on_as_it_was_is_expected_to() {
        assert!((next_day(&[50.0; 96]) / (24.0 * 50.0) - 1.0).abs() < 0.01, "{}", next_day(&[50.0; 96]));
        let rising: Vec<f64> = (0..48).map(|n| f64::from(n) * 10.0).collect();
        assert!(next_day(&rising) > 1.3 * next_day(&[235.0; 48]), "{}", next_day(&rising));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let series = of(&[1_000.0; 10]);
        assert!(series.expect(80, 24, &Season::default()) < 0.02 * series.expect(10, 24, &Season::default()));
        assert_eq!(series.expect(200, 24, &Season::default()), 0.0);
    }

    #[test]
    fn a_season_is_taken_out_and_put_in_again() {
        let mut season = Season::default();
        let shape = |slot: u64| if slot % 24 == 20 { 400.0 } else { 100.0 };
        (0..24).for_each(|slot| season.learn(slot, shape(slot)));
        let mut series = Series::begin(0);
        (0..240).for_each(|slot| series.add(slot, shape(slot), &season));
        let hour = |n: u64| series.expect(240, n + 1, &season) - series.expect(240, n, &season);
        let (evening, night) = (hour(20), hour(3));
        assert!(evening > 3.0 * night, "{evening} {night}");
    }
}
