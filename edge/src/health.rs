//! What is known of a parent: whether it is asked last, how long it is waited for, and when a second one is asked beside it.
//! Pure functions of what was seen and now.

use std::time::Duration;
use tokio::time::Instant;

/// How long a parent that failed is asked after the others.
const SHUN: Duration = Duration::from_secs(1);
/// A head that takes longer makes a parent suspect while nothing else is heard from it; so do failures for this long.
pub(crate) const SLOW: Duration = Duration::from_secs(1);
/// Failures in a row, at the least, of a suspect parent: one broken connection says nothing.
const FAILURES: u32 = 2;
/// Time for the head of a parent that has been failing: its return is noticed by the next request, its absence soon.
const PROBE: Duration = Duration::from_millis(1_500);
/// Head times remembered: about a minute of a parent that is asked once a second.
const REMEMBERED: usize = 64;
/// Head times below which their distribution says nothing.
const ENOUGH: usize = 8;
/// When a second parent is asked beside one of which little is known.
const HEDGE_UNKNOWN: Duration = Duration::from_millis(500);
/// The bounds of that delay: below the first every fetch of a fast parent would be one of two, above the second it
/// comes too late.
const HEDGE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A parent as its last requests show it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing_since: Option<Instant>,
    failures: u32,
    shunned_until: Option<Instant>,
    heard: Option<Instant>,
    silent: bool,
    heads: Vec<Duration>,
    next: usize,
}

impl Health {
    /// A head came, this long after it was asked for.
    pub(crate) fn answered(&mut self, now: Instant, took: Duration) {
        self.failing_since = None;
        self.failures = 0;
        self.shunned_until = None;
        self.heard = Some(now);
        // One that is merely slow stays suspect until it is quick again.
        self.silent &= took >= SLOW;
        if self.heads.len() < REMEMBERED {
            self.heads.push(took);
        } else {
            self.heads[self.next] = took;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// It could not be reached, broke off, or took too long, when it was asked for something at that time.
    pub(crate) fn failed(&mut self, asked: Instant, now: Instant) {
        let since = self.heard.map_or(asked, |heard| heard.max(asked));
        self.failing_since.get_or_insert(since);
        self.failures = self.failures.saturating_add(1);
        self.shunned_until = Some(now + SHUN);
    }

    /// What was asked at this time has no answer yet, [`SLOW`] later. True when that is the first sign of a silence.
    pub(crate) fn kept_waiting(&mut self, asked: Instant) -> bool {
        let before = self.silent;
        self.silent |= self.heard.is_none_or(|heard| heard < asked);
        self.silent && !before
    }

    /// Another parent, asked later, was quicker.
    pub(crate) fn lost(&mut self, now: Instant) {
        self.shunned_until = Some(now + SHUN);
    }

    /// True while it is asked after the others.
    pub(crate) fn is_shunned(&self, now: Instant) -> bool {
        self.shunned_until.is_some_and(|until| now < until)
    }

    /// True when nobody should be kept waiting for it who has something else.
    pub(crate) fn is_suspect(&self, now: Instant) -> bool {
        self.silent || self.is_failing(now)
    }

    fn is_failing(&self, now: Instant) -> bool {
        (self.failures >= FAILURES || self.silent)
            && self.failing_since.is_some_and(|since| now >= since + SLOW)
    }

    /// Time for its next head, where a healthy one has `limit`.
    pub(crate) fn head_limit(&self, now: Instant, limit: Duration) -> Duration {
        if self.is_failing(now) { PROBE.min(limit) } else { limit }
    }

    /// When another is asked beside it: what 19 of 20 of its heads took.
    pub(crate) fn hedge_after(&self) -> Duration {
        if self.heads.len() < ENOUGH {
            return HEDGE_UNKNOWN;
        }
        let mut heads = self.heads.clone();
        heads.sort_unstable();
        heads[heads.len() * 19 / 20].clamp(HEDGE.0, HEDGE.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn one_failure_shuns_and_failing_on_makes_suspect() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.failed(now, now);
        assert!(health.is_shunned(now) && !health.is_suspect(now + 5 * SLOW), "one says nothing");
        health.failed(now + SLOW, now + SLOW);
        assert!(health.is_suspect(now + SLOW));
        assert_eq!(health.head_limit(now + SLOW, 10 * SLOW), PROBE);
        health.answered(now + 2 * SLOW, 5 * MS);
        assert!(!health.is_suspect(now + 9 * SLOW) && !health.is_shunned(now + 2 * SLOW));
        assert_eq!(health.head_limit(now + 2 * SLOW, 10 * SLOW), 10 * SLOW);
    }

    #[tokio::test]
    async fn silence_until_the_limit_is_failure_at_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.kept_waiting(now);
        assert_eq!(health.head_limit(now + SLOW, 10 * SLOW), 10 * SLOW, "late is not down");
        health.failed(now, now + 10 * SLOW);
        assert_eq!(health.head_limit(now + 10 * SLOW, 10 * SLOW), PROBE);
    }

    #[tokio::test]
    async fn silence_counts_only_while_nothing_is_heard() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.answered(now + 10 * MS, 10 * MS);
        assert!(!health.kept_waiting(now));
        assert!(!health.is_suspect(now + SLOW), "another request was answered meanwhile");
        assert!(health.kept_waiting(now + 20 * MS) && !health.kept_waiting(now + 30 * MS), "one silence");
        assert!(health.is_suspect(now + 2 * SLOW));
        health.answered(now + 5 * SLOW, 4 * SLOW);
        assert!(health.is_suspect(now + 5 * SLOW), "answers that late are no recovery");
        health.answered(now + 6 * SLOW, MS);
        assert!(!health.is_suspect(now + 6 * SLOW));
    }

    #[tokio::test]
    async fn a_hedge_waits_for_what_most_heads_take() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.hedge_after(), HEDGE_UNKNOWN);
        for took in 1..=200u32 {
            health.answered(now, took * MS);
        }
        let after = health.hedge_after();
        assert!(after >= 190 * MS && after <= 200 * MS, "of the last ones: {after:?}");
        (0..REMEMBERED).for_each(|_| health.answered(now, MS));
        assert_eq!(health.hedge_after(), HEDGE.0);
    }
}
