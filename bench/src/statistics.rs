//! Few numbers out of few rounds, and delays out of many tries.

use std::time::Instant;

/// The middle of several rounds, and how far they lay apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The median; of an even number, the mean of the middle two.
    pub(crate) median: f64,
    /// The lowest.
    pub(crate) low: f64,
    /// The highest.
    pub(crate) high: f64,
}

impl Summary {
    /// Of at least one number; `None` of none, or when one of them is no number.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.iter().any(|n| !n.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = sorted[middle];
        let median =
            if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], upper) } else { upper };
        Some(Self { median, low, high })
    }

    /// The distance from the median to the round farthest from it, in per cent of the median.
    pub(crate) fn spread(&self) -> f64 {
        let farthest = (self.high - self.median).max(self.median - self.low);
        if self.median == 0.0 { 0.0 } else { 100.0 * farthest / self.median.abs() }
    }
}

/// A number with three significant digits, thousands apart.
pub(crate) fn short(number: f64) -> String {
    let magnitude = number.abs();
    match magnitude {
        m if m >= 1_000.0 => grouped(number.round()),
        m if m >= 100.0 => format!("{number:.0}"),
        m if m >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn grouped(whole: f64) -> String {
    let digits = format!("{:.0}", whole.abs());
    let mut text = String::from(if whole < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The smallest delay that this share of all does not exceed; no number of none.
pub(crate) fn percentile(delays: &[f64], share: f64) -> f64 {
    let mut sorted = delays.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The head of a table of delays, whose rows are [`row_of_delays`].
pub(crate) const HEAD_OF_DELAYS: [&str; 6] = ["milliseconds", "of", "p50", "p90", "p99", "max"];

/// A row of a table of delays.
pub(crate) fn row_of_delays(name: &str, delays: &[f64]) -> Vec<String> {
    let numbers = [0.5, 0.9, 0.99, 1.0].map(|share| short(percentile(delays, share)));
    [vec![name.to_owned(), delays.len().to_string()], numbers.to_vec()].concat()
}

/// Milliseconds since then.
pub(crate) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let delays: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&delays, share)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_median_ignores_one_bad_round() {
        let summary = Summary::of([10.0, 1_000.0, 11.0]).unwrap();
        assert_eq!((summary.median, summary.low, summary.high), (11.0, 10.0, 1_000.0));
    }

    #[test]
    fn an_even_number_of_rounds_has_the_mean_of_the_middle() {
        assert_eq!(Summary::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of([3.0, 5.0]).unwrap().spread(), 25.0);
    }

    #[test]
    fn nothing_and_no_numbers_have_no_summary() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of([1.0, f64::NAN]), None);
        assert_eq!(Summary::of([7.0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<_> =
            [0.1234, 9.876, 12.34, 123.4, 1_234.4, 1_234_567.0, -1_000.0].into_iter().map(short).collect();
        assert_eq!(shown, ["0.12", "9.88", "12.3", "123", "1,234", "1,234,567", "-1,000"]);
    }
}
