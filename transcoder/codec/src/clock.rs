//! One time line for both tracks: microseconds from the source's zero, whatever the container's stamps do.

use ffmpeg_next::{Rational, Rescale};

/// FFmpeg's own unit of time.
pub(crate) const MICROS: Rational = Rational(1, 1_000_000);

/// A stamp this far behind its place is a clock that began anew (joined recordings), not an overlap.
const RESTART: i64 = 10_000_000;
/// A stamp this far past the length the container claims is wrong: a container may be a little short of the truth.
const BEYOND: i64 = 10_000_000;
/// The longest gap that is believed where the container claims no length, and where it does: a recording may hold one
/// picture for long. What claims more is one broken stamp mostly, and a few kilobytes would be a film of half a day.
const GAP: (i64, i64) = (600_000_000, 3_600_000_000);

/// The place of one track on the time line.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    time_base: Rational,
    /// Subtracted from each stamp, in microseconds.
    zero: i64,
    /// The claimed length in microseconds; 0 for none.
    claimed: i64,
    end: i64,
    /// How often the stamps jumped.
    pub(crate) jumps: u64,
}

impl Clock {
    /// For a track with stamps in `time_base`, whose source begins at `zero` microseconds and claims a length.
    pub(crate) fn new(time_base: Rational, zero: i64, claimed_ms: u64) -> Self {
        let claimed = i64::try_from(claimed_ms).unwrap_or(0).saturating_mul(1_000);
        Self { time_base, zero, claimed, end: 0, jumps: 0 }
    }

    /// Where something belongs that has this stamp and lasts so many microseconds. What has no stamp follows what was
    /// before it, as does what has an absurd one.
    pub(crate) fn place(&mut self, stamp: Option<i64>, duration: i64) -> i64 {
        let mut at = match stamp {
            Some(stamp) => stamp.rescale(self.time_base, MICROS).saturating_sub(self.zero),
            None => self.end,
        };
        let bound = match self.claimed {
            0 => self.end.saturating_add(GAP.0),
            claimed => (claimed.max(self.end) + BEYOND).min(self.end.saturating_add(GAP.1)),
        };
        if at > bound || at < self.end - RESTART {
            self.jumps += 1;
            self.zero = self.zero.saturating_add(at.saturating_sub(self.end));
            at = self.end;
        }
        self.end = self.end.max(at.saturating_add(duration));
        at
    }

    /// Goes to a place without having been before it, in microseconds.
    pub(crate) const fn go_to(&mut self, at: i64) {
        self.end = at;
    }

    /// The end of the last thing placed, in microseconds.
    pub(crate) const fn end(&self) -> i64 {
        self.end
    }

    /// A duration in the track's units as microseconds.
    pub(crate) fn micros(&self, duration: i64) -> i64 {
        duration.rescale(self.time_base, MICROS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_begins_anew_goes_on_where_it_was() {
        let mut clock = Clock::new(Rational(1, 1_000), 500_000, 60_000);
        assert_eq!(clock.place(Some(500), 40_000), 0);
        assert_eq!(clock.place(Some(20_500), 40_000), 20_000_000);
        assert_eq!(clock.place(Some(0), 40_000), 20_040_000, "began anew");
        assert_eq!(clock.place(Some(40), 40_000), 20_080_000);
        assert_eq!(clock.place(Some(i64::MAX / 4), 40_000), 20_120_000, "absurd");
        assert_eq!(clock.place(None, 40_000), 20_160_000);
        assert_eq!(clock.jumps, 2);
    }

    #[test]
    fn a_gap_of_hours_is_a_broken_stamp_whatever_length_is_claimed() {
        let hour = 3_600_000;
        let mut clock = Clock::new(Rational(1, 1_000), 0, 11 * 3_600_000);
        assert_eq!(clock.place(Some(0), 40_000), 0);
        assert_eq!(clock.place(Some(11 * hour), 40_000), 40_000, "not believed");
        assert_eq!(clock.jumps, 1);
        assert_eq!(
            clock.place(Some(11 * hour + 30 * 60_000), 40_000),
            40_000 + 1_800_000_000,
            "held for half an hour"
        );
        assert_eq!(clock.jumps, 1);
    }

    proptest! {
        #[test]
        fn hostile_stamps_stay_in_bounds(stamps in prop::collection::vec(any::<Option<i64>>(), 0..50)) {
            let mut clock = Clock::new(Rational(1, 90_000), 0, 1_000);
            for stamp in stamps {
                let at = clock.place(stamp, 40_000);
                prop_assert!((-RESTART..=1_000_000 + BEYOND + 50 * 40_000).contains(&at));
            }
        }
    }
}
