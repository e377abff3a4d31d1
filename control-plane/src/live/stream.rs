//! `GET /v1/fleet/live`: server-sent events (WHATWG HTML, section 9.2), a frame a second.

use crate::answer::fresh;
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::body::Body;
use axum::response::Response;
use futures::stream::unfold;
use http::header::{CONTENT_TYPE, HeaderValue};
use prometheus::IntGauge;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

/// Those who look on at a time: a frame of the largest fleet is some 400 kB, so this is some 25 MB a second.
const MAX_LISTENERS: i64 = 64;

/// A place among them, given back when dropped.
struct Place(IntGauge);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// First `history`, the last ten minutes; then a `fleet` each second, until the drain begins. Who is slow misses frames.
pub(crate) async fn live(
    axum::extract::State(state): axum::extract::State<State>,
    caller: Caller,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    state.metrics.listeners.inc();
    let place = Place(state.metrics.listeners.clone());
    if place.0.get() > MAX_LISTENERS {
        return Err(Failure::unavailable("too many look on already"));
    }
    let mut newest = state.live.listen();
    newest.mark_changed();
    let past = Some(event("history", &state.live.past()));
    let listener = Listener { past, newest, stop: state.drain.token(), _place: place };
    let events = unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, Infallible>(text), listener))
    });
    let mut answer = fresh(Body::from_stream(events));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(answer)
}

struct Listener {
    past: Option<String>,
    newest: Receiver<Arc<str>>,
    stop: CancellationToken,
    _place: Place,
}

impl Listener {
    /// The next event; `None` once the drain has begun.
    async fn next(&mut self) -> Option<String> {
        if let Some(past) = self.past.take() {
            return Some(past);
        }
        loop {
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = self.stop.cancelled() => return None,
            }
            let frame = Arc::clone(&self.newest.borrow_and_update());
            if !frame.is_empty() {
                return Some(event("fleet", &frame));
            }
        }
    }
}

/// An event of JSON, which has no line ends.
fn event(name: &str, json: &str) -> String {
    format!("event: {name}\ndata: {json}\n\n")
}
