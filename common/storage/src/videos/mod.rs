//! Videos: the rows that origin and transcoder share.
//!
//! Every change takes the caller's transaction, so that it is committed with its event ([`Tx::emit`]) and, in a worker,
//! with the proof of its lease ([`Jobs::check`](crate::Jobs::check)).

mod change;
mod cold;
mod editions;
mod figures;
mod library;
mod media;
mod removal;
mod row;
mod storyboard;
pub(crate) mod terms;
mod texts;
mod usage;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, UpdateMany,
};
use sluice_wire::{Protection, Tag, VideoId};

pub use change::{Change, Restored};
pub use figures::SegmentSize;
pub use library::{Listing, Order, Page, Which};
pub use media::{Media, Rendition, RenditionKind, SegmentRow};
pub use removal::{Keeping, Removals};
pub use row::{NewVideo, SourceFacts, Standing, Video, VideoState, Visibility};
pub use storyboard::Storyboard;
pub use texts::TextTrack;
pub use usage::{RungUse, StateUse, Usage};

use crate::database::entity::{rendition, segment, tag_version, video};
use crate::database::{Database, Tx, flag, signed, to_json};
use crate::error::StorageError;

/// The longest reason of failure that is kept, in characters.
const MAX_REASON: usize = 500;

/// The video tables. Clones share the database.
#[derive(Debug, Clone)]
pub struct Videos {
    database: Database,
}

