//! The channels of this edge, and what is asked of an origin about them: one subscription a channel, however many listen.

use super::channel::{Applicant, Channel, Listener};
use super::client::{Aside, Client};
use super::ring::{Frame, MAX_FRAMES};
use crate::metrics::LiveCounts;
use crate::shares::{Share, Shares};
use serde_json::Value;
use sluice_wire::channel::{Ask, Frame as Said, Line, Revoked};
use sluice_wire::token::Revocations;
use sluice_wire::{Problem, Tag};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Channels at a time: at some 100 bytes each without frames a fraction of what their frames may take.
pub(super) const MAX_CHANNELS: usize = 16_384;
/// Bytes of frames that all channels keep.
const MAX_BYTES: usize = 64 << 20;
/// How long a channel is kept that nobody listens to: who lost a connection is back by then, at no cost to an origin.
const LINGER: Duration = Duration::from_secs(60);

/// The channels.
#[derive(Debug)]
pub(crate) struct Table {
    inner: Mutex<Inner>,
    /// Something is to be asked of an origin.
    asking: Notify,
    revoked: Arc<Revocations>,
    counts: LiveCounts,
}

#[derive(Debug, Default)]
struct Inner {
    channels: HashMap<Tag, Channel>,
    /// Who has begun how many of them.
    begun: Shares,
    bytes: usize,
    /// What is to be asked, one for each channel. Nothing while there is no connection: the next one asks for all channels.
    asks: BTreeMap<Tag, Ask>,
    /// Which connection to an origin may ask it.
    connection: u64,
    /// It is there.
    is_connected: bool,
    /// Something has come to be asked, and who waits for that is to be woken.
    is_news: bool,
}

impl Inner {
    fn ask(&mut self, channel: &Tag, now: Instant) {
        let Some(known) = self.channels.get_mut(channel) else { return };
        let ask = Ask::Subscribe { subscribe: channel.clone(), after: known.ask(now) };
        // Also where it is not kept: a connection is made for it.
        self.is_news = true;
        self.put(channel, ask);
    }

    /// Has the connection that is there ask something.
    fn put(&mut self, channel: &Tag, ask: Ask) {
        if self.is_connected {
            self.is_news = true;
            self.asks.insert(channel.clone(), ask);
        }
    }

    /// Makes room for frames: those whom nobody listens to give way first, then the channel that grows.
    fn make_room(&mut self, growing: &Tag) {
        if self.bytes <= MAX_BYTES {
            return;
        }
        for channel in self.channels.values_mut().filter(|channel| channel.idle_since.is_some()) {
            self.bytes -= channel.ring.bytes();
            channel.ring.shrink(0, 0);
        }
        if let Some(channel) = self.channels.get_mut(growing).filter(|_| self.bytes > MAX_BYTES) {
            self.bytes -= channel.ring.bytes();
            let left = channel.ring.bytes() / 2;
            channel.ring.shrink(MAX_FRAMES, left);
            self.bytes += channel.ring.bytes();
        }
    }

    fn remove(&mut self, channel: &Tag) {
        if let Some(gone) = self.channels.remove(channel) {
            self.bytes -= gone.ring.bytes();
            self.begun.remove(gone.begun_by);
            if gone.is_refused() {
                self.asks.remove(channel);
            } else {
                self.put(channel, Ask::Unsubscribe { unsubscribe: channel.clone() });
            }
        }
    }
}

