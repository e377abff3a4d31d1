//! Ahead of demand: what edges were asked for becomes a forecast, the forecast a plan for each site whose fill window is open, and each
//! edge is told its part.
//!
//! - `site`: what a site is granted, a pure function; `ask`: what edges and operators ask
//!
//! Each control plane hears every edge and learns by itself. Nothing is stored: one that begins anew learns within the hour what is
//! asked for, and within a day at which hours.

pub(crate) mod ask;
mod site;

use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::reports::Refused;
use site::{Edges, Filled};
use sluice_storage::{NodeRecord, SharedClock};
use sluice_wire::forecast::{Count, Forecast, History, Outlook};
use sluice_wire::limits::MAX_NODES;
use sluice_wire::plan::message::Asked;
use sluice_wire::plan::{FillPlan, Opening};
use sluice_wire::{FleetConfig, MediaGroup, NodeId, NodeReport, Placement, RouteTable, Tier};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two looks at windows that may have opened.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The time that is forecast: until the same hour of the next day, when what is fetched now is replaced.
const DAY_MS: u64 = 86_400_000;

/// What is known of demand, and what is done ahead of it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ahead(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    heard: Mutex<Heard>,
    filled: Mutex<BTreeMap<String, Filled>>,
}

#[derive(Debug, Default)]
struct Heard {
    history: History<MediaGroup>,
    /// When each node's newest message was written.
    last: BTreeMap<NodeId, u64>,
}

impl Ahead {
    /// Takes what a node's clients asked for. `node` is its newest report.
    pub(crate) fn take(&self, node: &NodeReport, asked: Asked, now_ms: u64) -> Result<(), Refused> {
        if let Some(fault) = asked.fault() {
            return Err(Refused::Absurd("groups", fault));
        }
        let mut heard = self.heard();
        if heard.last.get(&node.node).is_some_and(|last| *last >= asked.at_ms) {
            return Err(Refused::Replayed(node.node.clone()));
        }
        if heard.last.len() >= MAX_NODES && !heard.last.contains_key(&node.node) {
            // As many as a table has: those of before are gone.
            heard.last.clear();
        }
        heard.last.insert(node.node.clone(), asked.at_ms);
        let counts = asked.groups.into_iter();
        let counts = counts.map(|one| Count { key: one.group, requests: one.requests, bytes: one.bytes });
        heard.history.take(&node.site, now_ms, counts);
        Ok(())
    }

    /// Keeps plans true until the drain begins.
    pub(crate) async fn run(
        self,
        fleet: Fleet,
        metrics: Metrics,
        clock: SharedClock,
        stop: CancellationToken,
    ) {
        let mut table = fleet.watched();
        loop {
            self.renew(&fleet, &metrics, clock.now_ms());
            tokio::select! {
                changed = table.changed() => if changed.is_err() { return },
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Plans for sites whose window has opened, whose edges are others, or whose last plan is of another hour.
    fn renew(&self, fleet: &Fleet, metrics: &Metrics, now_ms: u64) {
        let (table, config, records) = (fleet.table(), fleet.config(), fleet.records());
        let mut filled = self.0.filled.lock().unwrap_or_else(PoisonError::into_inner);
        filled.retain(|site, filled| opening(&config, site, now_ms) == Some(filled.opening));
        let mut outlook = None;
        for (site, window) in config.sites.iter().filter_map(|(site, said)| Some((site, said.fill?))) {
            let Some(opening) = window.opening(now_ms) else { continue };
            let (edges, before) = (edges(&table, &records, site), filled.get(site));
            if edges.is_empty() || before.is_some_and(|before| before.stands(opening, &edges, now_ms)) {
                continue;
            }
            let forecasts = outlook.get_or_insert_with(|| self.outlook(now_ms)).at(site);
            let placement = Placement::new(Arc::clone(&table), site);
            let owner = |key| placement.owner(key).map(|owner| owner.node.clone());
            let next = Filled::next(before, &window, opening, edges, &forecasts, owner, now_ms);
            let more = next.bytes().saturating_sub(before.map_or(0, Filled::bytes));
            metrics.plans.inc();
            metrics.planned_bytes.inc_by(more);
            tracing::info!(site, version = next.version, groups = next.granted.len(), bytes = more, "a plan");
            filled.insert(site.clone(), next);
        }
        metrics.forecast_keys.set(i64::try_from(self.heard().history.len()).unwrap_or(i64::MAX));
    }

    /// What is expected of all sites in a day.
    fn outlook(&self, now_ms: u64) -> Outlook<MediaGroup> {
        self.heard().history.outlook(now_ms, now_ms + DAY_MS)
    }

    /// What is expected of a site in a day.
    fn forecasts(&self, site: &str, now_ms: u64) -> Vec<Forecast<MediaGroup>> {
        self.outlook(now_ms).at(site)
    }

    /// What a node is to fetch, if anything.
    pub(crate) fn plan(&self, node: &NodeReport) -> Option<FillPlan> {
        self.0
            .filled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&node.site)?
            .told(&node.node, node.started_ms)
    }

    /// The version of that.
    pub(crate) fn version(&self, node: &NodeReport) -> Option<u64> {
        let filled = self.0.filled.lock().unwrap_or_else(PoisonError::into_inner);
        filled
            .get(&node.site)
            .filter(|filled| filled.has(&node.node, node.started_ms))
            .map(|filled| filled.version)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn opening(config: &FleetConfig, site: &str, now_ms: u64) -> Option<Opening> {
    config.sites.get(site)?.fill?.opening(now_ms)
}

/// Edges of a site that serve clients.
fn edges(table: &RouteTable, records: &[NodeRecord], site: &str) -> Edges {
    let started = |node: &NodeId| {
        records.iter().find(|record| record.report.node == *node).map(|r| r.report.started_ms)
    };
    let near = table.ready(Tier::Near).filter(|node| node.site == site);
    near.filter_map(|node| Some((node.node.clone(), started(&node.node)?))).collect()
}
