//! Reporting: what this node says of itself to every control plane.

use crate::edge::Shared;
use futures::future::join_all;
use sluice_wire::NodeReport;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Time for an answer; a report that is late is worth less than the next one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reports until the drain begins.
pub(crate) async fn report(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            // Whoever purges may be waiting to hear that it is done.
            () = edge.report_now.notified() => {}
            () = stop.cancelled() => return,
        }
        next = Instant::now() + Duration::from_millis(edge.live().report_ms);
        let report = describe(&edge);
        // At once: one that does not answer must not keep the others from hearing in time.
        join_all(edge.config.control.iter().map(|control| send(&edge, control, &report))).await;
    }
}

async fn send(edge: &Shared, control: &str, report: &NodeReport) {
    let url = format!("{control}/v1/nodes/{}/report", edge.config.node);
    let sent = edge.http.post(url).json(report).timeout(PATIENCE).send().await;
    if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
        tracing::debug!(control, %error, "a report was not taken");
    }
}

fn describe(edge: &Shared) -> NodeReport {
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
    }
}
