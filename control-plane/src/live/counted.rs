//! What this control plane itself counts: sessions steered by reason, and how long purges took.

use crate::metrics::Metrics;
use prometheus::core::Collector;
use std::collections::BTreeMap;

/// Counts at a time.
#[derive(Debug)]
pub(super) struct Counts {
    at_ms: u64,
    steered: BTreeMap<String, f64>,
    pub(super) purges: Purges,
}

/// Purges since the start that every edge has applied, and the milliseconds within which half and 99 of 100 were.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(super) struct Purges {
    count: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Counts {
    pub(super) fn of(metrics: &Metrics, at_ms: u64) -> Self {
        let mut steered = BTreeMap::new();
        for family in metrics.steered.collect() {
            for metric in family.get_metric() {
                let reason = metric.get_label().first().map(|label| label.value().to_owned());
                steered.insert(reason.unwrap_or_default(), metric.get_counter().get_value());
            }
        }
        Self { at_ms, steered, purges: purges(metrics) }
    }

    /// Sessions steered in a second since an earlier look, by reason; those that there were none of are not named.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        let passed = self.at_ms.saturating_sub(before.at_ms).max(1) as f64 / 1_000.0;
        let more = |(reason, count): (&String, &f64)| {
            let more = count - before.steered.get(reason).unwrap_or(&0.0);
            (more > 0.0).then(|| (reason.clone(), more / passed))
        };
        self.steered.iter().filter_map(more).collect()
    }
}

fn purges(metrics: &Metrics) -> Purges {
    let families = metrics.purge_delay.collect();
    let Some(histogram) = families.first().and_then(|f| f.get_metric().first()).map(|m| m.get_histogram())
    else {
        return Purges::default();
    };
    let buckets: Vec<(f64, u64)> =
        histogram.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count())).collect();
    let count = histogram.get_sample_count();
    let ms = |share| quantile(&buckets, count, share).map(|seconds| seconds * 1_000.0);
    Purges { count, p50_ms: ms(0.5), p99_ms: ms(0.99) }
}

/// The value below which a share of the samples is, by a straight line within its bucket, as Prometheus reckons it.
fn quantile(buckets: &[(f64, u64)], count: u64, share: f64) -> Option<f64> {
    let rank = share * count as f64;
    let mut below = (0.0, 0u64);
    for (bound, up_to) in buckets.iter().copied().filter(|(bound, _)| bound.is_finite()) {
        if count > 0 && up_to as f64 >= rank {
            let inside = (up_to - below.1).max(1) as f64;
            return Some(below.0 + (bound - below.0) * (rank - below.1 as f64) / inside);
        }
        below = (bound, up_to);
    }
    (count > 0).then_some(below.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_its_bucket() {
        let buckets = [(0.01, 10), (0.1, 90), (1.0, 100)];
        assert_eq!(quantile(&buckets, 100, 0.05), Some(0.005));
        let half = quantile(&buckets, 100, 0.5).unwrap();
        assert!((half - 0.055).abs() < 1e-9, "{half}");
        assert_eq!(quantile(&[], 0, 0.5), None);
        assert_eq!(quantile(&[(0.01, 0), (1.0, 0)], 1, 0.99), Some(1.0), "beyond the last bound");
    }

    #[test]
    fn what_is_steered_is_counted_by_the_second() {
        let metrics = Metrics::new(&sluice_service::Metrics::default());
        let before = Counts::of(&metrics, 1_000);
        metrics.steered.with_label_values(&["new"]).inc_by(6);
        let after = Counts::of(&metrics, 3_000);
        assert_eq!(after.since(&before), [("new".to_owned(), 3.0)].into());
        assert!(after.since(&after).is_empty());
    }
}
