//! Renditions and segments: what a playlist is made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, Iterable, PrimaryKeyToColumn, QueryFilter, QueryOrder,
    QuerySelect,
};
use sluice_wire::codec::Key;
use sluice_wire::{Digest, RungName, VideoId};

use super::{Videos, cold};
use crate::database::entity::{rendition, segment};
use crate::database::{Tx, flag, from_json, signed, to_json, unsigned, unsigned32};
use crate::error::StorageError;

/// The most segments read in one go: a day of 2 s segments.
pub(super) const MAX_SEGMENTS: u64 = 43_200;

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RenditionKind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

impl RenditionKind {
    /// The name in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Video, Self::Audio].into_iter().find(|k| k.as_str() == name)
    }
}

/// One rung of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The video.
    pub video: VideoId,
    /// The rung.
    pub rung: RungName,
    /// Picture or sound.
    pub kind: RenditionKind,
    /// RFC 6381 codecs string, as encoded.
    pub codecs: String,
    /// Width in pixels; 0 for sound.
    pub width: u32,
    /// Height in pixels; 0 for sound.
    pub height: u32,
    /// Frames per second, numerator; 0 for sound.
    pub frame_rate_num: u32,
    /// Frames per second, denominator.
    pub frame_rate_den: u32,
    /// Peak bits per second (RFC 8216 section 4.3.4.2).
    pub bandwidth: u64,
    /// Average bits per second (the same section).
    pub average_bandwidth: u64,
    /// Ticks per second of segment times.
    pub timescale: u32,
    /// Size of the CMAF header in bytes.
    pub init_bytes: u64,
    /// Its name.
    pub init: Digest,
    /// True when no segment will follow.
    pub ended: bool,
}

/// What is stored of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// Its renditions, by rung name.
    pub renditions: Vec<Rendition>,
    /// How many segments each rung has.
    pub segments: BTreeMap<RungName, u64>,
    /// Rungs whose bytes are not all there: dropped since nobody asked for them, or never made.
    pub cold: BTreeSet<RungName>,
}

/// One segment that is stored, was, or was named for the day when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The video.
    pub video: VideoId,
    /// The rung.
    pub rung: RungName,
    /// Its number, 0 upwards.
    pub seq: u32,
    /// Where it begins, in ticks of its rendition's timescale.
    pub start: u64,
    /// How long it lasts, in ticks.
    pub duration: u64,
    /// Its size in bytes; 0 while it was never made.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex; empty while it was never made.
    pub sha256: String,
    /// Its name: the digest of what it is made from.
    pub digest: Digest,
    /// Its keyframes; empty for sound, and while it was never made.
    pub keys: Vec<Key>,
}

impl SegmentRow {
    /// True once it was made: its size, its hash and its keyframes are known from then on, whether its bytes are kept or not.
    #[must_use]
    pub const fn is_made(&self) -> bool {
        self.bytes > 0
    }

    /// As it is kept; `gone` while its bytes are not there.
    fn model(&self, gone: bool) -> Result<segment::ActiveModel, StorageError> {
        Ok(segment::ActiveModel {
            video: Set(self.video.as_i64()),
            rung: Set(self.rung.to_string()),
            seq: Set(signed(self.seq)),
            start: Set(signed(self.start)),
            duration: Set(signed(self.duration)),
            bytes: Set(signed(self.bytes)),
            sha256: Set(self.sha256.clone()),
            digest: Set(self.digest.to_string()),
            keyframes: Set(to_json(&self.keys)?),
            gone: Set(gone),
        })
    }
}

impl Media {
    /// Adds a rendition.
    pub(super) fn add(&mut self, row: rendition::Model) -> Result<(), StorageError> {
        let cold = row.cold;
        let rendition = Rendition::try_from(row)?;
        if cold {
            self.cold.insert(rendition.rung.clone());
        }
        self.renditions.push(rendition);
        Ok(())
    }
}

