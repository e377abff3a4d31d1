//! Live channels: what an origin and an edge say to each other of them, and what events say to subscribers.
//!
//! A channel is a tag, its sequence numbers are the tag's versions: 1 upwards without gaps, in the order committed. What
//! is for subscribers stands in an event's data under `live`, what ends sessions under `revoke`.
//!
//! ```text
//! edge -> origin   {"subscribe":"chat:1","after":12}   {"unsubscribe":"chat:1"}
//! origin -> edge   {"channel":"chat:1","from":12,"head":14,"open":false}   then frames, or first
//!                  {"channel":"chat:1","gap":{"from":13,"to":40}}
//!                  {"channel":"chat:1","aside":{}}   {"channel":"x","refused":"why"}   {"heartbeat":4711}
//! ```
//!
//! An *aside* is true for a moment and kept nowhere (who is here, who types): it has no number, and who misses one has missed it.

use crate::event::Event;
use crate::tag::Tag;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where an origin is asked for channels: a WebSocket of text messages, an [`Ask`] or a [`Line`] each.
pub const PATH: &str = "/v1/channels";
/// Where an origin is asked for the revocations that still count: newline-delimited JSON, a [`Revoked`] each. An edge that
/// starts has not heard them.
pub const REVOCATIONS: &str = "/v1/revocations";
/// How long a revocation counts, in milliseconds: tokens are minted for less.
pub const REVOKED_MS: u64 = 3_600_000;
/// Revocations that count at a time: a company that is logged out whole.
pub const MAX_REVOKED: usize = 100_000;
/// Where an event's data has what is for subscribers.
pub const LIVE: &str = "live";
/// Where an event's data has a [`Revocation`].
pub const REVOKE: &str = "revoke";
/// Bytes of JSON that subscribers are given of one event: a long message with its sender; files are named, not sent.
pub const MAX_LIVE: usize = 16 << 10;
/// Frames that are replayed to one who is behind; who is further is told of a gap. At ten frames a second this is what a
/// busy room says in a minute and a half.
pub const MAX_REPLAY: u64 = 1_000;
/// Frames that an edge asks for beyond what the first who comes back has missed: who lost the same connection has heard
/// some more or some less, and needs no question of its own.
pub const SPARE_REPLAY: u64 = 64;
/// The bus's topic of asides: a list of [`Aside`]s in each message.
pub const ASIDES: &str = "channels.asides";
/// Bytes of a subject that a revocation names.
pub const MAX_SUBJECT: usize = 256;

/// What subscribers get of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The channel.
    pub channel: Tag,
    /// The channel's sequence number: the tag's version.
    pub seq: u64,
    /// When the write was committed, in Unix milliseconds.
    pub at_ms: u64,
    /// What the write says to subscribers; null when it says nothing.
    pub data: Value,
}

impl Frame {
    /// An event as subscribers get it. What is longer than [`MAX_LIVE`] is left out: the number stays, so that nobody
    /// takes it for a loss on the way.
    #[must_use]
    pub fn of_event(event: &Event) -> Self {
        let live = event.data.get(LIVE).filter(|live| live.to_string().len() <= MAX_LIVE);
        Self {
            channel: event.tag.clone(),
            seq: event.version.0,
            at_ms: event.at_ms,
            data: live.cloned().unwrap_or_default(),
        }
    }
}

/// What is said on a channel beside its frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// The channel.
    pub channel: Tag,
    /// What is said; at most [`MAX_LIVE`] bytes.
    pub aside: Value,
}

/// Numbers that are not replayed, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What an edge asks of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ask {
    /// Frames of a channel. Asked again, the subscription begins anew.
    Subscribe {
        /// The channel.
        subscribe: Tag,
        /// The last number that is known; from now on without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    /// No more of a channel.
    Unsubscribe {
        /// The channel.
        unsubscribe: Tag,
    },
}

