//! What happened: after what a device has seen, and a page at a time.
//!
//! Seqs of a conversation are without gaps, so both are ranges, read in one statement: messages and all else, in order. A
//! message says what it says now; that it was changed or deleted is an event of its own, later.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_platform::{ApiError, Caller, cache};
use sluice_storage::rows::sea_orm::{ConnectionTrait, FromQueryResult};
use sluice_storage::rows::{from_json, sea_orm};
use sluice_wire::Tag;

use crate::conversations::number;
use crate::http::{Wanted, answer, conversation as of_path};
use crate::ids::{PAGE, is_settled, page_tag, tag};
use crate::messages::MessageView;
use crate::reactions::Reacted;
use crate::record::{inside, statement};
use crate::rows::message;
use crate::{Chat, ConversationId};

/// Changes of an answer: when nothing is asked for, and at most. 10,000 that were missed are ten questions.
const LIMITS: (i64, i64) = (200, 1_000);
/// The last page: none has seqs beyond what a column holds.
const MAX_PAGE: i64 = i64::MAX / PAGE - 1;

/// What a device asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct After {
    /// The last seq that it has.
    after: i64,
    limit: Option<i64>,
}

/// `GET /v1/chat/ID/events?after=SEQ`: everything that happened after, in order. `last` is the device's cursor from then on.
#[utoipa::path(get, path = "/v1/chat/{conversation}/events", params(("conversation" = String, Path), ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query)), responses((status = 200, description = "events, last, more")))]
pub(crate) async fn after(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    Wanted(asked): Wanted<After>,
) -> Result<Response, ApiError> {
    let (id, reader) = (of_path(&id)?, chat.ground.storage.database.reader());
    let me = inside(reader, id, caller.account).await?;
    let after = asked.after.clamp(0, me.seq);
    let last = after.saturating_add(asked.limit.unwrap_or(LIMITS.0).clamp(1, LIMITS.1)).min(me.seq);
    let (events, _) = range(reader, id, after, last, "").await?;
    let mut answer = answer(StatusCode::OK, json!({ "events": events, "last": last, "more": last < me.seq }));
    let version = sluice_wire::Version(u64::try_from(last).unwrap_or(0));
    cache::version(answer.headers_mut(), &[(tag(id), version)]);
    Ok(answer)
}

/// `GET /v1/chat/ID/history/PAGE`: seqs 100n + 1 to 100n + 100, and how often each emoji is on each message of them.
#[utoipa::path(get, path = "/v1/chat/{conversation}/history/{page}", params(("conversation" = String, Path), ("page" = i64, Path)), responses((status = 200, description = "events, reactions, settled")))]
pub(crate) async fn page(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, page)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let id = of_path(&id)?;
    let page = page.parse().ok().filter(|page| (0..=MAX_PAGE).contains(page));
    let page: i64 = page.ok_or_else(|| ApiError::bad_request("a page is a number from 0"))?;
    // The version first: it is never of later rows than are shown.
    let tag: Tag = page_tag(id, page);
    let version = chat.ground.storage.log().version_of(&tag).await?;
    let reader = chat.ground.storage.database.reader();
    let me = inside(reader, id, caller.account).await?;
    let (after, last) = (page * PAGE, (page + 1) * PAGE);
    let (events, reactions) = range(reader, id, after, last.min(me.seq), REACTIONS).await?;
    let settled = is_settled(page, me.seq);
    let body = json!({ "page": page, "events": events, "reactions": reactions, "settled": settled });
    let mut answer = answer(StatusCode::OK, body);
    if settled {
        cache::version(answer.headers_mut(), &[(tag, version)]);
    }
    Ok(answer)
}

/// A change, as both tables tell it; or, of the kind `reactions`, how often (`at_ms`) an emoji (`data`) is on a message.
#[derive(Debug, FromQueryResult)]
struct Row {
    seq: i64,
    kind: String,
    message: Option<i64>,
    account: i64,
    name: String,
    client_id: String,
    text: String,
    data: String,
    at_ms: i64,
    edited_ms: Option<i64>,
    deleted_ms: Option<i64>,
}

const CHANGES: &str = "\
    SELECT seq, 'message' AS kind, id AS message, author AS account, name, client_id, text, attachments AS data, \
    at_ms, edited_ms, deleted_ms FROM chat_messages WHERE chat = $1 AND seq > $2 AND seq <= $3 \
    UNION ALL SELECT seq, kind, message, account, '', '', '', data, at_ms, NULL, NULL \
    FROM chat_events WHERE chat = $1 AND seq > $2 AND seq <= $3";

const REACTIONS: &str = " \
    UNION ALL SELECT x.seq, 'reactions', x.id, x.author, '', '', '', r.emoji, COUNT(*), NULL, NULL \
    FROM chat_messages x JOIN chat_reactions r ON r.chat = x.chat AND r.message = x.id \
    WHERE x.chat = $1 AND x.seq > $2 AND x.seq <= $3 GROUP BY x.seq, x.id, x.author, r.emoji";

/// What happened after one seq and up to another, with `more` rows. One statement.
async fn range(
    conn: &impl ConnectionTrait,
    id: ConversationId,
    after: i64,
    last: i64,
    more: &str,
) -> Result<(Vec<Value>, Vec<Reacted>), ApiError> {
    let sql = format!("{CHANGES}{more} ORDER BY 1");
    let values = [id.as_i64().into(), after.into(), last.into()];
    let rows = Row::find_by_statement(statement(conn, sql, values)).all(conn).await?;
    let (mut events, mut reactions) = (vec![], vec![]);
    for row in rows {
        if row.kind == "reactions" {
            let id = number(row.message.unwrap_or_default())?;
            reactions.push(Reacted { id, emoji: row.data, count: row.at_ms });
        } else {
            events.push(shown(id, row)?);
        }
    }
    Ok((events, reactions))
}

fn shown(id: ConversationId, row: Row) -> Result<Value, ApiError> {
    if row.kind != "message" {
        let mut event: Value = from_json("chat_events.data", &row.data)?;
        event["seq"] = json!(row.seq);
        event["at_ms"] = json!(row.at_ms);
        return Ok(event);
    }
    let view = MessageView::of(message::Model {
        chat: id.as_i64(),
        seq: row.seq,
        id: row.message.unwrap_or_default(),
        author: row.account,
        name: row.name,
        client_id: row.client_id,
        text: row.text,
        attachments: row.data,
        at_ms: row.at_ms,
        edited_ms: row.edited_ms,
        deleted_ms: row.deleted_ms,
    })?;
    Ok(json!(view))
}