impl Videos {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a video.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] when the id is taken, or another edition of the same video is being made;
    /// [`StorageError::NotFound`] when there is no video that it could be an edition of; the engine's.
    pub async fn create(&self, tx: &Tx<'_>, new: &NewVideo) -> Result<(), StorageError> {
        let now = signed(tx.now_ms());
        let row = video::ActiveModel {
            id: Set(new.id.as_i64()),
            name: Set(new.name.clone()),
            title: Set(new.title.clone()),
            state: Set(new.state.as_str().to_owned()),
            progress_permille: Set(0),
            bytes: Set(new.bytes.map(signed)),
            sha256: Set(new.sha256.clone()),
            duration_ms: Set(None),
            width: Set(None),
            height: Set(None),
            error: Set(None),
            plan: Set(None),
            created_ms: Set(now),
            updated_ms: Set(now),
            description: Set(String::new()),
            tags: Set("[]".into()),
            visibility: Set(Visibility::default().as_str().to_owned()),
            deleted_ms: Set(None),
            poster_bytes: Set(0),
            jobs_left: Set(0),
            protection: Set(Protection::default().as_str().to_owned()),
            edition_of: Set(new.edition_of.map(|of| of.as_i64())),
            edition: Set(None),
            next_edition: Set(None),
            retired_ms: Set(None),
        };
        video::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        if let Some(of) = new.edition_of {
            return editions::begin(tx, of, new.id).await;
        }
        let terms = terms::of(&new.title, &new.name, "", &[]);
        change::index(tx, new.id, Visibility::default(), terms).await
    }

    /// Moves a video to a state. `error` is the reason a person reads when it failed, and is cleared otherwise.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_state(
        &self,
        tx: &Tx<'_>,
        id: VideoId,
        state: VideoState,
        error: Option<&str>,
    ) -> Result<(), StorageError> {
        let error: Option<String> = error.map(|text| text.chars().take(MAX_REASON).collect());
        let update = change(tx, id)
            .col_expr(video::Column::State, Expr::value(state.as_str()))
            .col_expr(video::Column::Error, Expr::value(error));
        found(tx, id, update).await?;
        if state == VideoState::Failed { editions::give_up(tx, id).await } else { Ok(()) }
    }

    /// Sets how much of the transcoding is done, 0 to 1000.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_progress(&self, tx: &Tx<'_>, id: VideoId, permille: i32) -> Result<(), StorageError> {
        let permille = i64::from(permille.clamp(0, 1000));
        found(tx, id, change(tx, id).col_expr(video::Column::ProgressPermille, Expr::value(permille))).await
    }

    /// Sets the source's size and hash, once it is complete.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_source(
        &self,
        tx: &Tx<'_>,
        id: VideoId,
        bytes: u64,
        sha256: &str,
    ) -> Result<(), StorageError> {
        let update = change(tx, id)
            .col_expr(video::Column::Bytes, Expr::value(signed(bytes)))
            .col_expr(video::Column::Sha256, Expr::value(sha256));
        found(tx, id, update).await
    }

    /// Sets what probing the source found.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_facts(&self, tx: &Tx<'_>, id: VideoId, facts: SourceFacts) -> Result<(), StorageError> {
        let update = change(tx, id)
            .col_expr(video::Column::DurationMs, Expr::value(facts.duration_ms.map(signed)))
            .col_expr(video::Column::Width, Expr::value(facts.width.map(signed)))
            .col_expr(video::Column::Height, Expr::value(facts.height.map(signed)));
        found(tx, id, update).await
    }

    /// Keeps the transcoder's plan, so that the next attempt goes on by the same one.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_plan(
        &self,
        tx: &Tx<'_>,
        id: VideoId,
        plan: &serde_json::Value,
    ) -> Result<(), StorageError> {
        let text = to_json(plan)?;
        found(tx, id, change(tx, id).col_expr(video::Column::Plan, Expr::value(text))).await
    }

    /// Begins a video's jobs anew: one is left.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn begin_jobs(&self, tx: &Tx<'_>, id: VideoId) -> Result<(), StorageError> {
        found(tx, id, change(tx, id).col_expr(video::Column::JobsLeft, Expr::value(1_i64))).await
    }

    /// Counts jobs that are added to a video's (above 0) or done (below 0); gives how many are left. Transactions that count
    /// for one video go one after the other.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn count_jobs(&self, tx: &Tx<'_>, id: VideoId, by: i64) -> Result<i64, StorageError> {
        let left = Expr::col(video::Column::JobsLeft).add(by);
        let rows =
            change(tx, id).col_expr(video::Column::JobsLeft, left).exec_with_returning(tx.conn()).await?;
        let row = rows.into_iter().next().ok_or_else(|| StorageError::NotFound(format!("video {id}")))?;
        Ok(row.jobs_left)
    }

    /// Keeps the size of the poster, in bytes. It must be durably stored before.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; the engine's.
    pub async fn set_poster(&self, tx: &Tx<'_>, id: VideoId, bytes: u64) -> Result<(), StorageError> {
        found(tx, id, change(tx, id).col_expr(video::Column::PosterBytes, Expr::value(signed(bytes)))).await
    }

    /// Deletes a video for good, with its renditions, segments, upload and editions. False when there is none. Its objects go
    /// separately, after the commit: nothing names them any more. [`Removals`] makes sure of the media, and the uploads'
    /// own notes of the source.
    ///
    /// # Errors
    /// The engine's.
    pub async fn delete(&self, tx: &Tx<'_>, id: VideoId) -> Result<bool, StorageError> {
        let key = id.as_i64();
        segment::Entity::delete_many().filter(segment::Column::Video.eq(key)).exec(tx.conn()).await?;
        rendition::Entity::delete_many().filter(rendition::Column::Video.eq(key)).exec(tx.conn()).await?;
        crate::uploads::delete_rows(tx, id.upload()).await?;
        change::forget(tx, id).await?;
        texts::forget(tx, id).await?;
        storyboard::forget(tx, id).await?;
        for edition in editions::of(tx, id).await? {
            Box::pin(self.delete(tx, edition)).await?;
        }
        editions::give_up(tx, id).await?;
        let gone = video::Entity::delete_by_id(key).exec(tx.conn()).await?.rows_affected == 1;
        if gone {
            removal::note(tx, id).await?;
        }
        Ok(gone)
    }

    /// What decides on whether a video's media may be had, in one statement.
    ///
    /// # Errors
    /// The engine's.
    pub async fn standing(&self, id: VideoId) -> Result<Option<Standing>, StorageError> {
        use video::Column::{DeletedMs, Edition, EditionOf, Protection as Sealed, State, Visibility as Seen};
        type Row = (String, String, String, Option<i64>, Option<i64>, Option<i64>);
        let found: Option<Row> = video::Entity::find_by_id(id.as_i64())
            .select_only()
            .columns([State, Seen, Sealed, DeletedMs, EditionOf, Edition])
            .into_tuple()
            .one(self.database.reader())
            .await?;
        let Some((state, visibility, protection, deleted, edition_of, edition)) = found else {
            return Ok(None);
        };
        Ok(Some(Standing {
            state: flag("videos.state", &state, VideoState::parse)?,
            visibility: flag("videos.visibility", &visibility, Visibility::parse)?,
            protection: flag("videos.protection", &protection, Protection::parse)?,
            deleted: deleted.is_some() || edition_of.is_some(),
            shown: edition.map(media::video_id).transpose()?.unwrap_or(id),
        }))
    }

    /// True when there is a video, and it is not deleted: one statement.
    ///
    /// # Errors
    /// The engine's.
    pub async fn is_there(&self, tx: &Tx<'_>, id: VideoId) -> Result<bool, StorageError> {
        let found = video::Entity::find_by_id(id.as_i64()).one(tx.conn()).await?;
        Ok(found.is_some_and(|row| row.deleted_ms.is_none() && row.edition_of.is_none()))
    }

    /// One video, with the version of its tag that it is at.
    ///
    /// # Errors
    /// The engine's.
    pub async fn get(&self, id: VideoId) -> Result<Option<Video>, StorageError> {
        let view = self.database.snapshot().await?;
        let found = read(&view, id).await?;
        view.commit().await?;
        Ok(found)
    }

    /// As [`Videos::get`], within a transaction.
    ///
    /// # Errors
    /// The engine's.
    pub async fn get_in(&self, tx: &Tx<'_>, id: VideoId) -> Result<Option<Video>, StorageError> {
        read(tx.conn(), id).await
    }
}

async fn read(conn: &impl ConnectionTrait, id: VideoId) -> Result<Option<Video>, StorageError> {
    let Some(row) = video::Entity::find_by_id(id.as_i64()).one(conn).await? else {
        return Ok(None);
    };
    let version = tag_version::Entity::find_by_id(Tag::video(id).to_string()).one(conn).await?;
    let mut video = Video::try_from(row)?;
    video.version = row::version_of(version.as_ref())?;
    Ok(Some(video))
}

fn change(tx: &Tx<'_>, id: VideoId) -> UpdateMany<video::Entity> {
    video::Entity::update_many()
        .col_expr(video::Column::UpdatedMs, Expr::value(signed(tx.now_ms())))
        .filter(video::Column::Id.eq(id.as_i64()))
}

async fn found(tx: &Tx<'_>, id: VideoId, update: UpdateMany<video::Entity>) -> Result<(), StorageError> {
    match update.exec(tx.conn()).await?.rows_affected {
        0 => Err(StorageError::NotFound(format!("video {id}"))),
        _ => Ok(()),
    }
}
