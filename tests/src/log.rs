//! An event log of a story's own, for stories of an edge alone: name its URL as an origin after the one with the content.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Between two heartbeats: the edges count three seconds of silence as the feed's end.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A scripted log. It ends when dropped.
#[derive(Debug)]
pub struct ScriptedLog {
    /// Where it listens.
    pub at: SocketAddr,
    events: watch::Sender<Vec<String>>,
    _serving: JoinSet<()>,
}

impl ScriptedLog {
    /// Starts an empty log.
    pub async fn start() -> Self {
        let events = watch::Sender::new(vec![]);
        let lines = events.clone();
        let feed = move |Query(query): Query<HashMap<String, usize>>| async move {
            feed(lines.subscribe(), query.get("after").copied())
        };
        let app = Router::new().route("/v1/log", get(feed));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, events, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Says that a tag has a new version.
    pub fn raise(&self, tag: &str, version: u64) {
        self.purge(tag, version, &Value::Null);
    }

    /// Says that a tag was purged, and what the event says beside it.
    pub fn purge(&self, tag: &str, version: u64, data: &Value) {
        self.events.send_modify(|events| {
            let seq = events.len() + 1;
            let event = json!({ "seq": seq, "tag": tag, "version": version, "kind": "purged", "at_ms": 0, "data": data });
            events.push(format!("{event}\n"));
        });
    }

    /// Forgets its past: who has followed it gets 410.
    pub fn begin_anew(&self) {
        self.events.send_modify(Vec::clear);
    }
}

/// Events after a place, from now on without one; a heartbeat whenever there is nothing to tell.
fn feed(mut events: watch::Receiver<Vec<String>>, after: Option<usize>) -> Response {
    let head = events.borrow_and_update().len();
    let after = after.unwrap_or(head);
    if after > head {
        return StatusCode::GONE.into_response();
    }
    let lines = stream::unfold((events, after, true), |(mut events, after, first)| async move {
        if !first && events.borrow_and_update().len() <= after {
            drop(timeout(HEARTBEAT, events.changed()).await);
        }
        let next = events.borrow_and_update().get(after).cloned();
        let (line, after) = match next {
            Some(event) => (event, after + 1),
            None => (format!("{{\"heartbeat\":{after}}}\n"), after),
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (events, after, false)))
    });
    Body::from_stream(lines).into_response()
}