impl Table {
    pub(crate) fn new(revoked: Arc<Revocations>, counts: LiveCounts) -> Self {
        Self { inner: Mutex::default(), asking: Notify::new(), revoked, counts }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut inner);
        let is_news = std::mem::take(&mut inner.is_news);
        self.counts.channels.set(inner.channels.len() as i64);
        drop(inner);
        // Nobody is woken by what was there before: who looks whether there is anything would wake itself.
        if is_news {
            self.asking.notify_waiters();
        }
        done
    }

    /// Subscribes a client to a channel: what comes of it waits for the client.
    ///
    /// # Errors
    /// 403 when the listener's token was revoked, 429 when it has begun as many channels as it may, 503 when there are too many
    /// channels, or nobody knows yet what was revoked.
    pub(super) fn subscribe(
        &self,
        client: &Arc<Client>,
        channel: &Tag,
        after: Option<u64>,
        listener: Option<Arc<Listener>>,
        share: Share,
    ) -> Result<(), Problem> {
        let now = Instant::now();
        self.locked(|inner| {
            // In here: a revocation that comes later finds the subscription.
            let revoked = |l: &Arc<Listener>| {
                let is = |name: &str| self.revoked.is_revoked(name, Some((channel, l.seen)), l.minted_ms);
                is(&l.subject) || l.session.as_deref().is_some_and(is)
            };
            if listener.as_ref().is_some_and(revoked) {
                return Err(super::token::revoked());
            }
            if listener.is_some() && !self.revoked.is_complete() {
                return Err(Problem::new(503, "revocations-unknown", "Not ready")
                    .detail("no origin has said yet which tokens were withdrawn; try again"));
            }
            let is_new = !inner.channels.contains_key(channel);
            if is_new {
                make_way(inner, share)?;
            }
            let begin = || Channel::new(channel.clone(), share.client, now);
            let known = inner.channels.entry(channel.clone()).or_insert_with(begin);
            let applicant = Applicant { client: Arc::clone(client), after, listener, since: now };
            if known.subscribe(applicant, now) || is_new {
                inner.ask(channel, now);
            }
            Ok(())
        })
    }

    /// Ends a client's subscription.
    pub(super) fn unsubscribe(&self, client: &Client, channel: &Tag) {
        self.locked(|inner| {
            if let Some(known) = inner.channels.get_mut(channel) {
                known.leave(client.id, Instant::now());
            }
        });
        client.forget(channel);
    }

    /// Takes what an origin says.
    pub(super) fn hear(&self, line: &Line, text: &Utf8Bytes) {
        let now = Instant::now();
        self.locked(|inner| {
            let Inner { channels, bytes, .. } = inner;
            let channel = match line {
                Line::Begun { channel, .. } | Line::Gap { channel, .. } | Line::Refused { channel, .. } => {
                    channel
                }
                Line::Frame(frame) => &frame.channel,
                Line::Aside(aside) => &aside.channel,
                Line::Heartbeat { .. } => return,
            };
            // What was let go of a moment ago may still be spoken of.
            let Some(known) = channels.get_mut(channel) else { return };
            *bytes -= known.ring.bytes();
            match line {
                Line::Begun { from, head, open, .. } => known.begun(*from, *head, *open),
                Line::Gap { gap, .. } => known.gap(*gap),
                Line::Aside(said) => {
                    known.aside(&Arc::new(Aside { text: text.clone(), data: said.aside.to_string() }));
                }
                Line::Refused { refused, .. } => known.refused(&no_channel(refused), now),
                Line::Frame(frame) => {
                    _ = known.frame(&Arc::new(Frame::new(frame.seq, text.clone())));
                    deleted(frame).into_iter().for_each(|message| known.ring.blank(message));
                }
                Line::Heartbeat { .. } => {}
            }
            *bytes += known.ring.bytes();
            inner.make_room(channel);
        });
    }

    /// Ends what a revocation is about.
    pub(crate) fn revoke(&self, said: &Revoked) {
        let (now, problem) = (Instant::now(), super::token::revoked());
        let (subject, of) = (&said.revoke.subject, said.revoke.channel.as_ref());
        let ended: usize = self.locked(|inner| {
            let named = |one: &Listener| one.subject == *subject || one.session.as_ref() == Some(subject);
            let gone = |one: &Listener| named(one) && said.ends(one.minted_ms, one.seen);
            let meant = |channel: &Tag| of.is_none_or(|named| named == channel);
            let channels = inner.channels.iter_mut().filter(|(name, _)| meant(name));
            channels.map(|(_, channel)| channel.end_of(gone, &problem, now)).sum()
        });
        self.counts.ended("revoked", ended);
    }

    /// What is due: questions that had to wait, subscriptions that have waited too long, channels nobody came back to.
    pub(super) fn sweep(&self) {
        self.sweep_at(Instant::now());
    }

    fn sweep_at(&self, now: Instant) {
        self.locked(|inner| {
            inner.channels.values_mut().for_each(|channel| channel.give_up(now));
            let due = inner.channels.iter().filter(|(_, channel)| channel.is_due(now));
            let due: Vec<Tag> = due.map(|(name, _)| name.clone()).collect();
            due.iter().for_each(|name| inner.ask(name, now));
            let over = inner.channels.iter().filter(|(_, channel)| channel.is_over(LINGER, now));
            let over: Vec<Tag> = over.map(|(name, _)| name.clone()).collect();
            over.iter().for_each(|name| inner.remove(name));
        });
    }

    /// Waits until there is a channel to ask an origin for.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn wanted(&self) {
        loop {
            let asking = self.asking.notified();
            if self.locked(|inner| inner.channels.values().any(|channel| !channel.is_refused())) {
                return;
            }
            asking.await;
        }
    }

    /// A connection to an origin is there: its number, and what to ask first, which is for all channels. What the one
    /// before was to ask is part of that.
    pub(super) fn connected(&self) -> (u64, Vec<Ask>) {
        let now = Instant::now();
        self.locked(|inner| {
            (inner.connection, inner.is_connected) = (inner.connection + 1, true);
            inner.asks.clear();
            let names: Vec<Tag> = inner.channels.keys().cloned().collect();
            names.iter().for_each(|name| inner.ask(name, now));
            let asks: Vec<Ask> = std::mem::take(&mut inner.asks).into_values().collect();
            self.counts.asked.inc_by(asks.len() as u64);
            (inner.connection, asks)
        })
    }

    /// A connection has ended: what it has not asked, the next one does.
    pub(super) fn parted(&self, connection: u64) {
        self.locked(|inner| {
            if inner.connection == connection {
                inner.is_connected = false;
                inner.asks.clear();
            }
        });
    }

    /// Waits for what is to be asked next; never again anything once another connection is there.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next_asks(&self, connection: u64) -> Vec<Ask> {
        loop {
            let asking = self.asking.notified();
            let taken = self.locked(|inner| {
                let ours = inner.connection == connection;
                if ours { std::mem::take(&mut inner.asks) } else { BTreeMap::new() }
            });
            if !taken.is_empty() {
                let subscribes = taken.values().filter(|ask| matches!(ask, Ask::Subscribe { .. })).count();
                self.counts.asked.inc_by(subscribes as u64);
                return taken.into_values().collect();
            }
            asking.await;
        }
    }
}