/// What an origin tells an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A subscription begins.
    Begun {
        /// The channel.
        channel: Tag,
        /// The number before the first frame. Below what was asked for, the channel has another past than the asker knows.
        from: u64,
        /// The channel's number now.
        head: u64,
        /// True when anybody may listen.
        open: bool,
    },
    /// A frame.
    Frame(Frame),
    /// Some frames are not replayed: they are too many.
    Gap {
        /// The channel.
        channel: Tag,
        /// Which.
        gap: Gap,
    },
    /// What is said beside the frames.
    Aside(Aside),
    /// There is no subscription.
    Refused {
        /// The channel.
        channel: Tag,
        /// Why, for a person to read.
        refused: String,
    },
    /// The origin lives.
    Heartbeat {
        /// How far in the log it is.
        heartbeat: u64,
    },
}

/// Ends what a subject was let in to: its tokens from before are refused, as [`Revoked::ends`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose tokens.
    pub subject: String,
    /// For this channel alone; for everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Tag>,
    /// Whether the subject never comes again, as a session that has ended: none of its tokens is good then, whenever it was minted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_good: bool,
}

impl Revocation {
    /// Of a session that has ended.
    #[must_use]
    pub fn of_session(session: impl ToString) -> Self {
        Self { subject: session.to_string(), channel: None, for_good: true }
    }

    /// Of what an account's tokens say, whichever session they are of: those that are minted after it are good.
    #[must_use]
    pub fn of_account(account: impl ToString) -> Self {
        Self { subject: account.to_string(), channel: None, for_good: false }
    }

    /// The revocation in an event, if there is one.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<Self> {
        let said = event.data.get(REVOKE)?;
        let read: Self = serde_json::from_value(said.clone()).ok()?;
        (1..=MAX_SUBJECT).contains(&read.subject.len()).then_some(read)
    }
}

/// A revocation, and when it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// What was said.
    pub revoke: Revocation,
    /// When it was begun to be committed, in Unix milliseconds.
    pub at_ms: u64,
    /// The channel's number that it has, where it is about one channel and said on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

impl Revoked {
    /// The revocation in an event, if there is one.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<Self> {
        let revoke = Revocation::of_event(event)?;
        let is_of_it = revoke.channel.as_ref() == Some(&event.tag);
        Some(Self { revoke, at_ms: event.at_ms, version: is_of_it.then_some(event.version.0) })
    }

    /// True when it ends a token of its subject: each, where that never comes again. Where a token says which number the channel had
    /// when it was looked up whether its bearer may listen (`seen`), numbers decide: no clock has a part in it, nor how long it took
    /// to commit. Otherwise it is when the token was minted.
    #[must_use]
    pub fn ends(&self, minted_ms: u64, seen: Option<u64>) -> bool {
        match (self.version, seen) {
            _ if self.revoke.for_good => true,
            (Some(said), Some(seen)) => said > seen,
            _ => minted_ms <= self.at_ms,
        }
    }
}

/// An event as the log's feed has it: without what is for subscribers alone.
pub fn strip(event: &mut Event) {
    if let Some(data) = event.data.as_object_mut() {
        data.remove(LIVE);
    }
}

