//! Telling control planes what clients asked for: once a minute, what forecasts are made of.

use super::report::now_ms;
use crate::edge::Shared;
use futures::future::join_all;
use reqwest::header::CONTENT_TYPE;
use sluice_wire::plan::message::Asked;
use sluice_wire::reports::{self, Signed};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Time for an answer. What is not taken then is lost: forecasts are made of shares.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells until the drain begins.
pub(crate) async fn tell(edge: Arc<Shared>) {
    let (stop, mut at_ms) = (edge.drain.token(), 0);
    loop {
        let pause = Duration::from_millis(edge.live().asked_ms);
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let groups = edge.asked.take();
        if groups.is_empty() {
            continue;
        }
        at_ms = now_ms().max(at_ms + 1);
        let Ok(body) = serde_json::to_vec(&Asked { at_ms, groups }) else { continue };
        join_all(edge.config.control.iter().map(|control| send(&edge, control, &body))).await;
    }
}

async fn send(edge: &Shared, control: &str, body: &[u8]) {
    let url = format!("{control}/v1/nodes/{}/asked", edge.config.node);
    let mut request = edge.http.post(url).header(CONTENT_TYPE, "application/json").timeout(PATIENCE);
    if let Some(key) = &edge.report_key {
        let (key, signature) = reports::sign(Signed::Asked, key, body);
        request = request.header(reports::KEY, key).header(reports::SIGNATURE, signature);
    }
    let sent = request.body(body.to_vec()).send().await;
    if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
        tracing::debug!(control, %error, "what was asked for was not taken");
    }
}
