//! One job: from a leased video to its last segment.

use crate::child::{self, Codec, Run};
use crate::error::JobError;
use crate::metrics::Metrics;
use crate::publish::{Head, Plan, Publisher};
use crate::supply::Supply;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Lease, Put, Retry, SegmentRow, Storage, StorageError};
use sluice_wire::codec::{ChunkWork, CodecFailure, CodecMessage, EncodeRequest, Key};
use sluice_wire::ladder::Source;
use sluice_wire::limits::{CHUNK_SEGMENTS, MAX_CODEC_FRAME};
use sluice_wire::{Digest, ObjectKey, RungName, VideoId, ladder};
use std::path::PathBuf;
use tokio::time::Instant;

/// Segments of a rung between two measurements of its bitrates.
const FIGURES_EVERY: u32 = 16;

/// What a worker's jobs share.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) storage: Storage,
    pub(crate) codec: Codec,
    pub(crate) scratch_dir: PathBuf,
    pub(crate) metrics: Metrics,
}

/// The video that a job is for.
pub(crate) fn video_of(lease: &Lease) -> Option<VideoId> {
    lease.payload["video"].as_str().and_then(|id| id.parse().ok())
}

/// Does a leased job. What it commits is fenced; what it stores and does not commit is nobody's.
pub(crate) async fn transcode(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let begun = Instant::now();
    let Some(video) = video_of(lease) else {
        shop.storage.jobs().fail(lease, "the job names no video", Retry::Never).await?;
        return Err(JobError::Again("the job names no video".into()));
    };
    let publisher = Publisher::new(&shop.storage, lease, video);
    let result = match prepare(shop, lease, video, &publisher).await {
        Ok(prepared) => {
            Job {
                shop,
                video,
                publisher: publisher.clone(),
                begun,
                heads: vec![],
                plan: prepared.plan.clone(),
            }
            .run(prepared)
            .await
        }
        Err(error) => Err(error),
    };
    let result = match result {
        Err(JobError::Missing(what)) => Err(missing(shop, video, what).await?),
        other => other,
    };
    match &result {
        Err(JobError::Source { detail, .. }) => publisher.failed(detail, false).await?,
        Err(JobError::Again(why)) => publisher.failed(why, true).await?,
        Err(JobError::Gone) => publisher.gone().await?,
        Ok(()) | Err(JobError::Lost | JobError::Idle | JobError::Missing(_)) => {}
    }
    result
}

/// What it means that something is not there: the video was deleted, or the store has lost it and may find it again.
async fn missing(shop: &Shop, video: VideoId, what: String) -> Result<JobError, StorageError> {
    let row = shop.storage.videos().get(video).await?;
    Ok(if row.is_some() { JobError::Again(format!("missing: {what}")) } else { JobError::Gone })
}

/// Everything that must be known before the codec starts.
struct Prepared {
    supply: Supply,
    plan: Plan,
    request: EncodeRequest,
}

async fn prepare(
    shop: &Shop,
    lease: &Lease,
    video: VideoId,
    publisher: &Publisher,
) -> Result<Prepared, JobError> {
    let row = shop.storage.videos().get(video).await?.ok_or(JobError::Gone)?;
    let mut supply = Supply::open(&shop.storage, lease, video, &shop.scratch_dir).await?;
    let kept = row.plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
    let plan = match kept {
        Some(plan) => plan,
        None => {
            let source = shop.codec.probe(&mut supply).await?;
            let ladder = ladder::plan(&source);
            Plan { source, ladder }
        }
    };
    if plan.ladder.is_empty() {
        let detail = "the file has no picture and no sound".to_owned();
        return Err(JobError::Source { reason: CodecFailure::Undecodable, detail });
    }
    publisher.planned(&plan).await?;
    let mut wanted = vec![];
    for rung in rungs(&plan) {
        let stored = shop.storage.videos().segments(video, &rung).await?;
        // Segments are committed in order; the first gap is where this attempt goes on.
        let next = stored.iter().zip(0u32..).take_while(|(row, seq)| row.seq == *seq).count();
        wanted.push((rung, u32::try_from(next).unwrap_or(u32::MAX)));
    }
    let poster = match shop.storage.objects.head(&ObjectKey::Poster(video)).await {
        Ok(stored) => {
            publisher.poster(stored.size).await?;
            false
        }
        Err(_) => true,
    };
    let chunk = wanted.iter().map(|(_, next)| *next).min().unwrap_or(0) / CHUNK_SEGMENTS;
    let chunks = vec![ChunkWork { chunk, rungs: wanted }];
    // What is still coming can only be read onward.
    let indexed = plan.source.indexed && supply.is_complete();
    let (source, ladder) = (Source { indexed, ..plan.source.clone() }, plan.ladder.clone());
    let request = EncodeRequest { source, ladder, chunks, onward: true, poster };
    Ok(Prepared { supply, plan, request })
}

