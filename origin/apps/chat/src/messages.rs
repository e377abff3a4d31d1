//! What is said, changed and deleted.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use sluice_storage::rows::{from_json, signed, to_json};
use sluice_wire::{AccountId, Version};
use utoipa::ToSchema;

use crate::conversations::{account, number};
use crate::http::{
    changed, conversation as of_path, forbidden, invalid, message as message_of_path, no_message,
};
use crate::ids::tag;
use crate::record::{Happened, Inside, happen, inside, say, stir};
use crate::rows::{conversation, event, message, reaction};
use crate::search;
use crate::{Chat, ConversationId, MessageId};

/// Characters of a text.
const MAX_TEXT: usize = 4_000;
/// Characters of a device's own id for a message: a UUID and then some.
const MAX_CLIENT_ID: usize = 64;
/// Attachments of a message, and characters of what is said of one.
const MAX_ATTACHMENTS: usize = 10;
const MAX_ATTACHMENT: usize = 512;
/// Times a message is changed: each is kept until it is deleted.
const MAX_EDITS: u64 = 50;

/// A file that goes with a message. Its bytes are where the URL path says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    /// Its name.
    name: String,
    /// Its media type.
    r#type: String,
    /// Its length.
    bytes: u64,
    /// Where it is, below this host: `/...`.
    path: String,
}

/// A message to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// The device's own id for it: 1 to 64 visible characters. Sent again with it, it is the same message.
    client_id: String,
    /// At most 4,000 characters.
    #[serde(default)]
    text: String,
    /// At most ten.
    #[serde(default)]
    attachments: Vec<Attachment>,
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
    fn check(&self) -> Result<(), ApiError> {
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let short = |text: &str| (1..=MAX_ATTACHMENT).contains(&text.chars().count());
        let good = |one: &Attachment| {
            let path = one.path.starts_with('/') && !one.path.starts_with("//") && visible(&one.path);
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

/// `POST /v1/chat/ID/messages`. Sent again with the same `client_id` it is answered with the message that there is.
#[utoipa::path(post, path = "/v1/chat/{conversation}/messages", params(("conversation" = String, Path)), request_body = NewMessage, responses((status = 201, body = MessageView), (status = 200, description = "It was sent before", body = MessageView)))]
pub(crate) async fn send(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<NewMessage>,
) -> Result<Response, ApiError> {
    let id = of_path(&id)?;
    asked.body.check()?;
    let (new, by) = (&asked.body, caller.account);
    let _turn = chat.turns.of(id).await?;
    let sent = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let me = inside(tx.conn(), id, by).await?;
            let before = message::Entity::find()
                .filter(message::Column::Chat.eq(id.as_i64()))
                .filter(message::Column::Author.eq(by.as_i64()))
                .filter(message::Column::ClientId.eq(&new.client_id))
                .one(tx.conn())
                .await?;
            match before {
                Some(row) => Ok((StatusCode::OK, MessageView::of(row)?)),
                None => Ok((StatusCode::CREATED, keep(tx, id, by, &me, new).await?)),
            }
        })
    });
    let (status, view) = sent.await?;
    let seq = view.seq.unwrap_or(0);
    Ok(changed(status, view, id, seq))
}

/// Says a new message, keeps it under the seq that it got, and has it found.
async fn keep(
    tx: &Tx<'_>,
    chat: ConversationId,
    by: AccountId,
    me: &Inside,
    new: &NewMessage,
) -> Result<MessageView, ApiError> {
    let at_ms = signed(tx.now_ms());
    let mut view = MessageView {
        seq: None,
        r#type: "message",
        id: tx.ids().make(),
        client_id: new.client_id.clone(),
        from: by,
        name: me.name.clone(),
        text: new.text.clone(),
        attachments: new.attachments.clone(),
        at_ms,
        edited_ms: None,
        deleted_ms: None,
    };
    let seq = say(tx, chat, &view, None).await?;
    let row = message::ActiveModel {
        chat: Set(chat.as_i64()),
        seq: Set(seq),
        id: Set(view.id.as_i64()),
        author: Set(by.as_i64()),
        name: Set(view.name.clone()),
        client_id: Set(view.client_id.clone()),
        text: Set(view.text.clone()),
        attachments: Set(to_json(&view.attachments)?),
        at_ms: Set(at_ms),
        edited_ms: Set(None),
        deleted_ms: Set(None),
    };
    message::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    let columns = [
        (conversation::Column::Seq, seq),
        (conversation::Column::MessageSeq, seq),
        (conversation::Column::LastMs, at_ms),
    ];
    let mut moved = conversation::Entity::update_many();
    for (column, value) in columns {
        moved = moved.col_expr(column, Expr::value(value));
    }
    moved.filter(conversation::Column::Id.eq(chat.as_i64())).exec(tx.conn()).await?;
    search::learn(tx, chat, view.id, (&view.name, &view.text)).await?;
    view.seq = Some(seq);
    Ok(view)
}

