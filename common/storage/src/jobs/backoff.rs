//! How long a failed job waits.

use std::time::Duration;

/// After the first failure: long enough for a restarting process to be back.
const FIRST: Duration = Duration::from_secs(2);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// The wait after the given attempt (1 upwards): doubling from 2 s to 5 min, of which up to a quarter is taken off by
/// `chance` (0 to 1), so that jobs that failed together do not come back together.
pub(super) fn wait_after(attempt: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_bound_and_are_spread() {
        assert_eq!(wait_after(1, 0.0), Duration::from_secs(2));
        assert_eq!(wait_after(3, 0.0), Duration::from_secs(8));
        assert_eq!(wait_after(3, 1.0), Duration::from_secs(6));
        assert_eq!(wait_after(u32::MAX, 0.0), LONGEST);
    }
}
