//! Who is in a conversation: joining, leaving, inviting, and who may.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::{Answer, Asked};
use sluice_platform::{ApiError, Caller, Known, Page};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value,
};
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::conversations::{Kind, account};
use crate::http::{Wanted, answer, changed, conversation as of_path, forbidden, invalid, outside};
use crate::own::{came_in, is_out};
use crate::record::{
    Happened, Inside, MEMBER, NEWEST, OWNER, both_inside, find_inside, happen, inside, statement,
};
use crate::rows::{conversation, cursor, member};
use crate::{Chat, ConversationId};

/// A member's row.
pub(crate) fn row(id: ConversationId, who: &Known, role: &str, since: i64) -> member::ActiveModel {
    member::ActiveModel {
        chat: Set(id.as_i64()),
        account: Set(who.account.as_i64()),
        name: Set(who.handle.clone()),
        role: Set(role.to_owned()),
        since_seq: Set(since),
        delivered_seq: Set(since),
        read_seq: Set(since),
        told_seq: Set(since),
        told_ms: Set(0),
    }
}

/// A member, as members see one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    #[schema(value_type = String)]
    account: AccountId,
    name: String,
    role: String,
    /// The furthest seq that a device of its has.
    delivered: i64,
    /// The furthest that it has read.
    read: i64,
}

/// A page of a conversation's members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Members {
    members: Vec<MemberView>,
    /// What to ask for as `after`; null on the last page.
    #[schema(value_type = Option<String>)]
    next: Option<AccountId>,
}

/// `GET /v1/chat/ID/members`: by id, paged.
#[utoipa::path(get, path = "/v1/chat/{conversation}/members", params(("conversation" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, body = Members)))]
pub(crate) async fn list(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    Wanted(page): Wanted<Page>,
) -> Result<Response, ApiError> {
    let (id, reader) = (of_path(&id)?, chat.ground.storage.database.reader());
    inside(reader, id, caller.account).await?;
    let after: Option<AccountId> = match &page.after {
        Some(text) => Some(text.parse().map_err(|_| ApiError::bad_request("after is an account's id"))?),
        None => None,
    };
    let rows = member::Entity::find()
        .filter(member::Column::Chat.eq(id.as_i64()))
        .filter(member::Column::Account.gt(after.map_or(-1, AccountId::as_i64)))
        .order_by_asc(member::Column::Account)
        .limit(page.size())
        .all(reader)
        .await?;
    let next = rows.last().filter(|_| rows.len() as u64 == page.size()).map(|row| account(row.account));
    let next = next.transpose()?;
    let views = rows.into_iter().map(|row| {
        let account = account(row.account)?;
        let (delivered, read) = (row.delivered_seq, row.read_seq);
        Ok(MemberView { account, name: row.name, role: row.role, delivered, read })
    });
    let members = views.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(answer(StatusCode::OK, Members { members, next }))
}

/// `POST /v1/chat/ID/join`, of a channel that is public.
#[utoipa::path(post, path = "/v1/chat/{conversation}/join", params(("conversation" = String, Path)), responses((status = 200, description = "In it")))]
pub(crate) async fn join(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<IgnoredAny>,
) -> Result<Response, ApiError> {
    let (id, owner) = (of_path(&id)?, caller.owner());
    let me = &Known { account: caller.account, handle: caller.name };
    let _turn = chat.turns.of(id).await?;
    let once = &chat.ground.once;
    once.write(&asked, &owner, &move |tx| {
        Box::pin(async move {
            let seq = joined(tx, id, me).await?;
            Ok(changed(json!({ "id": id, "seq": seq }), id, seq))
        })
    })
    .await
}

/// Has somebody in a public channel; the seq of it, or what it is at where they were in it before.
async fn joined(tx: &Tx<'_>, id: ConversationId, me: &Known) -> Result<i64, ApiError> {
    if let Some(seq) = enter(tx, id, me, (me.account, Door::Open)).await? {
        return Ok(seq);
    }
    let there = conversation::Entity::find_by_id(id.as_i64()).one(tx.conn()).await?;
    there.filter(|row| row.kind == Kind::Channel.as_str()).ok_or_else(outside)?;
    let inside = find_inside(tx.conn(), id, me.account).await?;
    Ok(inside.ok_or_else(|| full(Kind::Channel))?.seq)
}

/// Who is to come in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// An id, or `@handle`.
    account: String,
}

/// `POST /v1/chat/ID/members`: a group's and a channel's members may invite, a private channel's owners.
#[utoipa::path(post, path = "/v1/chat/{conversation}/members", params(("conversation" = String, Path)), request_body = Invite, responses((status = 200, description = "In it")))]
pub(crate) async fn invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<Invite>,
) -> Result<Response, ApiError> {
    let (id, by, owner) = (of_path(&id)?, caller.account, caller.owner());
    let found = chat.ground.accounts.known(std::slice::from_ref(&asked.body.account)).await?;
    let who = &found.into_iter().next().ok_or_else(|| invalid("nobody is invited"))?;
    let _turn = chat.turns.of(id).await?;
    let once = &chat.ground.once;
    once.write(&asked, &owner, &move |tx| {
        Box::pin(async move {
            let seq = invited(tx, id, who, by).await?;
            Ok(changed(json!({ "account": who.account, "name": who.handle, "seq": seq }), id, seq))
        })
    })
    .await
}