/// True when a list of names covers a channel: by its name, or by a beginning that ends in `*`.
#[must_use]
pub fn covers(names: &[String], channel: &Tag) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(prefix) => channel.as_str().starts_with(prefix),
        None => name == channel.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::tag::Version;
    use proptest::prelude::*;
    use serde_json::json;

    fn event(data: Value) -> Event {
        let tag = Tag::new("chat:1").unwrap();
        Event { seq: 9, tag, version: Version(3), kind: EventKind::Changed, at_ms: 7, data }
    }

    #[test]
    fn subscribers_get_what_is_theirs_and_the_feed_does_not() {
        let mut event = event(json!({ "live": { "text": "hi" }, "soft": true }));
        let frame = Frame::of_event(&event);
        assert_eq!((frame.seq, frame.at_ms, &frame.data), (3, 7, &json!({ "text": "hi" })));
        strip(&mut event);
        assert_eq!(event.data, json!({ "soft": true }));
        assert_eq!(Frame::of_event(&event).data, Value::Null);
        event.data = json!({ "live": "x".repeat(MAX_LIVE) });
        assert_eq!(Frame::of_event(&event).data, Value::Null, "too long");
    }

    #[test]
    fn revocations_are_read_or_passed_over() {
        let of = |data| Revocation::of_event(&event(data));
        let whole = of(json!({ "revoke": { "subject": "u1" } })).unwrap();
        assert_eq!((whole.subject.as_str(), whole.channel), ("u1", None));
        assert!(of(json!({ "revoke": { "subject": "u1", "channel": "chat:1" } })).unwrap().channel.is_some());
        for bad in [json!(null), json!({}), json!({ "revoke": {} }), json!({ "revoke": { "subject": "" } })] {
            assert_eq!(of(bad), None);
        }
    }

    #[test]
    fn numbers_decide_where_both_sides_have_them_and_times_where_not() {
        let said = |data| Revoked::of_event(&event(data)).unwrap();
        let out = said(json!({ "revoke": { "subject": "u1", "channel": "chat:1" } }));
        assert_eq!((out.at_ms, out.version), (7, Some(3)));
        assert!(out.ends(1_000, Some(2)), "minted later by a clock, looked up before");
        assert!(!out.ends(1, Some(3)), "minted earlier by a clock, looked up after");
        assert!(out.ends(7, None) && !out.ends(8, None));
        for whole in [json!({ "subject": "u1" }), json!({ "subject": "u1", "channel": "chat:2" })] {
            let said = said(json!({ "revoke": whole }));
            assert_eq!(said.version, None);
            assert!(said.ends(7, Some(9)) && !said.ends(8, Some(1)));
        }
        let old: Revoked = serde_json::from_str(r#"{"revoke":{"subject":"u1"},"at_ms":7}"#).unwrap();
        assert_eq!(old.version, None);
    }

    #[test]
    fn names_cover_themselves_and_prefixes_what_is_below() {
        let covered = |names: &[&str], channel: &str| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            covers(&names, &Tag::new(channel).unwrap())
        };
        assert!(
            covered(&["a", "chat:1"], "chat:1") && covered(&["chat:*"], "chat:1") && covered(&["*"], "x")
        );
        assert!(!covered(&["chat:1"], "chat:12") && !covered(&["chat:*"], "cha") && !covered(&[], "x"));
    }

    proptest! {
        #[test]
        fn lines_are_read_as_they_were_said(seq in any::<u64>(), to in any::<u64>(), open in any::<bool>(), text in ".{0,20}") {
            let channel = Tag::new("a:1").unwrap();
            for line in [
                Line::Begun { channel: channel.clone(), from: seq, head: to, open },
                Line::Frame(Frame { channel: channel.clone(), seq, at_ms: to, data: json!({ "gap": text, "from": 1 }) }),
                Line::Frame(Frame { channel: channel.clone(), seq, at_ms: to, data: Value::Null }),
                Line::Gap { channel: channel.clone(), gap: Gap { from: seq, to } },
                Line::Aside(Aside { channel: channel.clone(), aside: json!({ "gap": text }) }),
                Line::Refused { channel: channel.clone(), refused: text.clone() },
                Line::Heartbeat { heartbeat: seq },
            ] {
                let said = serde_json::to_string(&line).unwrap();
                prop_assert_eq!(serde_json::from_str::<Line>(&said).unwrap(), line);
            }
            for ask in [
                Ask::Subscribe { subscribe: channel.clone(), after: open.then_some(seq) },
                Ask::Unsubscribe { unsubscribe: channel },
            ] {
                let said = serde_json::to_string(&ask).unwrap();
                prop_assert_eq!(serde_json::from_str::<Ask>(&said).unwrap(), ask);
            }
        }
    }
}
