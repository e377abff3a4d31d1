//! Who has read how far, told to the others: at most once a second for each account and conversation, and only for messages.
//!
//! The first move is told at once, in its own transaction. One within a second of what was told is owed: this process tells
//! how far it is then when the second is over. A process that ends in between owes it no more; the account's next move tells
//! it, and `GET .../members` knew it all along. That a receipt was told is no message, so that two who read each other's
//! receipts are silent. Channels are for many: nothing is told there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use sluice_platform::ApiError;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;
use tokio_util::sync::CancellationToken;

use crate::conversations::Kind;
use crate::record::{Happened, Inside, find_inside, happen};
use crate::rows::member;
use crate::{Chat, ConversationId};

/// Milliseconds between two receipts of one account in a conversation: a person does not read faster than a glance.
const APART_MS: i64 = 1_000;
/// Between two looks for what is owed.
const LOOK: Duration = Duration::from_millis(APART_MS as u64);
/// Receipts owed at most: more readers a second than a database could tell of. One more is told with its next move.
const MAX_OWED: usize = 10_000;

/// What became of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is not to be told, or was before.
    Settled,
    /// It is told with this seq.
    At(i64),
    /// It is to be told when a second is over.
    Later,
}

/// Receipts that are owed. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receipts(Arc<Mutex<HashSet<(ConversationId, AccountId)>>>);

impl Receipts {
    pub(crate) fn owe(&self, chat: ConversationId, who: AccountId) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owed.len() < MAX_OWED {
            owed.insert((chat, who));
        }
    }

    fn take(&self) -> HashSet<(ConversationId, AccountId)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is to be done about an account that has read up to `read`.
fn decide(me: &Inside, read: i64, now_ms: i64) -> (i64, Option<Told>) {
    let seen = read.max(me.read_seq).min(me.message_seq);
    let silent = [Kind::Channel, Kind::Private].iter().any(|kind| kind.as_str() == me.kind);
    if silent || seen <= me.told_seq {
        return (seen, Some(Told::Settled));
    }
    // A clock that went back says nothing of how long ago it was.
    let since = now_ms - me.told_ms;
    (seen, (0..APART_MS).contains(&since).then_some(Told::Later))
}

/// Keeps how far an account is, and tells the others, if it is time. Two statements, and what says it.
pub(crate) async fn moved(
    tx: &Tx<'_>,
    chat: ConversationId,
    who: AccountId,
    me: &Inside,
    (delivered, read): (i64, i64),
) -> Result<Told, ApiError> {
    let now_ms = signed(tx.now_ms());
    let (seen, done) = decide(me, read, now_ms);
    let (delivered, read) = (delivered.max(me.delivered_seq), read.max(me.read_seq));
    let mut keep = member::Entity::update_many()
        .col_expr(member::Column::DeliveredSeq, Expr::value(delivered))
        .col_expr(member::Column::ReadSeq, Expr::value(read));
    if done.is_none() {
        keep = keep
            .col_expr(member::Column::ToldSeq, Expr::value(seen))
            .col_expr(member::Column::ToldMs, Expr::value(now_ms));
    }
    if done.is_none() || (delivered, read) != (me.delivered_seq, me.read_seq) {
        keep.filter(member::Column::Chat.eq(chat.as_i64()))
            .filter(member::Column::Account.eq(who.as_i64()))
            .exec(tx.conn())
            .await?;
    }
    if let Some(told) = done {
        return Ok(told);
    }
    let more = json!({ "account": who, "read": seen, "delivered": delivered });
    happen(tx, chat, Happened::new("receipt", who, more)).await.map(Told::At)
}

/// Tells what is owed, and what was delivered, until the process ends, and once more then.
pub(crate) async fn tell_late(chat: Chat, drain: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = drain.cancelled() => {}
        }
        for (id, who) in chat.receipts.take() {
            if let Err(error) = tell(&chat, id, who).await {
                tracing::debug!(?error, %id, "a receipt is told with the next one");
            }
        }
        chat.delivered.tell(&chat.presence).await;
        if drain.is_cancelled() {
            return;
        }
    }
}

async fn tell(chat: &Chat, id: ConversationId, who: AccountId) -> Result<(), ApiError> {
    let _turn = chat.turns.of(id).await?;
    let told = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            match find_inside(tx.conn(), id, who).await? {
                Some(me) => moved(tx, id, who, &me, (me.delivered_seq, me.read_seq)).await,
                None => Ok(Told::Settled),
            }
        })
    });
    if told.await? == Told::Later {
        chat.receipts.owe(id, who);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(kind: &str, told: (i64, i64)) -> Inside {
        Inside {
            account: 1,
            kind: kind.into(),
            seq: 50,
            message_seq: 40,
            name: "ann".into(),
            role: "member".into(),
            delivered_seq: 0,
            read_seq: 10,
            told_seq: told.0,
            told_ms: told.1,
        }
    }

    #[test]
    fn a_receipt_is_told_once_a_second_and_never_for_a_receipt() {
        let settled = |seen| (seen, Some(Told::Settled));
        assert_eq!(decide(&reader("group", (10, 5_000)), 20, 6_000), (20, None));
        assert_eq!(decide(&reader("group", (10, 5_000)), 20, 5_999), (20, Some(Told::Later)));
        assert_eq!(decide(&reader("group", (10, 5_000)), 20, 4_000), (20, None));
        assert_eq!(decide(&reader("group", (10, 5_000)), 9, 9_000), settled(10));
        // What came after the last message is receipts.
        assert_eq!(decide(&reader("direct", (40, 0)), 50, 9_000), settled(40));
        assert_eq!(decide(&reader("channel", (10, 0)), 20, 9_000), settled(20));
    }
}
