//! One job: from its lease to its last segment.
//!
//! A video's [first pass](crate::first) probes, plans, and makes the lowest rung and the sound in a row; each chunk that it
//! has passed becomes a job of its own, in which [the others](crate::others) are made, by whoever is free.

use crate::child::{self, Codec, Pace, Run};
use crate::error::JobError;
use crate::first::Way;
use crate::judging::Rungs;
use crate::metrics::Metrics;
use crate::publish::{Head, Publisher};
use crate::start::Start;
use crate::stock::Stock;
use crate::supply::Supply;
use crate::{again, extras, first, others};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Lease, Objects, Put, Retry, SegmentRow, Storage, StorageError};
use sluice_wire::codec::{CodecMessage, EncodeRequest, Key};
use sluice_wire::ladder::VideoCodec;
use sluice_wire::limits::MAX_CODEC_FRAME;
use sluice_wire::{Digest, ObjectKey, RungName, VideoId};
use std::sync::Arc;

/// Segments of a rung between two measurements of its bitrates.
const FIGURES_EVERY: u32 = 16;

/// The jobs that make a video playable.
pub(crate) const FIRST: &str = "transcode";
/// The jobs that make the other rungs of a chunk.
pub(crate) const OTHERS: &str = "rungs";
/// The jobs that make segments again whose bytes are not there.
pub(crate) const AGAIN: &str = "again";
/// The jobs that make what lies beside the film, which plays without.
pub(crate) const EXTRAS: &str = "extras";

/// What a worker's jobs share.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) storage: Storage,
    pub(crate) codec: Codec,
    pub(crate) stock: Arc<Stock>,
    pub(crate) metrics: Metrics,
    /// What the pictures of a video that is planned here are encoded with.
    pub(crate) codecs: Arc<[VideoCodec]>,
    pub(crate) rungs: Rungs,
    /// The short side from which on pictures of such a video are made when they are first asked for.
    pub(crate) defer: Option<u32>,
}

/// True of jobs without which a video does not play.
pub(crate) fn makes_the_film(kind: &str) -> bool {
    matches!(kind, FIRST | OTHERS)
}

/// The video that a job is for.
pub(crate) fn video_of(payload: &serde_json::Value) -> Option<VideoId> {
    payload["video"].as_str().and_then(|id| id.parse().ok())
}

/// Does a leased job. What it commits is fenced; what it stores and does not commit is nobody's.
pub(crate) async fn work(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let Some(video) = video_of(&lease.payload) else {
        shop.storage.jobs().fail(lease, "the job names no video", Retry::Never).await?;
        return Err(JobError::Again("the job names no video".into()));
    };
    let publisher = Publisher::new(&shop.storage, lease, video);
    let result = match lease.kind.as_str() {
        EXTRAS => return extras::run(shop, lease, video).await,
        AGAIN => return again::run(shop, lease, video).await,
        OTHERS => others::run(shop, lease, video, &publisher).await,
        _ => first::run(shop, lease, video, &publisher).await,
    };
    let result = match result {
        Err(JobError::Missing(what)) => Err(missing(shop, video, what).await?),
        other => other,
    };
    match &result {
        Err(JobError::Source { detail, .. }) => publisher.failed(detail, false).await?,
        Err(JobError::Again(why)) => publisher.failed(why, true).await?,
        Err(why @ JobError::Same) => publisher.failed(&why.to_string(), false).await?,
        Err(JobError::Gone) => publisher.gone().await?,
        Ok(()) | Err(JobError::Lost | JobError::Idle | JobError::Turn | JobError::Missing(_)) => {}
    }
    if matches!(result, Err(JobError::Source { .. } | JobError::Same | JobError::Gone)) {
        shop.stock.forget(video);
    }
    result
}

/// What it means that something is not there: the video was deleted, or the store has lost it and may find it again.
async fn missing(shop: &Shop, video: VideoId, what: String) -> Result<JobError, StorageError> {
    let row = shop.storage.videos().get(video).await?;
    Ok(if row.is_some() { JobError::Again(format!("missing: {what}")) } else { JobError::Gone })
}

