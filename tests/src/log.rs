//! An event log of a story's own, for stories of an edge alone: name its URL as an origin after the one with the content.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures::stream;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Between two heartbeats: the edges count three seconds of silence as the feed's end.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Events that a slow reader may be behind.
const BEHIND: usize = 256;

/// A scripted log. It ends when dropped.
#[derive(Debug)]
pub struct ScriptedLog {
    /// Where it listens.
    pub at: SocketAddr,
    seq: AtomicU64,
    events: broadcast::Sender<String>,
    _serving: JoinSet<()>,
}

impl ScriptedLog {
    /// Starts an empty log.
    pub async fn start() -> Self {
        let (events, _) = broadcast::channel::<String>(BEHIND);
        let lines = events.clone();
        let app = Router::new().route("/v1/log", get(move || async move { feed(lines.subscribe()) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { at, seq: AtomicU64::new(0), events, _serving: serving }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Says that a tag has a new version.
    pub fn raise(&self, tag: &str, version: u64) {
        let seq = 1 + self.seq.fetch_add(1, Ordering::Relaxed);
        let event =
            json!({ "seq": seq, "tag": tag, "version": version, "kind": "purged", "at_ms": 0, "data": null });
        drop(self.events.send(format!("{event}\n")));
    }
}

fn feed(events: broadcast::Receiver<String>) -> Body {
    let first = Some("{\"heartbeat\":0}\n".to_owned());
    Body::from_stream(stream::unfold((first, events), |(first, mut events)| async move {
        let line = match first {
            Some(line) => line,
            None => match timeout(HEARTBEAT, events.recv()).await {
                Ok(event) => event.ok()?,
                Err(_) => "{\"heartbeat\":0}\n".to_owned(),
            },
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (None, events)))
    }))
}
