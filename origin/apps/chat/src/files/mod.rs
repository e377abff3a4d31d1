//! Files of conversations: sent before the message that names them, seen by members from then on, gone with it.
//!
//! ```text
//! POST -> a row, due in a while -> the object -> the row is good        a message names it: not due any more
//! the message is deleted -> gone, due now -> sweep: the object goes, then the row
//! ```
//!
//! The row comes before the object, so that whatever was stored is found again: what is due is swept. Each reading asks here whether the
//! reader is in the conversation, so that no cache in between has anything to forget.

pub(crate) mod http;
mod named;
mod sweep;

pub(crate) use named::{Named, name, release};
pub(crate) use sweep::sweep;

use std::sync::Arc;

use bytes::Bytes;
use prometheus::IntCounterVec;
use sluice_platform::ApiError;
use sluice_service::Metrics;
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value,
};
use sluice_storage::rows::signed;
use sluice_wire::{AccountId, FileId, ObjectKey};
use tokio::sync::{Notify, Semaphore};

use crate::http::outside;
use crate::record::statement;
use crate::rows::file;
use crate::{Chat, ConversationId};

/// Bytes of a file.
pub(crate) const MAX_SENT: usize = 20 << 20;
/// Files of an account that no message names yet.
const MAX_WAITING: i64 = 100;
/// Files that may come at a time: each is in memory.
const MAX_BODIES: usize = 16;

/// What handlers and the sweep share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Files that may come at a time.
    bodies: Arc<Semaphore>,
    /// A message with files was deleted.
    released: Arc<Notify>,
    /// Milliseconds after which one goes that no message names.
    due_ms: u64,
    /// By what became of them.
    counted: IntCounterVec,
}

impl Files {
    pub(crate) fn new(metrics: &Metrics, due_ms: u64) -> Self {
        let help = "Files of conversations by what became of them: kept, busy, swept";
        Self {
            bodies: Arc::new(Semaphore::new(MAX_BODIES)),
            released: Arc::default(),
            due_ms,
            counted: metrics.counters("sluice_chat_files_total", help, &["result"]),
        }
    }

    /// Some are due now.
    pub(crate) fn released(&self) {
        self.released.notify_one();
    }

    fn count(&self, result: &str, files: u64) {
        self.counted.with_label_values(&[result]).inc_by(files);
    }
}

/// Whether an account may send one more to a conversation: 403 for who is not in it, 429 for who has many that no message names. One
/// statement.
async fn may_send(chat: &Chat, id: ConversationId, who: AccountId) -> Result<(), ApiError> {
    let reader = chat.ground.storage.database.reader();
    let sql = "SELECT (SELECT COUNT(*) FROM chat_files f WHERE f.owner = m.account AND f.message IS NULL) AS waiting \
               FROM chat_members m WHERE m.chat = $1 AND m.account = $2";
    let values = [id.as_i64(), who.as_i64()].map(Value::from);
    let row = reader.query_one_raw(statement(reader, sql, values)).await?.ok_or_else(outside)?;
    if row.try_get::<i64>("", "waiting")? >= MAX_WAITING {
        let detail = format!("{MAX_WAITING} files wait for messages that name them; send those first");
        return Err(ApiError::new(429, "too-many-files", "Too many files", detail));
    }
    Ok(())
}

/// Stores a file under a row that is due in a while; [`keep`] makes it good.
async fn store(chat: &Chat, row: &file::Model, id: FileId, bytes: Bytes) -> Result<(), ApiError> {
    let storage = &chat.ground.storage;
    let due_ms = signed(storage.database.now_ms() + chat.files.due_ms);
    let row = file::Model { due_ms: Some(due_ms), ..row.clone() };
    let write = storage.database.write::<_, ApiError, _>(|tx| {
        let row = file::ActiveModel::from(row.clone());
        Box::pin(async move {
            file::Entity::insert(row).exec_without_returning(tx.conn()).await?;
            Ok(())
        })
    });
    write.await?;
    storage.objects.put(&ObjectKey::File(id), bytes).await?;
    Ok(())
}

/// Makes a stored file good.
async fn keep(tx: &Tx<'_>, chat: ConversationId, id: FileId) -> Result<(), ApiError> {
    let kept = file::Entity::update_many()
        .col_expr(file::Column::Kept, Expr::value(true))
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

/// A file, for a member of its conversation: 403 for others, 404 where there is none that the member may see, 410 once it is gone. One
/// statement.
async fn find(chat: &Chat, id: ConversationId, who: AccountId, which: &str) -> Result<Found, ApiError> {
    let none = || ApiError::not_found("there is no such file in this conversation");
    let parsed: Option<FileId> = which.parse().ok();
    let reader = chat.ground.storage.database.reader();
    let sql = "SELECT f.id, f.owner, f.name, f.kind, f.kept, f.gone, f.message FROM chat_members m \
               LEFT JOIN chat_files f ON f.chat = m.chat AND f.id = $3 WHERE m.chat = $1 AND m.account = $2";
    let values = [id.as_i64(), who.as_i64(), parsed.map_or(0, FileId::as_i64)].map(Value::from);
    let row = reader.query_one_raw(statement(reader, sql, values)).await?.ok_or_else(outside)?;
    if row.try_get::<Option<i64>>("", "id")?.is_none() {
        return Err(none());
    }
    let found = Found::from_query_result(&row, "")?;
    if !found.kept || (found.message.is_none() && found.owner != who.as_i64()) {
        return Err(none());
    }
    if found.gone {
        return Err(ApiError::new(410, "gone", "Gone", "the message of this file was deleted"));
    }
    Ok(found)
}

/// A file that is read.
#[derive(Debug, FromQueryResult)]
struct Found {
    owner: i64,
    name: String,
    kind: String,
    kept: bool,
    gone: bool,
    message: Option<i64>,
}
