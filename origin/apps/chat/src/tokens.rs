//! What lets a device listen at an edge.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::FromQueryResult;
use utoipa::ToSchema;

use crate::conversations::number;
use crate::http::{answer, invalid, outside};
use crate::ids::{own_tag, tag};
use crate::record::{NEWEST, statement};
use crate::{Chat, ConversationId};

/// Conversations of a token: edges take no longer list, nor does a head of HTTP hold much more.
const MAX_CHANNELS: usize = 60;

/// What is to be listened to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// Conversations, at most 60; without, the 60 in which something was said last.
    #[schema(value_type = Vec<String>)]
    conversations: Vec<ConversationId>,
}

/// What lets one listen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listening {
    token: String,
    /// Those that it is good for.
    channels: Vec<String>,
    own: Own,
}

/// The account's own channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Own {
    channel: String,
    /// Where it is.
    seq: u64,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: i64,
    seq: i64,
}

/// `POST /v1/chat/token`: a token for `chat:ID` of each, and for the account's own channel, `chats:ACCOUNT`. Whoever leaves a
/// conversation cannot listen to it with what was minted before: the token has the seq that each had when membership was read, and a
/// leave has a later one, however long it took to commit and whatever clocks say. `own` says where the own channel is: whoever reads the list after
/// this, and listens after that number, misses nothing. Two statements.
#[utoipa::path(post, path = "/v1/chat/token", request_body = Option<Listen>, responses((status = 200, body = Listening)))]
pub(crate) async fn token(
    State(chat): State<Chat>,
    caller: Caller,
    asked: Asked<Option<Listen>>,
) -> Result<Response, ApiError> {
    let wanted = asked.body.unwrap_or_default().conversations;
    if wanted.len() > MAX_CHANNELS {
        return Err(invalid("at most 60 conversations"));
    }
    let (own, reader) = (own_tag(caller.account), chat.ground.storage.database.reader());
    let seq = chat.ground.storage.log().version_of(&own).await?;
    let mut values = vec![caller.account.as_i64().into(), (MAX_CHANNELS as i64).into()];
    let mut only = String::new();
    if !wanted.is_empty() {
        let places: Vec<String> = (3..wanted.len() + 3).map(|n| format!("${n}")).collect();
        only = format!("AND m.chat IN ({})", places.join(", "));
        values.extend(wanted.iter().map(|id| id.as_i64().into()));
    }
    let sql = format!(
        "SELECT c.id, {NEWEST} AS seq FROM chat_members m JOIN chats c ON c.id = m.chat WHERE m.account = $1 {only} \
         ORDER BY c.last_ms DESC LIMIT $2"
    );
    let rows = Row::find_by_statement(statement(reader, sql, values)).all(reader).await?;
    let found = rows.iter().map(|row| number(row.id)).collect::<Result<Vec<ConversationId>, _>>()?;
    if wanted.iter().any(|id| !found.contains(id)) {
        return Err(outside());
    }
    let mut channels: Vec<String> = found.into_iter().map(|id| tag(id).as_str().to_owned()).collect();
    channels.push(own.as_str().to_owned());
    let seqs = rows.iter().map(|row| u64::try_from(row.seq).unwrap_or(0)).chain([seq.0]);
    let token = chat.ground.accounts.channels_as_of(&caller, channels.iter().cloned().zip(seqs).collect());
    let own = Own { channel: own.as_str().to_owned(), seq: seq.0 };
    Ok(answer(StatusCode::OK, Listening { token, channels, own }))
}
