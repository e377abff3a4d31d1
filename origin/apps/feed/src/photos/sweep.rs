//! Removes photos that no post shows: those of deleted posts at once, those that none came to show after a while.

use sluice_platform::{remove, while_due};
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::signed;
use sluice_storage::{StorageError, Tx};
use sluice_wire::{EventKind, ObjectKey, PhotoId};
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::rows::photo;
use crate::tags;

/// Photos of one look.
const BATCH: u64 = 64;
/// Milliseconds until one that could not be removed is tried again.
const LATER: u64 = 60_000;

/// Sweeps until the process ends.
pub(crate) async fn sweep(feed: Feed, stop: CancellationToken) {
    let look = || batch(&feed, &stop);
    while_due(feed.config.photo_ms, &feed.released, &stop, "photos that no post shows", look).await;
}

/// The oldest that are due: first they are gone for all, then the objects go, then the rows. Done twice, it is as done once.
async fn batch(feed: &Feed, stop: &CancellationToken) -> Result<u64, StorageError> {
    let due: Vec<i64> = photo::Entity::find()
        .select_only()
        .column(photo::Column::Id)
        .filter(photo::Column::DueMs.lte(signed(feed.database().now_ms())))
        .order_by_asc(photo::Column::DueMs)
        .limit(BATCH)
        .into_tuple()
        .all(feed.database().reader())
        .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let due = &due;
    let gone = feed.database().write(|tx| Box::pin(withdraw(tx, due))).await?;
    let keys = gone.into_iter().map(|photo| (photo.as_i64(), ObjectKey::Photo(photo)));
    let (gone, later) = remove(&feed.storage.objects, keys, stop).await;
    let (swept, gone, later) = (gone.len() as u64, &gone, &later);
    feed.database().write(|tx| Box::pin(forget(tx, gone, later))).await?;
    feed.metrics.photos.with_label_values(&["swept"]).inc_by(swept);
    Ok(swept)
}

/// Rows go with their objects; those whose objects are there still wait a minute.
async fn forget(tx: &Tx<'_>, gone: &[i64], later: &[i64]) -> Result<(), StorageError> {
    photo::Entity::delete_many()
        .filter(photo::Column::Id.is_in(gone.iter().copied()))
        .filter(photo::Column::Gone.eq(true))
        .exec(tx.conn())
        .await?;
    if !later.is_empty() {
        photo::Entity::update_many()
            .col_expr(photo::Column::DueMs, Expr::value(signed(tx.now_ms() + LATER)))
            .filter(photo::Column::Id.is_in(later.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// Photos that are due still, gone from now on for those who had them, too.
async fn withdraw(tx: &Tx<'_>, due: &[i64]) -> Result<Vec<PhotoId>, StorageError> {
    let told = photo::Entity::find()
        .filter(photo::Column::Id.is_in(due.iter().copied()))
        .filter(photo::Column::Gone.eq(true))
        .all(tx.conn())
        .await?;
    let unused = photo::Entity::update_many()
        .col_expr(photo::Column::Gone, Expr::value(true))
        .filter(photo::Column::Id.is_in(due.iter().copied()))
        .filter(photo::Column::DueMs.lte(signed(tx.now_ms())))
        .filter(photo::Column::Gone.eq(false))
        .exec_with_returning(tx.conn())
        .await?;
    let id = |row: &photo::Model| super::id(row.id);
    let unused: Vec<PhotoId> = unused.iter().map(id).collect::<Result<_, _>>()?;
    let event = |photo: &PhotoId| (tags::photo(*photo), EventKind::Deleted, serde_json::Value::Null);
    tx.emit_all(&unused.iter().map(event).collect::<Vec<_>>()).await?;
    let told = told.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    Ok([told, unused].concat())
}
