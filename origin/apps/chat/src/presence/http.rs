//! `/v1/chat/presence`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::FromQueryResult;
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::conversations::account;
use crate::http::{Wanted, answer, invalid};
use crate::presence::State as Said;
use crate::record::{inside, statement};
use crate::{Chat, ConversationId};

/// Accounts that are asked for at once: what is on a screen, and more.
const MAX_ASKED: usize = 100;

/// A sign of life.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sign {
    /// `online`, `typing` or `offline`.
    state: String,
    /// What one has open, or where one is typing: those who listen to it are told.
    #[schema(value_type = Option<String>)]
    conversation: Option<ConversationId>,
}

/// `PUT /v1/chat/presence`, every 20 s, of the device that a session is of. Who types says so again every five. Whoever listens to the conversation hears of it within
/// a second or so, in an aside of its channel.
#[utoipa::path(put, path = "/v1/chat/presence", request_body = Sign, responses((status = 200, description = "Known")))]
pub(crate) async fn be(
    State(chat): State<Chat>,
    caller: Caller,
    asked: Asked<Sign>,
) -> Result<Response, ApiError> {
    let within = asked.body.conversation;
    let state = match asked.body.state.as_str() {
        "online" => Said::Online,
        "typing" if within.is_some() => Said::Typing,
        "offline" => Said::Offline,
        _ => return Err(invalid("state is online, offline, or typing with a conversation")),
    };
    if let Some(id) = within {
        inside(chat.ground.storage.database.reader(), id, caller.account).await?;
    }
    chat.presence.beat((caller.account, caller.session.as_u64()), state, within);
    Ok(answer(StatusCode::OK, json!({ "state": asked.body.state })))
}

/// Who is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asks {
    of: String,
    r#in: Option<ConversationId>,
}

/// Who is here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Seen {
    presence: Vec<One>,
    /// `fleet`, or `process` where other origins are not heard of.
    scope: &'static str,
}

/// Somebody who was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct One {
    #[schema(value_type = String)]
    account: AccountId,
    online: bool,
    /// Typing in the conversation that was asked for.
    typing: bool,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    account: i64,
}

/// `GET /v1/chat/presence?of=ID,ID&in=CONVERSATION`: of those with whom one is in a conversation. Who types is told for the
/// conversation that is asked for. One statement.
#[utoipa::path(get, path = "/v1/chat/presence", params(("of" = String, Query), ("in" = Option<String>, Query)), responses((status = 200, body = Seen)))]
pub(crate) async fn see(
    State(chat): State<Chat>,
    caller: Caller,
    Wanted(asks): Wanted<Asks>,
) -> Result<Response, ApiError> {
    let wrong = || ApiError::bad_request("of is 1 to 100 ids of accounts, separated by commas");
    let of: Result<Vec<AccountId>, _> = asks.of.split(',').take(MAX_ASKED + 1).map(str::parse).collect();
    let of = of.ok().filter(|of| of.len() <= MAX_ASKED).ok_or_else(wrong)?;
    let mut values = vec![caller.account.as_i64().into()];
    values.extend(of.iter().map(|id| id.as_i64().into()));
    let places: Vec<String> = (2..of.len() + 2).map(|n| format!("${n}")).collect();
    let within = asks.r#in.map(|id| {
        values.push(id.as_i64().into());
        format!(" AND a.chat = ${}", values.len())
    });
    let sql = format!(
        "SELECT DISTINCT b.account FROM chat_members a JOIN chat_members b ON b.chat = a.chat \
         WHERE a.account = $1 AND b.account IN ({}){}",
        places.join(", "),
        within.unwrap_or_default()
    );
    let reader = chat.ground.storage.database.reader();
    let rows = Row::find_by_statement(statement(reader, sql, values)).all(reader).await?;
    let mut presence = vec![];
    for row in rows {
        let account = account(row.account)?;
        let (online, typing) = chat.presence.state(account, asks.r#in);
        presence.push(One { account, online, typing });
    }
    let scope = if chat.presence.is_of_all() { "fleet" } else { "process" };
    Ok(answer(StatusCode::OK, Seen { presence, scope }))
}
