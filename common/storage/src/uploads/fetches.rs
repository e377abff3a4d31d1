//! Sources that are fetched by whichever process takes them: each has one at a time, for as long as it says that it lives.
//! A process that has lost one to another may go on for a moment; of two that append at an offset, one wins.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany};
use sluice_wire::UploadId;

use super::Uploads;
use super::row::id_of;
use crate::clock::millis;
use crate::database::entity::fetch;
use crate::database::{Tx, signed, unsigned, unsigned32};
use crate::error::StorageError;

/// Fetches looked at for one that nobody has.
const CANDIDATES: u64 = 64;

/// A source to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The upload it goes into.
    pub upload: UploadId,
    /// Where it is.
    pub url: String,
    /// Who has it.
    pub holder: String,
    /// What the server called the bytes that are here: an entity tag or a date, for `If-Range`.
    pub validator: Option<String>,
    /// Attempts that failed since the last one that brought anything.
    pub attempts: u32,
    /// When it was ordered, in Unix milliseconds.
    pub created_ms: u64,
}

impl Uploads {
    /// Orders a source to be fetched into an upload.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is ordered already; the engine's.
    pub async fn order_fetch(&self, tx: &Tx<'_>, id: UploadId, url: &str) -> Result<(), StorageError> {
        let row = fetch::ActiveModel {
            upload: Set(id.as_i64()),
            url: Set(url.to_owned()),
            holder: Set(String::new()),
            validator: Set(None),
            attempts: Set(0),
            due_ms: Set(signed(tx.now_ms())),
            created_ms: Set(signed(tx.now_ms())),
        };
        fetch::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// Takes a fetch that is due and that nobody has, for this long. `None` when there is none. `holder` names this taking
    /// and no other one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn claim_fetch(&self, holder: &str, for_: Duration) -> Result<Option<Fetch>, StorageError> {
        let due = fetch::Entity::find()
            .filter(fetch::Column::DueMs.lte(signed(self.database.now_ms())))
            .order_by_asc(fetch::Column::DueMs)
            .limit(CANDIDATES)
            .all(self.database.reader())
            .await?;
        for row in due {
            let (upload, seen) = (row.upload, row.due_ms);
            let taken = self.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    let taken = fetch::Entity::update_many()
                        .col_expr(fetch::Column::Holder, Expr::value(holder))
                        .col_expr(fetch::Column::DueMs, Expr::value(signed(tx.now_ms() + millis(for_))))
                        .filter(fetch::Column::Upload.eq(upload))
                        .filter(fetch::Column::DueMs.eq(seen))
                        .exec(tx.conn())
                        .await?;
                    Ok(taken.rows_affected == 1)
                })
            });
            if taken.await? {
                return read(fetch::Model { holder: holder.to_owned(), ..row }).map(Some);
            }
        }
        Ok(None)
    }

    /// Keeps a fetch for this long.
    ///
    /// # Errors
    /// [`StorageError::Fenced`] when another process has it, or it is gone; the engine's.
    pub async fn renew_fetch(&self, fetch: &Fetch, for_: Duration) -> Result<(), StorageError> {
        self.change_fetch(fetch, for_, |change| change).await
    }

    /// Notes what the server calls the bytes that come, and that they do.
    ///
    /// # Errors
    /// As [`Uploads::renew_fetch`].
    pub async fn begin_fetch(
        &self,
        fetch: &Fetch,
        validator: Option<&str>,
        for_: Duration,
    ) -> Result<(), StorageError> {
        let validator = validator.map(str::to_owned);
        let note =
            |change: UpdateMany<_>| change.col_expr(fetch::Column::Validator, Expr::value(validator.clone()));
        self.change_fetch(fetch, for_, note).await
    }

    /// Puts a fetch off that failed. `brought` when bytes came, so that its failures are counted anew.
    ///
    /// # Errors
    /// As [`Uploads::renew_fetch`].
    pub async fn put_off_fetch(
        &self,
        fetch: &Fetch,
        brought: bool,
        for_: Duration,
    ) -> Result<(), StorageError> {
        let attempts = match brought {
            true => Expr::value(1),
            false => Expr::col(fetch::Column::Attempts).add(1),
        };
        let count = |change: UpdateMany<_>| change.col_expr(fetch::Column::Attempts, attempts.clone());
        self.change_fetch(fetch, for_, count).await
    }

    async fn change_fetch(
        &self,
        fetch: &Fetch,
        for_: Duration,
        change: impl Fn(UpdateMany<fetch::Entity>) -> UpdateMany<fetch::Entity> + Send + Sync,
    ) -> Result<(), StorageError> {
        let change = &change;
        let changed = self.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let until = signed(tx.now_ms() + millis(for_));
                let update = fetch::Entity::update_many()
                    .col_expr(fetch::Column::DueMs, Expr::value(until))
                    .filter(fetch::Column::Upload.eq(fetch.upload.as_i64()))
                    .filter(fetch::Column::Holder.eq(fetch.holder.as_str()));
                Ok(change(update).exec(tx.conn()).await?.rows_affected)
            })
        });
        if changed.await? == 1 { Ok(()) } else { Err(StorageError::Fenced) }
    }

    /// Strikes a fetch off, when it is done or will never be.
    ///
    /// # Errors
    /// The engine's.
    pub async fn end_fetch(&self, tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
        end(tx, id).await
    }
}

pub(super) async fn end(tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
    fetch::Entity::delete_by_id(id.as_i64()).exec(tx.conn()).await?;
    Ok(())
}

fn read(row: fetch::Model) -> Result<Fetch, StorageError> {
    Ok(Fetch {
        upload: id_of(row.upload)?,
        url: row.url,
        holder: row.holder,
        validator: row.validator,
        attempts: unsigned32("fetches.attempts", row.attempts)?,
        created_ms: unsigned("fetches.created_ms", row.created_ms)?,
    })
}