impl Videos {
    /// Adds or replaces a rendition. Whether segments of it are missing stays as it is known.
    ///
    /// # Errors
    /// The engine's.
    pub async fn put_rendition(&self, tx: &Tx<'_>, new: &Rendition) -> Result<(), StorageError> {
        let row = rendition::ActiveModel {
            video: Set(new.video.as_i64()),
            rung: Set(new.rung.to_string()),
            kind: Set(new.kind.as_str().to_owned()),
            codecs: Set(new.codecs.clone()),
            width: Set(signed(new.width)),
            height: Set(signed(new.height)),
            frame_rate_num: Set(signed(new.frame_rate_num)),
            frame_rate_den: Set(signed(new.frame_rate_den)),
            bandwidth: Set(signed(new.bandwidth)),
            average_bandwidth: Set(signed(new.average_bandwidth)),
            timescale: Set(signed(new.timescale)),
            init_bytes: Set(signed(new.init_bytes)),
            init: Set(new.init.to_string()),
            ended: Set(new.ended),
            asked_ms: Set(signed(tx.now_ms())),
            cold: Set(false),
        };
        let replace =
            replace_all_but::<rendition::Entity>(|column| matches!(column, rendition::Column::Cold));
        rendition::Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// Adds or replaces a segment. Its object must be durably stored before.
    ///
    /// # Errors
    /// The engine's.
    pub async fn put_segment(&self, tx: &Tx<'_>, new: &SegmentRow) -> Result<(), StorageError> {
        let row = new.model(false)?;
        let replace = replace_all::<segment::Entity>();
        segment::Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// Adds a segment that is named and not made: its bytes are not there until somebody asks for them. One that is known
    /// already stays as it is. Its rendition goes before it.
    ///
    /// # Errors
    /// The engine's.
    pub async fn name_segment(&self, tx: &Tx<'_>, new: &SegmentRow) -> Result<(), StorageError> {
        let named = SegmentRow { bytes: 0, sha256: String::new(), keys: vec![], ..new.clone() };
        let row = named.model(true)?;
        let key = [segment::Column::Video, segment::Column::Rung, segment::Column::Seq];
        let keep = OnConflict::columns(key).do_nothing().to_owned();
        let added = segment::Entity::insert(row).on_conflict(keep).exec_without_returning(tx.conn()).await?;
        if added > 0 { cold::set_cold(tx, new.video, &new.rung, true).await } else { Ok(()) }
    }

    /// Forgets a video's renditions and segments, to transcode it anew.
    ///
    /// # Errors
    /// The engine's.
    pub async fn clear_media(&self, tx: &Tx<'_>, video: VideoId) -> Result<(), StorageError> {
        let key = video.as_i64();
        segment::Entity::delete_many().filter(segment::Column::Video.eq(key)).exec(tx.conn()).await?;
        rendition::Entity::delete_many().filter(rendition::Column::Video.eq(key)).exec(tx.conn()).await?;
        Ok(())
    }

    /// What is stored of a video; nothing of an unknown one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn media(&self, video: VideoId) -> Result<Media, StorageError> {
        Ok(self.media_of(&[video]).await?.remove(&video).unwrap_or_default())
    }

    /// What is stored of each of several videos, in two statements. Those of which nothing is stored are left out.
    ///
    /// # Errors
    /// The engine's.
    pub async fn media_of(&self, videos: &[VideoId]) -> Result<HashMap<VideoId, Media>, StorageError> {
        let keys = || videos.iter().map(|video| video.as_i64());
        let renditions = rendition::Entity::find()
            .filter(rendition::Column::Video.is_in(keys()))
            .order_by_asc(rendition::Column::Rung)
            .all(self.database.reader())
            .await?;
        let counts: Vec<(i64, String, i64)> = segment::Entity::find()
            .select_only()
            .columns([segment::Column::Video, segment::Column::Rung])
            .column_as(segment::Column::Seq.count(), "stored")
            .filter(segment::Column::Video.is_in(keys()))
            .group_by(segment::Column::Video)
            .group_by(segment::Column::Rung)
            .into_tuple()
            .all(self.database.reader())
            .await?;
        let mut media: HashMap<VideoId, Media> = HashMap::new();
        for row in renditions {
            let video = video_id(row.video)?;
            media.entry(video).or_default().add(row)?;
        }
        for (video, rung, count) in counts {
            let rung = flag("segments.rung", &rung, rung_name)?;
            let stored = &mut media.entry(video_id(video)?).or_default().segments;
            stored.insert(rung, unsigned("segments.count", count)?);
        }
        Ok(media)
    }

    /// One rendition.
    ///
    /// # Errors
    /// The engine's.
    pub async fn rendition(
        &self,
        video: VideoId,
        rung: &RungName,
    ) -> Result<Option<Rendition>, StorageError> {
        rendition::Entity::find_by_id((video.as_i64(), rung.to_string()))
            .one(self.database.reader())
            .await?
            .map(Rendition::try_from)
            .transpose()
    }

    /// A rung's segments in order.
    ///
    /// # Errors
    /// The engine's.
    pub async fn segments(&self, video: VideoId, rung: &RungName) -> Result<Vec<SegmentRow>, StorageError> {
        let rows = segment::Entity::find()
            .filter(segment::Column::Video.eq(video.as_i64()))
            .filter(segment::Column::Rung.eq(rung.as_str()))
            .order_by_asc(segment::Column::Seq)
            .limit(MAX_SEGMENTS)
            .all(self.database.reader())
            .await?;
        rows.into_iter().map(SegmentRow::try_from).collect()
    }

    /// One segment.
    ///
    /// # Errors
    /// The engine's.
    pub async fn segment(
        &self,
        video: VideoId,
        rung: &RungName,
        seq: u32,
    ) -> Result<Option<SegmentRow>, StorageError> {
        segment::Entity::find_by_id((video.as_i64(), rung.to_string(), i64::from(seq)))
            .one(self.database.reader())
            .await?
            .map(SegmentRow::try_from)
            .transpose()
    }
}

/// On a conflict of primary keys, every other column is replaced.
pub(super) fn replace_all<E: EntityTrait>() -> OnConflict
where
    E::PrimaryKey: PrimaryKeyToColumn<Column = E::Column>,
{
    replace_all_but::<E>(|_| false)
}

/// As [`replace_all`], but for columns that stay as they are.
fn replace_all_but<E: EntityTrait>(stays: impl Fn(&E::Column) -> bool) -> OnConflict
where
    E::PrimaryKey: PrimaryKeyToColumn<Column = E::Column>,
{
    let key: Vec<E::Column> = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let others = E::Column::iter().filter(|c| E::PrimaryKey::from_column(*c).is_none() && !stays(c));
    OnConflict::columns(key).update_columns(others).to_owned()
}

pub(super) fn digest(text: &str) -> Option<Digest> {
    text.parse().ok()
}

fn rung_name(text: &str) -> Option<RungName> {
    RungName::new(text).ok()
}

pub(super) fn video_id(value: i64) -> Result<VideoId, StorageError> {
    VideoId::from_u64(unsigned("video", value)?).map_err(|e| StorageError::Corrupt(e.to_string()))
}

impl TryFrom<rendition::Model> for Rendition {
    type Error = StorageError;

