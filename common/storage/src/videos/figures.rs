//! Sizes of what is stored, seen from within a transaction: bitrates are measured of them.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::{RungName, VideoId};

use super::Videos;
use super::media::{MAX_SEGMENTS, Rendition};
use crate::database::entity::{rendition, segment};
use crate::database::{Tx, signed, unsigned};
use crate::error::StorageError;

/// A segment's size in bytes and its duration in ticks of its rendition's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    /// Bytes; 0 while it was never made.
    pub bytes: u64,
    /// Ticks.
    pub duration: u64,
}

impl Videos {
    /// A video's renditions, by rung name.
    ///
    /// # Errors
    /// The engine's.
    pub async fn renditions_in(&self, tx: &Tx<'_>, video: VideoId) -> Result<Vec<Rendition>, StorageError> {
        let rows = rendition::Entity::find()
            .filter(rendition::Column::Video.eq(video.as_i64()))
            .order_by_asc(rendition::Column::Rung)
            .all(tx.conn())
            .await?;
        rows.into_iter().map(Rendition::try_from).collect()
    }

    /// The sizes of a rung's segments, in order.
    ///
    /// # Errors
    /// The engine's.
    pub async fn sizes_in(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        rung: &RungName,
    ) -> Result<Vec<SegmentSize>, StorageError> {
        let rows: Vec<(i64, i64)> = segment::Entity::find()
            .select_only()
            .columns([segment::Column::Bytes, segment::Column::Duration])
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .order_by_asc(segment::Column::Seq)
            .limit(MAX_SEGMENTS)
            .into_tuple()
            .all(tx.conn())
            .await?;
        let size = |(bytes, duration)| {
            let (bytes, duration) =
                (unsigned("segments.bytes", bytes)?, unsigned("segments.duration", duration)?);
            Ok(SegmentSize { bytes, duration })
        };
        rows.into_iter().map(size).collect()
    }

    /// Sets a rung's peak and average, in bit/s.
    ///
    /// # Errors
    /// The engine's.
    pub async fn set_rates(
        &self,
        tx: &Tx<'_>,
        video: VideoId,
        rung: &RungName,
        (bandwidth, average): (u64, u64),
    ) -> Result<(), StorageError> {
        rendition::Entity::update_many()
            .col_expr(rendition::Column::Bandwidth, Expr::value(signed(bandwidth)))
            .col_expr(rendition::Column::AverageBandwidth, Expr::value(signed(average)))
            .filter(rendition::Column::Video.eq(video.as_i64()))
            .filter(rendition::Column::Rung.eq(rung.as_str()))
            .exec(tx.conn())
            .await?;
        Ok(())
    }

    /// The numbers of a rung's segments that are stored or named, from one on and before another, in order.
    ///
    /// # Errors
    /// The engine's.
    pub async fn stored(
        &self,
        video: VideoId,
        rung: &RungName,
        numbers: std::ops::Range<u32>,
    ) -> Result<Vec<u32>, StorageError> {
        let rows: Vec<i64> = segment::Entity::find()
            .select_only()
            .column(segment::Column::Seq)
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .filter(segment::Column::Seq.gte(i64::from(numbers.start)))
            .filter(segment::Column::Seq.lt(i64::from(numbers.end)))
            .order_by_asc(segment::Column::Seq)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(|seq| crate::database::unsigned32("segments.seq", seq)).collect()
    }
}
