//! Emoji on messages: a set of (account, emoji), so that twice is once.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::{ConnectionTrait, EntityTrait, Value};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;

use crate::http::{changed, conversation as of_path, invalid, message as message_of_path};
use crate::messages::aim;
use crate::record::{Happened, happen, statement, stirred};
use crate::rows::reaction;
use crate::{Chat, MessageId};

/// Bytes of an emoji: a family of four with skin tones has 41.
const MAX_EMOJI: usize = 64;
/// Emoji that one account puts on a message.
const MAX_OWN: u64 = 20;

/// `PUT /v1/chat/ID/messages/MESSAGE/reactions/EMOJI`.
#[utoipa::path(put, path = "/v1/chat/{conversation}/messages/{message}/reactions/{emoji}", params(("conversation" = String, Path), ("message" = String, Path), ("emoji" = String, Path)), responses((status = 200, description = "It is on it")))]
pub(crate) async fn add(
    State(chat): State<Chat>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    set(&chat, caller.account, path, true).await
}

/// `DELETE` of the same.
#[utoipa::path(delete, path = "/v1/chat/{conversation}/messages/{message}/reactions/{emoji}", params(("conversation" = String, Path), ("message" = String, Path), ("emoji" = String, Path)), responses((status = 200, description = "It is not on it")))]
pub(crate) async fn remove(
    State(chat): State<Chat>,
    caller: Caller,
    Path(path): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    set(&chat, caller.account, path, false).await
}

async fn set(
    chat: &Chat,
    by: AccountId,
    (id, which, emoji): (String, String, String),
    on: bool,
) -> Result<Response, ApiError> {
    let (id, which) = (of_path(&id)?, message_of_path(&which)?);
    if !is_emoji(&emoji) {
        return Err(invalid("an emoji has 1 to 64 bytes, and neither spaces nor controls"));
    }
    let emoji = emoji.as_str();
    let _turn = chat.turns.of(id).await?;
    let done = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let there = aim(tx, id, by, which).await?;
            let key = (id.as_i64(), which.as_i64(), by.as_i64(), emoji.to_owned());
            let moved = if on { put(tx, key).await? } else { take(tx, key).await? };
            if !moved {
                return Ok(there.newest);
            }
            let more = json!({ "emoji": emoji, "on": on, "name": there.me });
            let what = Happened::new("reaction", by, more).to(which);
            happen(tx, id, what.also(stirred(id, [there.seq], there.newest))).await
        })
    });
    let seq = done.await?;
    let body = json!({ "id": which, "emoji": emoji, "on": on, "seq": seq });
    Ok(changed(body, id, seq).into_response())
}

type Key = (i64, i64, i64, String);

/// True when it was not there. Whoever has put as many on it as one may puts no more.
async fn put(tx: &Tx<'_>, key: Key) -> Result<bool, ApiError> {
    let sql = format!(
        "INSERT INTO chat_reactions (chat, message, account, emoji, at_ms) SELECT $1, $2, $3, $4, $5 \
         WHERE (SELECT COUNT(*) FROM chat_reactions r WHERE r.chat = $1 AND r.message = $2 AND r.account = $3) \
         < {MAX_OWN} ON CONFLICT (chat, message, account, emoji) DO NOTHING"
    );
    let (chat, message, account, emoji) = key.clone();
    let values: [Value; 5] =
        [chat.into(), message.into(), account.into(), emoji.into(), signed(tx.now_ms()).into()];
    if tx.conn().execute_raw(statement(tx.conn(), sql, values)).await?.rows_affected() > 0 {
        return Ok(true);
    }
    match reaction::Entity::find_by_id(key).one(tx.conn()).await? {
        Some(_) => Ok(false),
        None => Err(ApiError::conflict(format!("at most {MAX_OWN} emoji of yours on a message"))),
    }
}

/// True when it was there.
async fn take(tx: &Tx<'_>, key: Key) -> Result<bool, ApiError> {
    Ok(reaction::Entity::delete_by_id(key).exec(tx.conn()).await?.rows_affected > 0)
}

fn is_emoji(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace();
    (1..=MAX_EMOJI).contains(&text.len()) && text.chars().all(plain)
}

/// How often an emoji is on a message.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Reacted {
    /// The message.
    #[schema(value_type = String)]
    pub(crate) id: MessageId,
    pub(crate) emoji: String,
    pub(crate) count: i64,
}
