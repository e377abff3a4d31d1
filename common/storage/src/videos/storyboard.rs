//! A video's storyboard: small pictures at one distance in time, on sheets.

use sea_orm::{ActiveValue::Set, EntityTrait};
use serde::{Deserialize, Serialize};
use sluice_wire::{Digest, VideoId};

use super::{Videos, media};
use crate::database::entity::storyboard;
use crate::database::{Tx, from_json, signed, to_json};
use crate::error::StorageError;

/// Which pictures there are, and where. The sheets are the objects [`Sheet`](sluice_wire::ObjectKey::Sheet).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storyboard {
    /// Milliseconds from one picture to the next.
    pub interval_ms: u64,
    /// Pixels of a picture.
    pub width: u32,
    /// Pixels of a picture.
    pub height: u32,
    /// Pictures in a row of a sheet.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// How many pictures there are.
    pub count: u32,
    /// Bytes of all sheets.
    pub bytes: u64,
    /// Digests of the sheets, in order.
    pub sheets: Vec<Digest>,
}

impl Videos {
    /// Keeps a video's storyboard. Its sheets must be durably stored before.
    ///
    /// # Errors
    /// The engine's.
    pub async fn put_storyboard(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        board: &Storyboard,
    ) -> Result<(), StorageError> {
        let row = storyboard::ActiveModel {
            video: Set(video.as_i64()),
            bytes: Set(signed(board.bytes)),
            body: Set(to_json(board)?),
        };
        let replace = media::replace_all::<storyboard::Entity>();
        storyboard::Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// A video's storyboard.
    ///
    /// # Errors
    /// The engine's.
    pub async fn storyboard(&self, video: VideoId) -> Result<Option<Storyboard>, StorageError> {
        let row = storyboard::Entity::find_by_id(video.as_i64()).one(self.database.reader()).await?;
        row.map(|row| from_json("storyboards.body", &row.body)).transpose()
    }
}

/// Forgets a video's storyboard.
pub(super) async fn forget(tx: &Tx<'_>, video: VideoId) -> Result<(), StorageError> {
    storyboard::Entity::delete_by_id(video.as_i64()).exec(tx.conn()).await?;
    Ok(())
}
