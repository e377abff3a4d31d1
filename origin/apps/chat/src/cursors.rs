//! How far devices are: what was delivered to one, and what was read on it. Cursors never go back.

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
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::http::{answer, conversation as of_path, invalid};
use crate::receipts::{self, Told};
use crate::record::{Inside, inside};
use crate::rows::{cursor, member};
use crate::{Chat, ConversationId};

/// Characters of a device's name.
const MAX_DEVICE: usize = 64;
/// Devices of an account whose cursors are kept.
const MAX_DEVICES: u64 = 50;

/// How far a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    /// The device: 1 to 64 visible characters.
    device: String,
    /// The last seq that it has.
    #[serde(default)]
    delivered: i64,
    /// The last seq that was read on it.
    #[serde(default)]
    read: i64,
}

/// `GET /v1/chat/ID/cursor`: those of one's own devices.
#[utoipa::path(get, path = "/v1/chat/{conversation}/cursor", params(("conversation" = String, Path)), responses((status = 200, body = [Cursor])))]
pub(crate) async fn show(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, reader) = (of_path(&id)?, chat.ground.storage.database.reader());
    let me = inside(reader, id, caller.account).await?;
    let rows = of(id, caller.account).order_by_asc(cursor::Column::Device).all(reader).await?;
    let devices: Vec<Cursor> = rows
        .into_iter()
        .map(|row| Cursor { device: row.device, delivered: row.delivered_seq, read: row.read_seq })
        .collect();
    let body = json!({ "devices": devices, "delivered": me.delivered_seq, "read": me.read_seq });
    Ok(answer(StatusCode::OK, body))
}

fn of(id: ConversationId, who: AccountId) -> sluice_storage::rows::sea_orm::Select<cursor::Entity> {
    cursor::Entity::find()
        .filter(cursor::Column::Chat.eq(id.as_i64()))
        .filter(cursor::Column::Account.eq(who.as_i64()))
}

/// `PUT /v1/chat/ID/cursor`. What is behind where the device was is no fault, and changes nothing.
#[utoipa::path(put, path = "/v1/chat/{conversation}/cursor", params(("conversation" = String, Path)), request_body = Cursor, responses((status = 200, body = Cursor)))]
pub(crate) async fn put(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<Cursor>,
) -> Result<Response, ApiError> {
    let (id, wanted, who) = (of_path(&id)?, &asked.body, caller.account);
    let visible = wanted.device.bytes().all(|byte| byte.is_ascii_graphic());
    if !(1..=MAX_DEVICE).contains(&wanted.device.len()) || !visible || wanted.delivered < 0 || wanted.read < 0
    {
        return Err(invalid("device: 1 to 64 visible characters; delivered and read: from 0"));
    }
    let _turn = chat.turns.of(id).await?;
    let put = chat.ground.storage.database.write::<_, ApiError, _>(move |tx| {
        Box::pin(async move {
            let me = inside(tx.conn(), id, who).await?;
            let now = keep(tx, id, who, &me, wanted).await?;
            let told = receipts::moved(tx, id, who, &me, (now.delivered, now.read)).await?;
            Ok((now, told))
        })
    });
    let (now, told) = put.await?;
    if told == Told::Later {
        chat.receipts.owe(id, who);
    }
    Ok(answer(StatusCode::OK, now))
}

/// Keeps a device's cursor, which goes only forward, and not beyond what there is. What was read was delivered.
async fn keep(
    tx: &Tx<'_>,
    id: ConversationId,
    who: AccountId,
    me: &Inside,
    wanted: &Cursor,
) -> Result<Cursor, ApiError> {
    let key = (id.as_i64(), who.as_i64(), wanted.device.clone());
    let was = cursor::Entity::find_by_id(key.clone()).one(tx.conn()).await?;
    let (delivered, read) = was.as_ref().map_or((0, 0), |row| (row.delivered_seq, row.read_seq));
    let read = wanted.read.min(me.seq).max(read);
    let delivered = wanted.delivered.min(me.seq).max(delivered).max(read);
    let now = Cursor { device: wanted.device.clone(), delivered, read };
    if was.is_some() {
        cursor::Entity::update_many()
            .col_expr(cursor::Column::DeliveredSeq, Expr::value(delivered))
            .col_expr(cursor::Column::ReadSeq, Expr::value(read))
            .col_expr(cursor::Column::AtMs, Expr::value(signed(tx.now_ms())))
            .filter(cursor::Column::Chat.eq(key.0))
            .filter(cursor::Column::Account.eq(key.1))
            .filter(cursor::Column::Device.eq(&key.2))
            .exec(tx.conn())
            .await?;
    } else {
        if of(id, who).count(tx.conn()).await? >= MAX_DEVICES {
            return Err(ApiError::conflict(format!("at most {MAX_DEVICES} devices of one account")));
        }
        let row = cursor::ActiveModel {
            chat: Set(key.0),
            account: Set(key.1),
            device: Set(key.2),
            delivered_seq: Set(delivered),
            read_seq: Set(read),
            at_ms: Set(signed(tx.now_ms())),
        };
        cursor::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    }
    member::Entity::update_many()
        .col_expr(member::Column::DeliveredSeq, Expr::value(delivered.max(me.delivered_seq)))
        .col_expr(member::Column::ReadSeq, Expr::value(read.max(me.read_seq)))
        .filter(member::Column::Chat.eq(id.as_i64()))
        .filter(member::Column::Account.eq(who.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(now)
}
