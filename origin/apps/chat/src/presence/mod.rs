//! Who is here: in memory, and told to other processes by the bus; nothing of it is ever written.
//!
//! A device says that it is there every 20 s; who was not heard of for 45 s is not there. What changed is told to the other
//! processes once a second, all of it in one message. Where the bus ends with the process (no Redis), each process knows
//! those who speak to it, and takes all others for absent.
//!
//! Who has a conversation open, or types in it, is told to those who listen to it too, in an aside of its channel: once a second
//! what is new of all who are there, each with the time until which it counts. Nobody has to be told that somebody is gone.

pub(crate) mod http;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_storage::{Bus, Message, SharedClock};
use sluice_wire::AccountId;
use sluice_wire::channel::{ASIDES, Aside};
use tokio_util::sync::CancellationToken;

use crate::ConversationId;
use crate::ids::tag;

/// Where processes tell each other who is there.
pub(crate) const TOPIC: &str = "chat.presence";
/// How long somebody is there without a word: two beats of 20 s, and a slow network.
const HERE_MS: u64 = 45_000;
/// How long somebody types without a word.
const TYPES_MS: u64 = 8_000;
/// Between two messages to other processes.
const TELL: Duration = Duration::from_secs(1);
/// Accounts known of at once: some 20 MB. Of more, those who come last are not known of.
const MAX_ACCOUNTS: usize = 200_000;
/// Beats of a message: a fraction of what the bus takes.
const MAX_BEATS: usize = 5_000;
/// People of one aside, and asides of a message: a fraction of what a channel and the bus take.
const MAX_TOLD: usize = 100;
/// See [`MAX_TOLD`].
const MAX_ASIDES: usize = 64;

/// What somebody says of themself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Online,
    Typing,
    Offline,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beat {
    account: AccountId,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    types_in: Option<ConversationId>,
    /// What is open before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<ConversationId>,
    /// It was the last: it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

impl Beat {
    /// Until when somebody is here, and types.
    const fn until_ms(&self) -> (u64, u64) {
        let here = if self.gone { 0 } else { HERE_MS };
        let types = if self.types_in.is_some() && !self.gone { TYPES_MS } else { 0 };
        (self.at_ms.saturating_add(here), self.at_ms.saturating_add(types))
    }

    /// What those who listen to a conversation are told.
    fn told(&self) -> Value {
        let (until_ms, types_ms) = self.until_ms();
        let mut told = json!({ "account": self.account, "until_ms": until_ms });
        if types_ms > self.at_ms {
            told["typing_until_ms"] = json!(types_ms);
        }
        told
    }
}

/// What conversations are told of these beats: one aside each.
fn asides<'a>(beats: impl IntoIterator<Item = &'a Beat>) -> Vec<Aside> {
    let mut by: BTreeMap<ConversationId, Vec<Value>> = BTreeMap::new();
    for beat in beats {
        if let Some(chat) = beat.types_in.or(beat.open) {
            by.entry(chat).or_default().push(beat.told());
        }
    }
    let pieces = by.into_iter().flat_map(|(chat, told)| {
        let pieces: Vec<Vec<Value>> = told.chunks(MAX_TOLD).map(<[Value]>::to_vec).collect();
        pieces.into_iter().map(move |told| (chat, told))
    });
    pieces.map(|(chat, told)| Aside { channel: tag(chat), aside: json!({ "presence": told }) }).collect()
}

/// Who is here. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    bus: Bus,
    clock: SharedClock,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    here: HashMap<AccountId, Beat>,
    /// Heard of since others were told.
    fresh: HashMap<AccountId, Beat>,
}

impl Known {
    /// Takes a beat, unless a later one is known, or too many are. True when it was taken.
    fn hear(&mut self, beat: &Beat, now_ms: u64) -> bool {
        // A clock that is ahead makes nobody be here for longer.
        let beat = Beat { at_ms: beat.at_ms.min(now_ms), ..beat.clone() };
        if self.here.get(&beat.account).is_some_and(|known| known.at_ms > beat.at_ms) {
            return false;
        }
        if self.here.len() >= MAX_ACCOUNTS && !self.here.contains_key(&beat.account) {
            self.here.retain(|_, known| known.at_ms + HERE_MS > now_ms);
            if self.here.len() >= MAX_ACCOUNTS {
                return false;
            }
        }
        self.here.insert(beat.account, beat);
        true
    }

    /// Whether somebody is here, and types in a conversation.
    fn state(&self, who: AccountId, within: Option<ConversationId>, now_ms: u64) -> (bool, bool) {
        let Some(beat) = self.here.get(&who) else { return (false, false) };
        let (until_ms, types_ms) = beat.until_ms();
        (now_ms < until_ms, beat.types_in == within && now_ms < types_ms)
    }
}

