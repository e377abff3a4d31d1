//! Uploads made of others (tus 1.0, concatenation): partial ones are joined into a final one, whose bytes are theirs in
//! that order. It may be made before they are complete, and is complete with the last of them.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_wire::UploadId;

use super::row::{UploadKind, UploadState, id_of};
use super::{Uploads, one};
use crate::database::entity::upload;
use crate::database::{Tx, signed, unsigned};
use crate::error::StorageError;

/// The most uploads that are joined into one: ids of this many fit a header field of 8 KiB.
pub const MAX_JOINED: usize = 256;

impl Uploads {
    /// Joins partial uploads of one owner into a final one, in this order, and gives their length together, which is the
    /// final one's from now on. The length of each must be known. Each is joined once; its bytes may still be coming.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] for one that is not there or is another owner's; [`StorageError::Conflict`] when they
    /// are none or more than 256, when one is no partial upload, is joined already, is named twice, has no length yet, or
    /// when the final one is no final one without a length; the engine's.
    pub async fn join(&self, tx: &Tx<'_>, id: UploadId, partials: &[UploadId]) -> Result<u64, StorageError> {
        let whole = super::read(tx.conn(), id).await?;
        let whole = whole.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
        if !(1..=MAX_JOINED).contains(&partials.len()) {
            return Err(StorageError::Conflict(format!("from 1 to {MAX_JOINED} uploads are joined")));
        }
        let mut length = 0;
        for partial in partials {
            length += add(tx, id, &whole.owner, *partial, length).await?;
        }
        let set = upload::Entity::update_many()
            .col_expr(upload::Column::Length, Expr::value(signed(length)))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::Kind.eq(UploadKind::Final.as_str()))
            .filter(upload::Column::Length.is_null())
            .exec(tx.conn())
            .await?;
        one(set.rows_affected, || format!("upload {id} is no final upload that is new"))?;
        Ok(length)
    }

    /// Declares a final upload complete if all of its partial ones are. One caller is told that it did.
    ///
    /// # Errors
    /// The engine's.
    pub async fn complete_whole(&self, tx: &Tx<'_>, id: UploadId) -> Result<bool, StorageError> {
        let missing = upload::Entity::find()
            .filter(upload::Column::Whole.eq(id.as_i64()))
            .filter(upload::Column::State.ne(UploadState::Complete.as_str()))
            .count(tx.conn())
            .await?;
        if missing > 0 {
            return Ok(false);
        }
        let done = upload::Entity::update_many()
            .col_expr(upload::Column::State, Expr::value(UploadState::Complete.as_str()))
            .col_expr(upload::Column::Received, Expr::col(upload::Column::Length))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::Kind.eq(UploadKind::Final.as_str()))
            .filter(upload::Column::Length.is_not_null())
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .exec(tx.conn())
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// The uploads that are joined into this one, in order; none for one that is no final one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn joined(&self, id: UploadId) -> Result<Vec<UploadId>, StorageError> {
        joined(self.database.reader(), id).await?.into_iter().map(|row| id_of(row.id)).collect()
    }
}

/// Joins one upload at this offset; gives its length.
async fn add(
    tx: &Tx<'_>,
    whole: UploadId,
    owner: &str,
    partial: UploadId,
    start: u64,
) -> Result<u64, StorageError> {
    let row = upload::Entity::find_by_id(partial.as_i64()).one(tx.conn()).await?;
    let row = row.filter(|row| row.owner == owner);
    let row = row.ok_or_else(|| StorageError::NotFound(format!("upload {partial}")))?;
    let refuse = |why: &str| StorageError::Conflict(format!("upload {partial} {why}"));
    if row.kind != UploadKind::Partial.as_str() {
        return Err(refuse("is not partial"));
    }
    let length = row.length.ok_or_else(|| refuse("has no length yet"))?;
    let taken = upload::Entity::update_many()
        .col_expr(upload::Column::Whole, Expr::value(whole.as_i64()))
        .col_expr(upload::Column::WholeStart, Expr::value(signed(start)))
        .filter(upload::Column::Id.eq(partial.as_i64()))
        .filter(upload::Column::Whole.is_null())
        .exec(tx.conn())
        .await?;
    if taken.rows_affected == 1 {
        unsigned("uploads.length", length)
    } else {
        Err(refuse("is joined already"))
    }
}

/// The rows of the uploads that are joined into this one, in order.
pub(super) async fn joined(
    conn: &impl ConnectionTrait,
    whole: UploadId,
) -> Result<Vec<upload::Model>, StorageError> {
    let rows = upload::Entity::find()
        .filter(upload::Column::Whole.eq(whole.as_i64()))
        .order_by_asc(upload::Column::WholeStart)
        .limit(MAX_JOINED as u64)
        .all(conn)
        .await?;
    Ok(rows)
}
