//! Segments whose bytes are not there: dropped since nobody asked for their rung, lost, or never made. They have rows, and with
//! them playlists and names: a segment is a function of its source, and is made, byte for byte the same each time, when it is
//! asked for. What is known of it only once it was made is kept from then on.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt, stream};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use sluice_wire::{EventKind, ObjectKey, RungName, Tag, VideoId};

use super::media::{MAX_SEGMENTS, video_id};
use super::removal::{BATCH, LEASE, Removals};
use super::{RenditionKind, SegmentRow, Videos};
use crate::database::entity::{rendition, segment};
use crate::database::{Tx, flag, signed, to_json, unsigned32};
use crate::error::StorageError;
use crate::lease::{self, Held};

/// When a rung was asked for of which there is nothing to drop: later than any other.
const NOTHING_TO_DROP: i64 = i64::MAX;
/// Objects deleted at a time.
const PARALLEL: usize = 16;

impl Videos {
    /// Keeps that a rung is asked for now.
    ///
    /// # Errors
    /// The engine's.
    pub async fn note_asked(&self, tx: &Tx<'_>, video: VideoId, rung: &RungName) -> Result<(), StorageError> {
        asked_at(tx, video, rung, signed(tx.now_ms())).await
    }

    /// The numbers of a rung's segments whose bytes are not there, in order.
    ///
    /// # Errors
    /// The engine's.
    pub async fn gone(
        &self,
        video: VideoId,
        rung: &RungName,
        numbers: Range<u32>,
    ) -> Result<Vec<u32>, StorageError> {
        let rows: Vec<i64> = segment::Entity::find()
            .select_only()
            .column(segment::Column::Seq)
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .filter(segment::Column::Seq.gte(signed(numbers.start)))
            .filter(segment::Column::Seq.lt(signed(numbers.end)))
            .filter(segment::Column::Gone.eq(true))
            .order_by_asc(segment::Column::Seq)
            .limit(MAX_SEGMENTS)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(|seq| unsigned32("segments.seq", seq)).collect()
    }

    /// A segment's bytes were found to be missing. False when that was known, or there is no such segment.
    ///
    /// # Errors
    /// The engine's.
    pub async fn lose(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        rung: &RungName,
        seq: u32,
    ) -> Result<bool, StorageError> {
        let lost = segment::Entity::update_many()
            .col_expr(segment::Column::Gone, Expr::value(true))
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .filter(segment::Column::Seq.eq(signed(seq)))
            .filter(segment::Column::Gone.eq(false));
        Ok(lost.exec(tx.conn()).await?.rows_affected > 0)
    }

    /// A segment's bytes are there: these, under the name and the hash that its row has. Of one that was never made the row
    /// takes its size, hash and keyframes. False when the row is of others.
    ///
    /// # Errors
    /// The engine's.
    pub async fn regain(&self, tx: &Tx<'_>, row: &SegmentRow) -> Result<bool, StorageError> {
        let regained = segment::Entity::update_many()
            .col_expr(segment::Column::Gone, Expr::value(false))
            .col_expr(segment::Column::Bytes, Expr::value(signed(row.bytes)))
            .col_expr(segment::Column::Sha256, Expr::value(row.sha256.as_str()))
            .col_expr(segment::Column::Keyframes, Expr::value(to_json(&row.keys)?))
            .filter(segment::Column::Video.eq(row.video.as_i64()))
            .filter(segment::Column::Rung.eq(row.rung.as_str()))
            .filter(segment::Column::Seq.eq(signed(row.seq)))
            .filter(segment::Column::Digest.eq(row.digest.to_string()))
            .filter(
                Condition::any()
                    .add(segment::Column::Sha256.eq(row.sha256.as_str()))
                    .add(segment::Column::Bytes.eq(0)),
            );
        Ok(regained.exec(tx.conn()).await?.rows_affected > 0)
    }

    /// A part of a rung was made again: it can be dropped again, and is whole once nothing of it is missing.
    ///
    /// # Errors
    /// The engine's.
    pub async fn warmed(&self, tx: &Tx<'_>, video: VideoId, rung: &RungName) -> Result<(), StorageError> {
        self.note_asked(tx, video, rung).await?;
        let missing: Option<i64> = segment::Entity::find()
            .select_only()
            .column(segment::Column::Seq)
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .filter(segment::Column::Gone.eq(true))
            .into_tuple()
            .one(tx.conn())
            .await?;
        set_cold(tx, video, rung, missing.is_some()).await
    }

    /// Whole rungs with pictures that nobody asked for since a time, in Unix milliseconds: those asked for longest ago
    /// first.
    async fn unasked(&self, before_ms: u64, limit: u64) -> Result<Vec<(VideoId, RungName)>, StorageError> {
        let rows: Vec<(i64, String)> = rendition::Entity::find()
            .select_only()
            .columns([rendition::Column::Video, rendition::Column::Rung])
            .filter(rendition::Column::AskedMs.lte(signed(before_ms)))
            .filter(rendition::Column::Kind.eq(RenditionKind::Video.as_str()))
            .filter(rendition::Column::Ended.eq(true))
            .order_by_asc(rendition::Column::AskedMs)
            .limit(limit)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        let named = |(video, rung): (i64, String)| {
            Ok((video_id(video)?, flag("renditions.rung", &rung, |name| RungName::new(name).ok())?))
        };
        rows.into_iter().map(named).collect()
    }

