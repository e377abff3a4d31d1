//! Signs of life, as a process knows them: the last of each device, and what they say of an account together.
//!
//! An account is here while one of its devices is, and types while one of them does. So a telephone that is put away does not
//! hide the laptop that stays open, and a laptop's sign of life does not take back what is typed on the telephone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_wire::AccountId;
use sluice_wire::channel::Aside;

use crate::ConversationId;
use crate::ids::tag;

/// How long somebody is there without a word: two beats of 20 s, and a slow network.
const HERE_MS: u64 = 45_000;
/// How long somebody types without a word.
const TYPES_MS: u64 = 8_000;
/// Accounts known of at once: some 30 MB. Of more, those who come last are not known of.
const MAX_ACCOUNTS: usize = 200_000;
/// Devices of an account at once. Of more, those count that were heard of last.
const MAX_DEVICES: usize = 5;
/// People of one aside: a fraction of what a channel takes.
const MAX_TOLD: usize = 100;

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    pub(super) account: AccountId,
    /// The session that it came in, as a number: a device, or a browser with all its pages.
    #[serde(default)]
    pub(super) device: u64,
    pub(super) at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) types_in: Option<ConversationId>,
    /// What is open before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<ConversationId>,
    /// It was the last: it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gone: bool,
}

impl Beat {
    /// Until when the device is here, and types.
    const fn until_ms(&self) -> (u64, u64) {
        let here = if self.gone { 0 } else { HERE_MS };
        let types = if self.types_in.is_some() && !self.gone { TYPES_MS } else { 0 };
        (self.at_ms.saturating_add(here), self.at_ms.saturating_add(types))
    }

    /// True while it may say something of its account.
    const fn counts(&self, now_ms: u64) -> bool {
        self.at_ms.saturating_add(HERE_MS) > now_ms
    }
}

/// Who was heard of.
#[derive(Debug, Default)]
pub(super) struct Known {
    here: HashMap<AccountId, Vec<Beat>>,
    /// Heard of since others were told, by account and device.
    fresh: HashMap<(AccountId, u64), Beat>,
}

impl Known {
    /// Takes a beat, unless a later one of its device is known, or too many accounts are. True when it was taken.
    pub(super) fn hear(&mut self, beat: &Beat, now_ms: u64) -> bool {
        // A clock that is ahead makes nobody be here for longer.
        let beat = Beat { at_ms: beat.at_ms.min(now_ms), ..beat.clone() };
        if self.here.len() >= MAX_ACCOUNTS && !self.here.contains_key(&beat.account) {
            self.here.retain(|_, devices| devices.iter().any(|known| known.counts(now_ms)));
            if self.here.len() >= MAX_ACCOUNTS {
                return false;
            }
        }
        let devices = self.here.entry(beat.account).or_default();
        if devices.iter().any(|known| known.device == beat.device && known.at_ms > beat.at_ms) {
            return false;
        }
        devices.retain(|known| known.device != beat.device && known.counts(now_ms));
        if devices.len() >= MAX_DEVICES {
            let oldest = devices.iter().enumerate().min_by_key(|(_, known)| known.at_ms).map(|(n, _)| n);
            oldest.map(|n| devices.swap_remove(n));
        }
        devices.push(beat);
        true
    }

    /// Takes a beat of a device that speaks to this process: others are to be told.
    pub(super) fn hear_first(&mut self, beat: Beat, now_ms: u64) {
        if self.hear(&beat, now_ms) {
            self.fresh.insert((beat.account, beat.device), beat);
        }
    }

    /// What others were not told of yet.
    pub(super) fn take_fresh(&mut self) -> Vec<Beat> {
        std::mem::take(&mut self.fresh).into_values().collect()
    }

    /// Until when an account is here by one of its devices, and types in a conversation on one; 0 when it never was.
    fn until_ms(&self, who: AccountId, within: Option<ConversationId>) -> (u64, u64) {
        let devices = || self.here.get(&who).into_iter().flatten();
        let here = devices().map(|beat| beat.until_ms().0).max();
        let types = devices().filter(|beat| beat.types_in == within).map(|beat| beat.until_ms().1).max();
        (here.unwrap_or(0), types.unwrap_or(0))
    }

    /// Whether somebody is here, and types in a conversation.
    pub(super) fn state(&self, who: AccountId, within: Option<ConversationId>, now_ms: u64) -> (bool, bool) {
        let (until_ms, types_ms) = self.until_ms(who, within);
        (now_ms < until_ms, within.is_some() && now_ms < types_ms)
    }