impl Presence {
    pub(crate) fn new(bus: Bus, clock: SharedClock) -> Self {
        Self { bus, clock, known: Arc::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when other processes hear of those who are here.
    fn is_of_all(&self) -> bool {
        self.bus.reaches_others()
    }

    /// Somebody is here, or gone.
    fn beat(&self, account: AccountId, state: State, within: Option<ConversationId>) {
        let now_ms = self.clock.now_ms();
        let (types_in, open) = if state == State::Typing { (within, None) } else { (None, within) };
        let beat = Beat { account, at_ms: now_ms, types_in, open, gone: state == State::Offline };
        let mut known = self.lock();
        if known.hear(&beat, now_ms) {
            known.fresh.insert(account, beat);
        }
    }

    fn state(&self, who: AccountId, within: Option<ConversationId>) -> (bool, bool) {
        self.lock().state(who, within, self.clock.now_ms())
    }

    /// Tells other processes, and hears from them, until this one ends.
    pub(crate) async fn exchange(self, drain: CancellationToken) {
        let mut heard = self.bus.subscribe(TOPIC);
        let mut tick = tokio::time::interval(TELL);
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = tick.tick() => self.tell().await,
                message = heard.recv() => match message {
                    Some(Message::Data(bytes)) => self.hear(&bytes),
                    // Who is here says so again within 20 s.
                    Some(Message::Lagged) => {}
                    None => tokio::time::sleep(TELL).await,
                }
            }
        }
    }

    fn hear(&self, bytes: &[u8]) {
        let Ok(beats) = serde_json::from_slice::<Vec<Beat>>(bytes) else {
            tracing::debug!("a message of presence that is not understood");
            return;
        };
        let (now_ms, mut known) = (self.clock.now_ms(), self.lock());
        beats.iter().for_each(|beat| _ = known.hear(beat, now_ms));
    }

    async fn tell(&self) {
        let fresh: Vec<Beat> = std::mem::take(&mut self.lock().fresh).into_values().collect();
        for beats in fresh.chunks(MAX_BEATS) {
            self.publish(TOPIC, &beats).await;
        }
        for asides in asides(&fresh).chunks(MAX_ASIDES) {
            self.publish(ASIDES, &asides).await;
        }
    }

    async fn publish(&self, topic: &str, said: &impl Serialize) {
        let Ok(text) = serde_json::to_vec(said) else { return };
        if let Err(error) = self.bus.publish(topic, &text).await {
            tracing::debug!(%error, topic, "presence is not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_storage::ManualClock;

    fn who(n: u32) -> AccountId {
        AccountId::from_parts(1_800_000_000_000, n)
    }

    #[test]
    fn who_is_silent_is_gone_and_an_older_beat_changes_nothing() {
        let (mut known, there) = (Known::default(), ConversationId::from_parts(1_800_000_000_000, 9));
        let beat = |at_ms, types_in| Beat { account: who(1), at_ms, types_in, open: None, gone: false };
        assert!(known.hear(&beat(10_000, Some(there)), 10_000));
        assert!(!known.hear(&beat(9_000, None), 10_000));
        assert_eq!(known.state(who(1), Some(there), 10_001), (true, true));
        assert_eq!(known.state(who(1), None, 10_001), (true, false));
        assert_eq!(known.state(who(1), Some(there), 10_000 + TYPES_MS), (true, false));
        assert_eq!(known.state(who(1), Some(there), 10_000 + HERE_MS), (false, false));
        assert!(known.hear(&beat(99_000, None), 11_000), "a clock ahead is held back");
        assert_eq!(known.state(who(1), None, 11_000 + HERE_MS), (false, false));
        assert!(known.hear(&Beat { gone: true, ..beat(11_000, None) }, 12_000));
        assert_eq!(known.state(who(1), None, 12_000), (false, false), "who says so is gone at once");
    }

    #[test]
    fn a_conversation_is_told_of_all_who_are_there_in_one_aside() {
        let [a, b] = [7, 8].map(|n| ConversationId::from_parts(1_800_000_000_000, n));
        let beat = |n, types_in, open| Beat { account: who(n), at_ms: 5_000, types_in, open, gone: n == 4 };
        let beats =
            [beat(1, Some(a), None), beat(2, None, Some(a)), beat(3, None, None), beat(4, None, Some(b))];
        let told = asides(&beats);
        assert_eq!(told.len(), 2);
        let (here, types) = (5_000 + HERE_MS, 5_000 + TYPES_MS);
        assert_eq!(
            told[0].aside,
            json!({ "presence": [
                { "account": who(1), "until_ms": here, "typing_until_ms": types },
                { "account": who(2), "until_ms": here },
            ] })
        );
        assert_eq!(told[1].aside, json!({ "presence": [{ "account": who(4), "until_ms": 5_000 }] }));
    }

    #[tokio::test]
    async fn processes_on_one_bus_know_of_each_others_accounts() {
        let (bus, clock) = (Bus::local(), ManualClock::at(1_800_000_000_000));
        let drain = CancellationToken::new();
        let [a, b] = std::array::from_fn(|_| Presence::new(bus.clone(), Arc::clone(&clock) as _));
        let mut tasks = tokio::task::JoinSet::new();
        for one in [&a, &b] {
            tasks.spawn(one.clone().exchange(drain.clone()));
        }
        assert_eq!(b.state(who(1), None), (false, false));
        let heard = async {
            // Again and again: who listens later than it was told has missed it.
            while b.state(who(1), None) != (true, false) {
                a.beat(who(1), State::Online, None);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(TELL * 20, heard).await.unwrap();
        drain.cancel();
        tasks.join_all().await;
    }
}
