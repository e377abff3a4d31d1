//! Conversations: made, and shown to who is in them.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, Known};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, EntityTrait};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::http::{answer, changed, conversation as of_path, invalid, outside};
use crate::members::row as member_row;
use crate::own::came_in;
use crate::record::{Happened, MEMBER, OWNER, happen, inside};
use crate::rows::{conversation, member, pair};
use crate::{Chat, ConversationId};

/// Characters of a conversation's name.
const MAX_NAME: usize = 100;
/// Members that a conversation begins with, beside who makes it.
const MAX_FIRST: usize = 100;

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Of two accounts, one for each pair, for ever.
    Direct,
    /// Of some, who are invited by any of them.
    Group,
    /// Of whoever joins.
    Channel,
    /// Of whoever is invited by one of its owners.
    Private,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
            Self::Private => "private",
        }
    }

    /// Members at most. Receipts of a group are seen by all of it; a channel's fan-out is the edges'.
    pub(crate) const fn room(self) -> i64 {
        match self {
            Self::Direct => 2,
            Self::Group => 1_000,
            Self::Channel | Self::Private => 100_000,
        }
    }
}

/// A conversation to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    /// What it is to be.
    kind: Kind,
    /// Of a direct one: with whom, by id or `@handle`.
    with: Option<String>,
    /// Of all others: 1 to 100 characters.
    #[serde(default)]
    name: String,
    /// Who is in it from the beginning, by id or `@handle`; at most 100.
    #[serde(default)]
    members: Vec<String>,
}

/// `POST /v1/chat`: with an `Idempotency-Key` it is made once; a direct one is made once in any case.
#[utoipa::path(post, path = "/v1/chat", request_body = NewConversation, responses((status = 201, description = "Made"), (status = 200, description = "A direct one that was there")))]
pub(crate) async fn make(
    State(chat): State<Chat>,
    caller: Caller,
    asked: Asked<NewConversation>,
) -> Result<Response, ApiError> {
    let new = &asked.body;
    if new.kind == Kind::Direct {
        return direct(&chat, &caller, &asked).await;
    }
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || new.with.is_some() {
        return Err(invalid("a group or channel has a name of 1 to 100 characters, and no `with`"));
    }
    if new.members.len() > MAX_FIRST {
        return Err(invalid("at most 100 members at the beginning"));
    }
    let mut others = chat.ground.accounts.known(&new.members).await?;
    others.retain(|known| known.account != caller.account);
    let me = Known { account: caller.account, handle: caller.name.clone() };
    let (me, others, kind, owner) = (&me, others.as_slice(), new.kind, caller.owner());
    let once = &chat.ground.once;
    once.write(&asked, &owner, &move |tx| {
        Box::pin(async move {
            let id = tx.ids().make();
            begin(tx, id, (kind, name), me, others).await?;
            let made = changed(json!({ "id": id, "kind": kind, "name": name, "seq": 1 }), id, 1);
            Ok(Answer { status: StatusCode::CREATED, ..made })
        })
    })
    .await
}

