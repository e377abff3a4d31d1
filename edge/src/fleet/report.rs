//! Reporting: what this node says of itself to every control plane.

use super::plan;
use super::post::post;
use crate::edge::Shared;
use futures::future::join_all;
use sluice_wire::reports::Signed;
use sluice_wire::{NodeReport, ReportAnswer};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep_until};

/// Time for an answer; a report that is late is worth less than the next one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reports until the drain begins.
pub(crate) async fn report(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let (mut next, mut at_ms) = (Instant::now(), 0);
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            // Whoever purges may be waiting to hear that it is done.
            () = edge.report_now.notified() => {}
            () = stop.cancelled() => return,
        }
        next = Instant::now() + Duration::from_millis(edge.live().report_ms);
        // Later than the one before, also where the clock was set back a little.
        at_ms = now_ms().max(at_ms + 1);
        let report = describe(&edge, at_ms);
        // At once: one that does not answer must not keep the others from hearing in time.
        let answers = join_all(edge.config.control.iter().map(|control| send(&edge, control, &report))).await;
        // Of several control planes the first that answers is heard about plans, as it is about the table.
        let mut heard = edge.config.control.iter().zip(answers);
        if let Some((control, Some(ReportAnswer { plan: Some(version), .. }))) =
            heard.find(|(_, answer)| answer.is_some())
        {
            plan::told(&edge.plans, control, version);
        }
    }
}

async fn send(edge: &Shared, control: &str, report: &NodeReport) -> Option<ReportAnswer> {
    let body = serde_json::to_vec(report).ok()?;
    match post(edge, (control, "report"), Signed::Report, body, PATIENCE).await {
        Ok(answer) => serde_json::from_slice(&answer.bytes().await.ok()?).ok(),
        Err(error) => {
            tracing::debug!(control, %error, "a report was not taken");
            None
        }
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn describe(edge: &Shared, at_ms: u64) -> NodeReport {
    NodeReport {
        node: edge.config.node.clone(),
        tier: edge.config.tier,
        site: edge.config.site.clone(),
        weight: edge.config.weight,
        peer_url: edge.peer_url.clone(),
        public_url: edge.public_url.clone(),
        ready: !edge.origins().is_empty(),
        counters: edge.metrics.report(),
        quality: edge.players.report(),
        log_seq: edge.floors.mark().seq,
        table_version: edge.table().version,
        started_ms: edge.started_ms,
        rack: edge.config.rack.clone(),
        popular: edge.popular.report(Instant::now()),
        at_ms,
    }
}
