//! How much this edge sends of what it can, and what it gives up for that.

use crate::edge::Shared;
use crate::metrics::Metrics;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use sluice_wire::overload::{Held, Stage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Seconds in which an old rate loses two thirds of its part: a segment that goes out at once is no crowd.
const MEMORY_S: f64 = 2.0;

/// What an edge can send.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverloadConfig {
    /// Mbit/s that it can send; 0 for whatever comes: then nothing is given up.
    pub capacity_mbps: f64,
    /// Milliseconds of calm before a little less is given up.
    pub calm_ms: u64,
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self { capacity_mbps: 0.0, calm_ms: 10_000 }
    }
}

impl OverloadConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        if !(0.0..=4_000_000.0).contains(&self.capacity_mbps) {
            faults.add("overload.capacity_mbps", "from 0, no bound, to 4000000");
        }
    }
}

/// The stage in force.
#[derive(Debug, Default)]
pub(crate) struct Overload(AtomicU8);

impl Overload {
    pub(crate) fn stage(&self) -> Stage {
        Stage::ALL.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    fn set(&self, stage: Stage, metrics: &Metrics) {
        let at = Stage::ALL.iter().position(|one| *one == stage).unwrap_or(0);
        self.0.store(u8::try_from(at).unwrap_or(0), Ordering::Relaxed);
        metrics.stage.set(i64::try_from(at).unwrap_or(0));
    }
}

/// Looks at what is sent until the drain begins.
pub(crate) async fn watch(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let (mut held, mut mbps, begun) = (Held::default(), 0.0, Instant::now());
    let (mut sent, mut at) = (edge.metrics.bytes_out.get(), begun);
    loop {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let (now_sent, now) = (edge.metrics.bytes_out.get(), Instant::now());
        let passed = (now - at).as_secs_f64();
        let rate = now_sent.saturating_sub(sent) as f64 * 8.0 / 1e6 / passed.max(0.001);
        mbps += (rate - mbps) * (1.0 - (-passed / MEMORY_S).exp());
        (sent, at) = (now_sent, now);
        let OverloadConfig { capacity_mbps: capacity, calm_ms } = edge.live().overload;
        let load = if capacity > 0.0 { mbps / capacity } else { 0.0 };
        let before = edge.overload.stage();
        let stage = held.next(load, calm_ms, u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if stage != before {
            tracing::info!(stage = stage.as_str(), mbps, capacity, "load");
            edge.overload.set(stage, &edge.metrics);
        }
    }
}
