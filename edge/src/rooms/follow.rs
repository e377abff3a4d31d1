//! Asking origins: which rooms there are, and who is let in.

use crate::edge::Shared;
use futures::future::join_all;
use http::header::CONTENT_TYPE;
use reqwest::StatusCode;
use sluice_wire::room::{self, Ask, Given, Room};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an origin may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// Between two looks for what is due.
const LOOK: Duration = Duration::from_millis(50);
/// Between two questions that nobody answered.
const RETRY: Duration = Duration::from_millis(500);
/// Between two looks for who has gone.
const SWEEP: Duration = Duration::from_secs(5);

/// Follows rooms until the drain begins. While none is open, nothing is asked.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let mut swept = Instant::now();
    loop {
        tokio::select! {
            () = edge.rooms.wanted() => {}
            () = stop.cancelled() => return,
        }
        let step = async {
            if let Some(begun) = edge.rooms.must_list() {
                list(&edge, begun).await;
            }
            join_all(edge.rooms.wants().into_iter().map(|(name, ask)| let_in(&edge, name, ask))).await;
            sleep(LOOK).await;
        };
        if stop.run_until_cancelled(step).await.is_none() {
            return;
        }
        if swept.elapsed() > SWEEP {
            edge.rooms.sweep();
            swept = Instant::now();
        }
    }
}

/// Learns which rooms are open, from the origin whose log is followed.
async fn list(edge: &Shared, begun: Instant) {
    let Some(origin) = edge.rooms.origin() else { return };
    let asked = async {
        let answer = edge.http.get(format!("{origin}{}", room::PATH)).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        // One without apps knows of none.
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(vec![]);
        }
        let answer = answer.error_for_status().map_err(|error| error.to_string())?;
        let text = answer.bytes().await.map_err(|error| error.to_string())?;
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let rooms: Result<Vec<Room>, _> = lines.take(room::MAX_ROOMS).map(serde_json::from_slice).collect();
        rooms.map_err(|error| error.to_string())
    };
    match timeout(ANSWER, asked).await.unwrap_or_else(|_| Err("no answer".into())) {
        Ok(rooms) => edge.rooms.list(rooms, begun),
        Err(why) => {
            tracing::debug!(origin, why, "no list of rooms");
            edge.rooms.list_again();
            sleep(RETRY).await;
        }
    }
}

/// Has an origin let in who is next.
async fn let_in(edge: &Shared, name: String, ask: Ask) {
    let path = room::admissions(&name);
    for origin in edge.all_origins() {
        let asked = async {
            let body = serde_json::to_vec(&ask).map_err(|error| error.to_string())?;
            let request = edge.http.post(format!("{origin}{path}")).header(CONTENT_TYPE, "application/json");
            let answer = request.body(body).send().await.map_err(|error| error.to_string())?;
            if answer.status() == StatusCode::NOT_FOUND {
                edge.rooms.list_again();
            }
            let answer = answer.error_for_status().map_err(|error| error.to_string())?;
            let text = answer.bytes().await.map_err(|error| error.to_string())?;
            serde_json::from_slice::<Given>(&text).map_err(|error| error.to_string())
        };
        match timeout(ANSWER, asked).await.unwrap_or_else(|_| Err("no answer".into())) {
            Ok(given) => return edge.rooms.take(&name, ask.opened_ms, given),
            Err(why) => tracing::debug!(origin, name, why, "nobody is let in"),
        }
    }
    edge.rooms.failed(&name, RETRY);
}
