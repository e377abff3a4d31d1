//! What is done with an upload once it is complete: it is hashed, if that could not be done as it came, and shares the
//! pieces of an upload that has the same bytes, if there is one.
//!
//! ```text
//! complete -> claim_settling -> set_hash -> share: nobody has these bytes -> settled, others may share its pieces
//!                                             \-> another holds them: this one's pieces are the holder's from now on;
//!                                                 its own objects stay for who reads them -> settle -> discarded
//! ```
//!
//! Only a settled upload without a holder is a holder: of two with the same bytes that are settled at once, one is first.
//! A holder that is deleted is kept for the others, and goes with the last of them.

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_wire::UploadId;

use super::row::{Upload, UploadKind, UploadState, id_of};
use super::{Uploads, concat, one};
use crate::clock::millis;
use crate::database::entity::{discarded, part, upload};
use crate::database::{Tx, signed};
use crate::error::StorageError;

/// The most discarded sources a listing gives.
const MAX_DISCARDED: u64 = 100;

/// Uploads looked at for one that nobody is at: as many processes settle at once at most.
const CANDIDATES: u64 = 64;

impl Uploads {
    /// Takes a complete upload that is not settled, and that nobody else has taken, for this long. `None` when there is
    /// none.
    ///
    /// # Errors
    /// The engine's.
    pub async fn claim_settling(&self, for_: Duration) -> Result<Option<Upload>, StorageError> {
        let waiting = upload::Entity::find()
            .filter(upload::Column::Settled.eq(false))
            .filter(upload::Column::State.eq(UploadState::Complete.as_str()))
            .filter(upload::Column::BusyUntilMs.lte(signed(self.database.now_ms())))
            .filter(upload::Column::Kind.ne(UploadKind::Partial.as_str()))
            .order_by_asc(upload::Column::BusyUntilMs)
            .limit(CANDIDATES)
            .all(self.database.reader())
            .await?;
        for row in waiting {
            let (id, seen) = (row.id, row.busy_until_ms);
            let taken = self.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    let taken = upload::Entity::update_many()
                        .col_expr(
                            upload::Column::BusyUntilMs,
                            Expr::value(signed(tx.now_ms() + millis(for_))),
                        )
                        .filter(upload::Column::Id.eq(id))
                        .filter(upload::Column::BusyUntilMs.eq(seen))
                        .exec(tx.conn())
                        .await?;
                    Ok(taken.rows_affected == 1)
                })
            });
            if taken.await? {
                return Upload::try_from(row).map(Some);
            }
        }
        Ok(None)
    }

    /// Keeps how far the hash of a complete upload is, and the claim for this long.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when the upload is gone; the engine's.
    pub async fn keep_hash(
        &self,
        id: UploadId,
        hashed: u64,
        state: &[u8],
        for_: Duration,
    ) -> Result<(), StorageError> {
        let kept = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let until = tx.now_ms() + millis(for_);
                let kept = upload::Entity::update_many()
                    .col_expr(upload::Column::Hashed, Expr::value(signed(hashed)))
                    .col_expr(upload::Column::HashState, Expr::value(state.to_vec()))
                    .col_expr(upload::Column::BusyUntilMs, Expr::value(signed(until)))
                    .filter(upload::Column::Id.eq(id.as_i64()))
                    .filter(upload::Column::State.eq(UploadState::Complete.as_str()))
                    .exec(tx.conn())
                    .await?;
                Ok(kept.rows_affected)
            })
        });
        match kept.await? {
            0 => Err(StorageError::NotFound(format!("upload {id}"))),
            _ => Ok(()),
        }
    }

    /// Sets the SHA-256 of a complete upload, in lower-case hex.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not complete; the engine's.
    pub async fn set_hash(&self, tx: &Tx<'_>, id: UploadId, sha256: &str) -> Result<(), StorageError> {
        let set = upload::Entity::update_many()
            .col_expr(upload::Column::Sha256, Expr::value(sha256))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::State.eq(UploadState::Complete.as_str()))
            .exec(tx.conn())
            .await?;
        one(set.rows_affected, || format!("upload {id} is not complete"))
    }

    /// Lets a hashed upload share the pieces of a settled one of the same hash and length, and gives that one. Its own
    /// pieces are told of no more; their objects stay until [`Uploads::settle`]. When there is none, the upload is settled
    /// and its pieces may be shared.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not complete or not hashed; the engine's.
    pub async fn share(&self, tx: &Tx<'_>, id: UploadId) -> Result<Option<UploadId>, StorageError> {
        let row = upload::Entity::find_by_id(id.as_i64()).one(tx.conn()).await?;
        let row = row.filter(|row| row.state == UploadState::Complete.as_str() && row.holder.is_none());
        let hash = row.as_ref().and_then(|row| Some((row.sha256.as_ref()?, row.length?)));
        let Some((sha256, length)) = hash else {
            return Err(StorageError::Conflict(format!("upload {id} is not complete and hashed")));
        };
        let holder = upload::Entity::find()
            .filter(upload::Column::Sha256.eq(sha256))
            .filter(upload::Column::Length.eq(length))
            .filter(upload::Column::Settled.eq(true))
            .filter(upload::Column::Holder.is_null())
            .filter(upload::Column::Id.ne(id.as_i64()))
            .order_by_asc(upload::Column::Id)
            .limit(1)
            .one(tx.conn())
            .await?;
        let change = upload::Entity::update_many().filter(upload::Column::Id.eq(id.as_i64()));
        let Some(holder) = holder else {
            change.col_expr(upload::Column::Settled, Expr::value(true)).exec(tx.conn()).await?;
            return Ok(None);
        };
        for own in family(tx, id).await? {
            part::Entity::delete_many().filter(part::Column::Upload.eq(own)).exec(tx.conn()).await?;
        }
        change.col_expr(upload::Column::Holder, Expr::value(holder.id)).exec(tx.conn()).await?;
        id_of(holder.id).map(Some)
    }

    /// Settles an upload that shares another's pieces: its own objects are to be removed from now on. To be called when
    /// nobody reads them any more.
    ///
    /// # Errors
    /// The engine's.
    pub async fn settle(&self, tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
        discard(tx, id).await?;
        upload::Entity::update_many()
            .col_expr(upload::Column::Settled, Expr::value(true))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .exec(tx.conn())
            .await?;
        Ok(())
    }

    /// Uploads that no row names any more: the objects under their prefix are to be removed. At most 100.
    ///
    /// # Errors
    /// The engine's.
    pub async fn discarded(&self) -> Result<Vec<UploadId>, StorageError> {
        let rows = discarded::Entity::find().limit(MAX_DISCARDED).all(self.database.reader()).await?;
        rows.into_iter().map(|row| id_of(row.upload)).collect()
    }

    /// Notes that these uploads' objects are removed.
    ///
    /// # Errors
    /// The engine's.
    pub async fn forget_discarded(&self, ids: &[UploadId]) -> Result<(), StorageError> {
        let gone: Vec<i64> = ids.iter().map(|id| id.as_i64()).collect();
        let gone = &gone;
        let forgotten = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let those = discarded::Column::Upload.is_in(gone.iter().copied());
                discarded::Entity::delete_many().filter(those).exec(tx.conn()).await?;
                Ok(())
            })
        });
        forgotten.await
    }
}

