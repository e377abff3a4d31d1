//! What each node sends, of the counts that it reports.

use sluice_wire::{NodeId, NodeReport};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Nodes that are remembered; a fleet has fewer.
const MAX_NODES: usize = 2 * sluice_wire::limits::MAX_NODES;
/// Milliseconds in which an old rate loses two thirds of its part: long enough to smooth segments, short enough to see a crowd.
const MEMORY_MS: f64 = 3_000.0;
/// A node that was silent for longer begins anew.
const FORGET_MS: u64 = 60_000;

/// Rates by node, each control plane by the reports that it got.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<NodeId, Rate>>);

#[derive(Debug, Clone, Copy)]
struct Rate {
    started_ms: u64,
    bytes: u64,
    at_ms: u64,
    mbps: f64,
}

impl Rates {
    /// Takes a report that came at a time.
    pub(crate) fn take(&self, report: &NodeReport, now_ms: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, started_ms) = (report.counters.bytes_out, report.started_ms);
        let before = all.get(&report.node).copied();
        if before.is_none() && all.len() >= MAX_NODES {
            all.retain(|_, rate| now_ms.saturating_sub(rate.at_ms) < FORGET_MS);
            if all.len() >= MAX_NODES {
                return;
            }
        }
        let mbps = before.and_then(|before| before.next(started_ms, bytes, now_ms)).unwrap_or(0.0);
        all.insert(report.node.clone(), Rate { started_ms, bytes, at_ms: now_ms, mbps });
    }

    /// Mbit/s that a node sends; 0 for one of which nothing is known.
    pub(crate) fn mbps(&self, node: &NodeId) -> f64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(node).map_or(0.0, |rate| rate.mbps)
    }
}

impl Rate {
    /// The rate with another count. `None` when the two cannot be compared: the node began anew, or was silent for long.
    fn next(&self, started_ms: u64, bytes: u64, now_ms: u64) -> Option<f64> {
        let passed = now_ms.saturating_sub(self.at_ms);
        if started_ms != self.started_ms || bytes < self.bytes || passed > FORGET_MS {
            return None;
        }
        if passed == 0 {
            return Some(self.mbps);
        }
        let now = (bytes - self.bytes) as f64 * 8.0 / (passed as f64 * 1_000.0);
        let part = 1.0 - (-(passed as f64) / MEMORY_MS).exp();
        Some(self.mbps + part * (now - self.mbps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::tests::report;

    #[test]
    fn a_steady_stream_has_its_rate_and_a_new_start_none() {
        let rates = Rates::default();
        let told = |bytes: u64, started: u64, now: u64| {
            let mut report = report("a");
            (report.counters.bytes_out, report.started_ms) = (bytes, started);
            rates.take(&report, now);
            rates.mbps(&report.node)
        };
        assert_eq!(told(5, 1, 1_000), 0.0);
        // A megabyte a second is 8 Mbit/s.
        let rate = (1..60).fold(0.0, |_, second| told(second * 1_000_000, 1, 1_000 + second * 1_000));
        assert!((rate - 8.0).abs() < 0.01, "{rate}");
        assert_eq!(told(1_000, 2, 61_000), 0.0, "began anew");
    }
}
