//! Following the route table: a question that waits until there is a newer one.

use crate::edge::Shared;
use sluice_wire::RouteTable;
use sluice_wire::limits::MAX_TABLE_BYTES;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a control plane may let us wait, and some.
const PATIENCE: Duration = Duration::from_secs(35);
/// Pause after nobody answered.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the table until the drain begins.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    loop {
        let mut answered = false;
        for control in edge.config.control.clone() {
            let asked = tokio::select! {
                asked = ask(&edge, &control) => asked,
                () = stop.cancelled() => return,
            };
            match asked {
                Ok(()) => {
                    answered = true;
                    break;
                }
                Err(why) => tracing::debug!(control, why, "no route table"),
            }
        }
        if !answered {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

async fn ask(edge: &Shared, control: &str) -> Result<(), String> {
    let version = edge.table().version;
    let request = edge.http.get(format!("{control}/v1/routes?after={version}")).send();
    let answer = timeout(PATIENCE, request).await.map_err(|_| "no answer")?.map_err(|e| e.to_string())?;
    if answer.status() == reqwest::StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    let answer = answer.error_for_status().map_err(|e| e.to_string())?;
    let text = timeout(PATIENCE, answer.bytes()).await.map_err(|_| "silence")?.map_err(|e| e.to_string())?;
    if text.len() > MAX_TABLE_BYTES {
        return Err("a table beyond its limit".into());
    }
    let table: RouteTable = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    // A table that is not good is refused; the last good one stays in force.
    table.check().map_err(|e| e.to_string())?;
    edge.adopt(table);
    Ok(())
}
