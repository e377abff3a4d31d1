//! What a crowd heard: how late, what twice, what not at all.

use super::stamp::Stamp;
use hdrhistogram::Histogram;

/// The longest time that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;
/// Messages of a run at most: a stamp beyond was never sent.
const MAX_NUMBER: u64 = 10_000_000;

/// Times in microseconds; longer than ten minutes is ten minutes.
#[derive(Debug, Clone)]
pub(super) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let made = Histogram::new_with_max(LONGEST_US, 3);
        Self(
            made.unwrap_or_else(|_| {
                Histogram::new(1).unwrap_or_else(|_| unreachable!("one digit is allowed"))
            }),
        )
    }
}

impl Times {
    pub(super) fn note(&mut self, us: u64) {
        self.0.saturating_record(us.clamp(1, LONGEST_US));
    }

    /// The time in milliseconds that this share of all does not exceed; nothing for none.
    pub(super) fn ms(&self, share: f64) -> f64 {
        if self.0.is_empty() { f64::NAN } else { self.0.value_at_quantile(share) as f64 / 1_000.0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // Both are made alike.
        self.0.add(&other.0).ok();
    }
}

/// The messages that one client has heard.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<u64>);

impl Seen {
    /// Notes a message; true the first time.
    pub(super) fn is_new(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

/// Deliveries of one step.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    /// From sent to delivered.
    pub(super) delays: Times,
    /// When the last was delivered.
    pub(super) last_us: u64,
}

/// What some clients heard.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// By step.
    pub(super) steps: Vec<Step>,
    /// By message: how many clients heard it.
    heard: Vec<u32>,
    /// Deliveries of what a client had heard already.
    pub(super) duplicates: u64,
    /// Frames whose number did not follow the one before.
    pub(super) skips: u64,
    /// Gaps that clients were told of.
    pub(super) gaps: u64,
    /// Connections that ended, and comers who were not let in.
    pub(super) cut: u64,
    pub(super) refused: u64,
    /// From connecting until subscribed.
    pub(super) entries: Times,
    /// What the first who was not let in was told.
    pub(super) why: Option<String>,
}

impl Tally {
    /// A delivery. One that comes a second time counts as nothing else.
    pub(super) fn note(&mut self, stamp: Stamp, now_us: u64, seen: &mut Seen) {
        if stamp.number > MAX_NUMBER {
            return;
        }
        if !seen.is_new(stamp.number) {
            self.duplicates += 1;
            return;
        }
        let number = stamp.number as usize;
        if number >= self.heard.len() {
            self.heard.resize(number + 1, 0);
        }
        self.heard[number] += 1;
        if stamp.step >= self.steps.len() {
            self.steps.resize_with(stamp.step + 1, Step::default);
        }
        let step = &mut self.steps[stamp.step];
        step.delays.note(now_us.saturating_sub(stamp.sent_us));
        step.last_us = step.last_us.max(now_us);
    }

    /// Somebody is not let in.
    pub(super) fn refuse(&mut self, why: &str) {
        self.refused += 1;
        self.why.get_or_insert_with(|| why.chars().take(300).collect());
    }

    /// Adds what others heard.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.steps.len() < other.steps.len() {
            self.steps.resize_with(other.steps.len(), Step::default);
        }
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.delays.merge(&theirs.delays);
            mine.last_us = mine.last_us.max(theirs.last_us);
        }
        if self.heard.len() < other.heard.len() {
            self.heard.resize(other.heard.len(), 0);
        }
        self.heard.iter_mut().zip(&other.heard).for_each(|(mine, theirs)| *mine += theirs);
        self.duplicates += other.duplicates;
        self.skips += other.skips;
        self.gaps += other.gaps;
        self.cut += other.cut;
        self.refused += other.refused;
        self.entries.merge(&other.entries);
        self.why = self.why.take().or_else(|| other.why.clone());
    }

    /// How many deliveries of these messages are missing, when so many clients are to hear each.
    pub(super) fn missing(&self, messages: &[u64], clients: u64) -> u64 {
        let heard = |number: &u64| self.heard.get(*number as usize).map_or(0, |count| u64::from(*count));
        messages.iter().map(|number| clients.saturating_sub(heard(number))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(step: usize, number: u64) -> Stamp {
        Stamp { step, number, sent_us: 1_000 }
    }

    #[test]
    fn what_comes_twice_or_never_is_counted() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        let (mut ann, mut ben) = (Seen::default(), Seen::default());
        for number in [0, 1, 1, 70] {
            one.note(stamp(0, number), 3_000, &mut ann);
        }
        other.note(stamp(1, 70), 9_000, &mut ben);
        one.merge(&other);
        assert_eq!((one.duplicates, one.missing(&[0, 1, 70], 2)), (1, 2));
        assert_eq!(one.missing(&[2], 2), 2, "heard by nobody");
        assert_eq!((one.steps[0].delays.count(), one.steps[1].last_us), (3, 9_000));
        assert!((one.steps[0].delays.ms(1.0) - 2.0).abs() < 0.01);
    }

    #[test]
    fn no_times_have_no_percentile_and_long_ones_are_cut() {
        let mut times = Times::default();
        assert!(times.ms(0.5).is_nan());
        times.note(u64::MAX);
        assert!(times.ms(0.5) >= 599_000.0);
    }

    #[test]
    fn a_stamp_that_was_never_sent_takes_no_memory() {
        let mut tally = Tally::default();
        tally.note(stamp(0, u64::MAX), 0, &mut Seen::default());
        assert_eq!(tally.missing(&[0], 1), 1);
    }
}
