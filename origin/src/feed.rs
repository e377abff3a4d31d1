//! What is pushed: the log to edges, and a video's states to whoever watches it.
//!
//! Both are streams that live long; their number is bounded, and they end when the origin drains.

use crate::origin::State;
use crate::videos;
use crate::view::VideoView;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use prometheus::IntGauge;
use sluice_platform::ApiError;
use sluice_storage::{VideoState, Visibility};
use sluice_wire::event::LogLine;
use sluice_wire::{Event, Tag, VideoId, channel};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

/// Streams of both kinds at a time.
const MAX_STREAMS: i64 = 2_000;
/// Silence after which a stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The same for watchers of a video, whose proxies are patient.
const COMMENT: Duration = Duration::from_secs(10);
/// Events fetched at a time when a follower is behind.
const BATCH: u64 = 500;

/// A place among the streams, given back when dropped.
struct Place(IntGauge);

impl Place {
    fn take(state: &State) -> Result<Self, ApiError> {
        let place = Self(state.metrics.streams.clone());
        place.0.inc();
        if place.0.get() > MAX_STREAMS {
            return Err(ApiError::new(503, "too-many-streams", "Too many streams", "try again in a moment"));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct After {
    after: Option<u64>,
}

/// `GET /v1/log?after=SEQ`: events in order, newline-delimited JSON, with heartbeats. Without `after`, from now on.
pub(crate) async fn log(
    axum::extract::State(state): axum::extract::State<State>,
    Query(After { after }): Query<After>,
) -> Result<Response, ApiError> {
    let place = Place::take(&state)?;
    let head = state.storage.log().head().await?;
    let after = after.unwrap_or(head);
    if after > head {
        let detail = format!("the log ends at {head}: what follows {after} was never written here");
        return Err(ApiError::new(410, "log-behind", "The log is behind", detail));
    }
    let wake = state.hub.listen();
    let follower = Follower { state, wake, after, ready: VecDeque::new(), _place: place };
    let lines = unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((Ok::<_, Infallible>(line), follower))
    });
    Ok(streaming("application/x-ndjson", Body::from_stream(lines)))
}

struct Follower {
    state: State,
    wake: Receiver<Arc<Event>>,
    after: u64,
    ready: VecDeque<Event>,
    _place: Place,
}

impl Follower {
    /// The next line; `None` when the origin drains, or the log cannot be read.
    async fn next(&mut self) -> Option<Bytes> {
        let stop = self.state.drain.token();
        if self.ready.is_empty() {
            self.ready = self.more().await?;
        }
        if self.ready.is_empty() {
            tokio::select! {
                // Whatever woke us, the log itself says what is new.
                _ = timeout(HEARTBEAT, self.wake.recv()) => {}
                () = stop.cancelled() => return None,
            }
            self.ready = self.more().await?;
        }
        let line = match self.ready.pop_front() {
            Some(mut event) => {
                self.after = event.seq;
                channel::strip(&mut event);
                LogLine::Event(event)
            }
            None => LogLine::Heartbeat { heartbeat: self.after },
        };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some(text.into())
    }

