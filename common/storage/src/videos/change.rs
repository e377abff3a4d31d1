//! What people change of a video: its texts, its tags, who sees it, whether it is there.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use sluice_wire::{Protection, VideoId};

use super::{Video, Videos, Visibility, change, found, read, terms};
use crate::database::entity::{video, video_term};
use crate::database::{Tx, signed, to_json};
use crate::error::StorageError;

/// What is to be different. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// What people call it.
    pub title: Option<String>,
    /// What people say of it.
    pub description: Option<String>,
    /// Its tags, all of them.
    pub tags: Option<Vec<String>>,
    /// Who comes by it.
    pub visibility: Option<Visibility>,
    /// How its media is sealed for delivery.
    pub protection: Option<Protection>,
}

/// What came of an attempt to restore a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It is there again.
    Yes,
    /// It was never deleted.
    NotDeleted,
    /// It was deleted too long ago.
    TooLate,
}

impl Videos {
    /// Changes a video, given as it is in this transaction ([`Videos::get_in`]).
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn edit(&self, tx: &Tx<'_>, now: &Video, wanted: &Change) -> Result<(), StorageError> {
        let title = wanted.title.as_ref().unwrap_or(&now.title);
        let description = wanted.description.as_ref().unwrap_or(&now.description);
        let tags = wanted.tags.as_ref().unwrap_or(&now.tags);
        let visibility = wanted.visibility.unwrap_or(now.visibility);
        let update = change(tx, now.id)
            .col_expr(video::Column::Title, Expr::value(title))
            .col_expr(video::Column::Description, Expr::value(description))
            .col_expr(video::Column::Tags, Expr::value(to_json(tags)?))
            .col_expr(video::Column::Visibility, Expr::value(visibility.as_str()))
            .col_expr(
                video::Column::Protection,
                Expr::value(wanted.protection.unwrap_or(now.protection).as_str()),
            );
        found(tx, now.id, update).await?;
        forget(tx, now.id).await?;
        index(tx, now.id, visibility, terms::of(title, &now.name, description, tags)).await
    }

    /// Takes a video out of every list and from every player; it can be restored until it is removed. False when there is
    /// none, or it was deleted before.
    ///
    /// # Errors
    /// The engine's.
    pub async fn put_aside(&self, tx: &Tx<'_>, id: VideoId) -> Result<bool, StorageError> {
        let update = change(tx, id)
            .col_expr(video::Column::DeletedMs, Expr::value(signed(tx.now_ms())))
            .filter(video::Column::DeletedMs.is_null());
        if update.exec(tx.conn()).await?.rows_affected == 0 {
            return Ok(false);
        }
        forget(tx, id).await?;
        super::editions::give_up(tx, id).await?;
        Ok(true)
    }

    /// Brings back a video that was deleted less than `within_ms` ago.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn restore(&self, tx: &Tx<'_>, id: VideoId, within_ms: u64) -> Result<Restored, StorageError> {
        let row = read(tx.conn(), id).await?.ok_or_else(|| StorageError::NotFound(format!("video {id}")))?;
        let Some(deleted_ms) = row.deleted_ms else { return Ok(Restored::NotDeleted) };
        if deleted_ms.saturating_add(within_ms) <= tx.now_ms() {
            return Ok(Restored::TooLate);
        }
        let update = change(tx, id).col_expr(video::Column::DeletedMs, Expr::value(None::<i64>));
        found(tx, id, update).await?;
        index(tx, id, row.visibility, terms::of(&row.title, &row.name, &row.description, &row.tags)).await?;
        Ok(Restored::Yes)
    }
}

/// Has a video found by terms.
pub(super) async fn index(
    tx: &Tx<'_>,
    id: VideoId,
    visibility: Visibility,
    terms: BTreeSet<String>,
) -> Result<(), StorageError> {
    if terms.is_empty() {
        return Ok(());
    }
    let rows = terms.into_iter().map(|term| video_term::ActiveModel {
        term: Set(term),
        video: Set(id.as_i64()),
        visibility: Set(visibility.as_str().to_owned()),
    });
    video_term::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Has a video found by nothing.
pub(super) async fn forget(tx: &Tx<'_>, id: VideoId) -> Result<(), StorageError> {
    let of_it = Expr::col(video_term::Column::Video).eq(id.as_i64());
    video_term::Entity::delete_many().filter(of_it).exec(tx.conn()).await?;
    Ok(())
}
