//! What each node does in a second, of the counts that it reports.

use sluice_wire::node::NodeCounters;
use sluice_wire::{NodeId, NodeReport};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Nodes that are remembered; a fleet has fewer.
const MAX_NODES: usize = 2 * sluice_wire::limits::MAX_NODES;
/// Milliseconds in which an old rate loses two thirds of its part: long enough to smooth segments, short enough to see a crowd.
const MEMORY_MS: f64 = 3_000.0;
/// A node that was silent for longer begins anew.
const FORGET_MS: u64 = 60_000;

/// Mbit of a byte.
const MBIT: f64 = 8e-6;

/// What a node does in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(crate) struct Flow {
    /// Requests answered.
    pub(crate) requests: f64,
    /// Of them, out of the cache.
    pub(crate) hits: f64,
    /// Of them, with a parent's help.
    pub(crate) misses: f64,
    /// Of them, with a status of 500 and above.
    pub(crate) errors: f64,
    /// Mbit/s sent to clients.
    pub(crate) out_mbps: f64,
    /// Mbit/s fetched from parents.
    pub(crate) in_mbps: f64,
}

/// Rates by node, each control plane by the reports that it got.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<NodeId, Rate>>);

#[derive(Debug, Clone, Copy)]
struct Rate {
    started_ms: u64,
    counters: NodeCounters,
    at_ms: u64,
    flow: Flow,
}

impl Rates {
    /// Takes a report that came at a time.
    pub(crate) fn take(&self, report: &NodeReport, now_ms: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counters, started_ms) = (report.counters, report.started_ms);
        let before = all.get(&report.node).copied();
        if before.is_none() && all.len() >= MAX_NODES {
            all.retain(|_, rate| now_ms.saturating_sub(rate.at_ms) < FORGET_MS);
            if all.len() >= MAX_NODES {
                return;
            }
        }
        let flow = before.and_then(|before| before.next(started_ms, &counters, now_ms)).unwrap_or_default();
        all.insert(report.node.clone(), Rate { started_ms, counters, at_ms: now_ms, flow });
    }

    /// What a node does in a second; nothing for one of which nothing is known.
    pub(crate) fn flow(&self, node: &NodeId) -> Flow {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(node).map_or_else(Flow::default, |rate| rate.flow)
    }

    /// Milliseconds at a time since a node reported here; `None` for one that never did.
    pub(crate) fn silent_ms(&self, node: &NodeId, now_ms: u64) -> Option<u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(node).map(|rate| now_ms.saturating_sub(rate.at_ms))
    }

    /// Mbit/s that a node sends; 0 for one of which nothing is known.
    pub(crate) fn mbps(&self, node: &NodeId) -> f64 {
        self.flow(node).out_mbps
    }
}

impl Flow {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            errors: self.errors + other.errors,
            out_mbps: self.out_mbps + other.out_mbps,
            in_mbps: self.in_mbps + other.in_mbps,
        }
    }
}

impl Rate {
    /// The flow with other counts. `None` when the two cannot be compared: the node began anew, or was silent for long.
    fn next(&self, started_ms: u64, counters: &NodeCounters, now_ms: u64) -> Option<Flow> {
        let passed = now_ms.saturating_sub(self.at_ms);
        if started_ms != self.started_ms || passed > FORGET_MS {
            return None;
        }
        if passed == 0 {
            return Some(self.flow);
        }
        let part = 1.0 - (-(passed as f64) / MEMORY_MS).exp();
        let rate = |count: fn(&NodeCounters) -> u64, was: f64, unit: f64| {
            let more = count(counters).checked_sub(count(&self.counters))?;
            let now = more as f64 * 1_000.0 / passed as f64 * unit;
            Some(was + part * (now - was))
        };
        Some(Flow {
            requests: rate(|c| c.requests, self.flow.requests, 1.0)?,
            hits: rate(|c| c.hits, self.flow.hits, 1.0)?,
            misses: rate(|c| c.misses, self.flow.misses, 1.0)?,
            errors: rate(|c| c.errors, self.flow.errors, 1.0)?,
            out_mbps: rate(|c| c.bytes_out, self.flow.out_mbps, MBIT)?,
            in_mbps: rate(|c| c.bytes_in, self.flow.in_mbps, MBIT)?,
        })
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
            report.counters.requests = bytes / 100_000;
            rates.take(&report, now);
            rates.mbps(&report.node)
        };
        assert_eq!(told(5, 1, 1_000), 0.0);
        // A megabyte a second is 8 Mbit/s.
        let rate = (1..60).fold(0.0, |_, second| told(second * 1_000_000, 1, 1_000 + second * 1_000));
        assert!((rate - 8.0).abs() < 0.01, "{rate}");
        let flow = rates.flow(&report("a").node);
        assert!((flow.requests - 10.0).abs() < 0.01 && flow.errors == 0.0, "{flow:?}");
        assert_eq!(told(1_000, 2, 61_000), 0.0, "began anew");
    }
}
