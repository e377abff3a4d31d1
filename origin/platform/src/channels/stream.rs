//! One edge's subscriptions: what it asks, what it is told.

use super::Channels;
use futures::{SinkExt, StreamExt};
use sluice_service::Pipe;
use sluice_wire::channel::{Aside, Ask, Frame, Gap, Line, MAX_REPLAY, SPARE_REPLAY};
use sluice_wire::{Event, Tag, Version};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Subscriptions of one edge: all channels that an edge holds, and those it has just let go.
const MAX_SUBSCRIPTIONS: usize = 20_000;
/// How often an edge is told that this origin lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Silence of an edge after which it is gone: it answers each second's heartbeat.
const SILENCE: Duration = Duration::from_secs(30);
/// Time in which an edge must take what it is told.
const TAKEN: Duration = Duration::from_secs(10);
/// Events read in one go when some were missed.
const PAGE: u64 = 500;
/// Frames of one replay.
const MOST: u64 = MAX_REPLAY + SPARE_REPLAY;

/// A stream under way.
pub(super) struct Stream {
    channels: Channels,
    socket: WebSocketStream<Pipe>,
    events: Receiver<Arc<Event>>,
    asides: Receiver<Arc<Aside>>,
    /// How far in the log it is.
    seq: u64,
    /// Channels, and the last number sent of each.
    sent: HashMap<Tag, u64>,
    heard: Instant,
}

impl Stream {
    /// Serves an edge until either side ends.
    ///
    /// # Errors
    /// Why it ended before its time.
    pub(super) async fn run(channels: Channels, socket: WebSocketStream<Pipe>) -> Result<(), String> {
        // Listening first: what is written after the head is heard.
        let (events, asides) = (channels.hub.listen(), channels.asides.listen());
        let seq = channels.log.head().await.map_err(|error| error.to_string())?;
        let stop = channels.drain.token();
        let (sent, heard) = (HashMap::new(), Instant::now());
        let mut stream = Self { channels, socket, events, asides, seq, sent, heard };
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                said = stream.socket.next() => match said {
                    Some(said) => stream.heard(said.map_err(|error| error.to_string())?).await?,
                    None => return Ok(()),
                },
                event = stream.events.recv() => match event {
                    Ok(event) => stream.written(&event).await?,
                    Err(RecvError::Lagged(_)) => stream.catch_up().await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                aside = stream.asides.recv() => match aside {
                    Ok(aside) if stream.sent.contains_key(&aside.channel) => {
                        stream.tell(&Line::Aside(Aside::clone(&aside))).await?;
                    }
                    // What was missed is not true any more.
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = heartbeat.tick() => {
                    if stream.heard.elapsed() > SILENCE {
                        return Err("silence".into());
                    }
                    stream.tell(&Line::Heartbeat { heartbeat: stream.seq }).await?;
                }
                () = stop.cancelled() => return stream.part().await,
            }
            stream.flush().await?;
        }
    }

    /// Takes what an edge says: any number of asks, a line each.
    async fn heard(&mut self, said: Message) -> Result<(), String> {
        self.heard = Instant::now();
        let Message::Text(text) = said else { return Ok(()) };
        let mut asked = vec![];
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line).map_err(|error| error.to_string())? {
                Ask::Unsubscribe { unsubscribe } => drop(self.sent.remove(&unsubscribe)),
                Ask::Subscribe { subscribe, after } => asked.push((subscribe, after)),
            }
        }
        let mut known = vec![];
        for (channel, after) in asked {
            match self.channels.names.is_open(&channel) {
                Some(_) if self.sent.len() + known.len() >= MAX_SUBSCRIPTIONS => {
                    self.refuse(channel, "too many subscriptions").await?;
                }
                Some(open) => known.push((channel, after, open)),
                None => self.refuse(channel, "there is no such channel").await?,
            }
        }
        let tags: Vec<Tag> = known.iter().map(|(channel, ..)| channel.clone()).collect();
        let versions = self.channels.log.versions_of(&tags).await.map_err(|error| error.to_string())?;
        for ((channel, after, open), (_, now)) in known.into_iter().zip(versions) {
            self.begin(channel, after, now.0, open).await?;
        }
        Ok(())
    }

    /// Begins a subscription after a number, now that the channel is at another; above that is another past.
    async fn begin(&mut self, channel: Tag, after: Option<u64>, now: u64, open: bool) -> Result<(), String> {
        self.channels.counts.subscriptions.inc();
        let from = after.unwrap_or(now).min(now);
        self.sent.insert(channel.clone(), from);
        self.tell(&Line::Begun { channel: channel.clone(), from, head: now, open }).await?;
        if now - from > MOST {
            self.sent.insert(channel.clone(), now);
            return self.tell(&Line::Gap { channel, gap: Gap { from: from + 1, to: now } }).await;
        }
        if from < now { self.replay(channel, from).await } else { Ok(()) }
    }

    /// Sends what the log has of a channel after a number.
    async fn replay(&mut self, channel: Tag, after: u64) -> Result<(), String> {
        let missed = self.channels.log.of_tag(&channel, Version(after), MOST).await;
        for event in missed.map_err(|error| error.to_string())? {
            self.sent.insert(channel.clone(), event.version.0);
            self.frame(&event).await?;
        }
        Ok(())
    }

    async fn refuse(&mut self, channel: Tag, why: &str) -> Result<(), String> {
        self.tell(&Line::Refused { channel, refused: why.into() }).await
    }

    /// Passes on an event that is new in the log, if it is of a channel that was asked for.
    async fn written(&mut self, event: &Event) -> Result<(), String> {
        self.seq = self.seq.max(event.seq);
        match self.sent.get_mut(&event.tag) {
            Some(sent) if event.version.0 == *sent + 1 => {
                *sent += 1;
                self.frame(event).await
            }
            Some(sent) if event.version.0 > *sent => {
                let sent = *sent;
                self.replay(event.tag.clone(), sent).await
            }
            // Sent already, or of no channel that anybody listens to.
            _ => Ok(()),
        }
    }

    /// Reads from the log what the tail had no room to keep for this stream.
    async fn catch_up(&mut self) -> Result<(), String> {
        loop {
            let missed = self.channels.log.since(self.seq, PAGE).await.map_err(|error| error.to_string())?;
            if missed.is_empty() {
                return Ok(());
            }
            for event in missed {
                self.written(&event).await?;
            }
        }
    }

    async fn frame(&mut self, event: &Event) -> Result<(), String> {
        self.channels.counts.frames.inc();
        self.tell(&Line::Frame(Frame::of_event(event))).await
    }

    async fn tell(&mut self, line: &Line) -> Result<(), String> {
        let text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        let fed = timeout(TAKEN, self.socket.feed(Message::text(text))).await;
        fed.map_err(|_| "the edge takes nothing")?.map_err(|error| error.to_string())
    }

    async fn flush(&mut self) -> Result<(), String> {
        let flushed = timeout(TAKEN, self.socket.flush()).await;
        flushed.map_err(|_| "the edge takes nothing")?.map_err(|error| error.to_string())
    }

    /// The drain has begun: the edge goes on elsewhere.
    async fn part(&mut self) -> Result<(), String> {
        let close = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("draining") };
        let closed = timeout(HEARTBEAT, self.socket.close(Some(close))).await;
        closed.map_err(|_| "the edge takes nothing")?.map_err(|error| error.to_string())
    }
}