/// The first segment of a rung in a range of numbers that is not stored: segments are committed in order, and the first gap
/// is where an attempt goes on.
pub(crate) async fn next_of(
    shop: &Shop,
    video: VideoId,
    rung: &RungName,
    numbers: std::ops::Range<u32>,
) -> Result<u32, JobError> {
    let stored = shop.storage.videos().stored(video, rung, numbers.clone()).await?;
    let mut next = numbers.start;
    for seq in stored {
        if seq != next {
            break;
        }
        next += 1;
    }
    Ok(next)
}

/// True while a video has no poster: one that is stored already is made known.
pub(crate) async fn wants_poster(
    shop: &Shop,
    video: VideoId,
    publisher: &Publisher,
) -> Result<bool, JobError> {
    match shop.storage.objects.head(&ObjectKey::Poster(video)).await {
        Ok(stored) => publisher.poster(stored.size).await.map(|()| false),
        Err(_) => Ok(true),
    }
}

/// A segment, as the codec announced it.
struct Made {
    rung: RungName,
    seq: u32,
    digest: Digest,
    start: u64,
    duration: u64,
    keys: Vec<Key>,
}

impl Made {
    fn row(self, video: VideoId, bytes: u64, sha256: String) -> SegmentRow {
        let Self { rung, seq, digest, start, duration, keys } = self;
        SegmentRow { video, rung, seq, start, duration, bytes, sha256, digest, keys }
    }
}

/// Where what a codec makes is stored and committed.
pub(crate) struct Output<'s> {
    pub(crate) shop: &'s Shop,
    pub(crate) video: VideoId,
    pub(crate) publisher: &'s Publisher,
    pub(crate) heads: Vec<Head>,
    /// Which part of all that there is to do this is, in thousandths, and the source's claimed length.
    pub(crate) share: (i32, i32),
    pub(crate) duration_ms: u64,
    /// True for a source without pictures. Sound is far ahead of them, and says nothing about how far they are.
    pub(crate) sound_counts: bool,
    /// Rungs that are named and not made.
    pub(crate) named: Vec<RungName>,
    /// A first pass's way through the chunks.
    pub(crate) way: Option<Way>,
    /// A first pass's beginning.
    pub(crate) start: Option<Start>,
}

