//! Removes files that no message names: those of deleted messages at once, those that none came to name after a while.

use sluice_platform::{remove, while_due};
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx};
use sluice_wire::{FileId, ObjectKey};
use tokio_util::sync::CancellationToken;

use crate::Chat;
use crate::rows::file;

/// Files of one look.
const BATCH: u64 = 64;
/// Milliseconds until one that could not be removed is tried again.
const LATER: u64 = 60_000;

/// Sweeps until the process ends.
pub(crate) async fn sweep(chat: Chat, stop: CancellationToken) {
    let look = || batch(&chat, &stop);
    while_due(chat.files.due_ms, &chat.files.released, &stop, "files that no message names", look).await;
}

/// The oldest that are due: first they are gone for all, then the objects go, then the rows. Done twice, it is as done once.
async fn batch(chat: &Chat, stop: &CancellationToken) -> Result<u64, StorageError> {
    let storage = &chat.ground.storage;
    let due: Vec<i64> = file::Entity::find()
        .select_only()
        .column(file::Column::Id)
        .filter(file::Column::DueMs.lte(signed(storage.database.now_ms())))
        .order_by_asc(file::Column::DueMs)
        .limit(BATCH)
        .into_tuple()
        .all(storage.database.reader())
        .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let due = &due;
    let gone: Vec<i64> = storage.database.write(|tx| Box::pin(withdraw(tx, due))).await?;
    let keys = gone.into_iter().map(|file| Ok((file, ObjectKey::File(id(file)?))));
    let keys = keys.collect::<Result<Vec<_>, StorageError>>()?;
    let (gone, later) = remove(&storage.objects, keys, stop).await;
    let (swept, gone, later) = (gone.len() as u64, &gone, &later);
    storage.database.write(|tx| Box::pin(forget(tx, gone, later))).await?;
    chat.files.count("swept", swept);
    Ok(swept)
}

/// Rows go with their objects; those whose objects are there still wait a minute.
async fn forget(tx: &Tx<'_>, gone: &[i64], later: &[i64]) -> Result<(), StorageError> {
    file::Entity::delete_many()
        .filter(file::Column::Id.is_in(gone.iter().copied()))
        .filter(file::Column::Gone.eq(true))
        .exec(tx.conn())
        .await?;
    if !later.is_empty() {
        file::Entity::update_many()
            .col_expr(file::Column::DueMs, Expr::value(signed(tx.now_ms() + LATER)))
            .filter(file::Column::Id.is_in(later.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// Those that are due still are gone from now on: no message comes to name them.
async fn withdraw(tx: &Tx<'_>, due: &[i64]) -> Result<Vec<i64>, StorageError> {
    let rows = file::Entity::update_many()
        .col_expr(file::Column::Gone, Expr::value(true))
        .filter(file::Column::Id.is_in(due.iter().copied()))
        .filter(file::Column::DueMs.lte(signed(tx.now_ms())))
        .exec_with_returning(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A file out of a column.
fn id(column: i64) -> Result<FileId, StorageError> {
    let number = unsigned("chat_files.id", column)?;
    FileId::from_u64(number).map_err(|error| StorageError::Corrupt(error.to_string()))
}
