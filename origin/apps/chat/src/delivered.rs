//! How far messages came to devices, told to the others in direct conversations and groups: true for a moment, and so an aside of
//! the conversation's channel, `{"delivered":[{"account":ID,"seq":7}]}`, at most once a second.
//!
//! What was read is a receipt, an event, which says it too (`receipts`). What is delivered and not read is asked for by whoever
//! missed the aside, by `GET .../members`; so a process that ends owes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sluice_wire::AccountId;
use sluice_wire::channel::Aside;

use crate::ConversationId;
use crate::conversations::Kind;
use crate::ids::tag;
use crate::presence::Presence;
use crate::record::Inside;

/// Moves that are kept for the next second: more devices than a database could keep cursors of. Of one more nothing is told.
const MAX_MOVED: usize = 10_000;
/// Accounts of an aside: a fraction of what a channel takes.
const MAX_TOLD: usize = 100;

/// How far messages came to whom since it was told. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivered(Arc<Mutex<HashMap<(ConversationId, AccountId), i64>>>);

impl Delivered {
    /// A device of a member, who stood as `me`, has all up to `delivered`. What is no message counts for nothing, and channels are
    /// for many: nothing is told there.
    pub(crate) fn moved(&self, chat: ConversationId, who: AccountId, me: &Inside, delivered: i64) {
        let (seq, of_few) = (delivered.min(me.message_seq), [Kind::Direct, Kind::Group]);
        if seq <= me.delivered_seq || !of_few.iter().any(|kind| kind.as_str() == me.kind) {
            return;
        }
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.len() < MAX_MOVED || moved.contains_key(&(chat, who)) {
            let furthest = moved.entry((chat, who)).or_insert(seq);
            *furthest = seq.max(*furthest);
        }
    }

    /// Tells those who listen what moved since the last time.
    pub(crate) async fn tell(&self, presence: &Presence) {
        let asides = self.take();
        presence.tell_asides(&asides).await;
    }

    fn take(&self) -> Vec<Aside> {
        let moved = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told: BTreeMap<ConversationId, Vec<Value>> = BTreeMap::new();
        for ((chat, account), seq) in moved {
            told.entry(chat).or_default().push(json!({ "account": account, "seq": seq }));
        }
        let mut asides = vec![];
        for (chat, accounts) in told {
            let pieces = accounts.chunks(MAX_TOLD).map(|accounts| json!({ "delivered": accounts }));
            asides.extend(pieces.map(|aside| Aside { channel: tag(chat), aside }));
        }
        asides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(kind: &str) -> Inside {
        Inside {
            account: 1,
            kind: kind.into(),
            seq: 50,
            message_seq: 40,
            name: "ann".into(),
            role: "member".into(),
            delivered_seq: 10,
            read_seq: 10,
            told_seq: 10,
            told_ms: 0,
        }
    }

    #[test]
    fn what_came_further_is_told_once_and_never_in_channels() {
        let (chat, who) = (ConversationId::from_parts(1_800_000_000_000, 1), AccountId::from_parts(1, 2));
        let delivered = Delivered::default();
        for (kind, to) in [("channel", 20), ("private", 20), ("group", 10)] {
            delivered.moved(chat, who, &stands(kind), to);
        }
        assert_eq!(delivered.take().len(), 0);
        // What came after the last message is receipts.
        for to in [20, 50, 30] {
            delivered.moved(chat, who, &stands("direct"), to);
        }
        let told = delivered.take();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].aside, json!({ "delivered": [{ "account": who, "seq": 40 }] }));
        assert_eq!(delivered.take().len(), 0);
    }
}