impl Output<'_> {
    /// Has the codec do what is asked, until it is done or it is another's turn.
    pub(crate) async fn make(
        &mut self,
        mut supply: Supply,
        request: &EncodeRequest,
        pace: Pace,
    ) -> Result<Ended, JobError> {
        let (run, mut orders) = self.shop.codec.encode(&supply, request, pace).await?;
        let wanted = run.wanted();
        tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => Err(error),
            done = self.take(run) => done,
        }
    }

    async fn take(&mut self, mut run: Run) -> Result<Ended, JobError> {
        loop {
            let Some((message, payload)) = run.next().await? else { return Err(run.crashed().await) };
            match message {
                CodecMessage::Init { rung, codecs, timescale, width, height, frame_rate } => {
                    let (init, init_bytes) = self.header(&rung, payload).await?;
                    let head = Head { rung, codecs, timescale, width, height, frame_rate, init, init_bytes };
                    self.publisher.rendition(&head).await?;
                    self.heads.push(head);
                }
                CodecMessage::Segment { rung, seq, digest, start, duration, keys } => {
                    self.segment(Made { rung, seq, digest, start, duration, keys }, payload).await?;
                }
                CodecMessage::Named { rung, seq, digest, start, duration } => {
                    self.name(Made { rung, seq, digest, start, duration, keys: vec![] }).await?;
                }
                CodecMessage::Poster { .. } => {
                    let bytes = payload.len() as u64;
                    self.shop.storage.objects.put(&ObjectKey::Poster(self.video), payload).await?;
                    self.publisher.poster(bytes).await?;
                }
                CodecMessage::Chunk { chunk, track, last } => {
                    if let Some(way) = &mut self.way {
                        way.reached(chunk, track, last);
                        way.go_on(self.shop, self.video, self.publisher).await?;
                    }
                }
                CodecMessage::Group { end } => {
                    if let Some(start) = &mut self.start {
                        start.group(end, &self.shop.metrics);
                    }
                }
                CodecMessage::Done { duration_ms, damage } => return Ok(Ended { duration_ms, damage }),
                CodecMessage::Failed { reason, detail } => return Err(child::failure(reason, detail)),
                // Progress is counted in committed segments; a later codec may say more than we know.
                _ => {}
            }
        }
    }

    /// Stores a rung's header under the digest of its bytes; gives that and their number.
    async fn header(&self, rung: &RungName, payload: Bytes) -> Result<(Digest, u64), JobError> {
        let (init, bytes) = (Digest::of_sha256(Sha256::digest(&payload).into()), payload.len() as u64);
        keep(&self.shop.storage.objects, &ObjectKey::Init(self.video, rung.clone(), init), payload).await?;
        Ok((init, bytes))
    }

    /// Stores a segment, then commits its row. One that an earlier attempt stored and did not commit is as good, and is
    /// what the row describes then.
    async fn segment(&mut self, made: Made, payload: Bytes) -> Result<(), JobError> {
        let key = ObjectKey::Segment(self.video, made.rung.clone(), made.seq, made.digest);
        let stored = keep(&self.shop.storage.objects, &key, payload).await?;
        let (bytes, seq, rung_name) = (stored.len() as u64, made.seq, made.rung.clone());
        self.commit(made.row(self.video, bytes, hex::encode(Sha256::digest(&stored)))).await?;
        let plays = seq == 0 && self.start.as_mut().is_some_and(|s| s.published(&self.shop.metrics));
        if seq == 0
            && let Some(way) = &mut self.way
        {
            way.playable(self.shop, self.video, &rung_name);
        }
        self.shop.metrics.segments.inc();
        self.shop.metrics.bytes.inc_by(bytes);
        self.measured(&rung_name, seq).await?;
        match &self.way {
            Some(way) if plays => way.give_way(self.shop, self.publisher).await,
            _ => Ok(()),
        }
    }

    /// Commits the row of a segment that is made when somebody asks for it.
    async fn name(&mut self, made: Made) -> Result<(), JobError> {
        if !self.named.contains(&made.rung) {
            return Err(JobError::Again("the codec named a segment that it was to make".into()));
        }
        let (seq, rung) = (made.seq, made.rung.clone());
        self.commit(made.row(self.video, 0, String::new())).await?;
        self.shop.metrics.named.inc();
        self.measured(&rung, seq).await
    }

    async fn commit(&self, row: SegmentRow) -> Result<(), JobError> {
        self.publisher.segment(&row, self.permille(&row.rung, row.start + row.duration)).await
    }

    /// Figures are estimates until the end: soon after the beginning, then now and then.
    async fn measured(&self, rung: &RungName, seq: u32) -> Result<(), JobError> {
        let due = seq < 2 || seq.is_multiple_of(FIGURES_EVERY);
        match self.heads.iter().find(|head| due && head.rung == *rung) {
            Some(head) => self.publisher.rendition(head).await,
            None => Ok(()),
        }
    }

    /// How much of everything is done when a rung has come to this point, in thousandths; 1000 only at the end.
    fn permille(&self, rung: &RungName, end: u64) -> i32 {
        let (before, part) = self.share;
        let head = self.heads.iter().find(|h| h.rung == *rung);
        let Some(head) = head.filter(|h| h.width > 0 || self.sound_counts) else { return before };
        let done_ms = end * 1_000 / u64::from(head.timescale).max(1);
        let part = u64::try_from(part).unwrap_or(0);
        let share = done_ms * part / self.duration_ms.max(done_ms).max(1);
        (before + i32::try_from(share).unwrap_or(0)).min(990)
    }
}

/// Stores an object that never changes, and gives what is stored under its key: the first bytes put there, be they ours or
/// another attempt's. A worker that lost its lease without knowing can so never replace what was published.
pub(crate) async fn keep(objects: &Objects, key: &ObjectKey, payload: Bytes) -> Result<Bytes, JobError> {
    match objects.put_if_absent(key, payload.clone()).await? {
        Put::Created => Ok(payload),
        Put::Existed => Ok(objects.bytes(key, MAX_CODEC_FRAME as u64).await?),
    }
}

/// How a codec's work ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The true length as far as it was seen, in milliseconds.
    pub(crate) duration_ms: u64,
    /// What was wrong with the source.
    pub(crate) damage: Option<String>,
}