    /// Says of all of a rung's segments that their bytes are not there: they are to be deleted after the commit. False when
    /// it is the lowest, which stays, or was asked for meanwhile.
    async fn cool(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        rung: &RungName,
        before_ms: u64,
    ) -> Result<bool, StorageError> {
        let pictures: Vec<rendition::Model> = rendition::Entity::find()
            .filter(rendition::Column::Video.eq(video.as_i64()))
            .filter(rendition::Column::Kind.eq(RenditionKind::Video.as_str()))
            .all(tx.conn())
            .await?;
        let rank = |row: &rendition::Model| (row.height, !row.codecs.starts_with("avc1"), row.rung.clone());
        let lowest = pictures.iter().min_by_key(|row| rank(row));
        if lowest.is_none_or(|row| row.rung == rung.as_str()) {
            asked_at(tx, video, rung, NOTHING_TO_DROP).await?;
            return Ok(false);
        }
        let unasked =
            pictures.iter().any(|row| row.rung == rung.as_str() && row.asked_ms <= signed(before_ms));
        if unasked {
            segment::Entity::update_many()
                .col_expr(segment::Column::Gone, Expr::value(true))
                .filter(segment::Column::Video.eq(video.as_i64()))
                .filter(segment::Column::Rung.eq(rung.as_str()))
                .exec(tx.conn())
                .await?;
            set_cold(tx, video, rung, true).await?;
        }
        Ok(unasked)
    }

    /// The bytes of a rung's segments are deleted, if nobody asked for it meanwhile.
    async fn cooled(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        rung: &RungName,
        before_ms: u64,
    ) -> Result<(), StorageError> {
        rendition::Entity::update_many()
            .col_expr(rendition::Column::AskedMs, Expr::value(NOTHING_TO_DROP))
            .filter(of(video, rung))
            .filter(rendition::Column::AskedMs.lte(signed(before_ms)))
            .exec(tx.conn())
            .await?;
        Ok(())
    }
}

impl Removals {
    /// Drops the bytes of rungs that nobody asked for since a time; gives how many rungs.
    pub(super) async fn cool(&self, held: &Held, before_ms: u64) -> Result<u64, StorageError> {
        let (mut done, videos) = (0, &Videos::new(self.database.clone()));
        for (video, rung) in videos.unasked(before_ms, BATCH).await? {
            let cooling = self.database.write(|tx| {
                let (rung, held) = (&rung, held);
                Box::pin(async move {
                    lease::renew(tx, held, LEASE).await?;
                    let cold = videos.cool(tx, video, rung, before_ms).await?;
                    let row = videos.get_in(tx, video).await?.filter(|_| cold);
                    if let Some(shown_by) = row.map(|row| row.edition_of.unwrap_or(row.id)) {
                        tx.emit(&Tag::video(shown_by), EventKind::Changed, json!({ "video": shown_by }))
                            .await?;
                    }
                    Ok::<_, StorageError>(cold)
                })
            });
            if cooling.await? {
                self.drop_bytes(videos, video, &rung).await?;
                tracing::info!(%video, %rung, "nobody asked for it: dropped until somebody does");
            }
            let cooled = self
                .database
                .write::<_, StorageError, _>(|tx| Box::pin(videos.cooled(tx, video, &rung, before_ms)));
            cooled.await?;
            done += 1;
        }
        Ok(done)
    }

    async fn drop_bytes(&self, videos: &Videos, video: VideoId, rung: &RungName) -> Result<(), StorageError> {
        let keys = videos.segments(video, rung).await?.into_iter();
        let keys = keys.map(|row| ObjectKey::Segment(row.video, row.rung, row.seq, row.digest));
        let deleting = stream::iter(keys).map(|key| async move { self.objects.delete(&key).await });
        deleting.buffer_unordered(PARALLEL).try_collect().await
    }
}

fn of(video: VideoId, rung: &RungName) -> Condition {
    Condition::all()
        .add(rendition::Column::Video.eq(video.as_i64()))
        .add(rendition::Column::Rung.eq(rung.as_str()))
}

async fn asked_at(tx: &Tx<'_>, video: VideoId, rung: &RungName, ms: i64) -> Result<(), StorageError> {
    rendition::Entity::update_many()
        .col_expr(rendition::Column::AskedMs, Expr::value(ms))
        .filter(of(video, rung))
        .exec(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn set_cold(
    tx: &Tx<'_>,
    video: VideoId,
    rung: &RungName,
    cold: bool,
) -> Result<(), StorageError> {
    rendition::Entity::update_many()
        .col_expr(rendition::Column::Cold, Expr::value(cold))
        .filter(of(video, rung))
        .exec(tx.conn())
        .await?;
    Ok(())
}
