//! Asking origins: which rooms there are, and who is let in.

use super::MAX_HALLS;
use crate::edge::Shared;
use crate::listed;
use http::header::CONTENT_TYPE;
use reqwest::StatusCode;
use sluice_wire::room::{self, Ask, Given, Room};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How long an origin may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// Between two looks for what is due.
const LOOK: Duration = Duration::from_millis(50);
/// Between two questions that nobody answered.
const RETRY: Duration = Duration::from_millis(500);
/// Between two looks for who has gone.
const SWEEP: Duration = Duration::from_secs(5);

/// Follows rooms until the drain begins. While none is open, nothing is asked. Each question is a task of its own: a room that is not
/// answered holds up no other, nor does the list.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    let (mut asked, mut listing) = (JoinSet::new(), JoinSet::new());
    let mut swept = Instant::now();
    loop {
        tokio::select! {
            () = edge.rooms.wanted() => {}
            () = stop.cancelled() => return,
        }
        while asked.try_join_next().is_some() {}
        while listing.try_join_next().is_some() {}
        if listing.is_empty()
            && let Some(begun) = edge.rooms.must_list()
        {
            listing.spawn(list(Arc::clone(&edge), begun));
        }
        if asked.len() < MAX_HALLS {
            let origins = edge.rooms.in_order(edge.all_origins());
            // All of them, one after the other, and a little: a room is not asked for twice at a time.
            let patience = ANSWER.saturating_mul(u32::try_from(origins.len()).unwrap_or(u32::MAX)) + RETRY;
            for (name, ask) in edge.rooms.wants(patience) {
                asked.spawn(let_in(Arc::clone(&edge), origins.clone(), name, ask));
            }
        }
        if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
            return;
        }
        if swept.elapsed() > SWEEP {
            edge.rooms.sweep();
            swept = Instant::now();
        }
    }
}

/// Learns which rooms are open, from the origin whose log is followed.
async fn list(edge: Arc<Shared>, begun: Instant) {
    let Some(origin) = edge.rooms.origin() else { return };
    let rooms: Result<Vec<Room>, _> = listed::at(&edge, &origin, room::PATH, ANSWER).await;
    match rooms {
        Ok(mut rooms) => {
            rooms.truncate(room::MAX_ROOMS);
            edge.rooms.list(rooms, begun);
        }
        Err(why) => {
            tracing::debug!(origin, why, "no list of rooms");
            edge.rooms.list_again();
            sleep(RETRY).await;
        }
    }
}

/// Has the first of some origins that answers let in who is next.
async fn let_in(edge: Arc<Shared>, origins: Vec<String>, name: String, ask: Ask) {
    let path = room::admissions(&name);
    for origin in origins {
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
            Ok(given) => {
                edge.rooms.answered(&origin);
                return edge.rooms.take(&name, ask.opened_ms, given);
            }
            Err(why) => tracing::debug!(origin, name, why, "nobody is let in"),
        }
    }
    edge.rooms.failed(&name, RETRY);
}