/// Has somebody in whom another invites; the seq of it, or what it is at where they were in it before.
async fn invited(tx: &Tx<'_>, id: ConversationId, who: &Known, by: AccountId) -> Result<i64, ApiError> {
    if let Some(seq) = enter(tx, id, who, (by, Door::ByInvitation)).await? {
        return Ok(seq);
    }
    let (me, other) = both_inside(tx.conn(), id, (by, who.account)).await?;
    let kind = may_invite(&me)?;
    other.map(|_| me.seq).ok_or_else(|| full(kind))
}

fn may_invite(me: &Inside) -> Result<Kind, ApiError> {
    match me.kind.as_str() {
        "group" => Ok(Kind::Group),
        "channel" => Ok(Kind::Channel),
        "private" if me.is_owner() => Ok(Kind::Private),
        "private" => Err(forbidden("a private channel's owners invite")),
        _ => Err(ApiError::conflict("a direct conversation is of two")),
    }
}

fn full(kind: Kind) -> ApiError {
    ApiError::conflict(format!("it has {} members, and no more", kind.room()))
}

/// How somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// By themself, into a channel.
    Open,
    /// By whoever may invite, as [`may_invite`] says.
    ByInvitation,
}

/// Has somebody in, where the door lets them and there is room; the seq of it, unless nothing came of it. Three statements, and
/// what says it.
async fn enter(
    tx: &Tx<'_>,
    id: ConversationId,
    who: &Known,
    (by, door): (AccountId, Door),
) -> Result<Option<i64>, ApiError> {
    let values: [Value; 4] =
        [id.as_i64().into(), who.account.as_i64().into(), who.handle.clone().into(), by.as_i64().into()];
    let entered = tx.conn().execute_raw(statement(tx.conn(), enter_sql(door), values)).await?;
    if entered.rows_affected() == 0 {
        return Ok(None);
    }
    let column = conversation::Column::Members;
    conversation::Entity::update_many()
        .col_expr(column, Expr::col(column).add(1))
        .filter(conversation::Column::Id.eq(id.as_i64()))
        .exec(tx.conn())
        .await?;
    let more = json!({ "change": "joined", "account": who.account, "name": who.handle });
    let what = Happened::new("member", by, more).also(vec![came_in(id, who.account)]);
    happen(tx, id, what).await.map(Some)
}

/// A member's row, from where the conversation is now.
fn enter_sql(door: Door) -> String {
    let may = match door {
        Door::Open => "s.kind = 'channel' AND $2 = $4",
        Door::ByInvitation => {
            "EXISTS (SELECT 1 FROM chat_members o WHERE o.chat = s.id AND o.account = $4 \
             AND (s.kind IN ('group', 'channel') OR (s.kind = 'private' AND o.role = 'owner')))"
        }
    };
    format!(
        "INSERT INTO chat_members \
         (chat, account, name, role, since_seq, delivered_seq, read_seq, told_seq, told_ms) \
         SELECT s.id, $2, $3, '{MEMBER}', s.newest, s.newest, s.newest, s.newest, 0 \
         FROM (SELECT c.id, c.kind, c.members, {NEWEST} AS newest FROM chats c WHERE c.id = $1) s \
         WHERE {may} AND s.members < CASE s.kind WHEN 'group' THEN {} ELSE {} END \
         ON CONFLICT (chat, account) DO NOTHING",
        Kind::Group.room(),
        Kind::Channel.room()
    )
}

/// `POST /v1/chat/ID/leave`: nothing of it is seen from then on, and what was minted to listen is refused.
#[utoipa::path(post, path = "/v1/chat/{conversation}/leave", params(("conversation" = String, Path)), responses((status = 200, description = "Not in it")))]
pub(crate) async fn leave(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<IgnoredAny>,
) -> Result<Response, ApiError> {
    let (id, me, owner) = (of_path(&id)?, caller.account, caller.owner());
    let _turn = chat.turns.of(id).await?;
    chat.ground.once.write(&asked, &owner, &move |tx| Box::pin(taken_out(tx, id, me, me))).await
}

/// `DELETE /v1/chat/ID/members/ACCOUNT`, by an owner, or by oneself.
#[utoipa::path(delete, path = "/v1/chat/{conversation}/members/{account}", params(("conversation" = String, Path), ("account" = String, Path)), responses((status = 200, description = "Not in it")))]
pub(crate) async fn remove(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, who)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let who: AccountId = who.parse().map_err(|_| ApiError::bad_request("an account's id"))?;
    let (id, by) = (of_path(&id)?, caller.account);
    let _turn = chat.turns.of(id).await?;
    let out = chat.ground.storage.database.write(move |tx| Box::pin(taken_out(tx, id, who, by))).await?;
    Ok(out.into_response())
}

