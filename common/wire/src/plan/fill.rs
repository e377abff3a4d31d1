//! When a site may be filled, and how much then: what operators say.

use serde::{Deserialize, Serialize};

use crate::fleet::Faults;

/// Milliseconds of a minute, and minutes of a day.
const MINUTE_MS: u64 = 60_000;
const DAY: u64 = 1_440;
/// The most bytes of a window, and the highest rate in Mbit/s: a machine's whole disks, ten ports of 400 Gbit/s.
const MAX_BYTES: u64 = 1 << 50;
const MAX_MBPS: f64 = 4_000_000.0;

/// A site's fill window. What is expected to be asked for there in the day that follows is fetched in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillWindow {
    /// The minute of the day (UTC) at which it opens, from 0 to 1,439.
    pub from: u32,
    /// The minute of the day at which it closes, up to 1,440; on the next day where it is before `from`.
    pub until: u32,
    /// Bytes that are fetched in it at the most, by all edges of the site: 1 to 2^50.
    pub bytes: u64,
    /// The rate at which, in Mbit/s, of all of them: 0.001 to 4,000,000.
    pub mbps: f64,
    /// How likely it must be that something is asked for, from 0 to 1.
    #[serde(default = "likely")]
    pub chance: f64,
}

const fn likely() -> f64 {
    0.5
}

/// One time that a window is open, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// When it opened.
    pub from_ms: u64,
    /// When it closes.
    pub until_ms: u64,
}

impl FillWindow {
    /// The opening that goes on at a time, if one does.
    #[must_use]
    pub fn opening(&self, now_ms: u64) -> Option<Opening> {
        let (from, until) = (u64::from(self.from), u64::from(self.until));
        let length = if from < until { until - from } else { DAY - from + until };
        let midnight = now_ms / MINUTE_MS / DAY * DAY;
        let begins = [Some(midnight + from), (midnight + from).checked_sub(DAY)];
        begins.into_iter().flatten().map(|begin| begin * MINUTE_MS).find_map(|from_ms| {
            let until_ms = from_ms + length * MINUTE_MS;
            (from_ms..until_ms).contains(&now_ms).then_some(Opening { from_ms, until_ms })
        })
    }

    pub(crate) fn check(&self, key: &str, faults: &mut Faults) {
        let of = |field: &str| format!("{key}.{field}");
        if u64::from(self.from) >= DAY {
            faults
                .add(&of("from"), &format!("a minute of the day in UTC, from 0 to 1439, not {}", self.from));
        }
        if u64::from(self.until) > DAY {
            faults.add(
                &of("until"),
                &format!("a minute of the day in UTC, from 0 to 1440, not {}", self.until),
            );
        }
        if self.from == self.until {
            faults.add(&of("until"), "another minute than from; 0 and 1440 for the whole day");
        }
        if !(1..=MAX_BYTES).contains(&self.bytes) {
            faults.add(&of("bytes"), &format!("from 1 to {MAX_BYTES}, not {}", self.bytes));
        }
        faults.range(&of("mbps"), Some(self.mbps), 0.001, MAX_MBPS);
        faults.range(&of("chance"), Some(self.chance), 0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(from: u32, until: u32) -> FillWindow {
        FillWindow { from, until, bytes: 1, mbps: 1.0, chance: 0.5 }
    }

    #[test]
    fn a_window_may_go_past_midnight() {
        let day = 20_000 * DAY * MINUTE_MS;
        let at = |minute: u64| day + minute * MINUTE_MS;
        let night = window(1_380, 300);
        assert_eq!(night.opening(at(1_379)), None);
        let opened = Opening { from_ms: at(1_380), until_ms: at(1_740) };
        assert_eq!((night.opening(at(1_380)), night.opening(at(1_739))), (Some(opened), Some(opened)));
        assert_eq!(night.opening(at(1_740)), None);
        let whole = Opening { from_ms: day, until_ms: at(1_440) };
        assert_eq!(window(0, 1_440).opening(at(700)), Some(whole));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        let mut faults = Faults::default();
        let bad = FillWindow { from: 1_500, until: 1_500, bytes: 0, mbps: f64::NAN, chance: 2.0 };
        bad.check("sites.fra.fill", &mut faults);
        let keys: Vec<String> = faults.all().into_iter().map(|fault| fault.key).collect();
        let fields = ["from", "until", "until", "bytes", "mbps", "chance"];
        assert_eq!(keys, fields.map(|field| format!("sites.fra.fill.{field}")));
    }

    proptest! {
        #[test]
        fn an_opening_contains_its_time(from in 0u32..1_440, until in 0u32..=1_440, now in 0u64..1 << 45) {
            prop_assume!(from != until);
            if let Some(opening) = window(from, until).opening(now) {
                prop_assert!((opening.from_ms..opening.until_ms).contains(&now));
                prop_assert_eq!(window(from, until).opening(opening.from_ms), Some(opening));
            }
        }
    }
}
