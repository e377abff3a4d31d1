//! Telling control planes what clients asked for: once a minute, what forecasts are made of.

use super::post::post;
use super::report::now_ms;
use crate::edge::Shared;
use futures::future::join_all;
use sluice_wire::plan::message::Asked;
use sluice_wire::reports::Signed;
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
    let sent = post(edge, (control, "asked"), Signed::Asked, body.to_vec(), PATIENCE).await;
    if let Err(error) = sent {
        tracing::debug!(control, %error, "what was asked for was not taken");
    }
}
