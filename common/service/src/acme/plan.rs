//! When a certificate is ordered. Pure.

use std::time::{Duration, SystemTime};

/// Wait after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait after failures: authorities allow a few failed orders an hour, and an outage of a day is noticed
/// within hours of its end.
const LONGEST_WAIT: Duration = Duration::from_secs(4 * 3_600);
/// Failures after which the wait grows no more.
const DOUBLINGS: u32 = 12;
/// The longest sleep before the plan is looked at again: clocks are set, machines sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// How long to wait before the next order of a certificate that is valid from and until these times: until two thirds of
/// its life are over, as authorities advise. `None` for at once.
pub(super) fn until_renewal(validity: (SystemTime, SystemTime), now: SystemTime) -> Option<Duration> {
    let (from, until) = validity;
    let life = until.duration_since(from).ok()?;
    let due = from + life / 3 * 2;
    let wait = due.duration_since(now).ok().filter(|wait| !wait.is_zero())?;
    Some(wait.min(LONGEST_SLEEP))
}

/// How long to wait after so many failures in a row; `random` in 0..1 spreads it over its upper half, so that edges that
/// failed together do not come back together.
pub(super) fn after_failures(failures: u32, random: f64) -> Duration {
    let doubled = FIRST_WAIT * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let validity = (at(1_000), at(4_000));
        assert_eq!(until_renewal(validity, at(1_000)), Some(Duration::from_secs(2_000)));
        assert_eq!(until_renewal(validity, at(2_999)), Some(Duration::from_secs(1)));
        for late in [3_000, 3_500, 9_000] {
            assert_eq!(until_renewal(validity, at(late)), None, "{late}");
        }
        assert_eq!(until_renewal((at(4_000), at(1_000)), at(0)), None, "nonsense is replaced");
        let quarter = (at(0), at(90 * 86_400));
        assert_eq!(until_renewal(quarter, at(0)), Some(LONGEST_SLEEP), "looked at again in between");
    }

    proptest! {
        #[test]
        fn waits_after_failures_grow_within_bounds(failures in 1u32..10_000, random in 0.0f64..1.0) {
            let wait = after_failures(failures, random);
            prop_assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT);
            prop_assert!(after_failures(failures + 1, 0.0) >= after_failures(failures, 0.0));
        }
    }
}