/// True when others' pieces are this one's.
pub(super) async fn is_shared(tx: &Tx<'_>, id: UploadId) -> Result<bool, StorageError> {
    let others =
        upload::Entity::find().filter(upload::Column::Holder.eq(id.as_i64())).count(tx.conn()).await?;
    Ok(others > 0)
}

/// Keeps a deleted upload for those whose pieces it holds.
pub(super) async fn keep(tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
    upload::Entity::update_many()
        .col_expr(upload::Column::State, Expr::value(UploadState::Kept.as_str()))
        .col_expr(upload::Column::Owner, Expr::value(""))
        .filter(upload::Column::Id.eq(id.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Deletes the pieces' rows of an upload and of what is joined into it, and notes that their objects are to be removed.
pub(super) async fn discard(tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
    for own in family(tx, id).await? {
        part::Entity::delete_many().filter(part::Column::Upload.eq(own)).exec(tx.conn()).await?;
        discarded::Entity::insert(discarded::ActiveModel { upload: Set(own) })
            .on_conflict(OnConflict::column(discarded::Column::Upload).do_nothing().to_owned())
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// An upload and what is joined into it.
async fn family(tx: &Tx<'_>, id: UploadId) -> Result<Vec<i64>, StorageError> {
    let mut own: Vec<i64> = concat::joined(tx.conn(), id).await?.into_iter().map(|row| row.id).collect();
    own.push(id.as_i64());
    Ok(own)
}
