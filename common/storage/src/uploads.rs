//! Uploads under way: how far each one is, and the pieces it is made of.
//!
//! A piece is stored first, under a number that only its writer has ([`Uploads::claim`]), and appended after that
//! ([`Uploads::append`]): of writers at the same offset one wins, and the others' pieces are named by nothing.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use sluice_wire::UploadId;

use crate::database::entity::{part, upload};
use crate::database::{Database, Tx, flag, from_json, signed, to_json, unsigned, unsigned32};
use crate::error::StorageError;

/// The most rows a listing gives.
const MAX_LIST: u64 = 1000;

/// The most pieces of an upload.
const MAX_PARTS: u64 = 1_000_000;

/// An upload's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadState {
    /// It takes more.
    Open,
    /// All of it is here.
    Complete,
}

impl UploadState {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Complete].into_iter().find(|s| s.as_str() == name)
    }
}

/// An upload to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Its id, equal in number to its video's.
    pub id: UploadId,
    /// The file's name as the client gave it.
    pub name: String,
    /// Its length in bytes, if known already.
    pub length: Option<u64>,
    /// What the client said of it.
    pub metadata: BTreeMap<String, String>,
    /// When it may be thrown away, in Unix milliseconds.
    pub expires_ms: u64,
    /// The state of the running hash before the first byte.
    pub hash_state: Vec<u8>,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, equal in number to its video's.
    pub id: UploadId,
    /// The file's name as the client gave it.
    pub name: String,
    /// Its length in bytes, if known already.
    pub length: Option<u64>,
    /// Bytes that are here, durably.
    pub offset: u64,
    /// What the client said of it.
    pub metadata: BTreeMap<String, String>,
    /// When it may be thrown away, in Unix milliseconds.
    pub expires_ms: u64,
    /// Its state.
    pub state: UploadState,
    /// The state of the running hash at `offset`.
    pub hash_state: Vec<u8>,
    /// When it began, in Unix milliseconds.
    pub created_ms: u64,
}

/// A stored piece of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The upload.
    pub upload: UploadId,
    /// The number in its object's key; unique in the upload, but the order is by offset.
    pub index: u32,
    /// Where it begins.
    pub offset: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

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
                        .col_expr(upload::Column::NextPart, Expr::col(upload::Column::NextPart).add(1))
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

    /// Appends a stored piece if the upload is still open and exactly at `expected_offset`, and the piece does not reach
    /// past its length. Gives the new offset. Of parallel writers one wins.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] for the losers; the engine's.
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
    /// [`StorageError::Conflict`] when there is another length already, or more bytes than that; the engine's.
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

    /// Prolongs an upload's life.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when it is not open; the engine's.
    pub async fn set_expiry(&self, tx: &Tx<'_>, id: UploadId, expires_ms: u64) -> Result<(), StorageError> {
        let set = upload::Entity::update_many()
            .col_expr(upload::Column::ExpiresMs, Expr::value(signed(expires_ms)))
            .filter(upload::Column::Id.eq(id.as_i64()))
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .exec(tx.conn())
            .await?;
        one(set.rows_affected, || format!("upload {id} is not open"))
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

    /// Deletes an upload and its pieces' rows. False when there is none. The objects go separately, after the commit.
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

    /// The pieces of an upload, by offset.
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

    /// Open uploads whose time is over, the oldest first, at most 1000.
    ///
    /// # Errors
    /// The engine's.
    pub async fn expired(&self, limit: u64) -> Result<Vec<UploadId>, StorageError> {
        let rows = upload::Entity::find()
            .filter(upload::Column::State.eq(UploadState::Open.as_str()))
            .filter(upload::Column::ExpiresMs.lte(signed(self.database.now_ms())))
            .order_by_asc(upload::Column::ExpiresMs)
            .limit(Ord::min(limit, MAX_LIST))
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(|row| id_of(row.id)).collect()
    }
}

pub(crate) async fn delete_rows(tx: &Tx<'_>, id: UploadId) -> Result<bool, StorageError> {
    part::Entity::delete_many().filter(part::Column::Upload.eq(id.as_i64())).exec(tx.conn()).await?;
    Ok(upload::Entity::delete_by_id(id.as_i64()).exec(tx.conn()).await?.rows_affected == 1)
}

async fn read(conn: &impl ConnectionTrait, id: UploadId) -> Result<Option<Upload>, StorageError> {
    upload::Entity::find_by_id(id.as_i64()).one(conn).await?.map(Upload::try_from).transpose()
}

fn one(affected: u64, otherwise: impl FnOnce() -> String) -> Result<(), StorageError> {
    if affected == 1 { Ok(()) } else { Err(StorageError::Conflict(otherwise())) }
}

fn id_of(id: i64) -> Result<UploadId, StorageError> {
    UploadId::from_u64(unsigned("uploads.id", id)?).map_err(|e| StorageError::Corrupt(e.to_string()))
}

impl TryFrom<upload::Model> for Upload {
    type Error = StorageError;

    fn try_from(row: upload::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: id_of(row.id)?,
            name: row.name,
            length: row.length.map(|v| unsigned("uploads.length", v)).transpose()?,
            offset: unsigned("uploads.received", row.received)?,
            metadata: from_json("uploads.metadata", &row.metadata)?,
            expires_ms: unsigned("uploads.expires_ms", row.expires_ms)?,
            state: flag("uploads.state", &row.state, UploadState::parse)?,
            hash_state: row.hash_state,
            created_ms: unsigned("uploads.created_ms", row.created_ms)?,
        })
    }
}

impl TryFrom<part::Model> for Part {
    type Error = StorageError;

    fn try_from(row: part::Model) -> Result<Self, StorageError> {
        Ok(Self {
            upload: id_of(row.upload)?,
            index: unsigned32("parts.number", row.number)?,
            offset: unsigned("parts.start", row.start)?,
            bytes: unsigned("parts.bytes", row.bytes)?,
            sha256: row.sha256,
        })
    }
}
