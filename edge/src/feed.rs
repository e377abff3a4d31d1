//! The event feed: the origin's log, followed over HTTP.
//!
//! Where something outlives the process, a `journal` keeps what was heard: the next process goes on from there.

mod journal;
mod lines;

pub(crate) use journal::{Journal, distrust};
pub(crate) use lines::Kept;

use crate::cache::FeedMark;
use crate::edge::Shared;
use crate::{listed, purge};
use futures::TryStreamExt;
use sluice_wire::channel::{self, Revoked};
use sluice_wire::event::LogLine;
use sluice_wire::limits::MAX_CODEC_HEAD;
use sluice_wire::room::Said;
use sluice_wire::{EventKind, Tag};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep, timeout};

/// Silence after which the feed counts as dead; the origin speaks each second.
const SILENCE: Duration = Duration::from_secs(3);
/// Pauses between tries, doubled each time.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Whether the feed can be relied on: when the origin last spoke, in milliseconds since this was made, and 0 before.
#[derive(Debug)]
pub(crate) struct Liveness {
    since: Instant,
    heard_ms: AtomicU64,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { since: Instant::now(), heard_ms: AtomicU64::new(0) }
    }
}

impl Liveness {
    /// True while the origin has spoken lately: what changes is pushed.
    pub(crate) fn is_live(&self) -> bool {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        heard > 0 && self.now_ms().saturating_sub(heard) < SILENCE.as_millis() as u64
    }

    fn heard(&self) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        1 + self.since.elapsed().as_millis() as u64
    }
}

/// Follows the log until the drain begins.
pub(crate) async fn follow(edge: Arc<Shared>, journal: Option<Journal>) {
    let mut followed = Followed { cursor: journal.as_ref().and_then(Journal::cursor), journal };
    let mut pause = RETRY.0;
    let stop = edge.drain.token();
    loop {
        for origin in edge.all_origins() {
            let before = followed.cursor;
            tokio::select! {
                ended = read(&edge, &origin, &mut followed) => {
                    if let Err(why) = ended {
                        tracing::debug!(origin, why, "the event feed ended");
                    }
                }
                () = stop.cancelled() => return,
            }
            edge.metrics.feed_live.set(i64::from(edge.liveness.is_live()));
            if let Some(journal) = &mut followed.journal {
                journal.flush();
            }
            if followed.cursor != before {
                pause = RETRY.0;
            }
        }
        tokio::select! {
            () = sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
            () = stop.cancelled() => return,
        }
        pause = RETRY.1.min(pause * 2);
    }
}

/// How far the log was followed.
struct Followed {
    cursor: Option<u64>,
    journal: Option<Journal>,
}

impl Followed {
    /// Follows from this event on; what was kept before counts as stale. The journal says so first: what is kept from now on
    /// could not be told from that, should this process be killed before it has.
    async fn begin(&mut self, edge: &Shared, seq: u64) {
        if let Some(journal) = &mut self.journal {
            let mark = edge.floors.mark();
            journal.restart(FeedMark { epoch: mark.epoch + 1, seq, ..mark });
            journal.written().await;
        }
        edge.floors.restart(seq);
        edge.rooms.begin_anew();
        self.cursor = Some(seq);
    }
}

/// Reads one connection's lines. Without a cursor it begins at the log's present end, and what was kept before that is
/// asked for anew.
async fn read(edge: &Shared, origin: &str, followed: &mut Followed) -> Result<(), String> {
    let after = followed.cursor.map_or_else(String::new, |seq| format!("?after={seq}"));
    let request = edge.http.get(format!("{origin}/v1/log{after}")).send();
    let answer = timeout(SILENCE, request).await.map_err(|_| "no answer")?.map_err(|e| e.to_string())?;
    if answer.status() == reqwest::StatusCode::GONE {
        // The log is not the one that was followed before.
        followed.cursor = None;
        return Err("the log has another past".into());
    }
    let mut body = answer.error_for_status().map_err(|e| e.to_string())?.bytes_stream();
    if !edge.revoked.is_complete() {
        // Once the feed is there: what is said meanwhile is in it.
        revocations(edge, origin).await?;
    }
    edge.rooms.hear_from(origin);
    let mut buffer = Vec::new();
    loop {
        let piece =
            timeout(SILENCE, body.try_next()).await.map_err(|_| "silence")?.map_err(|e| e.to_string())?;
        buffer.extend_from_slice(&piece.ok_or("the origin ended it")?);
        while let Some(end) = buffer.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
            if let LogLine::Heartbeat { heartbeat } = line
                && followed.cursor.is_none()
            {
                followed.begin(edge, heartbeat).await;
            }
            apply(edge, line, followed);
        }
        if let Some(journal) = &mut followed.journal {
            journal.flush();
        }
        if buffer.len() > MAX_CODEC_HEAD {
            return Err("a line without an end".into());
        }
    }
}

/// Learns what was revoked before this process began. An origin that does not know of revocations has none. What cannot be read
/// hides nothing else, and may mean whatever was minted before.
async fn revocations(edge: &Shared, origin: &str) -> Result<(), String> {
    let (all, unread) = listed::readable::<Revoked>(edge, origin, channel::REVOCATIONS, SILENCE).await?;
    if unread > 0 {
        tracing::warn!(
            origin,
            unread,
            "of what was revoked some is not known: tokens from before are refused"
        );
        edge.revoked.unknown_until(unix_ms());
    }
    all.iter().for_each(|said| edge.revoked.hear(said, unix_ms()));
    edge.revoked.complete();
    Ok(())
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn apply(edge: &Shared, line: LogLine, followed: &mut Followed) {
    match line {
        LogLine::Heartbeat { .. } => edge.floors.settle(),
        LogLine::Event(event) => {
            let severity = edge.searches.aimed(|more| {
                let (aims, severity) = purge::of_event(&edge.tenants, &event, more);
                edge.floors.apply(&aims, severity, event.version, event.seq);
                severity
            });
            let now_ms = unix_ms();
            if event.tag == Tag::everything() {
                // As after a restore, with which versions go back.
                edge.rooms.begin_anew();
            }
            if let Some((name, said)) = Said::of_event(&event) {
                edge.rooms.hear(name, said, event.version);
            }
            if let Some(said) = Revoked::of_event(&event) {
                edge.revoked.hear(&said, now_ms);
                edge.channels.revoke(&said);
            }
            if event.kind == EventKind::Purged {
                edge.metrics.purged(severity);
                edge.report_now.notify_one();
            }
            followed.cursor = Some(event.seq);
            if let Some(journal) = &mut followed.journal {
                journal.note(&event);
            }
            edge.metrics.events.inc();
            let delay = Duration::from_millis(now_ms.saturating_sub(event.at_ms));
            edge.metrics.event_delay.with_label_values::<&str>(&[]).observe(delay.as_secs_f64());
        }
    }
    edge.liveness.heard();
    edge.metrics.feed_live.set(1);
}