/// Makes way for a channel, and counts it for the client that begins it.
fn make_way(inner: &mut Inner, share: Share) -> Result<(), Problem> {
    let is_own = |channel: &Channel| channel.begun_by == share.client;
    if inner.begun.has(share.client) >= share.most && !evict(inner, is_own) {
        return Err(Problem::new(429, "too-many-channels", "Too many channels")
            .detail(format!("one client begins at most {} at this edge; leave some", share.most)));
    }
    if inner.channels.len() >= MAX_CHANNELS && !evict(inner, |_| true) {
        return Err(Problem::new(503, "too-many-channels", "Too many channels")
            .detail("this edge carries as many channels as it may"));
    }
    inner.begun.add(share.client);
    Ok(())
}

/// Lets go of the channel, of those meant, that nobody has listened to for longest; false when there is none.
fn evict(inner: &mut Inner, meant: impl Fn(&Channel) -> bool) -> bool {
    let meant = inner.channels.iter().filter(|(_, channel)| meant(channel));
    let idle = meant.filter_map(|(name, channel)| Some((channel.idle_since?, name)));
    let Some(oldest) = idle.min().map(|(_, name)| name.clone()) else { return false };
    inner.remove(&oldest);
    true
}

/// The message that a frame of a conversation says is deleted.
fn deleted(said: &Said) -> Option<&str> {
    let field = |name: &str| said.data.get(name).and_then(Value::as_str);
    field("id").filter(|_| field("type") == Some("delete"))
}

fn no_channel(why: &str) -> Problem {
    Problem::new(404, "no-channel", "No such channel").detail(why)
}

#[cfg(test)]
mod tests;