    fn try_from(row: rendition::Model) -> Result<Self, StorageError> {
        Ok(Self {
            video: video_id(row.video)?,
            rung: flag("renditions.rung", &row.rung, rung_name)?,
            kind: flag("renditions.kind", &row.kind, RenditionKind::parse)?,
            codecs: row.codecs,
            width: unsigned32("renditions.width", row.width)?,
            height: unsigned32("renditions.height", row.height)?,
            frame_rate_num: unsigned32("renditions.frame_rate_num", row.frame_rate_num)?,
            frame_rate_den: unsigned32("renditions.frame_rate_den", row.frame_rate_den)?,
            bandwidth: unsigned("renditions.bandwidth", row.bandwidth)?,
            average_bandwidth: unsigned("renditions.average_bandwidth", row.average_bandwidth)?,
            timescale: unsigned32("renditions.timescale", row.timescale)?,
            init_bytes: unsigned("renditions.init_bytes", row.init_bytes)?,
            init: flag("renditions.init", &row.init, digest)?,
            ended: row.ended,
        })
    }
}

impl TryFrom<segment::Model> for SegmentRow {
    type Error = StorageError;

    fn try_from(row: segment::Model) -> Result<Self, StorageError> {
        Ok(Self {
            video: video_id(row.video)?,
            rung: flag("segments.rung", &row.rung, rung_name)?,
            seq: unsigned32("segments.seq", row.seq)?,
            start: unsigned("segments.start", row.start)?,
            duration: unsigned("segments.duration", row.duration)?,
            bytes: unsigned("segments.bytes", row.bytes)?,
            sha256: row.sha256,
            digest: flag("segments.digest", &row.digest, digest)?,
            keys: from_json("segments.keyframes", &row.keyframes)?,
        })
    }
}
