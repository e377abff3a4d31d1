//! What an owner has: bytes that are stored or declared, and uploads under way.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::row::{UploadKind, UploadState};
use crate::database::entity::upload;
use crate::database::{Tx, unsigned};
use crate::error::StorageError;

/// What an owner has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerUsage {
    /// Bytes of sources: an upload under way counts with its length, or with what is here while that is not known. What
    /// shares another's pieces counts too: nobody is to learn of it.
    pub bytes: u64,
    /// Uploads under way. Partial ones count, until they are joined or complete.
    pub uploads: u64,
}

pub(super) async fn of(tx: &Tx<'_>, owner: &str) -> Result<OwnerUsage, StorageError> {
    // The parts of a final upload are counted by it.
    let own = || {
        upload::Entity::find()
            .select_only()
            .filter(upload::Column::Owner.eq(owner))
            .filter(upload::Column::Whole.is_null())
    };
    let bytes = own()
        .filter(upload::Column::State.ne(UploadState::Kept.as_str()))
        .column_as(Expr::cust("CAST(COALESCE(SUM(COALESCE(length, received)), 0) AS BIGINT)"), "bytes")
        .into_tuple::<i64>()
        .one(tx.conn())
        .await?;
    let uploads = own()
        .filter(upload::Column::State.eq(UploadState::Open.as_str()))
        .filter(upload::Column::Kind.ne(UploadKind::Final.as_str()))
        .column_as(Expr::cust("COUNT(*)"), "uploads")
        .into_tuple::<i64>()
        .one(tx.conn())
        .await?;
    Ok(OwnerUsage {
        bytes: unsigned("uploads.length", bytes.unwrap_or_default())?,
        uploads: unsigned("uploads", uploads.unwrap_or_default())?,
    })
}
