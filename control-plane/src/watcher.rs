//! Looking after nodes: each ready one is looked at each second, and what is seen of it is said to the other control planes.

use crate::config::HealthConfig;
use crate::fleet::Fleet;
use crate::health::{Health, Look, Patience, Probe};
use crate::membership;
use crate::metrics::Metrics;
use futures::StreamExt;
use futures::stream;
use rand::Rng;
use sluice_storage::{NodeRecord, Seen, Storage};
use sluice_wire::headers::HEALTH_PATH;
use sluice_wire::{NodeId, NodeReport, NodeState, Tier};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Probes under way at a time.
const AT_ONCE: usize = 32;
/// Answers of a node between two looks that say something about its errors.
const ENOUGH: u64 = 20;
/// How often what is seen is said, also where nothing changed: several times within what the others take as news.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Looks after nodes.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) storage: Storage,
    pub(crate) fleet: Fleet,
    pub(crate) metrics: Metrics,
    pub(crate) http: reqwest::Client,
    pub(crate) config: HealthConfig,
    /// This process among the control planes.
    pub(crate) plane: String,
}

/// A node and what it had counted when that was last judged.
#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    health: Health,
    started_ms: u64,
    requests: u64,
    errors: u64,
}

impl Watcher {
    /// Looks until the drain begins.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if self.config.look_ms == 0 {
            return;
        }
        let (mut nodes, mut said) = (BTreeMap::new(), None);
        loop {
            // Control planes must not all ask at the same moment.
            let pause =
                Duration::from_millis(self.config.look_ms).mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.round(&mut nodes, &mut said) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at every ready node once.
    async fn round(&self, nodes: &mut BTreeMap<NodeId, Watched>, said: &mut Option<Instant>) {
        let (records, now) = (self.fleet.records(), self.storage.clock.now_ms());
        let ready: Vec<&NodeRecord> =
            records.iter().filter(|record| membership::state(record, now) == NodeState::Ready).collect();
        let near = ready.iter().filter(|record| self.config.probe && record.report.tier == Tier::Near);
        let asks: Vec<_> = near
            .map(|record| self.probe(record.report.node.clone(), record.report.public_url.clone()))
            .collect();
        let probes: BTreeMap<NodeId, Probe> = stream::iter(asks).buffer_unordered(AT_ONCE).collect().await;
        let patience = Patience { bad_looks: self.config.bad_looks, good_ms: self.config.good_ms };
        let gone: Vec<NodeId> =
            nodes.keys().filter(|node| !ready.iter().any(|r| r.report.node == **node)).cloned().collect();
        for node in gone {
            nodes.remove(&node);
            drop(self.metrics.health.remove_label_values(&[node.as_str()]));
        }
        let mut changed = false;
        for record in ready {
            let node = &record.report.node;
            let watched = nodes.entry(node.clone()).or_default();
            let look = Look { errors: watched.errors(&record.report), probe: probes.get(node).copied() };
            let before = watched.health.level();
            watched.health.look(&look, patience, now);
            let (level, why, score) = (watched.health.level(), watched.health.why(), watched.health.score());
            self.metrics.health.with_label_values(&[node.as_str()]).set((score * 100.0).round() as i64);
            if level != before {
                changed = true;
                tracing::info!(%node, percent = level.percent().unwrap_or(100), why = why.as_str(), "a node's health");
            }
        }
        if changed || said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.say(nodes).await;
            *said = Some(Instant::now());
        }
    }

    /// Says what is seen to all control planes, this one too.
    async fn say(&self, nodes: &BTreeMap<NodeId, Watched>) {
        let seen = |watched: &Watched| Seen {
            percent: watched.health.level().percent(),
            score: watched.health.score(),
            why: watched.health.why().as_str().to_owned(),
        };
        let seen = nodes.iter().map(|(node, watched)| (node.clone(), seen(watched))).collect();
        match self.storage.fleet().say_health(&self.plane, &seen).await {
            Ok(()) => self.fleet.nudge(),
            Err(error) => tracing::debug!(%error, "what is seen of nodes is not said"),
        }
        self.fleet.sees(seen);
    }

    /// Asks a node by its public address how it is.
    async fn probe(&self, node: NodeId, base: String) -> (NodeId, Probe) {
        let begun = Instant::now();
        let url = format!("{}{HEALTH_PATH}", base.trim_end_matches('/'));
        let patience = Duration::from_millis(self.config.probe_timeout_ms);
        let probe = match timeout(patience, self.http.get(url).send()).await {
            // One that does not know the question asks its origin; it is there all the same.
            Ok(Ok(answer)) if !answer.status().is_server_error() => Probe::After(begun.elapsed()),
            _ => Probe::Failed,
        };
        let result = if probe == Probe::Failed { "failed" } else { "good" };
        self.metrics.probes.with_label_values(&[result]).inc();
        (node, probe)
    }
}

impl Watched {
    /// The share of its answers that failed since that was last judged, once there are enough of them.
    fn errors(&mut self, report: &NodeReport) -> Option<f64> {
        let (c, before) = (&report.counters, *self);
        let requests = c.requests.saturating_sub(before.requests);
        let again = report.started_ms != before.started_ms;
        if !again && requests < ENOUGH {
            return None;
        }
        *self = Self { started_ms: report.started_ms, requests: c.requests, errors: c.errors, ..before };
        (!again).then(|| c.errors.saturating_sub(before.errors) as f64 / requests as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::tests::report;
    use sluice_wire::node::NodeCounters;

    #[test]
    fn errors_are_judged_since_the_last_time_and_only_among_enough() {
        let mut watched = Watched::default();
        let mut at = |started_ms, requests, errors| {
            let counters = NodeCounters { requests, errors, ..NodeCounters::default() };
            watched.errors(&NodeReport { started_ms, counters, ..report("near-a") })
        };
        assert_eq!(at(1, 1_000, 500), None, "what was before is not known");
        assert_eq!(at(1, 1_019, 519), None, "too few to tell");
        assert_eq!(at(1, 1_020, 505), Some(0.25));
        assert_eq!(at(1, 1_120, 505), Some(0.0));
        assert_eq!(at(2, 40, 40), None, "it began anew");
    }
}