    /// What those who listen to a conversation are told of somebody.
    fn told(&self, who: AccountId, chat: ConversationId, now_ms: u64) -> Value {
        let (until_ms, types_ms) = self.until_ms(who, Some(chat));
        let mut told = json!({ "account": who, "until_ms": until_ms });
        if types_ms > now_ms {
            told["typing_until_ms"] = json!(types_ms);
        }
        told
    }

    /// What the conversations of these beats are told: one aside each, or more where very many are there.
    pub(super) fn asides(&self, beats: &[Beat], now_ms: u64) -> Vec<Aside> {
        let mut by: BTreeMap<ConversationId, BTreeSet<AccountId>> = BTreeMap::new();
        for beat in beats {
            if let Some(chat) = beat.types_in.or(beat.open) {
                by.entry(chat).or_default().insert(beat.account);
            }
        }
        let mut asides = vec![];
        for (chat, who) in by {
            let told: Vec<Value> = who.into_iter().map(|who| self.told(who, chat, now_ms)).collect();
            let pieces = told.chunks(MAX_TOLD).map(|told| json!({ "presence": told }));
            asides.extend(pieces.map(|aside| Aside { channel: tag(chat), aside }));
        }
        asides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: u32) -> AccountId {
        AccountId::from_parts(1_800_000_000_000, n)
    }

    fn chat(n: u32) -> ConversationId {
        ConversationId::from_parts(1_800_000_000_000, n)
    }

    /// A device of the first account.
    fn beat(device: u64, at_ms: u64, types_in: Option<ConversationId>) -> Beat {
        Beat { account: who(1), device, at_ms, types_in, open: None, gone: false }
    }

    #[test]
    fn who_is_silent_is_gone_and_an_older_beat_changes_nothing() {
        let (mut known, there) = (Known::default(), chat(9));
        let beat = |at_ms, types_in| beat(1, at_ms, types_in);
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
    fn a_device_that_goes_hides_no_other_and_one_that_is_idle_stops_no_other_from_typing() {
        let (mut known, there) = (Known::default(), chat(9));
        let (phone, laptop) = (1, 2);
        known.hear_first(beat(phone, 10_000, Some(there)), 10_000);
        known.hear_first(Beat { open: Some(there), ..beat(laptop, 10_500, None) }, 10_500);
        assert_eq!(known.state(who(1), Some(there), 10_501), (true, true), "typed on the telephone");
        let fresh = known.take_fresh();
        assert_eq!(fresh.len(), 2, "other processes hear of both");
        let told = known.asides(&fresh, 11_000);
        let (here, types) = (10_500 + HERE_MS, 10_000 + TYPES_MS);
        let both = json!([{ "account": who(1), "until_ms": here, "typing_until_ms": types }]);
        assert_eq!((told.len(), &told[0].aside["presence"]), (1, &both), "one account is told of once");

        let put_away = Beat { gone: true, open: Some(there), ..beat(phone, 12_000, None) };
        known.hear_first(put_away, 12_000);
        assert_eq!(known.state(who(1), Some(there), 12_001), (true, false), "the laptop is open");
        let fresh = known.take_fresh();
        let told = known.asides(&fresh, 12_001);
        assert_eq!(told[0].aside, json!({ "presence": [{ "account": who(1), "until_ms": here }] }));
        known.hear_first(Beat { gone: true, ..beat(laptop, 13_000, None) }, 13_000);
        assert_eq!(known.state(who(1), None, 13_000), (false, false), "both are put away");
    }

    #[test]
    fn of_very_many_devices_those_heard_of_last_are_known() {
        let mut known = Known::default();
        for n in 0..20 {
            assert!(known.hear(&beat(n, 10_000 + n, None), 11_000));
        }
        let devices: BTreeSet<u64> = known.here[&who(1)].iter().map(|beat| beat.device).collect();
        assert_eq!(devices, (15..20).collect());
    }

    #[test]
    fn a_conversation_is_told_of_all_who_are_there_in_one_aside() {
        let [a, b] = [7, 8].map(chat);
        let beat = |n, types_in, open| {
            let (account, gone) = (who(n), n == 4);
            Beat { account, device: 1, at_ms: 5_000, types_in, open, gone }
        };
        let beats =
            [beat(1, Some(a), None), beat(2, None, Some(a)), beat(3, None, None), beat(4, None, Some(b))];
        let mut known = Known::default();
        beats.iter().for_each(|beat| assert!(known.hear(beat, 5_000)));
        let told = known.asides(&beats, 5_000);
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
}
