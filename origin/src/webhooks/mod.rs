//! Webhooks: each receiver is told of every change of a video's state, signed (Standard Webhooks 1.0).
//!
//! ```text
//! log -> a cursor for each receiver, held by one origin -> events in order -> POST, signed -> 2xx -> the cursor moves
//!                                                                             \-> again, later and later, then given up
//! ```
//!
//! Each message is sent at least once, in the log's order; one that is sent again has the same `webhook-id`. What it tells
//! is the document as it is when it is sent: states that were left meanwhile are not told of.

mod message;

use crate::config::WebhooksConfig;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::view::VideoView;
use message::Secret;
use prometheus::IntCounterVec;
use sha2::{Digest, Sha256};
use sluice_platform::Hub;
use sluice_service::ProcessError;
use sluice_storage::{Storage, StorageError};
use sluice_wire::{Event, EventKind, Tag, VideoId};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long an origin has a receiver: after a kill, another one goes on this much later at most.
const CLAIM: Duration = Duration::from_secs(20);
/// How long a receiver may take to answer; shorter than [`CLAIM`].
const TAKE: Duration = Duration::from_secs(15);
/// Between two looks, when nothing wakes.
const PAUSE: Duration = Duration::from_secs(1);
/// Events read at a time.
const BATCH: u64 = 100;
/// The first pause after a failure, and the longest; each is twice the one before.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Videos whose last told state is remembered. When there are more, all are forgotten: a state is told once more.
const MAX_TOLD: usize = 10_000;

/// What sends to one receiver.
struct Sender {
    storage: Storage,
    outbound: Outbound,
    counted: IntCounterVec,
    url: String,
    secret: Secret,
    /// The cursor's name: no secret of the URL is in the database.
    name: String,
    holder: String,
    give_up: Duration,
    /// What was told last of each video that changes.
    told: HashMap<VideoId, &'static str>,
}

/// Sends to all receivers until the drain begins. Whoever is new is told what happens from now on.
///
/// # Errors
/// The secret cannot be read, or the database does not answer.
pub(crate) async fn start(
    storage: &Storage,
    outbound: &Outbound,
    metrics: &Metrics,
    config: &WebhooksConfig,
    spawn: impl Fn(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    hub: &Hub,
    stop: &CancellationToken,
) -> Result<(), ProcessError> {
    for url in &config.urls {
        let sender = Sender {
            storage: storage.clone(),
            outbound: outbound.clone(),
            counted: metrics.webhooks.clone(),
            url: url.clone(),
            secret: Secret::read(config.secret_file.as_deref())?,
            name: format!("webhook-{}", hex::encode(Sha256::digest(url))),
            holder: storage.ids.job().to_string(),
            give_up: Duration::from_millis(config.give_up_ms),
            told: HashMap::new(),
        };
        sender.claim().await?;
        spawn(Box::pin(sender.run(hub.clone(), stop.clone())));
    }
    Ok(())
}

impl Sender {
    async fn run(mut self, hub: Hub, stop: CancellationToken) {
        let mut wake = hub.listen();
        loop {
            let more = tokio::select! {
                sent = self.send_some() => sent.unwrap_or_else(|error| {
                    tracing::warn!(%error, "webhooks are not sent now");
                    false
                }),
                () = stop.cancelled() => return,
            };
            if !more {
                tokio::select! {
                    // Whatever woke us, the log itself says what is new.
                    _ = timeout(PAUSE, wake.recv()) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    /// How far its receiver is, if this origin has it.
    async fn claim(&self) -> Result<Option<u64>, StorageError> {
        let head = self.storage.log().head().await?;
        self.storage.cursors().claim(&self.name, &self.holder, head, CLAIM).await
    }

    /// Sends what is new, up to a batch. True when there may be more.
    async fn send_some(&mut self) -> Result<bool, StorageError> {
        let (log, cursors) = (self.storage.log(), self.storage.cursors());
        // Whoever is new is told what happens from now on.
        let head = log.head().await?;
        let Some(after) = cursors.claim(&self.name, &self.holder, head, CLAIM).await? else {
            return Ok(false);
        };
        let events = log.since(after, BATCH).await?;
        for event in &events {
            if let Some((video, state, data)) = self.news(event).await? {
                self.deliver(event, state, &data).await?;
                if self.told.len() >= MAX_TOLD {
                    self.told.clear();
                }
                if matches!(state, "deleted" | "ready" | "failed") {
                    self.told.remove(&video);
                } else {
                    self.told.insert(video, state);
                }
            }
            cursors.advance(&self.name, &self.holder, event.seq).await?;
        }
        Ok(events.len() as u64 == BATCH)
    }

    /// What an event tells of a video's state, if that is another than was told last.
    async fn news(
        &self,
        event: &Event,
    ) -> Result<Option<(VideoId, &'static str, serde_json::Value)>, StorageError> {
        let id = event.data.get("video").and_then(|id| id.as_str()).and_then(|id| id.parse::<VideoId>().ok());
        let Some(id) = id.filter(|id| event.tag == Tag::video(*id)) else { return Ok(None) };
        let videos = self.storage.videos();
        let (state, data) = match videos.get(id).await? {
            Some(video) if video.deleted_ms.is_none() => {
                let state = video.state.as_str();
                let view = VideoView::new(video, &videos.media(id).await?);
                (state, serde_json::to_value(view).unwrap_or_default())
            }
            _ if event.kind == EventKind::Deleted => ("deleted", serde_json::json!({ "id": id })),
            // What follows says that it is gone.
            _ => return Ok(None),
        };
        Ok((self.told.get(&id) != Some(&state)).then_some((id, state, data)))
    }

    /// Sends one message until it is taken, or given up.
    async fn deliver(
        &self,
        event: &Event,
        state: &str,
        data: &serde_json::Value,
    ) -> Result<(), StorageError> {
        let body = message::body(state, event.at_ms, data);
        let id = format!("msg_{}", event.seq);
        let (begun, (mut pause, longest)) = (Instant::now(), BACKOFF);
        loop {
            let now_s = self.storage.clock.now_ms() / 1_000;
            let headers = self.secret.headers(&id, now_s, &body);
            let why = match timeout(TAKE, self.outbound.post(&self.url, headers, body.clone())).await {
                Ok(Ok(status)) if status.is_success() => {
                    self.counted.with_label_values(&["taken"]).inc();
                    return Ok(());
                }
                Ok(Ok(status)) => format!("it answers {status}"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", TAKE.as_secs()),
            };
            self.counted.with_label_values(&["refused"]).inc();
            if begun.elapsed() + pause > self.give_up {
                tracing::warn!(id, why, "a webhook is given up");
                self.counted.with_label_values(&["given_up"]).inc();
                return Ok(());
            }
            tracing::debug!(id, why, "a webhook is sent again later");
            let (cursors, for_) = (self.storage.cursors(), pause + CLAIM);
            if cursors.claim(&self.name, &self.holder, event.seq, for_).await?.is_none() {
                return Err(StorageError::Fenced);
            }
            sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            pause = longest.min(pause * 2);
        }
    }
}