/// A message that is there; 404 otherwise.
pub(crate) async fn there(
    tx: &Tx<'_>,
    chat: ConversationId,
    id: MessageId,
) -> Result<message::Model, ApiError> {
    let found = message::Entity::find()
        .filter(message::Column::Chat.eq(chat.as_i64()))
        .filter(message::Column::Id.eq(id.as_i64()))
        .one(tx.conn())
        .await?;
    found.filter(|row| row.deleted_ms.is_none()).ok_or_else(no_message)
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
            let me = inside(tx.conn(), id, by).await?;
            let row = there(tx, id, which).await?;
            if row.author != by.as_i64() {
                return Err(forbidden("a message is its author's to change"));
            }
            if row.text == text {
                return Ok(me.seq);
            }
            change(tx, id, (which, by), &row, text).await
        })
    });
    let seq = done.await?;
    Ok(changed(StatusCode::OK, json!({ "id": which, "text": text, "seq": seq }), id, seq))
}

async fn change(
    tx: &Tx<'_>,
    chat: ConversationId,
    (which, by): (MessageId, AccountId),
    row: &message::Model,
    text: &str,
) -> Result<i64, ApiError> {
    if edits(chat, which).count(tx.conn()).await? >= MAX_EDITS {
        return Err(ApiError::conflict(format!("a message is changed at most {MAX_EDITS} times")));
    }
    let more = json!({ "text": text });
    let seq =
        happen(tx, chat, Happened { kind: "edit", message: Some(which), by, more, revoke: None }).await?;
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(text))
        .col_expr(message::Column::EditedMs, Expr::value(signed(tx.now_ms())))
        .filter(message::Column::Chat.eq(row.chat))
        .filter(message::Column::Seq.eq(row.seq))
        .exec(tx.conn())
        .await?;
    search::forget(tx, chat, which, (&row.name, &row.text)).await?;
    search::learn(tx, chat, which, (&row.name, text)).await?;
    stir(tx, chat, [row.seq], seq).await?;
    Ok(seq)
}

fn edits(chat: ConversationId, which: MessageId) -> sluice_storage::rows::sea_orm::Select<event::Entity> {
    event::Entity::find()
        .filter(event::Column::Chat.eq(chat.as_i64()))
        .filter(event::Column::Message.eq(which.as_i64()))
        .filter(event::Column::Kind.eq("edit"))
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
            let me = inside(tx.conn(), id, by).await?;
            let row = there(tx, id, which).await?;
            if row.author != by.as_i64() && !me.is_owner() {
                return Err(forbidden("a message is deleted by its author or by an owner"));
            }
            let more = json!({});
            let what = Happened { kind: "delete", message: Some(which), by, more, revoke: None };
            let seq = happen(tx, id, what).await?;
            empty(tx, id, which, &row, seq).await?;
            Ok(seq)
        })
    });
    let seq = done.await?;
    Ok(changed(StatusCode::OK, json!({ "id": which, "seq": seq }), id, seq))
}

/// Takes out of every row and event what a message said, also what it said before it was changed.
async fn empty(
    tx: &Tx<'_>,
    chat: ConversationId,
    which: MessageId,
    row: &message::Model,
    seq: i64,
) -> Result<(), ApiError> {
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(""))
        .col_expr(message::Column::Attachments, Expr::value("[]"))
        .col_expr(message::Column::DeletedMs, Expr::value(signed(tx.now_ms())))
        .filter(message::Column::Chat.eq(row.chat))
        .filter(message::Column::Seq.eq(row.seq))
        .exec(tx.conn())
        .await?;
    search::forget(tx, chat, which, (&row.name, &row.text)).await?;
    reaction::Entity::delete_many()
        .filter(reaction::Column::Chat.eq(row.chat))
        .filter(reaction::Column::Message.eq(row.id))
        .exec(tx.conn())
        .await?;
    let seqs: Vec<i64> = edits(chat, which).all(tx.conn()).await?.iter().map(|edit| edit.seq).collect();
    let blank = to_json(&json!({ "type": "edit", "id": which, "by": account(row.author)?, "text": "" }))?;
    event::Entity::update_many()
        .col_expr(event::Column::Data, Expr::value(blank))
        .filter(event::Column::Chat.eq(row.chat))
        .filter(event::Column::Seq.is_in(seqs.clone()))
        .exec(tx.conn())
        .await?;
    // The log said it to edges, and would say it again to those that ask.
    let all = || seqs.iter().copied().chain([row.seq]);
    let versions: Vec<Version> = all().filter_map(|seq| u64::try_from(seq).ok()).map(Version).collect();
    tx.retract(&tag(chat), &versions).await?;
    stir(tx, chat, all(), seq).await
}
