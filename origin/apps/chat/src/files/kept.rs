//! Rows of files: stored, made good, read.

use std::time::Duration;

use bytes::Bytes;
use sluice_platform::ApiError;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value,
};
use sluice_storage::rows::signed;
use sluice_wire::{AccountId, FileId, ObjectKey};
use tokio::time::timeout;

use super::http::busy;
use crate::http::outside;
use crate::record::statement;
use crate::rows::file;
use crate::{Chat, ConversationId};

/// Files of an account that no message names yet.
const MAX_WAITING: i64 = 100;
/// How long an object may take to be stored. Its row is due after twice that, so that none is swept before.
const STORING: Duration = Duration::from_secs(300);

/// What an account has sent.
#[derive(Debug, FromQueryResult)]
pub(super) struct Has {
    /// Files that no message names.
    waiting: i64,
    /// Bytes of all.
    bytes: i64,
}

impl Has {
    /// Whether so many bytes more may be kept.
    pub(super) fn room_for(&self, bytes: u64, most: u64) -> Result<(), ApiError> {
        if self.waiting >= MAX_WAITING {
            let detail = format!("{MAX_WAITING} files wait for messages that name them; send those first");
            return Err(ApiError::new(429, "too-many-files", "Too many files", detail));
        }
        if u64::try_from(self.bytes).unwrap_or(0).saturating_add(bytes) > most {
            let detail = format!("an account keeps at most {most} bytes of files in conversations");
            return Err(ApiError::new(507, "quota-exceeded", "Quota exceeded", detail));
        }
        Ok(())
    }
}

/// What a member of a conversation has sent, there and elsewhere; 403 for who is not in it. One statement.
pub(super) async fn has(chat: &Chat, id: ConversationId, who: AccountId) -> Result<Has, ApiError> {
    let reader = chat.ground.storage.database.reader();
    let sql = "SELECT (SELECT COUNT(*) FROM chat_files f WHERE f.owner = m.account AND f.message IS NULL) AS waiting, \
               (SELECT CAST(COALESCE(SUM(f.bytes), 0) AS BIGINT) FROM chat_files f WHERE f.owner = m.account) AS bytes \
               FROM chat_members m WHERE m.chat = $1 AND m.account = $2";
    let values = [id.as_i64(), who.as_i64()].map(Value::from);
    Has::find_by_statement(statement(reader, sql, values)).one(reader).await?.ok_or_else(outside)
}

/// Stores a file under a row that is due soon; [`keep`] makes it good.
pub(super) async fn store(chat: &Chat, row: &file::Model, id: FileId, bytes: Bytes) -> Result<(), ApiError> {
    let storage = &chat.ground.storage;
    let soon = u64::try_from(STORING.as_millis() * 2).unwrap_or(u64::MAX).min(chat.files.due_ms);
    let row = file::Model { due_ms: Some(signed(storage.database.now_ms() + soon)), ..row.clone() };
    let write = storage.database.write::<_, ApiError, _>(|tx| {
        let row = file::ActiveModel::from(row.clone());
        Box::pin(async move {
            file::Entity::insert(row).exec_without_returning(tx.conn()).await?;
            Ok(())
        })
    });
    write.await?;
    let stored = timeout(STORING, storage.objects.put(&ObjectKey::File(id), bytes)).await;
    Ok(stored.map_err(|_| busy(chat))??)
}

/// Makes a stored file good: from now on it waits for its message.
pub(super) async fn keep(tx: &Tx<'_>, chat: ConversationId, id: FileId, due_ms: u64) -> Result<(), ApiError> {
    let kept = file::Entity::update_many()
        .col_expr(file::Column::Kept, Expr::value(true))
        .col_expr(file::Column::DueMs, Expr::value(signed(tx.now_ms() + due_ms)))
        .filter(file::Column::Chat.eq(chat.as_i64()))
        .filter(file::Column::Id.eq(id.as_i64()))
        .filter(file::Column::Gone.eq(false))
        .exec(tx.conn())
        .await?;
    if kept.rows_affected != 1 {
        return Err(ApiError::conflict("the file took too long to come; send it again"));
    }
    Ok(())
}

/// A file that is read.
#[derive(Debug, FromQueryResult)]
pub(super) struct Found {
    owner: i64,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) bytes: i64,
    kept: bool,
    gone: bool,
    message: Option<i64>,
}

/// A file, for a member of its conversation: 403 for others, 404 where there is none that the member may see, 410 once it is gone. One
/// statement.
pub(super) async fn find(
    chat: &Chat,
    (id, who): (ConversationId, AccountId),
    which: Option<FileId>,
) -> Result<Found, ApiError> {
    let none = || ApiError::not_found("there is no such file in this conversation");
    let reader = chat.ground.storage.database.reader();
    let sql = "SELECT f.id, f.owner, f.name, f.kind, f.bytes, f.kept, f.gone, f.message FROM chat_members m \
               LEFT JOIN chat_files f ON f.chat = m.chat AND f.id = $3 WHERE m.chat = $1 AND m.account = $2";
    let values = [id.as_i64(), who.as_i64(), which.map_or(0, FileId::as_i64)].map(Value::from);
    let row = reader.query_one_raw(statement(reader, sql, values)).await?.ok_or_else(outside)?;
    if row.try_get::<Option<i64>>("", "id")?.is_none() {
        return Err(none());
    }
    let found = Found::from_query_result(&row, "")?;
    if !found.kept || (found.message.is_none() && found.owner != who.as_i64()) {
        return Err(none());
    }
    if found.gone {
        return Err(ApiError::new(410, "gone", "Gone", "the file is gone, as is what named it"));
    }
    Ok(found)
}
