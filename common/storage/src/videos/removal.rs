//! Removal: of deleted videos for good, and of [rungs that nobody asks for](super::cold). Rows go first, and in the same transaction a note that objects are to follow: whatever dies in
//! between, nothing names an object that is gone, and no object stays that nothing names.

use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::{ObjectKey, VideoId};
use tokio_util::sync::CancellationToken;

use super::{Videos, editions};
use crate::clock::millis;
use crate::database::entity::{removal, video};
use crate::database::{Database, Tx, signed, unsigned};
use crate::error::StorageError;
use crate::lease::{self, Held};
use crate::objects::Objects;

/// One process removes at a time.
const NAME: &str = "removals";

/// How long it may be silent before another takes over: longer than the objects of a long film take to delete.
pub(super) const LEASE: Duration = Duration::from_secs(120);

/// Videos of one round, so that a library that is emptied leaves room for other writes.
pub(super) const BATCH: u64 = 16;

/// How long after its rows a video's objects are looked for once more: a transcoder that had its lease then has lost it,
/// and stores nothing any more.
const SETTLED: Duration = Duration::from_secs(600);

/// How long what nobody wants is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// Milliseconds for which a deleted video can be restored.
    pub undo_ms: u64,
    /// Milliseconds for which a rung is kept that nobody asks for; for ever when absent.
    pub cold_ms: Option<u64>,
}

/// Removes deleted videos for good, when their time to be restored is over, and drops rungs that nobody asks for.
#[derive(Debug, Clone)]
pub struct Removals {
    pub(super) database: Database,
    pub(super) objects: Objects,
    holder: String,
}

impl Removals {
    pub(crate) fn new(database: Database, objects: Objects) -> Self {
        let holder = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        Self { database, objects, holder }
    }

    /// Looks every `every` for what is due, until `drain` is cancelled. Failures are logged and tried again.
    pub async fn run(self, keeping: Keeping, every: Duration, drain: CancellationToken) {
        loop {
            match self.round(keeping).await {
                // There may be more.
                Ok(removed) if removed >= BATCH && !drain.is_cancelled() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "what nobody wants is not removed; tried again"),
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = drain.cancelled() => return,
            }
        }
    }

    /// One round: rows of videos that can be restored no longer, objects of videos without rows, rungs that nobody asks for.
    /// Gives how many of all; none while another process holds the lease.
    ///
    /// # Errors
    /// The engines'.
    pub async fn round(&self, keeping: Keeping) -> Result<u64, StorageError> {
        let Some(held) = lease::take(&self.database, NAME, &self.holder, LEASE).await? else { return Ok(0) };
        let done = self.under(&held, keeping).await;
        lease::release(&self.database, &held).await?;
        done
    }

    async fn under(&self, held: &Held, keeping: Keeping) -> Result<u64, StorageError> {
        let (now, undo_ms) = (self.database.now_ms(), keeping.undo_ms);
        let mut done = 0;
        for id in self.deleted_before(now.saturating_sub(undo_ms)).await? {
            let videos = Videos::new(self.database.clone());
            let gone = self.database.write(|tx| {
                let (videos, held) = (videos.clone(), held.clone());
                Box::pin(async move {
                    lease::renew(tx, &held, LEASE).await?;
                    // Restored meanwhile, it stays.
                    let due = videos.get_in(tx, id).await?.is_some_and(|v| {
                        v.deleted_ms.is_some_and(|at| at.saturating_add(undo_ms) <= tx.now_ms())
                    });
                    if due { videos.delete(tx, id).await } else { Ok(false) }
                })
            });
            if gone.await? {
                self.objects_of(id).await?;
                tracing::info!(video = %id, "removed for good");
                done += 1;
            }
        }
        done += self.retired(held, now.saturating_sub(undo_ms)).await?;
        for id in self.due(now).await? {
            self.objects_of(id).await?;
            let forget = self.database.write::<_, StorageError, _>(|tx| {
                let held = held.clone();
                Box::pin(async move {
                    lease::renew(tx, &held, LEASE).await?;
                    removal::Entity::delete_by_id(id.as_i64()).exec(tx.conn()).await?;
                    Ok(())
                })
            });
            forget.await?;
            done += 1;
        }
        if let Some(cold_ms) = keeping.cold_ms {
            done += self.cool(held, now.saturating_sub(cold_ms)).await?;
        }
        Ok(done)
    }

    /// Removes the media that was videos' own until an edition was shown, once no player has its playlists any more: objects
    /// first, since the video has others that stay.
    async fn retired(&self, held: &Held, before_ms: u64) -> Result<u64, StorageError> {
        let (mut done, videos) = (0, &Videos::new(self.database.clone()));
        for id in editions::retired_before(&self.database, before_ms, BATCH).await? {
            for rung in videos.media(id).await?.renditions {
                let folder = format!("{}/{}", ObjectKey::media_prefix(id), rung.rung);
                self.objects.delete_prefix(&folder).await?;
            }
            let forgotten = self.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    lease::renew(tx, held, LEASE).await?;
                    videos.forget_own(tx, id).await
                })
            });
            forgotten.await?;
            done += 1;
        }
        Ok(done)
    }

    /// Deletes a video's media now; its source goes with the uploads' own notes. Its rows are gone: what fails here is done by a later round.
    ///
    /// # Errors
    /// The store's.
    pub async fn objects_of(&self, id: VideoId) -> Result<(), StorageError> {
        self.objects.delete_prefix(&ObjectKey::media_prefix(id)).await?;
        Ok(())
    }

    async fn deleted_before(&self, at_ms: u64) -> Result<Vec<VideoId>, StorageError> {
        let ids: Vec<i64> = video::Entity::find()
            .select_only()
            .column(video::Column::Id)
            .filter(video::Column::DeletedMs.lte(signed(at_ms)))
            .order_by_asc(video::Column::DeletedMs)
            .limit(BATCH)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        ids.into_iter().map(id_of).collect()
    }

    async fn due(&self, now_ms: u64) -> Result<Vec<VideoId>, StorageError> {
        let ids: Vec<i64> = removal::Entity::find()
            .select_only()
            .column(removal::Column::Video)
            .filter(removal::Column::DueMs.lte(signed(now_ms)))
            .order_by_asc(removal::Column::DueMs)
            .limit(BATCH)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        ids.into_iter().map(id_of).collect()
    }
}

fn id_of(value: i64) -> Result<VideoId, StorageError> {
    VideoId::from_u64(unsigned("video", value)?).map_err(|e| StorageError::Corrupt(e.to_string()))
}

/// Notes that a video's objects are to be looked for once its rows are gone and nobody stores any more.
pub(super) async fn note(tx: &Tx<'_>, id: VideoId) -> Result<(), StorageError> {
    let due_ms = tx.now_ms().saturating_add(millis(SETTLED));
    let row = removal::ActiveModel { video: Set(id.as_i64()), due_ms: Set(signed(due_ms)) };
    let again = OnConflict::column(removal::Column::Video).update_column(removal::Column::DueMs).to_owned();
    removal::Entity::insert(row).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}
