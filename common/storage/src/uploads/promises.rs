//! Parts that a client stores by itself, under numbers and of sizes that it was promised.
//!
//! ```text
//! promise -> the client stores it -> use_promise with Uploads::append: it is a piece, and its promise stays until its time
//!        \-> nothing came of it                                       \-> overdue: what nothing names is removed
//! ```
//!
//! A promise outlives every URL that was made for it, so that whatever is stored by one is either a piece or removed.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_wire::UploadId;

use super::row::id_of;
use super::{MAX_LIST, Uploads, one};
use crate::database::entity::{part, promise, upload};
use crate::database::{Tx, signed, unsigned, unsigned32};
use crate::error::StorageError;

/// A part that a client was told to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Its number: the one in its object's key.
    pub index: u32,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex, where the client said it.
    pub sha256: Option<String>,
    /// From when on it is none any more, in Unix milliseconds.
    pub until_ms: u64,
    /// True for one that is a piece of its upload.
    pub used: bool,
}

impl Uploads {
    /// Promises parts of these sizes, and hashes where they are known, under numbers that nobody else gets.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when the upload is gone; [`StorageError::Conflict`] when they would reach, with what is
    /// here and what is promised already, past its length; the engine's.
    pub async fn promise(
        &self,
        tx: &Tx<'_>,
        id: UploadId,
        wanted: &[(u64, Option<String>)],
        until_ms: u64,
    ) -> Result<Vec<Promise>, StorageError> {
        let taken = upload::Entity::update_many()
            .col_expr(
                upload::Column::NextPart,
                Expr::col(upload::Column::NextPart).add(signed(wanted.len() as u64)),
            )
            .filter(upload::Column::Id.eq(id.as_i64()))
            .exec_with_returning(tx.conn())
            .await?;
        let row = taken.into_iter().next();
        let row = row.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
        let open = open(tx, id).await?;
        let promised: u64 = open.iter().map(|promise| promise.bytes).sum();
        let more: u64 = wanted.iter().fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes));
        let reached =
            unsigned("uploads.received", row.received)?.saturating_add(promised).saturating_add(more);
        let length = row.length.map(|length| unsigned("uploads.length", length)).transpose()?;
        if length.is_none_or(|length| reached > length) {
            let detail =
                format!("{promised} bytes of upload {id} are promised, and {more} more go past its length");
            return Err(StorageError::Conflict(detail));
        }
        let next = unsigned32("uploads.next_part", row.next_part)?;
        let first = next.saturating_sub(u32::try_from(wanted.len()).unwrap_or(u32::MAX));
        let promises: Vec<Promise> = (first..)
            .zip(wanted)
            .map(|(index, (bytes, sha256))| {
                let (bytes, sha256) = (*bytes, sha256.clone());
                Promise { index, bytes, sha256, until_ms, used: false }
            })
            .collect();
        let rows = promises.iter().map(|promise| promise::ActiveModel {
            upload: Set(id.as_i64()),
            number: Set(signed(promise.index)),
            bytes: Set(signed(promise.bytes)),
            sha256: Set(promise.sha256.clone()),
            until_ms: Set(signed(until_ms)),
            used: Set(false),
        });
        promise::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
        Ok(promises)
    }

    /// The promises of an upload whose time is not over, by number, at most 1000.
    ///
    /// # Errors
    /// The engine's.
    pub async fn promises(&self, id: UploadId) -> Result<Vec<Promise>, StorageError> {
        let rows = promise::Entity::find()
            .filter(promise::Column::Upload.eq(id.as_i64()))
            .filter(promise::Column::UntilMs.gt(signed(self.database.now_ms())))
            .order_by_asc(promise::Column::Used)
            .order_by_asc(promise::Column::Number)
            .limit(MAX_LIST)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(Promise::try_from).collect()
    }

    /// Those of an upload's promises that have these numbers.
    ///
    /// # Errors
    /// The engine's.
    pub async fn promises_of(
        &self,
        id: UploadId,
        numbers: &BTreeSet<u32>,
    ) -> Result<Vec<Promise>, StorageError> {
        let rows = promise::Entity::find()
            .filter(promise::Column::Upload.eq(id.as_i64()))
            .filter(promise::Column::Number.is_in(numbers.iter().map(|number| signed(*number))))
            .limit(MAX_LIST)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(Promise::try_from).collect()
    }

    /// Uses a promise: its part is a piece of the upload with this transaction. One caller succeeds.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is used already, or its time is over; the engine's.
    pub async fn use_promise(&self, tx: &Tx<'_>, id: UploadId, index: u32) -> Result<(), StorageError> {
        let used = promise::Entity::update_many()
            .col_expr(promise::Column::Used, Expr::value(true))
            .filter(promise::Column::Upload.eq(id.as_i64()))
            .filter(promise::Column::Number.eq(signed(index)))
            .filter(promise::Column::Used.eq(false))
            .filter(promise::Column::UntilMs.gt(signed(tx.now_ms())))
            .exec(tx.conn())
            .await?;
        one(used.rows_affected, || format!("part {index} of upload {id} is promised to nobody any more"))
    }

    /// Promises whose time has been over for this long, the oldest first, at most 1000: each with whether its part is a
    /// piece. What is none may be stored all the same, and is to be removed.
    ///
    /// # Errors
    /// The engine's.
    pub async fn overdue(&self, for_ms: u64, limit: u64) -> Result<Vec<(UploadId, u32, bool)>, StorageError> {
        let before = self.database.now_ms().saturating_sub(for_ms);
        let rows = promise::Entity::find()
            .filter(promise::Column::UntilMs.lte(signed(before)))
            .order_by_asc(promise::Column::UntilMs)
            .limit(Ord::min(limit, MAX_LIST))
            .all(self.database.reader())
            .await?;
        let mut overdue = vec![];
        for row in rows {
            let named =
                part::Entity::find_by_id((row.upload, row.number)).count(self.database.reader()).await?;
            overdue.push((id_of(row.upload)?, unsigned32("promised_parts.number", row.number)?, named > 0));
        }
        Ok(overdue)
    }

    /// Forgets a promise.
    ///
    /// # Errors
    /// The engine's.
    pub async fn forget_promise(&self, id: UploadId, index: u32) -> Result<(), StorageError> {
        let forgotten = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                promise::Entity::delete_by_id((id.as_i64(), signed(index))).exec(tx.conn()).await?;
                Ok(())
            })
        });
        forgotten.await
    }
}

/// Promises that may still become pieces.
async fn open(tx: &Tx<'_>, id: UploadId) -> Result<Vec<Promise>, StorageError> {
    let rows = promise::Entity::find()
        .filter(promise::Column::Upload.eq(id.as_i64()))
        .filter(promise::Column::Used.eq(false))
        .filter(promise::Column::UntilMs.gt(signed(tx.now_ms())))
        .limit(MAX_LIST)
        .all(tx.conn())
        .await?;
    if rows.len() as u64 == MAX_LIST {
        return Err(StorageError::Conflict(format!("{MAX_LIST} parts of upload {id} are promised already")));
    }
    rows.into_iter().map(Promise::try_from).collect()
}

impl TryFrom<promise::Model> for Promise {
    type Error = StorageError;

    fn try_from(row: promise::Model) -> Result<Self, StorageError> {
        Ok(Self {
            index: unsigned32("promised_parts.number", row.number)?,
            bytes: unsigned("promised_parts.bytes", row.bytes)?,
            sha256: row.sha256,
            until_ms: unsigned("promised_parts.until_ms", row.until_ms)?,
            used: row.used,
        })
    }
}