async fn direct(chat: &Chat, caller: &Caller, asked: &Asked<NewConversation>) -> Result<Response, ApiError> {
    let with = asked.body.with.as_ref().ok_or_else(|| invalid("a direct conversation is `with` somebody"))?;
    let found = chat.ground.accounts.known(std::slice::from_ref(with)).await?;
    let other = found.into_iter().next().filter(|known| known.account != caller.account);
    let other = &other.ok_or_else(|| invalid("a direct conversation is with somebody else"))?;
    let low = caller.account.min(other.account).as_i64();
    let high = caller.account.max(other.account).as_i64();
    let with = json!({ "account": other.account, "name": other.handle });
    let told = &|id: ConversationId| json!({ "id": id, "kind": Kind::Direct, "with": with });
    let (once, owner) = (&chat.ground.once, caller.owner());
    once.write(asked, &owner, &move |tx| {
        Box::pin(async move {
            let id: ConversationId = tx.ids().make();
            let new = pair::ActiveModel { low: Set(low), high: Set(high), chat: Set(id.as_i64()) };
            let once = OnConflict::new().do_nothing().to_owned();
            if pair::Entity::insert(new).on_conflict(once).exec_without_returning(tx.conn()).await? == 0 {
                let there = pair::Entity::find_by_id((low, high)).one(tx.conn()).await?;
                let there = there.ok_or_else(outside)?;
                return Ok(Answer::ok(told(number(there.chat)?)));
            }
            let me = Known { account: caller.account, handle: caller.name.clone() };
            begin(tx, id, (Kind::Direct, ""), &me, std::slice::from_ref(other)).await?;
            Ok(Answer { status: StatusCode::CREATED, ..changed(told(id), id, 1) })
        })
    })
    .await
}

/// Makes the rows of a conversation, and says that it is there: its first seq.
async fn begin(
    tx: &Tx<'_>,
    id: ConversationId,
    (kind, name): (Kind, &str),
    me: &Known,
    others: &[Known],
) -> Result<(), ApiError> {
    let now_ms = signed(tx.now_ms());
    let row = conversation::ActiveModel {
        id: Set(id.as_i64()),
        kind: Set(kind.as_str().to_owned()),
        name: Set(name.to_owned()),
        made_by: Set(me.account.as_i64()),
        created_ms: Set(now_ms),
        members: Set(signed(others.len() as u64 + 1)),
        seq: Set(0),
        message_seq: Set(0),
        last_ms: Set(now_ms),
    };
    conversation::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    let own = if kind == Kind::Direct { MEMBER } else { OWNER };
    let rows = std::iter::once((me, own)).chain(others.iter().map(|one| (one, MEMBER)));
    let rows = rows.map(|(one, role)| member_row(id, one, role, 1));
    member::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    let named = |one: &Known| json!({ "account": one.account, "name": one.handle });
    let members: Vec<_> = std::iter::once(me).chain(others).map(named).collect();
    let more = json!({ "kind": kind, "name": name, "members": members });
    let also = std::iter::once(me).chain(others).map(|one| came_in(id, one.account)).collect();
    happen(tx, id, Happened::new("made", me.account, more).also(also)).await?;
    Ok(())
}

/// A conversation as a member sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationView {
    #[schema(value_type = String)]
    id: ConversationId,
    kind: String,
    name: String,
    members: i64,
    /// Of the newest change.
    seq: i64,
    /// `owner` or `member`.
    role: String,
    created_ms: i64,
}

/// `GET /v1/chat/ID`, for members.
#[utoipa::path(get, path = "/v1/chat/{conversation}", params(("conversation" = String, Path)), responses((status = 200, body = ConversationView)))]
pub(crate) async fn show(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, reader) = (of_path(&id)?, chat.ground.storage.database.reader());
    let me = inside(reader, id, caller.account).await?;
    let row = conversation::Entity::find_by_id(id.as_i64()).one(reader).await?.ok_or_else(outside)?;
    let view = ConversationView {
        id,
        kind: row.kind,
        name: row.name,
        members: row.members,
        seq: me.seq,
        role: me.role,
        created_ms: row.created_ms,
    };
    Ok(answer(StatusCode::OK, view))
}

/// An id as it was stored.
pub(crate) fn number<T: sluice_wire::id::Id>(value: i64) -> Result<T, ApiError> {
    let corrupt = |why: String| ApiError::from(sluice_storage::StorageError::Corrupt(why));
    let value = u64::try_from(value).map_err(|why| corrupt(why.to_string()))?;
    T::numbered(value).map_err(|why| corrupt(why.to_string()))
}

/// Accounts have ids too.
pub(crate) fn account(value: i64) -> Result<AccountId, ApiError> {
    number(value)
}