/// Takes somebody out, unless they are already.
async fn taken_out(
    tx: &Tx<'_>,
    id: ConversationId,
    who: AccountId,
    by: AccountId,
) -> Result<Answer, ApiError> {
    let (me, gone) = both_inside(tx.conn(), id, (by, who)).await?;
    if me.kind == Kind::Direct.as_str() {
        return Err(ApiError::conflict("a direct conversation is not left"));
    }
    if who != by && !me.is_owner() {
        return Err(forbidden("an owner takes somebody out"));
    }
    let seq = match gone {
        Some(gone) => go(tx, id, who, by, &gone).await?,
        None => me.seq,
    };
    Ok(changed(json!({ "account": who, "seq": seq }), id, seq))
}

/// Takes a member out. When no owner is left, who is in it longest becomes one.
async fn go(
    tx: &Tx<'_>,
    id: ConversationId,
    who: AccountId,
    by: AccountId,
    gone: &Inside,
) -> Result<i64, ApiError> {
    let key = (id.as_i64(), who.as_i64());
    member::Entity::delete_by_id(key).exec(tx.conn()).await?;
    cursor::Entity::delete_many()
        .filter(cursor::Column::Chat.eq(key.0))
        .filter(cursor::Column::Account.eq(key.1))
        .exec(tx.conn())
        .await?;
    let column = conversation::Column::Members;
    conversation::Entity::update_many()
        .col_expr(column, Expr::col(column).sub(1))
        .filter(conversation::Column::Id.eq(key.0))
        .exec(tx.conn())
        .await?;
    let heir = if gone.is_owner() { heir(tx, id).await? } else { None };
    let change = if who == by { "left" } else { "removed" };
    let more = json!({ "change": change, "account": who, "name": gone.name, "owner": heir });
    let what = Happened::new("member", by, more).revoking(who).also(vec![is_out(id, who)]);
    happen(tx, id, what).await
}

/// Has a conversation without owners have one: who that is. One statement.
async fn heir(tx: &Tx<'_>, id: ConversationId) -> Result<Option<AccountId>, ApiError> {
    let sql = format!(
        "UPDATE chat_members SET role = '{OWNER}' WHERE chat = $1 \
         AND account = (SELECT account FROM chat_members WHERE chat = $1 ORDER BY since_seq, account LIMIT 1) \
         AND NOT EXISTS (SELECT 1 FROM chat_members WHERE chat = $1 AND role = '{OWNER}') RETURNING account"
    );
    let heir = tx.conn().query_one_raw(statement(tx.conn(), sql, [id.as_i64().into()])).await?;
    heir.map(|row| account(row.try_get("", "account")?)).transpose()
}

async fn set_role(tx: &Tx<'_>, id: ConversationId, account: i64, role: &str) -> Result<u64, ApiError> {
    let set = member::Entity::update_many()
        .col_expr(member::Column::Role, Expr::value(role))
        .filter(member::Column::Chat.eq(id.as_i64()))
        .filter(member::Column::Account.eq(account))
        .filter(member::Column::Role.ne(role))
        .exec(tx.conn())
        .await?;
    Ok(set.rows_affected)
}

/// What somebody is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Role {
    /// `owner` or `member`.
    role: String,
}

/// `PUT /v1/chat/ID/members/ACCOUNT`, by an owner, of another member.
#[utoipa::path(put, path = "/v1/chat/{conversation}/members/{account}", params(("conversation" = String, Path), ("account" = String, Path)), request_body = Role, responses((status = 200, description = "So it is")))]
pub(crate) async fn role(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, who)): Path<(String, String)>,
    asked: Asked<Role>,
) -> Result<Response, ApiError> {
    let id = of_path(&id)?;
    let who: AccountId = who.parse().map_err(|_| ApiError::bad_request("an account's id"))?;
    let role = asked.body.role.as_str();
    if ![OWNER, MEMBER].contains(&role) || who == caller.account {
        return Err(invalid("another member's role is owner or member"));
    }
    let by = caller.account;
    let _turn = chat.turns.of(id).await?;
    let done = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let (me, other) = both_inside(tx.conn(), id, (by, who)).await?;
            if !me.is_owner() {
                return Err(forbidden("an owner gives roles"));
            }
            other.ok_or_else(outside)?;
            if set_role(tx, id, who.as_i64(), role).await? == 0 {
                return Ok(me.seq);
            }
            let more = json!({ "change": "role", "account": who, "role": role });
            happen(tx, id, Happened::new("member", by, more)).await
        })
    });
    let seq = done.await?;
    Ok(changed(json!({ "account": who, "role": role, "seq": seq }), id, seq).into_response())
}
