//! How far devices are: what was delivered to one, and what was read on it. Cursors never go back.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_platform::once::Asked;
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    Value,
};
use sluice_storage::rows::signed;
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::http::{answer, changed, conversation as of_path, invalid, outside};
use crate::receipts::{self, Told};
use crate::record::{Inside, inside, inside_sql, statement};
use crate::rows::cursor;
use crate::{Chat, ConversationId};

/// Characters of a device's name.
const MAX_DEVICE: usize = 64;
/// Devices of an account whose cursors are kept: those that told theirs last.
const MAX_DEVICES: i64 = 50;

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

/// How far an account is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cursors {
    devices: Vec<Cursor>,
    /// The last seq that any of its devices has, or had.
    delivered: i64,
    /// The last that was read on any.
    read: i64,
}

/// `GET /v1/chat/ID/cursor`: those of one's own devices.
#[utoipa::path(get, path = "/v1/chat/{conversation}/cursor", params(("conversation" = String, Path)), responses((status = 200, body = Cursors)))]
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
    Ok(answer(StatusCode::OK, Cursors { devices, delivered: me.delivered_seq, read: me.read_seq }))
}

fn of(id: ConversationId, who: AccountId) -> sluice_storage::rows::sea_orm::Select<cursor::Entity> {
    cursor::Entity::find()
        .filter(cursor::Column::Chat.eq(id.as_i64()))
        .filter(cursor::Column::Account.eq(who.as_i64()))
}

/// `PUT /v1/chat/ID/cursor`. What is behind where the device was is no fault, and changes nothing. Where the others are told at
/// once, the answer has the version that this made.
#[utoipa::path(put, path = "/v1/chat/{conversation}/cursor", params(("conversation" = String, Path)), request_body = Cursor, responses((status = 200, description = "device, delivered, read; versions where others are told at once")))]
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
            let (me, now) = keep(tx, id, who, wanted).await?;
            let told = receipts::moved(tx, id, who, &me, (now.delivered, now.read)).await?;
            Ok((me, now, told))
        })
    });
    let (me, now, told) = put.await?;
    chat.unread.read(id, who);
    match told {
        // The receipt says what was delivered, too.
        Told::At(seq) => return Ok(changed(now, id, seq).into_response()),
        Told::Later => chat.receipts.owe(id, who),
        Told::Settled => {}
    }
    chat.delivered.moved(id, who, &me, now.delivered);
    Ok(answer(StatusCode::OK, now))
}

/// Keeps a device's cursor, which goes only forward, and not beyond what there is. What was read was delivered. Two
/// statements, and one where it is a device too many.
async fn keep(
    tx: &Tx<'_>,
    id: ConversationId,
    who: AccountId,
    wanted: &Cursor,
) -> Result<(Inside, Cursor), ApiError> {
    let values: [Value; 3] = [id.as_i64().into(), who.as_i64().into(), wanted.device.clone().into()];
    let asked = statement(tx.conn(), inside_sql(COLUMNS, DEVICE, "$2"), values);
    let row = tx.conn().query_one_raw(asked).await?.ok_or_else(outside)?;
    let me = Inside::from_query_result(&row, "")?;
    let was: Option<i64> = row.try_get("", "device_delivered")?;
    let over = row.try_get::<i64>("", "devices")? - MAX_DEVICES + 1;
    if was.is_none() && over > 0 {
        forget(tx, id, who, over).await?;
    }
    let read_before: Option<i64> = row.try_get("", "device_read")?;
    let read = wanted.read.min(me.seq).max(read_before.unwrap_or(0));
    let delivered = wanted.delivered.min(me.seq).max(was.unwrap_or(0)).max(read);
    let row = cursor::ActiveModel {
        chat: Set(id.as_i64()),
        account: Set(who.as_i64()),
        device: Set(wanted.device.clone()),
        delivered_seq: Set(delivered),
        read_seq: Set(read),
        at_ms: Set(signed(tx.now_ms())),
    };
    let there = OnConflict::columns([cursor::Column::Chat, cursor::Column::Account, cursor::Column::Device])
        .update_columns([cursor::Column::DeliveredSeq, cursor::Column::ReadSeq, cursor::Column::AtMs])
        .to_owned();
    cursor::Entity::insert(row).on_conflict(there).exec_without_returning(tx.conn()).await?;
    Ok((me, Cursor { device: wanted.device.clone(), delivered, read }))
}

/// Forgets the cursors of those devices that have told theirs least lately. How far the account is, is kept.
async fn forget(tx: &Tx<'_>, id: ConversationId, who: AccountId, many: i64) -> Result<(), ApiError> {
    let sql = "DELETE FROM chat_cursors WHERE chat = $1 AND account = $2 AND device IN (SELECT k.device \
        FROM chat_cursors k WHERE k.chat = $1 AND k.account = $2 ORDER BY k.at_ms, k.device LIMIT $3)";
    let values = [id.as_i64(), who.as_i64(), many].map(Value::from);
    tx.conn().execute_raw(statement(tx.conn(), sql, values)).await?;
    Ok(())
}

/// Where a device was, and how many there are.
const COLUMNS: &str = ", d.delivered_seq AS device_delivered, d.read_seq AS device_read, \
    (SELECT COUNT(*) FROM chat_cursors k WHERE k.chat = m.chat AND k.account = m.account) AS devices";
/// The device.
const DEVICE: &str =
    "LEFT JOIN chat_cursors d ON d.chat = m.chat AND d.account = m.account AND d.device = $3";