fn rungs(plan: &Plan) -> impl Iterator<Item = RungName> {
    plan.ladder.names().cloned()
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

struct Job<'s> {
    shop: &'s Shop,
    video: VideoId,
    publisher: Publisher,
    begun: Instant,
    heads: Vec<Head>,
    plan: Plan,
}

impl Job<'_> {
    async fn run(mut self, prepared: Prepared) -> Result<(), JobError> {
        let Prepared { mut supply, request, .. } = prepared;
        let (run, mut orders) = self.shop.codec.encode(&supply, &request).await?;
        let wanted = run.wanted();
        tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => Err(error),
            done = self.take(run) => done,
        }
    }

    /// Stores and commits what a codec makes.
    async fn take(&mut self, mut run: Run) -> Result<(), JobError> {
        let mut first = true;
        loop {
            let Some((message, payload)) = run.next().await? else { return Err(run.crashed().await) };
            match message {
                CodecMessage::Init { rung, codecs, timescale, width, height, frame_rate } => {
                    let (init, init_bytes) = self.header(&rung, payload).await?;
                    let head = Head { rung, codecs, timescale, width, height, frame_rate, init, init_bytes };
                    self.publisher.rendition(&head, false).await?;
                    self.heads.push(head);
                }
                CodecMessage::Segment { rung, seq, digest, start, duration, keys } => {
                    self.segment(Made { rung, seq, digest, start, duration, keys }, payload).await?;
                    if std::mem::take(&mut first) {
                        let waited = self.begun.elapsed().as_secs_f64();
                        self.shop.metrics.first_segment.with_label_values::<&str>(&[]).observe(waited);
                    }
                }
                CodecMessage::Poster { .. } => {
                    let bytes = payload.len() as u64;
                    self.shop.storage.objects.put(&ObjectKey::Poster(self.video), payload).await?;
                    self.publisher.poster(bytes).await?;
                }
                CodecMessage::Done { duration_ms, damage } => {
                    self.shop.metrics.media_ms.inc_by(duration_ms);
                    return self
                        .publisher
                        .ready(&self.plan, &self.heads, duration_ms, damage.as_deref())
                        .await;
                }
                CodecMessage::Failed { reason, detail } => return Err(child::failure(reason, detail)),
                // Progress is counted in committed segments; a later codec may say more than we know.
                _ => {}
            }
        }
    }

    /// Stores a rung's header under the digest of its bytes; gives that and their number.
    async fn header(&self, rung: &RungName, payload: Bytes) -> Result<(Digest, u64), JobError> {
        let (init, bytes) = (Digest::of_sha256(Sha256::digest(&payload).into()), payload.len() as u64);
        self.keep(&ObjectKey::Init(self.video, rung.clone(), init), payload).await?;
        Ok((init, bytes))
    }

    /// Stores an object that never changes, and gives what is stored under its key: the first bytes put there, be they
    /// ours or another attempt's. A worker that lost its lease without knowing can so never replace what was published.
    async fn keep(&self, key: &ObjectKey, payload: Bytes) -> Result<Bytes, JobError> {
        let objects = &self.shop.storage.objects;
        match objects.put_if_absent(key, payload.clone()).await? {
            Put::Created => Ok(payload),
            Put::Existed => Ok(objects.bytes(key, MAX_CODEC_FRAME as u64).await?),
        }
    }

    /// Stores a segment, then commits its row. One that an earlier attempt stored and did not commit is as good, and is
    /// what the row describes then.
    async fn segment(&mut self, made: Made, payload: Bytes) -> Result<(), JobError> {
        let Made { rung, seq, digest, start, duration, keys } = made;
        let key = ObjectKey::Segment(self.video, rung.clone(), seq, digest);
        let stored = self.keep(&key, payload).await?;
        let bytes = stored.len() as u64;
        let sha256 = hex::encode(Sha256::digest(&stored));
        let rung_name = rung.clone();
        let row = SegmentRow { video: self.video, rung, seq, start, duration, bytes, sha256, digest, keys };
        self.publisher.segment(&row, self.permille(&rung_name, start + duration)).await?;
        self.shop.metrics.segments.inc();
        self.shop.metrics.bytes.inc_by(bytes);
        // Figures are estimates until the end: soon after the beginning, then now and then.
        let due = seq < 2 || seq.is_multiple_of(FIGURES_EVERY);
        if due && let Some(head) = self.heads.iter().find(|h| h.rung == rung_name) {
            self.publisher.rendition(head, false).await?;
        }
        Ok(())
    }

    /// How far the slowest rung must be when one has come to this point, in thousandths; 1000 only at the end.
    fn permille(&self, rung: &RungName, end: u64) -> i32 {
        let timescale = self.heads.iter().find(|h| h.rung == *rung).map_or(1, |h| u64::from(h.timescale));
        let done_ms = end * 1_000 / timescale.max(1);
        let share = done_ms * 1_000 / self.plan.source.duration_ms.max(done_ms).max(1);
        i32::try_from(share.min(990)).unwrap_or(990)
    }
}
