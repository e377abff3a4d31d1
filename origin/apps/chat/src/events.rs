//! What happened: after what a device has seen, and a page at a time.
//!
//! Seqs of a conversation are without gaps, so both are ranges, read in one statement: messages and all else, in order. A
//! message says what it says now; that it was changed or deleted is an event of its own, later.
//!
//! A settled page is the same for all who may read it. An edge gets a list with one member, its fragment; whether somebody may
//! read it is asked here each time, what it says is kept there. The fragment's path has the page's version in it, so that an edge
//! that has not heard of a change yet does not give out what was there before.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_platform::{ApiError, Caller, cache};
use sluice_storage::rows::sea_orm::{ConnectionTrait, FromQueryResult};
use sluice_storage::rows::{from_json, sea_orm};
use sluice_wire::headers::{ACCESS_CHECKS, ACCESS_LIST, SLUICE_ACCESS, SLUICE_ASSEMBLE};
use utoipa::ToSchema;

use crate::conversations::number;
use crate::http::{Wanted, answer, conversation as of_path, outside};
use crate::ids::{PAGE, is_settled, page_tag, tag};
use crate::messages::MessageView;
use crate::reactions::Reacted;
use crate::record::{inside, newest, statement};
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

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Happenings {
    /// Messages as they are now, and all else as it was told.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// The seq of the last of them.
    last: i64,
    /// There is more after it.
    more: bool,
}

/// A page of history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct History {
    page: i64,
    /// Its last seq was given.
    settled: bool,
    /// What it says; absent where an edge could not have it in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    /// For edges: where they have the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<String>,
}

/// What a page says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Content {
    /// As in `GET .../events`.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    reactions: Vec<Reacted>,
}

/// `GET /v1/chat/ID/events?after=SEQ`: everything that happened after, in order. `last` is the device's cursor from then on.
#[utoipa::path(get, path = "/v1/chat/{conversation}/events", params(("conversation" = String, Path), ("after" = Option<i64>, Query), ("limit" = Option<i64>, Query)), responses((status = 200, body = Happenings)))]
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
    let mut answer = answer(StatusCode::OK, Happenings { events, last, more: last < me.seq });
    let version = sluice_wire::Version(u64::try_from(last).unwrap_or(0));
    cache::version(answer.headers_mut(), &[(tag(id), version)]);
    Ok(answer)
}

/// `GET /v1/chat/ID/history/PAGE`: seqs 100n + 1 to 100n + 100, and how often each emoji is on each message of them.
#[utoipa::path(get, path = "/v1/chat/{conversation}/history/{page}", params(("conversation" = String, Path), ("page" = i64, Path)), responses((status = 200, body = History)))]
pub(crate) async fn page(
    State(chat): State<Chat>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, page)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (id, page) = (of_path(&id)?, number_of(&page)?);
    // The version first: it is never of later rows than are shown.
    let version = chat.ground.storage.log().version_of(&page_tag(id, page)).await?;
    let reader = chat.ground.storage.database.reader();
    let me = inside(reader, id, caller.account).await?;
    let settled = is_settled(page, me.seq);
    let mut body = History { page, settled, content: None, fragment: None };
    if settled && is_edge(&headers) {
        body.fragment = Some(format!("/v1/chat/{id}/pages/{page}?v={}", version.0));
        let mut answer = answer(StatusCode::OK, body);
        answer
            .headers_mut()
            .insert(HeaderName::from_static(SLUICE_ASSEMBLE), HeaderValue::from_static("json"));
        return Ok(answer);
    }
    body.content = Some(content(reader, id, page, me.seq).await?);
    Ok(answer(StatusCode::OK, body))
}

/// `GET /v1/chat/ID/pages/PAGE`: a settled page's content, for edges: they keep it, and give it out in the histories of those
/// who may read it, and nowhere else.
#[utoipa::path(get, path = "/v1/chat/{conversation}/pages/{page}", params(("conversation" = String, Path), ("page" = i64, Path)), responses((status = 200, body = Content, description = "For edges alone"), (status = 403, description = "For anybody else")))]
pub(crate) async fn shared(
    State(chat): State<Chat>,
    headers: HeaderMap,
    Path((id, page)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    if !is_edge(&headers) {
        return Err(outside());
    }
    let (id, page) = (of_path(&id)?, number_of(&page)?);
    let tag = page_tag(id, page);
    let version = chat.ground.storage.log().version_of(&tag).await?;
    let reader = chat.ground.storage.database.reader();
    let newest = newest(reader, id).await?.filter(|newest| is_settled(page, *newest)).ok_or_else(outside)?;
    let mut answer = answer(StatusCode::OK, content(reader, id, page, newest).await?);
    let headers = answer.headers_mut();
    cache::lifetime(headers, cache::Lifetime::GuardedPushed);
    headers.insert(HeaderName::from_static(SLUICE_ACCESS), HeaderValue::from_static(ACCESS_LIST));
    cache::version(headers, &[(tag, version)]);
    Ok(answer)
}

/// True for an edge that gives out what is marked only as it is marked.
fn is_edge(headers: &HeaderMap) -> bool {
    headers.get(SLUICE_ACCESS).is_some_and(|says| says.as_bytes() == ACCESS_CHECKS.as_bytes())
}

fn number_of(page: &str) -> Result<i64, ApiError> {
    let page = page.parse().ok().filter(|page| (0..=MAX_PAGE).contains(page));
    page.ok_or_else(|| ApiError::bad_request("a page is a number from 0"))
}

async fn content(
    conn: &impl ConnectionTrait,
    id: ConversationId,
    page: i64,
    newest: i64,
) -> Result<Content, ApiError> {
    let (events, reactions) =
        range(conn, id, page * PAGE, ((page + 1) * PAGE).min(newest), REACTIONS).await?;
    Ok(Content { events, reactions })
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
