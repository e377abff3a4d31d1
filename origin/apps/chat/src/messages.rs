//! What is said, and how it is changed and deleted.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller, is_local_path};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value,
};
use sluice_storage::rows::{from_json, sea_orm, signed, to_json};
use sluice_wire::{AccountId, Version};
use utoipa::ToSchema;

use crate::conversations::{account, number};
use crate::http::{
    changed, conversation as of_path, forbidden, invalid, message as message_of_path, no_message, outside,
};
use crate::ids::tag;
use crate::record::{Happened, NEWEST, OWNER, happen, statement, stirred};
use crate::rows::{event, message, reaction};
use crate::search;
use crate::{Chat, ConversationId, MessageId, files};

/// Characters of a text.
const MAX_TEXT: usize = 4_000;
/// Characters of a device's own id for a message: a UUID and then some.
const MAX_CLIENT_ID: usize = 64;
/// Attachments of a message, and characters of what is said of one.
const MAX_ATTACHMENTS: usize = 10;
const MAX_ATTACHMENT: usize = 512;
/// Times a message is changed: each is kept until it is deleted.
const MAX_EDITS: i64 = 50;

/// A file that goes with a message: one that was sent to the conversation (`POST .../files`), or whatever else is at a path of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    /// Its name.
    pub(crate) name: String,
    /// Its media type.
    pub(crate) r#type: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Where it is, below this host: `/...`, of visible characters without a backslash.
    pub(crate) path: String,
}

/// A message to be sent.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// The device's own id for it: 1 to 64 visible characters. Sent again with it, it is the same message.
    pub(crate) client_id: String,
    /// At most 4,000 characters.
    #[serde(default)]
    pub(crate) text: String,
    /// At most ten.
    #[serde(default)]
    pub(crate) attachments: Vec<Attachment>,
}

/// A message, as everybody in the conversation sees it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct MessageView {
    /// Its place in the conversation; absent on the live channel, which has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<i64>,
    /// `message`.
    pub(crate) r#type: &'static str,
    #[schema(value_type = String)]
    pub(crate) id: MessageId,
    pub(crate) client_id: String,
    #[schema(value_type = String)]
    pub(crate) from: AccountId,
    pub(crate) name: String,
    /// What it says now; empty when it was deleted.
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edited_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_ms: Option<i64>,
}

impl MessageView {
    pub(crate) fn of(row: message::Model) -> Result<Self, ApiError> {
        Ok(Self {
            seq: Some(row.seq),
            r#type: "message",
            id: number(row.id)?,
            client_id: row.client_id,
            from: account(row.author)?,
            name: row.name,
            text: row.text,
            attachments: from_json("chat_messages.attachments", &row.attachments)?,
            at_ms: row.at_ms,
            edited_ms: row.edited_ms,
            deleted_ms: row.deleted_ms,
        })
    }
}

impl NewMessage {
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let short = |text: &str| (1..=MAX_ATTACHMENT).contains(&text.chars().count());
        let good = |one: &Attachment| {
            let path = is_local_path(&one.path) && visible(&one.path);
            path && [&one.name, &one.r#type, &one.path].iter().all(|text| short(text))
        };
        let checks = [
            (
                (1..=MAX_CLIENT_ID).contains(&self.client_id.len()) && visible(&self.client_id),
                "client_id: 1 to 64 visible characters",
            ),
            (is_text(&self.text), "text: at most 4,000 characters"),
            (
                !self.text.trim().is_empty() || !self.attachments.is_empty(),
                "there is neither text nor attachment",
            ),
            (
                self.attachments.len() <= MAX_ATTACHMENTS && self.attachments.iter().all(good),
                "attachments: at most ten, each with name, type, bytes and a path from /",
            ),
        ];
        let faults: Vec<&str> = checks.iter().filter(|(good, _)| !good).map(|(_, fault)| *fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(invalid(faults.join("; "))) }
    }
}

/// PostgreSQL stores no U+0000.
fn is_text(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT && !text.contains('\0')
}

/// A message that is there, and how a member who does something to it stands to it.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Aimed {
    role: String,
    /// The member's name.
    pub(crate) me: String,
    /// Of the conversation's newest change.
    pub(crate) newest: i64,
    pub(crate) seq: i64,
    author: i64,
    name: String,
    text: String,
    /// JSON.
    attachments: String,
    edits: i64,
}

/// A message that is there, for a member: 403 for others, 404 without the message. One statement.
pub(crate) async fn aim(
    tx: &Tx<'_>,
    chat: ConversationId,
    who: AccountId,
    which: MessageId,
) -> Result<Aimed, ApiError> {
    let sql = format!(
        "SELECT m.role, m.name AS me, {NEWEST} AS newest, x.seq, x.author, x.name, x.text, x.attachments, \
         (SELECT COUNT(*) FROM chat_events d WHERE d.chat = x.chat AND d.message = x.id AND d.kind = 'edit') AS edits \
         FROM chat_members m JOIN chats c ON c.id = m.chat \
         LEFT JOIN chat_messages x ON x.chat = m.chat AND x.id = $3 AND x.deleted_ms IS NULL \
         WHERE m.chat = $1 AND m.account = $2"
    );
    let values = [chat.as_i64(), who.as_i64(), which.as_i64()].map(Value::from);
    let row = tx.conn().query_one_raw(statement(tx.conn(), sql, values)).await?.ok_or_else(outside)?;
    if row.try_get::<Option<i64>>("", "seq")?.is_none() {
        return Err(no_message());
    }
    Ok(Aimed::from_query_result(&row, "")?)
}

/// What a message is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// 1 to 4,000 characters.
    text: String,
}

