//! What happens in a conversation, in the order in which it happens.
//!
//! Every change is one event of the tag `chat:ID`, and the tag's new version is the change's seq. A message is kept in
//! `chat_messages` under its seq, everything else in `chat_events`; a seq is in one of the two. A message moves the
//! conversation's row; what else happens does not write it, and is asked for where it matters ([`NEWEST`]).

use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult, Statement, Value as Bound,
};
use sluice_storage::rows::{sea_orm, signed, to_json};
use sluice_wire::{AccountId, EventKind, Tag};

use crate::http::outside;
use crate::ids::{is_settled, page_of, page_tag, tag};
use crate::rows::event;
use crate::{ConversationId, MessageId};

/// A change that is no message.
#[derive(Debug)]
pub(crate) struct Happened {
    kind: &'static str,
    by: AccountId,
    more: Value,
    message: Option<MessageId>,
    revoke: Option<AccountId>,
    also: Vec<Also>,
}

/// What is told in the same transaction of something else than the conversation.
pub(crate) type Also = (Tag, Value);

impl Happened {
    /// `kind` is `made`, `member`, `edit`, `delete`, `reaction` or `receipt`; `more`, what else there is to say.
    pub(crate) fn new(kind: &'static str, by: AccountId, more: Value) -> Self {
        Self { kind, by, more, message: None, revoke: None, also: vec![] }
    }

    /// What it was done to.
    pub(crate) fn to(self, message: MessageId) -> Self {
        Self { message: Some(message), ..self }
    }

    /// Who may not listen any more.
    pub(crate) fn revoking(self, account: AccountId) -> Self {
        Self { revoke: Some(account), ..self }
    }

    /// What is told beside it.
    pub(crate) fn also(self, also: Vec<Also>) -> Self {
        Self { also, ..self }
    }
}

/// A conversation as one of its members stands in it.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Inside {
    pub(crate) account: i64,
    pub(crate) kind: String,
    /// Of the newest change.
    pub(crate) seq: i64,
    pub(crate) message_seq: i64,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) delivered_seq: i64,
    pub(crate) read_seq: i64,
    pub(crate) told_seq: i64,
    pub(crate) told_ms: i64,
}

impl Inside {
    pub(crate) fn is_owner(&self) -> bool {
        self.role == OWNER
    }
}

/// Who may change who is in.
pub(crate) const OWNER: &str = "owner";
/// Everybody else.
pub(crate) const MEMBER: &str = "member";

/// A statement that both engines read alike: `$1` is its first value.
pub(crate) fn statement(
    conn: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Bound>,
) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), sql, values)
}

/// The conversation, for who is in it; 403 for all others. One statement.
pub(crate) async fn inside(
    conn: &impl ConnectionTrait,
    chat: ConversationId,
    account: AccountId,
) -> Result<Inside, ApiError> {
    find_inside(conn, chat, account).await?.ok_or_else(outside)
}

/// The same, for who may have left.
pub(crate) async fn find_inside(
    conn: &impl ConnectionTrait,
    chat: ConversationId,
    account: AccountId,
) -> Result<Option<Inside>, ApiError> {
    let values = [chat.as_i64().into(), account.as_i64().into()];
    Ok(Inside::find_by_statement(statement(conn, inside_sql("", "", "$2"), values)).one(conn).await?)
}

/// The conversation for who is in it, and for somebody else who may be. One statement.
pub(crate) async fn both_inside(
    conn: &impl ConnectionTrait,
    chat: ConversationId,
    (me, other): (AccountId, AccountId),
) -> Result<(Inside, Option<Inside>), ApiError> {
    let values = [chat.as_i64(), me.as_i64(), other.as_i64()].map(Bound::from);
    let rows =
        Inside::find_by_statement(statement(conn, inside_sql("", "", "$2, $3"), values)).all(conn).await?;
    let of = |who: AccountId| rows.iter().find(|row| row.account == who.as_i64()).cloned();
    Ok((of(me).ok_or_else(outside)?, of(other)))
}

