//! Text tracks: which there are, and where their bytes are. A track is replaced as a whole.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_wire::limits::MAX_TEXTS;
use sluice_wire::{Digest, TextName, VideoId};

use super::{Videos, media};
use crate::database::entity::text;
use crate::database::{Tx, flag, signed, unsigned};
use crate::error::StorageError;

/// One text track of a video. Its bytes are the object [`Text`](sluice_wire::ObjectKey::Text) of its name and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTrack {
    /// The video.
    pub video: VideoId,
    /// What it is for, and its language.
    pub name: TextName,
    /// What people choose it by.
    pub label: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size as WebVTT, in bytes.
    pub bytes: u64,
    /// How many cues it has.
    pub cues: u64,
    /// When the last of them is gone, in milliseconds of the video.
    pub end_ms: u64,
    /// True when it came with the source.
    pub embedded: bool,
}

impl Videos {
    /// Adds or replaces a text track; gives what it replaced, whose object is nobody's then. Its own must be durably
    /// stored before.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the video has [`MAX_TEXTS`] others; the engine's.
    pub async fn put_text(&self, tx: &Tx<'_>, new: &TextTrack) -> Result<Option<TextTrack>, StorageError> {
        let before = text::Entity::find_by_id(key(new.video, &new.name)).one(tx.conn()).await?;
        if before.is_none() {
            let there = text::Entity::find()
                .filter(text::Column::Video.eq(new.video.as_i64()))
                .count(tx.conn())
                .await?;
            if there >= MAX_TEXTS as u64 {
                return Err(StorageError::Conflict(format!("a video has at most {MAX_TEXTS} text tracks")));
            }
        }
        let row = text::ActiveModel {
            video: Set(new.video.as_i64()),
            track: Set(new.name.to_string()),
            label: Set(new.label.clone()),
            digest: Set(new.digest.to_string()),
            bytes: Set(signed(new.bytes)),
            cues: Set(signed(new.cues)),
            end_ms: Set(signed(new.end_ms)),
            embedded: Set(new.embedded),
        };
        let replace = media::replace_all::<text::Entity>();
        text::Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
        before.map(TextTrack::try_from).transpose()
    }

    /// True when there is a text track of this name.
    ///
    /// # Errors
    /// The engine's.
    pub async fn has_text(&self, tx: &Tx<'_>, video: VideoId, name: &TextName) -> Result<bool, StorageError> {
        Ok(text::Entity::find_by_id(key(video, name)).one(tx.conn()).await?.is_some())
    }

    /// Deletes a text track; gives what it was.
    ///
    /// # Errors
    /// The engine's.
    pub async fn delete_text(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        name: &TextName,
    ) -> Result<Option<TextTrack>, StorageError> {
        let Some(row) = text::Entity::find_by_id(key(video, name)).one(tx.conn()).await? else {
            return Ok(None);
        };
        text::Entity::delete_by_id(key(video, name)).exec(tx.conn()).await?;
        TextTrack::try_from(row).map(Some)
    }

    /// One text track.
    ///
    /// # Errors
    /// The engine's.
    pub async fn text(&self, video: VideoId, name: &TextName) -> Result<Option<TextTrack>, StorageError> {
        let row = text::Entity::find_by_id(key(video, name)).one(self.database.reader()).await?;
        row.map(TextTrack::try_from).transpose()
    }

    /// A video's text tracks, by their names.
    ///
    /// # Errors
    /// The engine's.
    pub async fn texts(&self, video: VideoId) -> Result<Vec<TextTrack>, StorageError> {
        let rows = text::Entity::find()
            .filter(text::Column::Video.eq(video.as_i64()))
            .order_by_asc(text::Column::Track)
            .limit(MAX_TEXTS as u64)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(TextTrack::try_from).collect()
    }
}

/// Forgets all text of a video.
pub(super) async fn forget(tx: &Tx<'_>, video: VideoId) -> Result<(), StorageError> {
    text::Entity::delete_many().filter(text::Column::Video.eq(video.as_i64())).exec(tx.conn()).await?;
    Ok(())
}

/// Forgets the text that came with a video's source.
pub(super) async fn forget_embedded(tx: &Tx<'_>, video: VideoId) -> Result<(), StorageError> {
    text::Entity::delete_many()
        .filter(text::Column::Video.eq(video.as_i64()))
        .filter(text::Column::Embedded.eq(true))
        .exec(tx.conn())
        .await?;
    Ok(())
}

fn key(video: VideoId, name: &TextName) -> (i64, String) {
    (video.as_i64(), name.to_string())
}

impl TryFrom<text::Model> for TextTrack {
    type Error = StorageError;

    fn try_from(row: text::Model) -> Result<Self, StorageError> {
        Ok(Self {
            video: media::video_id(row.video)?,
            name: flag("texts.track", &row.track, |name| name.parse().ok())?,
            label: row.label,
            digest: flag("texts.digest", &row.digest, media::digest)?,
            bytes: unsigned("texts.bytes", row.bytes)?,
            cues: unsigned("texts.cues", row.cues)?,
            end_ms: unsigned("texts.end_ms", row.end_ms)?,
            embedded: row.embedded,
        })
    }
}
