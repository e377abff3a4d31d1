//! What an index cannot go on after, and how long it is waited before something is tried again.

use std::time::Duration;

use tantivy::TantivyError;

/// Why the index cannot go on. It is made anew of the rows then. That the store does not answer is no such trouble: what was
/// read in vain is read again, and the index goes on from where it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Index(#[from] TantivyError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the log goes on after {after} with {seq}")]
    Gap { after: u64, seq: u64 },
    #[error("a search found it damaged")]
    Damaged,
    #[error("the index's thread ended")]
    Ended,
    /// Nothing is to be done about it.
    #[error("the process ends")]
    Stopping,
}

impl Trouble {
    /// The label in metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Index(_) => "index",
            Self::Io(_) => "io",
            Self::Gap { .. } => "gap",
            Self::Damaged => "damaged",
            Self::Ended => "ended",
            Self::Stopping => "stopping",
        }
    }
}

/// Pauses between tries: doubled each time up to the longest, and jittered down to half, so that processes which lost the same
/// store do not come back together.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// From the first to the longest.
    pub(super) const fn of((next, longest): (Duration, Duration)) -> Self {
        Self { next, longest }
    }

    /// How long to wait now, where `chance` is from 0 to 1.
    pub(super) fn take(&mut self, chance: f64) -> Duration {
        let pause = self.next;
        self.next = self.longest.min(pause * 2);
        pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_and_are_spread() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::of((second, 5 * second));
        let taken: Vec<_> = [0.0, 1.0, 0.0, 0.0, 1.0].map(|chance| pauses.take(chance).as_millis()).into();
        assert_eq!(taken, [1_000, 1_000, 4_000, 5_000, 2_500]);
    }
}