/// What reads rows of [`Inside`] of conversation `$1`, and more.
pub(crate) fn inside_sql(columns: &str, join: &str, accounts: &str) -> String {
    format!(
        "SELECT m.account, c.kind, {NEWEST} AS seq, c.message_seq, m.name, m.role, m.delivered_seq, m.read_seq, \
         m.told_seq, m.told_ms{columns} FROM chat_members m JOIN chats c ON c.id = m.chat {join} \
         WHERE m.chat = $1 AND m.account IN ({accounts})"
    )
}

/// The seq of a conversation's newest change, in a statement that calls the conversation `c`. Its row says the newest message's;
/// what happened since is in `chat_events`.
pub(crate) const NEWEST: &str =
    "COALESCE((SELECT MAX(e.seq) FROM chat_events e WHERE e.chat = c.id AND e.seq > c.seq), c.seq)";

/// The seq of a conversation's newest change, if there is the conversation. One statement.
pub(crate) async fn newest(
    conn: &impl ConnectionTrait,
    chat: ConversationId,
) -> Result<Option<i64>, ApiError> {
    let sql = format!("SELECT {NEWEST} AS seq FROM chats c WHERE c.id = $1");
    let row = conn.query_one_raw(statement(conn, sql, [chat.as_i64().into()])).await?;
    Ok(row.map(|row| row.try_get("", "seq")).transpose()?)
}

/// Says on the conversation's channel what happens; the seq that it has. What is kept of it is written after this, in the same
/// transaction. As many statements as [`Tx::emit_all`], whatever else is told.
pub(crate) async fn say(
    tx: &Tx<'_>,
    chat: ConversationId,
    live: &impl serde::Serialize,
    revoke: Option<AccountId>,
    mut also: Vec<Also>,
) -> Result<i64, ApiError> {
    let mut data = json!({ "live": live });
    if let Some(account) = revoke {
        data["revoke"] = json!({ "subject": account, "channel": tag(chat).as_str() });
    }
    let mut events = vec![(tag(chat), EventKind::Changed, data)];
    // In one order: two who tell the same accounts do not wait for each other in a ring.
    also.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    events.extend(also.into_iter().map(|(tag, data)| (tag, EventKind::Changed, data)));
    let versions = tx.emit_all(&events).await?;
    Ok(signed(versions[0].1.0))
}

/// Does what every change but a message does: says it and keeps it; its seq. One statement beside its event's.
pub(crate) async fn happen(tx: &Tx<'_>, chat: ConversationId, what: Happened) -> Result<i64, ApiError> {
    let mut live = what.more;
    live["type"] = json!(what.kind);
    live["by"] = json!(what.by);
    live["at_ms"] = json!(tx.now_ms());
    if let Some(message) = what.message {
        live["id"] = json!(message);
    }
    let seq = say(tx, chat, &live, what.revoke, what.also).await?;
    let row = event::ActiveModel {
        chat: Set(chat.as_i64()),
        seq: Set(seq),
        kind: Set(what.kind.to_owned()),
        message: Set(what.message.map(MessageId::as_i64)),
        account: Set(what.by.as_i64()),
        data: Set(to_json(&live)?),
        at_ms: Set(signed(tx.now_ms())),
    };
    event::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(seq)
}

/// Has caches forget the settled pages that these seqs are in; `newest` is the conversation's seq before. A page that is settled
/// by what happens now was kept nowhere.
pub(crate) fn stirred(chat: ConversationId, seqs: impl IntoIterator<Item = i64>, newest: i64) -> Vec<Also> {
    let pages: std::collections::BTreeSet<i64> = seqs.into_iter().map(page_of).collect();
    let settled = pages.into_iter().filter(|page| is_settled(*page, newest));
    settled.map(|page| (page_tag(chat, page), json!({}))).collect()
}
