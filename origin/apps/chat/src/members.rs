//! Who is in a conversation: joining, leaving, inviting, and who may.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller, Known, Page};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::conversations::{Kind, account};
use crate::http::{Wanted, answer, changed, conversation as of_path, forbidden, invalid, outside};
use crate::record::{Happened, Inside, MEMBER, OWNER, find_inside, happen, inside};
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

/// `GET /v1/chat/ID/members`: by id, paged.
#[utoipa::path(get, path = "/v1/chat/{conversation}/members", params(("conversation" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, body = [MemberView])))]
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
    let views = views.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(answer(StatusCode::OK, json!({ "members": views, "next": next })))
}

/// `POST /v1/chat/ID/join`, of a channel that is public.
#[utoipa::path(post, path = "/v1/chat/{conversation}/join", params(("conversation" = String, Path)), responses((status = 200, description = "In it")))]
pub(crate) async fn join(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = of_path(&id)?;
    let me = &Known { account: caller.account, handle: caller.name.clone() };
    let _turn = chat.turns.of(id).await?;
    let joined = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let there = conversation::Entity::find_by_id(id.as_i64()).one(tx.conn()).await?;
            let there = there.filter(|row| row.kind == Kind::Channel.as_str()).ok_or_else(outside)?;
            let seq = enter(tx, id, (Kind::Channel, there.seq), me, me.account).await?;
            Ok(seq.unwrap_or(there.seq))
        })
    });
    let seq = joined.await?;
    Ok(changed(StatusCode::OK, json!({ "id": id, "seq": seq }), id, seq))
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
    let id = of_path(&id)?;
    let found = chat.ground.accounts.known(std::slice::from_ref(&asked.body.account)).await?;
    let who = &found.into_iter().next().ok_or_else(|| invalid("nobody is invited"))?;
    let by = caller.account;
    let _turn = chat.turns.of(id).await?;
    let invited = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let me = inside(tx.conn(), id, by).await?;
            let kind = may_invite(&me)?;
            Ok(enter(tx, id, (kind, me.seq), who, by).await?.unwrap_or(me.seq))
        })
    });
    let seq = invited.await?;
    Ok(changed(StatusCode::OK, json!({ "account": who.account, "name": who.handle, "seq": seq }), id, seq))
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

/// Has somebody in; the seq of it, unless it was in.
async fn enter(
    tx: &Tx<'_>,
    id: ConversationId,
    (kind, seq): (Kind, i64),
    who: &Known,
    by: AccountId,
) -> Result<Option<i64>, ApiError> {
    let once = OnConflict::new().do_nothing().to_owned();
    let new = member::Entity::insert(row(id, who, MEMBER, seq)).on_conflict(once);
    if new.exec_without_returning(tx.conn()).await? == 0 {
        return Ok(None);
    }
    let column = conversation::Column::Members;
    let counted = conversation::Entity::update_many()
        .col_expr(column, Expr::col(column).add(1))
        .filter(conversation::Column::Id.eq(id.as_i64()))
        .filter(column.lt(kind.room()))
        .exec(tx.conn())
        .await?;
    if counted.rows_affected == 0 {
        return Err(ApiError::conflict(format!("it has {} members, and no more", kind.room())));
    }
    let more = json!({ "change": "joined", "account": who.account, "name": who.handle });
    happen(tx, id, Happened { kind: "member", message: None, by, more, revoke: None }).await.map(Some)
}

/// `POST /v1/chat/ID/leave`: nothing of it is seen from then on, and what was minted to listen is refused.
#[utoipa::path(post, path = "/v1/chat/{conversation}/leave", params(("conversation" = String, Path)), responses((status = 200, description = "Not in it")))]
pub(crate) async fn leave(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    take_out(&chat, of_path(&id)?, caller.account, caller.account).await
}

/// `DELETE /v1/chat/ID/members/ACCOUNT`, by an owner, or by oneself.
#[utoipa::path(delete, path = "/v1/chat/{conversation}/members/{account}", params(("conversation" = String, Path), ("account" = String, Path)), responses((status = 200, description = "Not in it")))]
pub(crate) async fn remove(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, who)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let who = who.parse().map_err(|_| ApiError::bad_request("an account's id"))?;
    take_out(&chat, of_path(&id)?, who, caller.account).await
}

async fn take_out(
    chat: &Chat,
    id: ConversationId,
    who: AccountId,
    by: AccountId,
) -> Result<Response, ApiError> {
    let _turn = chat.turns.of(id).await?;
    let out = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let me = inside(tx.conn(), id, by).await?;
            if me.kind == Kind::Direct.as_str() {
                return Err(ApiError::conflict("a direct conversation is not left"));
            }
            if who != by && !me.is_owner() {
                return Err(forbidden("an owner takes somebody out"));
            }
            match find_inside(tx.conn(), id, who).await? {
                Some(gone) => go(tx, id, who, by, &gone).await,
                None => Ok(me.seq),
            }
        })
    });
    let seq = out.await?;
    Ok(changed(StatusCode::OK, json!({ "account": who, "seq": seq }), id, seq))
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
    happen(tx, id, Happened { kind: "member", message: None, by, more, revoke: Some(who) }).await
}

/// Has a conversation without owners have one: who that is.
async fn heir(tx: &Tx<'_>, id: ConversationId) -> Result<Option<AccountId>, ApiError> {
    let all = || member::Entity::find().filter(member::Column::Chat.eq(id.as_i64()));
    if all().filter(member::Column::Role.eq(OWNER)).one(tx.conn()).await?.is_some() {
        return Ok(None);
    }
    let eldest = all().order_by_asc(member::Column::SinceSeq).order_by_asc(member::Column::Account);
    let Some(eldest) = eldest.one(tx.conn()).await? else { return Ok(None) };
    set_role(tx, id, eldest.account, OWNER).await?;
    account(eldest.account).map(Some)
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
            let me = inside(tx.conn(), id, by).await?;
            if !me.is_owner() {
                return Err(forbidden("an owner gives roles"));
            }
            inside(tx.conn(), id, who).await?;
            if set_role(tx, id, who.as_i64(), role).await? == 0 {
                return Ok(me.seq);
            }
            let more = json!({ "change": "role", "account": who, "role": role });
            happen(tx, id, Happened { kind: "member", message: None, by, more, revoke: None }).await
        })
    });
    let seq = done.await?;
    Ok(changed(StatusCode::OK, json!({ "account": who, "role": role, "seq": seq }), id, seq))
}
