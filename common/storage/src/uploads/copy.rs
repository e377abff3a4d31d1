//! An upload of bytes that another has, without a client.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use sluice_wire::UploadId;

use super::Uploads;
use super::row::UploadState;
use crate::database::entity::upload;
use crate::database::{Tx, signed};
use crate::error::StorageError;

impl Uploads {
    /// Adds a complete upload whose pieces are another's, which must be settled.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when that one is gone, [`StorageError::Conflict`] while it is not settled; the engine's.
    pub async fn copy(&self, tx: &Tx<'_>, id: UploadId, of: UploadId) -> Result<(), StorageError> {
        let row = upload::Entity::find_by_id(of.as_i64()).one(tx.conn()).await?;
        let row = row.ok_or_else(|| StorageError::NotFound(format!("the source {of}")))?;
        if !row.settled || row.state != UploadState::Complete.as_str() {
            return Err(StorageError::Conflict("the source is being looked through; try again soon".into()));
        }
        let (holder, now) = (row.holder.unwrap_or(row.id), signed(tx.now_ms()));
        let mut copy = row.into_active_model().reset_all();
        copy.id = Set(id.as_i64());
        copy.holder = Set(Some(holder));
        copy.whole = Set(None);
        copy.whole_start = Set(None);
        copy.created_ms = Set(now);
        copy.updated_ms = Set(now);
        upload::Entity::insert(copy).exec_without_returning(tx.conn()).await?;
        Ok(())
    }
}
