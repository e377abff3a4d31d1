//! Editions: a video made of another source, or anew of the same, while the one before is played.
//!
//! An edition is a video's row of its own, in no list, with its own upload, renditions and segments. When it is ready its
//! video shows it from then on. What was shown before stays for players that run, whose playlists name its segments, for
//! as long as a deleted video can be restored; then it is removed. A video has one edition in the making at a time.
//!
//! Text and storyboards belong to the video itself, whichever edition is shown.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::VideoId;

use super::media::video_id;
use super::{Video, VideoState, Videos, change, found, read, storyboard, texts};
use crate::database::entity::video;
use crate::database::{Database, Tx, signed};
use crate::error::StorageError;

/// Editions that are looked at of one video: those of a week in which it is made anew each hour.
const MAX_EDITIONS: u64 = 200;

impl Videos {
    /// Shows a ready edition in its video's place, and gives that video. `None` when this is no edition, or nobody wants it
    /// any more.
    ///
    /// # Errors
    /// The engine's.
    pub async fn show_edition(&self, tx: &Tx<'_>, id: VideoId) -> Result<Option<VideoId>, StorageError> {
        let Some(edition) = self.get_in(tx, id).await? else { return Ok(None) };
        let Some(of) = edition.edition_of else { return Ok(None) };
        let Some(before) = self.get_in(tx, of).await?.filter(|row| row.next_edition == Some(id)) else {
            return Ok(None);
        };
        retire(tx, &before).await?;
        if before.sha256 != edition.sha256 {
            texts::forget_embedded(tx, of).await?;
        }
        storyboard::forget(tx, of).await?;
        take_over(tx, of, &edition).await?;
        Ok(Some(of))
    }

    /// Whose media a video has or had, and has still: its own and its editions', the newest first.
    ///
    /// # Errors
    /// The engine's.
    pub async fn editions(&self, id: VideoId) -> Result<Vec<VideoId>, StorageError> {
        let any = Condition::any()
            .add(video::Column::EditionOf.eq(id.as_i64()))
            .add(video::Column::Id.eq(id.as_i64()));
        let rows: Vec<i64> = video::Entity::find()
            .select_only()
            .column(video::Column::Id)
            .filter(any)
            .order_by_desc(video::Column::Id)
            .limit(MAX_EDITIONS)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(video_id).collect()
    }

    /// The media that was a video's own is removed: its rows, and its source's. Its objects went before.
    pub(super) async fn forget_own(&self, tx: &Tx<'_>, id: VideoId) -> Result<(), StorageError> {
        self.clear_media(tx, id).await?;
        crate::uploads::delete_rows(tx, id.upload()).await?;
        let own = change(tx, id).col_expr(video::Column::RetiredMs, Expr::value(None::<i64>));
        found(tx, id, own).await
    }
}

/// Videos whose own media was shown last before a time, in Unix milliseconds.
pub(super) async fn retired_before(
    database: &Database,
    at_ms: u64,
    limit: u64,
) -> Result<Vec<VideoId>, StorageError> {
    let rows: Vec<i64> = video::Entity::find()
        .select_only()
        .column(video::Column::Id)
        .filter(video::Column::RetiredMs.lte(signed(at_ms)))
        .limit(limit)
        .into_tuple()
        .all(database.reader())
        .await?;
    rows.into_iter().map(video_id).collect()
}

/// An edition's row is there: it is the one that is being made of its video.
pub(super) async fn begin(tx: &Tx<'_>, of: VideoId, id: VideoId) -> Result<(), StorageError> {
    let row = read(tx.conn(), of).await?.filter(|row| row.edition_of.is_none() && row.deleted_ms.is_none());
    let row = row.ok_or_else(|| StorageError::NotFound(format!("video {of}")))?;
    if let Some(other) = row.next_edition {
        return Err(StorageError::Conflict(format!("edition {other} of video {of} is being made already")));
    }
    let next = change(tx, of).col_expr(video::Column::NextEdition, Expr::value(Some(id.as_i64())));
    found(tx, of, next).await?;
    let seen = change(tx, id).col_expr(video::Column::Visibility, Expr::value(row.visibility.as_str()));
    found(tx, id, seen).await
}

/// An edition will never be shown. A video that is none, or is shown, stays as it is.
pub(super) async fn give_up(tx: &Tx<'_>, id: VideoId) -> Result<(), StorageError> {
    let owner: Option<Option<i64>> = video::Entity::find_by_id(id.as_i64())
        .select_only()
        .column(video::Column::EditionOf)
        .into_tuple()
        .one(tx.conn())
        .await?;
    let Some(of) = owner.flatten() else { return Ok(()) };
    video::Entity::update_many()
        .col_expr(video::Column::NextEdition, Expr::value(None::<i64>))
        .filter(video::Column::Id.eq(of))
        .filter(video::Column::NextEdition.eq(id.as_i64()))
        .exec(tx.conn())
        .await?;
    // It is looked at for a while, like a video that was deleted.
    video::Entity::update_many()
        .col_expr(video::Column::DeletedMs, Expr::value(signed(tx.now_ms())))
        .filter(video::Column::Id.eq(id.as_i64()))
        .filter(video::Column::DeletedMs.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// A video's editions.
pub(super) async fn of(tx: &Tx<'_>, id: VideoId) -> Result<Vec<VideoId>, StorageError> {
    let rows: Vec<i64> = video::Entity::find()
        .select_only()
        .column(video::Column::Id)
        .filter(video::Column::EditionOf.eq(id.as_i64()))
        .into_tuple()
        .all(tx.conn())
        .await?;
    rows.into_iter().map(video_id).collect()
}

/// What is shown is not shown any more: it is removed in time.
async fn retire(tx: &Tx<'_>, before: &Video) -> Result<(), StorageError> {
    let now = Expr::value(Some(signed(tx.now_ms())));
    let retired = match before.edition {
        None => change(tx, before.id).col_expr(video::Column::RetiredMs, now),
        Some(edition) => change(tx, edition).col_expr(video::Column::DeletedMs, now),
    };
    retired.exec(tx.conn()).await?;
    Ok(())
}

/// A video is what its edition is, but for what people say of it.
async fn take_over(tx: &Tx<'_>, of: VideoId, edition: &Video) -> Result<(), StorageError> {
    let plan = edition.plan.as_ref().map(crate::database::to_json).transpose()?;
    let number = |value: Option<u64>| Expr::value(value.map(signed));
    let update = change(tx, of)
        .col_expr(video::Column::Edition, Expr::value(Some(edition.id.as_i64())))
        .col_expr(video::Column::NextEdition, Expr::value(None::<i64>))
        .col_expr(video::Column::Name, Expr::value(edition.name.as_str()))
        .col_expr(video::Column::State, Expr::value(VideoState::Ready.as_str()))
        .col_expr(video::Column::ProgressPermille, Expr::value(1_000_i64))
        .col_expr(video::Column::Error, Expr::value(edition.error.clone()))
        .col_expr(video::Column::Plan, Expr::value(plan))
        .col_expr(video::Column::Sha256, Expr::value(edition.sha256.clone()))
        .col_expr(video::Column::Bytes, number(edition.bytes))
        .col_expr(video::Column::DurationMs, number(edition.duration_ms))
        .col_expr(video::Column::Width, number(edition.width.map(u64::from)))
        .col_expr(video::Column::Height, number(edition.height.map(u64::from)))
        .col_expr(video::Column::PosterBytes, Expr::value(signed(edition.poster_bytes)));
    found(tx, of, update).await
}
