//! Live channels, as edges subscribe to them: `GET /v1/channels`, a WebSocket of [`Ask`](sluice_wire::channel::Ask)s and
//! [`Line`](sluice_wire::channel::Line)s.
//!
//! A WebSocket, and no request whose body stays open: bodies must get on here (a silent one is cut), many a proxy keeps an
//! answer back until it has the whole of the request, and an edge opens WebSockets anyway.
//!
//! - `names`: which channels there are, and who may listen; `stream`: one edge's subscriptions
//! - `asides`: what is said on channels and kept nowhere
//!
//! One tail of the log a process serves every stream ([`Hub`]); what a stream misses of it is read from the log.

mod asides;
mod names;
mod stream;

use crate::{ApiError, Hub};
use asides::Asides;
use axum::response::{IntoResponse, Response};
use names::Names;
use prometheus::{IntCounter, IntGauge};
use sluice_service::{Drain, HttpRequest, Metrics, Pipe, problem_response};
use sluice_storage::{Log, Storage};
use std::sync::Arc;
use stream::Stream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Streams at a time: one an edge, twice that while edges are replaced.
const MAX_STREAMS: i64 = 2_048;
/// Bytes of a message of an edge: some thousand asks.
const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that a stream gathers before it writes, and reads at a time.
const BUFFER: usize = 16 << 10;

/// The channels of a process. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Channels {
    hub: Hub,
    asides: Asides,
    log: Log,
    drain: Drain,
    names: Arc<Names>,
    counts: Counts,
}

/// What is counted.
#[derive(Debug, Clone)]
struct Counts {
    streams: IntGauge,
    subscriptions: IntCounter,
    frames: IntCounter,
}

/// A place among the streams, given back when dropped.
struct Place(IntGauge);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Channels {
    /// No channel yet.
    #[must_use]
    pub fn new(hub: &Hub, storage: &Storage, drain: &Drain, metrics: &Metrics) -> Self {
        let counts = Counts {
            streams: metrics.gauge("sluice_channel_streams", "Edges that are subscribed to channels"),
            subscriptions: metrics
                .counter("sluice_channel_subscriptions_total", "Subscriptions of edges to channels"),
            frames: metrics.counter("sluice_channel_frames_total", "Frames sent to edges"),
        };
        let (names, asides) = (Arc::default(), Asides::start(&storage.bus, drain));
        Self { hub: hub.clone(), asides, log: storage.log(), drain: drain.clone(), names, counts }
    }

    /// Anybody may listen to the channels of this name: those that begin with it when it ends in `:`, else the one.
    #[must_use]
    pub fn open(self, name: &str) -> Self {
        self.with(name, true)
    }

    /// Who listens to the channels of this name needs a token that names them.
    #[must_use]
    pub fn by_token(self, name: &str) -> Self {
        self.with(name, false)
    }

    fn with(self, name: &str, open: bool) -> Self {
        let names = Names::clone(&self.names).with(name, open);
        Self { names: Arc::new(names), ..self }
    }

    /// Answers an edge. What it has subscribed to it is told until either side ends, or the drain begins.
    pub fn answer(&self, request: HttpRequest) -> Response {
        let place = Place(self.counts.streams.clone());
        place.0.inc();
        if place.0.get() > MAX_STREAMS {
            let detail = "try again in a moment";
            return ApiError::new(503, "too-many-streams", "Too many streams", detail).into_response();
        }
        let (answer, pipe) = match Pipe::open(request) {
            Ok(opened) => opened,
            Err(problem) => return problem_response(problem),
        };
        let channels = self.clone();
        self.drain.tasks().spawn(async move {
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER)
                .write_buffer_size(BUFFER)
                .max_message_size(Some(MAX_MESSAGE))
                .max_frame_size(Some(MAX_MESSAGE));
            let socket = WebSocketStream::from_raw_socket(pipe, Role::Server, Some(config)).await;
            if let Err(why) = Stream::run(channels, socket).await {
                tracing::debug!(why, "a stream of channels ended");
            }
            drop(place);
        });
        answer
    }
}
