//! Uploads under way: how far each one is, and the pieces it is made of.
//!
//! A piece is stored first, under a number that only its writer has ([`Uploads::claim`]), and appended after that
//! ([`Uploads::append`]): of writers at the same offset one wins, and the others' pieces are named by nothing.
//!
//! A final upload takes no bytes: it is made of partial ones ([`Uploads::join`]). What is here of a source, in pieces and
//! by offset, is told by [`Uploads::source`], also while it comes.

mod concat;
mod copy;
mod fetches;
mod promises;
mod row;
mod settle;
mod source;
mod usage;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use sluice_wire::UploadId;

pub use concat::MAX_JOINED;
pub use fetches::Fetch;
pub use promises::Promise;
pub use row::{NewUpload, Part, Upload, UploadKind, UploadState};
pub use source::{Piece, Source};
pub use usage::OwnerUsage;

use crate::database::entity::{part, upload};
use crate::database::{Database, Tx, signed, to_json, unsigned32};
use crate::error::StorageError;
use row::id_of;

/// The most rows a listing gives.
const MAX_LIST: u64 = 1000;

/// The most pieces of an upload.
const MAX_PARTS: u64 = 1_000_000;

/// The upload tables. Clones share the database.
#[derive(Debug, Clone)]
pub struct Uploads {
    database: Database,
}

impl Uploads {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the id is taken; the engine's.
    pub async fn create(&self, tx: &Tx<'_>, new: &NewUpload) -> Result<(), StorageError> {
        let now = signed(tx.now_ms());
        let row = upload::ActiveModel {
            id: Set(new.id.as_i64()),
            name: Set(new.name.clone()),
            length: Set(new.length.map(signed)),
            received: Set(0),
            metadata: Set(to_json(&new.metadata)?),
            expires_ms: Set(signed(new.expires_ms)),
            state: Set(UploadState::Open.as_str().to_owned()),
            hash_state: Set(new.hash_state.clone()),
            next_part: Set(0),
            created_ms: Set(now),
            updated_ms: Set(now),
            kind: Set(new.kind.as_str().to_owned()),
            owner: Set(new.owner.clone()),
            whole: Set(None),
            whole_start: Set(None),
            sha256: Set(None),
            holder: Set(None),
            settled: Set(false),
            hashed: Set(0),
            busy_until_ms: Set(0),
        };
        upload::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// Takes a piece number that nobody else gets, to store a piece under before it is appended.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when the upload is gone; the engine's.
    pub async fn claim(&self, id: UploadId) -> Result<u32, StorageError> {
        self.database
            .write(|tx| {
                Box::pin(async move {
                    let claimed = upload::Entity::update_many()
                        .col_expr(upload::Column::NextPart, Expr::col(upload::Column::NextPart).add(1_i64))
                        .filter(upload::Column::Id.eq(id.as_i64()))
                        .exec_with_returning(tx.conn())
                        .await?;
                    match claimed.first() {
                        Some(row) => unsigned32("uploads.next_part", row.next_part - 1),
                        None => Err(StorageError::NotFound(format!("upload {id}"))),
                    }
                })
            })
            .await
    }

    /// Appends a stored piece if the upload is still open and exactly at `expected_offset`, in bytes, and the piece does not
    /// reach past its length. Gives the new offset. Of parallel writers one wins.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] for the losers, and wherever it may not be appended; the engine's.
    pub async fn append(
        &self,
        tx: &Tx<'_>,
        id: UploadId,
        expected_offset: u64,
        part: &Part,
        hash_state: &[u8],
    ) -> Result<u64, StorageError> {
        let offset = expected_offset + part.bytes;
        let fits = Condition::any()
            .add(upload::Column::Length.is_null())
            .add(upload::Column::Length.gte(signed(offset)));
        let moved = upload::Entity::update_many()
            .col_expr(upload::Column::Received, Expr::value(signed(offset)))
            .col_expr(upload::Column::HashState, Expr::value(hash_state.to_vec()))
            .col_expr(upload::Column::UpdatedMs, Expr::value(signed(tx.now_ms())))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::Kind.ne(UploadKind::Final.as_str()))
            .filter(upload::Column::Received.eq(signed(expected_offset)))
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .filter(fits)
            .exec(tx.conn())
            .await?;
        if moved.rows_affected != 1 {
            return Err(StorageError::Conflict(format!("upload {id} is not open at {expected_offset}")));
        }
        let row = part::ActiveModel {
            upload: Set(id.as_i64()),
            number: Set(signed(part.index)),
            start: Set(signed(expected_offset)),
            bytes: Set(signed(part.bytes)),
            sha256: Set(part.sha256.clone()),
        };
        part::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        Ok(offset)
    }

