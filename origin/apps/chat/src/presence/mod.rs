//! Who is here: in memory, and told to other processes by the bus; nothing of it is ever written.
//!
//! A device says that it is there every 20 s; who was not heard of for 45 s, by any device, is not there (`known`). What changed
//! is told to the other processes once a second, all of it in one message. Where the bus ends with the process (no Redis), each
//! process knows those who speak to it, and takes all others for absent.
//!
//! Who has a conversation open, or types in it, is told to those who listen to it too, in an aside of its channel: once a second
//! what is new of all who are there, each with the time until which it counts. Nobody has to be told that somebody is gone.

pub(crate) mod http;
mod known;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use known::{Beat, Known};
use serde::Serialize;
use sluice_storage::{Bus, Message, SharedClock};
use sluice_wire::AccountId;
use sluice_wire::channel::{ASIDES, Aside};
use tokio_util::sync::CancellationToken;

use crate::ConversationId;

/// Where processes tell each other who is there.
pub(crate) const TOPIC: &str = "chat.presence";
/// Between two messages to other processes.
const TELL: Duration = Duration::from_secs(1);
/// Beats of a message: a fraction of what the bus takes.
const MAX_BEATS: usize = 5_000;
/// Asides of a message: a fraction of what the bus takes.
const MAX_ASIDES: usize = 64;

/// What somebody says of themself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Online,
    Typing,
    Offline,
}

/// Who is here. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    bus: Bus,
    clock: SharedClock,
    known: Arc<Mutex<Known>>,
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

    /// Somebody is here by one of their devices, or gone from it.
    pub(crate) fn beat(
        &self,
        (account, device): (AccountId, u64),
        state: State,
        within: Option<ConversationId>,
    ) {
        let at_ms = self.clock.now_ms();
        let (types_in, open) = if state == State::Typing { (within, None) } else { (None, within) };
        let beat = Beat { account, device, at_ms, types_in, open, gone: state == State::Offline };
        self.lock().hear_first(beat, at_ms);
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
        let (fresh, asides) = {
            let mut known = self.lock();
            let fresh = known.take_fresh();
            let asides = known.asides(&fresh, self.clock.now_ms());
            (fresh, asides)
        };
        for beats in fresh.chunks(MAX_BEATS) {
            self.publish(TOPIC, &beats).await;
        }
        self.tell_asides(&asides).await;
    }

    /// True for somebody who was heard of lately, as far as this process knows.
    pub(crate) fn is_here(&self, who: AccountId) -> bool {
        self.state(who, None).0
    }

    /// Tells those who listen something that is true for a moment.
    pub(crate) async fn tell_asides(&self, asides: &[Aside]) {
        for asides in asides.chunks(MAX_ASIDES) {
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
                a.beat((who(1), 1), State::Online, None);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(TELL * 20, heard).await.unwrap();
        drain.cancel();
        tasks.join_all().await;
    }
}
