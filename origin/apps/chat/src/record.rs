//! What happens in a conversation, in the order in which it happens.
//!
//! Every change is one event of the tag `chat:ID`, and the tag's new version is the change's seq. A message is kept in
//! `chat_messages` under its seq, everything else in `chat_events`; a seq is in one of the two.

use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Statement,
    Value as Bound,
};
use sluice_storage::rows::{sea_orm, signed, to_json};
use sluice_wire::{AccountId, EventKind};

use crate::http::outside;
use crate::ids::{is_settled, page_of, page_tag, tag};
use crate::rows::{conversation, event};
use crate::{ConversationId, MessageId};

/// A change that is no message.
#[derive(Debug)]
pub(crate) struct Happened {
    /// Its name: `made`, `member`, `edit`, `delete`, `reaction`, `receipt`.
    pub(crate) kind: &'static str,
    /// What it was done to.
    pub(crate) message: Option<MessageId>,
    /// Who did it.
    pub(crate) by: AccountId,
    /// What else there is to say.
    pub(crate) more: Value,
    /// Who may not listen any more.
    pub(crate) revoke: Option<AccountId>,
}

/// A conversation as one of its members stands in it.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Inside {
    pub(crate) kind: String,
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
    let sql = "SELECT c.kind, c.seq, c.message_seq, m.name, m.role, m.delivered_seq, m.read_seq, m.told_seq, m.told_ms \
               FROM chat_members m JOIN chats c ON c.id = m.chat WHERE m.chat = $1 AND m.account = $2";
    let values = [chat.as_i64().into(), account.as_i64().into()];
    Ok(Inside::find_by_statement(statement(conn, sql, values)).one(conn).await?)
}

/// Says on the conversation's channel what happens; the seq that it has. What is kept of it is written after this, in the same
/// transaction.
pub(crate) async fn say(
    tx: &Tx<'_>,
    chat: ConversationId,
    live: &impl serde::Serialize,
    revoke: Option<AccountId>,
) -> Result<i64, ApiError> {
    let mut data = json!({ "live": live });
    if let Some(account) = revoke {
        data["revoke"] = json!({ "subject": account, "channel": tag(chat).as_str() });
    }
    let version = tx.emit(&tag(chat), EventKind::Changed, data).await?;
    Ok(signed(version.0))
}

/// Does what every change but a message does: says it, keeps it, moves the conversation on. Its seq.
pub(crate) async fn happen(tx: &Tx<'_>, chat: ConversationId, what: Happened) -> Result<i64, ApiError> {
    let mut live = what.more;
    live["type"] = json!(what.kind);
    live["by"] = json!(what.by);
    live["at_ms"] = json!(tx.now_ms());
    if let Some(message) = what.message {
        live["id"] = json!(message);
    }
    let seq = say(tx, chat, &live, what.revoke).await?;
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
    conversation::Entity::update_many()
        .col_expr(conversation::Column::Seq, Expr::value(seq))
        .filter(conversation::Column::Id.eq(chat.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(seq)
}

/// Has caches forget the settled pages that these seqs are in; `newest` is the conversation's seq.
pub(crate) async fn stir(
    tx: &Tx<'_>,
    chat: ConversationId,
    seqs: impl IntoIterator<Item = i64>,
    newest: i64,
) -> Result<(), ApiError> {
    let pages: std::collections::BTreeSet<i64> = seqs.into_iter().map(page_of).collect();
    for page in pages.into_iter().filter(|page| is_settled(*page, newest)) {
        tx.emit(&page_tag(chat, page), EventKind::Changed, json!({})).await?;
    }
    Ok(())
}