    /// What is new; `None` where that cannot be read, so that the edge asks again instead of taking silence for no news.
    async fn more(&self) -> Option<VecDeque<Event>> {
        let read = self.state.storage.log().since(self.after, BATCH).await;
        read.inspect_err(|error| tracing::warn!(%error, "an edge cannot follow the log now"))
            .ok()
            .map(Into::into)
    }
}

/// `GET /v1/revocations`: those that still count, newline-delimited JSON, for edges that start.
pub(crate) async fn revocations(
    axum::extract::State(state): axum::extract::State<State>,
) -> Result<Response, ApiError> {
    let since_ms = state.storage.database.now_ms().saturating_sub(channel::REVOKED_MS);
    let (events, unread) =
        state.storage.log().with_member(channel::REVOKE, since_ms, channel::MAX_REVOKED as u64).await?;
    let mut text = vec![];
    if unread > 0 {
        // A line that nobody understands: edges refuse what was minted before.
        text.extend(format!("{{\"unread\":{unread}}}\n").into_bytes());
    }
    for event in &events {
        let Some(line) = channel::Revoked::of_event(event) else { continue };
        text.extend(serde_json::to_vec(&line).unwrap_or_default());
        text.push(b'\n');
    }
    Ok(streaming("application/x-ndjson", Body::from(text)))
}

/// `GET /v1/videos/ID/events`: the video's document each time it changes, until there is no more to tell.
pub(crate) async fn events(
    axum::extract::State(state): axum::extract::State<State>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = videos::id(&id)?;
    let place = Place::take(&state)?;
    let wake = state.hub.listen();
    let view = videos::view(&state, id).await?;
    let watcher = Watcher { state, wake, id, next: Some(view), ended: false, _place: place };
    let stream = unfold(watcher, |mut watcher| async move {
        let text = watcher.next().await?;
        Some((Ok::<_, Infallible>(text), watcher))
    });
    Ok(streaming("text/event-stream", Body::from_stream(stream)))
}

struct Watcher {
    state: State,
    wake: Receiver<Arc<Event>>,
    id: VideoId,
    next: Option<VideoView>,
    ended: bool,
    _place: Place,
}

impl Watcher {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(view) = self.next.take() {
            self.ended = matches!(view.state, VideoState::Ready | VideoState::Failed);
            return Some(event(&view));
        }
        if self.ended {
            return None;
        }
        let (tag, stop) = (Tag::video(self.id), self.state.drain.token());
        loop {
            let woken = tokio::select! {
                woken = timeout(COMMENT, self.wake.recv()) => woken,
                () = stop.cancelled() => return None,
            };
            match woken {
                Err(_) => return Some(Bytes::from_static(b": alive\n\n")),
                Ok(Ok(event)) if event.tag != tag => {}
                // An event of this video, or some that were missed: its row says how it is now.
                Ok(_) => {
                    let view = videos::view(&self.state, self.id).await.ok()?;
                    self.ended = matches!(view.state, VideoState::Ready | VideoState::Failed);
                    return Some(event(&view));
                }
            }
        }
    }
}

/// `GET /v1/events`: the document of each public video when it changes, from now on or from after the event that
/// `Last-Event-ID` names; of one that is deleted, its id.
pub(crate) async fn all(
    axum::extract::State(state): axum::extract::State<State>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = Place::take(&state)?;
    let wake = state.hub.listen();
    let head = state.storage.log().head().await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = last.unwrap_or(head).min(head);
    let everything = Everything { state, wake, after, ready: VecDeque::new(), begun: false, _place: place };
    let stream = unfold(everything, |mut everything| async move {
        let text = everything.next().await?;
        Some((Ok::<_, Infallible>(text), everything))
    });
    Ok(streaming("text/event-stream", Body::from_stream(stream)))
}

struct Everything {
    state: State,
    wake: Receiver<Arc<Event>>,
    after: u64,
    ready: VecDeque<Event>,
    begun: bool,
    _place: Place,
}

impl Everything {
    /// The next event of a video; a word that the stream lives; `None` when the origin drains.
    async fn next(&mut self) -> Option<Bytes> {
        let stop = self.state.drain.token();
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Bytes::from_static(b": alive\n\n"));
        }
        loop {
            while let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                let again = self.ready.iter().any(|later| later.tag == event.tag);
                if let Some(text) = self.of_video(&event).await.filter(|_| !again) {
                    return Some(text);
                }
            }
            self.ready = self.state.storage.log().since(self.after, BATCH).await.unwrap_or_default().into();
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                // Whatever woke us, the log itself says what is new.
                woken = timeout(COMMENT, self.wake.recv()) => if woken.is_err() {
                    return Some(Bytes::from_static(b": alive\n\n"));
                },
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn of_video(&self, event: &Event) -> Option<Bytes> {
        let id: VideoId = event.data.get("video")?.as_str()?.parse().ok()?;
        if event.tag != Tag::video(id) {
            return None;
        }
        let (kind, data) = match self.state.storage.videos().show(id).await.ok()? {
            // Who may not come by it in a list does not come by it here.
            Some((video, _)) if video.visibility != Visibility::Public => return None,
            Some((video, media)) if video.deleted_ms.is_none() => {
                ("video", serde_json::to_string(&VideoView::new(video, &media)).ok()?)
            }
            _ => ("deleted", format!("{{\"id\":\"{id}\"}}")),
        };
        Some(format!("event: {kind}\nid: {}\ndata: {data}\n\n", event.seq).into())
    }
}

fn event(view: &VideoView) -> Bytes {
    let data = serde_json::to_string(view).unwrap_or_default();
    format!("event: video\nid: {}\ndata: {data}\n\n", view.version).into()
}

fn streaming(kind: &'static str, body: Body) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}