/// `PUT /v1/chat/ID/messages/MESSAGE`, by its author.
#[utoipa::path(put, path = "/v1/chat/{conversation}/messages/{message}", params(("conversation" = String, Path), ("message" = String, Path)), request_body = Edit, responses((status = 200, description = "Changed")))]
pub(crate) async fn edit(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, which)): Path<(String, String)>,
    asked: Asked<Edit>,
) -> Result<Response, ApiError> {
    let (id, which) = (of_path(&id)?, message_of_path(&which)?);
    let (text, by) = (asked.body.text.as_str(), caller.account);
    if !is_text(text) || text.trim().is_empty() {
        return Err(invalid("text: 1 to 4,000 characters"));
    }
    let _turn = chat.turns.of(id).await?;
    let done = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let there = aim(tx, id, by, which).await?;
            if there.author != by.as_i64() {
                return Err(forbidden("a message is its author's to change"));
            }
            if there.text == text {
                return Ok(there.newest);
            }
            change(tx, id, (which, by), &there, text).await
        })
    });
    let seq = done.await?;
    Ok(changed(json!({ "id": which, "text": text, "seq": seq }), id, seq).into_response())
}

async fn change(
    tx: &Tx<'_>,
    chat: ConversationId,
    (which, by): (MessageId, AccountId),
    was: &Aimed,
    text: &str,
) -> Result<i64, ApiError> {
    if was.edits >= MAX_EDITS {
        return Err(ApiError::conflict(format!("a message is changed at most {MAX_EDITS} times")));
    }
    let what = Happened::new("edit", by, json!({ "text": text })).to(which);
    let seq = happen(tx, chat, what.also(stirred(chat, [was.seq], was.newest))).await?;
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(text))
        .col_expr(message::Column::EditedMs, Expr::value(signed(tx.now_ms())))
        .filter(message::Column::Chat.eq(chat.as_i64()))
        .filter(message::Column::Seq.eq(was.seq))
        .exec(tx.conn())
        .await?;
    search::relearn(tx, chat, which, (&was.text, text)).await?;
    Ok(seq)
}

/// `DELETE /v1/chat/ID/messages/MESSAGE`, by its author or an owner. That there was one stays; what it said is gone.
#[utoipa::path(delete, path = "/v1/chat/{conversation}/messages/{message}", params(("conversation" = String, Path), ("message" = String, Path)), responses((status = 200, description = "Deleted")))]
pub(crate) async fn delete(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, which)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (id, which, by) = (of_path(&id)?, message_of_path(&which)?, caller.account);
    let _turn = chat.turns.of(id).await?;
    let done = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let there = aim(tx, id, by, which).await?;
            if there.author != by.as_i64() && there.role != OWNER {
                return Err(forbidden("a message is deleted by its author or by an owner"));
            }
            let seqs = empty(tx, id, which, &there).await?;
            let what = Happened::new("delete", by, json!({})).to(which);
            happen(tx, id, what.also(stirred(id, seqs, there.newest))).await
        })
    });
    let seq = done.await?;
    chat.unread.said(id);
    chat.files.released();
    Ok(changed(json!({ "id": which, "seq": seq }), id, seq).into_response())
}

/// Takes out of every row and event what a message said, also what it said before it was changed: its seqs.
async fn empty(
    tx: &Tx<'_>,
    chat: ConversationId,
    which: MessageId,
    was: &Aimed,
) -> Result<Vec<i64>, ApiError> {
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(""))
        .col_expr(message::Column::Attachments, Expr::value("[]"))
        .col_expr(message::Column::DeletedMs, Expr::value(signed(tx.now_ms())))
        .filter(message::Column::Chat.eq(chat.as_i64()))
        .filter(message::Column::Seq.eq(was.seq))
        .exec(tx.conn())
        .await?;
    search::forget(tx, chat, which, (&was.name, &was.text)).await?;
    if was.attachments != "[]" {
        files::release(tx, chat, which).await?;
    }
    reaction::Entity::delete_many()
        .filter(reaction::Column::Chat.eq(chat.as_i64()))
        .filter(reaction::Column::Message.eq(which.as_i64()))
        .exec(tx.conn())
        .await?;
    let mut seqs = vec![was.seq];
    if was.edits > 0 {
        let blank = to_json(&json!({ "type": "edit", "id": which, "by": account(was.author)?, "text": "" }))?;
        let edits = event::Entity::update_many()
            .col_expr(event::Column::Data, Expr::value(blank))
            .filter(event::Column::Chat.eq(chat.as_i64()))
            .filter(event::Column::Message.eq(which.as_i64()))
            .filter(event::Column::Kind.eq("edit"))
            .exec_with_returning(tx.conn())
            .await?;
        seqs.extend(edits.iter().map(|edit| edit.seq));
    }
    // The log said it to edges, and would say it again to those that ask.
    let versions = seqs.iter().filter_map(|seq| u64::try_from(*seq).ok()).map(Version);
    tx.retract(&tag(chat), &versions.collect::<Vec<_>>()).await?;
    Ok(seqs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_on_this_host() {
        let with = |path: &str| NewMessage {
            client_id: "c1".into(),
            text: String::new(),
            attachments: vec![Attachment {
                name: "x.png".into(),
                r#type: "image/png".into(),
                bytes: 1,
                path: path.into(),
            }],
        };
        assert_eq!(with("/v1/feed/photos/1.jpg").check(), Ok(()));
        for path in ["//evil.example/x.png", "/\\evil.example/x.png", "/\t/evil.example/x.png", "x.png"] {
            assert!(with(path).check().is_err(), "{path:?}");
        }
    }
}