    /// Fixes a length that was not known at the beginning.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when there is another length already, more bytes than that, or no such upload; the engine's.
    pub async fn set_length(&self, tx: &Tx<'_>, id: UploadId, length: u64) -> Result<(), StorageError> {
        let open_or_same = Condition::any()
            .add(upload::Column::Length.is_null())
            .add(upload::Column::Length.eq(signed(length)));
        let set = upload::Entity::update_many()
            .col_expr(upload::Column::Length, Expr::value(signed(length)))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::Received.lte(signed(length)))
            .filter(open_or_same)
            .exec(tx.conn())
            .await?;
        one(set.rows_affected, || format!("upload {id} cannot have length {length}"))
    }

    /// Prolongs the life of an upload, and of the one it is joined into.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not open; the engine's.
    pub async fn set_expiry(&self, tx: &Tx<'_>, id: UploadId, expires_ms: u64) -> Result<(), StorageError> {
        let set = upload::Entity::update_many()
            .col_expr(upload::Column::ExpiresMs, Expr::value(signed(expires_ms)))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .exec_with_returning(tx.conn())
            .await?;
        one(set.len() as u64, || format!("upload {id} is not open"))?;
        if let Some(whole) = set.first().and_then(|row| row.whole) {
            upload::Entity::update_many()
                .col_expr(upload::Column::ExpiresMs, Expr::value(signed(expires_ms)))
                .filter(upload::Column::Id.eq(whole))
                .exec(tx.conn())
                .await?;
        }
        Ok(())
    }

    /// Declares an upload complete at `length` bytes. One caller succeeds.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not open or not at that offset; the engine's.
    pub async fn complete(&self, tx: &Tx<'_>, id: UploadId, length: u64) -> Result<(), StorageError> {
        let done = upload::Entity::update_many()
            .col_expr(upload::Column::State, Expr::value(UploadState::Complete.as_str()))
            .col_expr(upload::Column::Length, Expr::value(signed(length)))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::Received.eq(signed(length)))
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .exec(tx.conn())
            .await?;
        one(done.rows_affected, || format!("upload {id} is not open at {length}"))
    }

    /// Deletes an upload, those that are joined into it, and their pieces' rows. False when there is none. Their objects
    /// are told by [`Uploads::discarded`] once the transaction is committed.
    ///
    /// # Errors
    /// The engine's.
    pub async fn delete(&self, tx: &Tx<'_>, id: UploadId) -> Result<bool, StorageError> {
        delete_rows(tx, id).await
    }

    /// One upload.
    ///
    /// # Errors
    /// The engine's.
    pub async fn get(&self, id: UploadId) -> Result<Option<Upload>, StorageError> {
        read(self.database.reader(), id).await
    }

    /// As [`Uploads::get`], within a transaction.
    ///
    /// # Errors
    /// The engine's.
    pub async fn get_in(&self, tx: &Tx<'_>, id: UploadId) -> Result<Option<Upload>, StorageError> {
        read(tx.conn(), id).await
    }

    /// The pieces of an upload, by offset: at most a million.
    ///
    /// # Errors
    /// The engine's.
    pub async fn parts(&self, id: UploadId) -> Result<Vec<Part>, StorageError> {
        let rows = part::Entity::find()
            .filter(part::Column::Upload.eq(id.as_i64()))
            .order_by_asc(part::Column::Start)
            .limit(MAX_PARTS)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(Part::try_from).collect()
    }

    /// What an owner has: with a transaction, as of this one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn usage(&self, tx: &Tx<'_>, owner: &str) -> Result<OwnerUsage, StorageError> {
        usage::of(tx, owner).await
    }

    /// Uploads whose time is over, the oldest first, at most 1000: open ones, and partial ones that nobody joined. Those
    /// that are joined into another live as long as that one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn expired(&self, limit: u64) -> Result<Vec<UploadId>, StorageError> {
        let unfinished = Condition::any()
            .add(upload::Column::State.eq(UploadState::Open.as_str()))
            .add(upload::Column::Kind.eq(UploadKind::Partial.as_str()));
        let rows = upload::Entity::find()
            .filter(unfinished)
            .filter(upload::Column::Whole.is_null())
            .filter(upload::Column::Kind.ne(UploadKind::Fetched.as_str()))
            .filter(upload::Column::ExpiresMs.lte(signed(self.database.now_ms())))
            .order_by_asc(upload::Column::ExpiresMs)
            .limit(Ord::min(limit, MAX_LIST))
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(|row| id_of(row.id)).collect()
    }
}

/// Deletes the rows of an upload. Its objects, and those of an upload whose pieces nobody has any more, are to be
/// removed from then on. One whose pieces others have stays for them, and for nothing else.
pub(crate) async fn delete_rows(tx: &Tx<'_>, id: UploadId) -> Result<bool, StorageError> {
    let Some(row) = upload::Entity::find_by_id(id.as_i64()).one(tx.conn()).await? else { return Ok(false) };
    if row.state == UploadState::Kept.as_str() {
        return Ok(false);
    }
    if settle::is_shared(tx, id).await? {
        settle::keep(tx, id).await?;
        return Ok(true);
    }
    remove_rows(tx, id).await?;
    if let Some(holder) = row.holder.map(id_of).transpose()? {
        let kept = upload::Entity::find_by_id(holder.as_i64()).one(tx.conn()).await?;
        let kept = kept.is_some_and(|row| row.state == UploadState::Kept.as_str());
        if kept && !settle::is_shared(tx, holder).await? {
            remove_rows(tx, holder).await?;
        }
    }
    Ok(true)
}

async fn remove_rows(tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
    settle::discard(tx, id).await?;
    fetches::end(tx, id).await?;
    upload::Entity::delete_many().filter(upload::Column::Whole.eq(id.as_i64())).exec(tx.conn()).await?;
    upload::Entity::delete_by_id(id.as_i64()).exec(tx.conn()).await?;
    Ok(())
}

async fn read(conn: &impl ConnectionTrait, id: UploadId) -> Result<Option<Upload>, StorageError> {
    let row = upload::Entity::find_by_id(id.as_i64()).one(conn).await?;
    row.filter(|row| row.state != UploadState::Kept.as_str()).map(Upload::try_from).transpose()
}

fn one(affected: u64, otherwise: impl FnOnce() -> String) -> Result<(), StorageError> {
    if affected == 1 { Ok(()) } else { Err(StorageError::Conflict(otherwise())) }
}
