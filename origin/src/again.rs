//! Segments whose bytes are not there, dropped or lost or never made: asked for, they are made, and whoever asked waits for a
//! while.

use crate::origin::State;
use bytes::Bytes;
use lru::LruCache;
use serde_json::json;
use sluice_platform::ApiError;
use sluice_storage::{NewJob, Object, SegmentRow, Storage, StorageError};
use sluice_wire::limits::{CHUNK_SEGMENTS, SEGMENT_MS};
use sluice_wire::{ObjectKey, RungName, VideoId};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The jobs' kind.
const KIND: &str = "again";
/// Tries of one: names are of their bytes, so that a codec that makes others does so each time.
const ATTEMPTS: u32 = 3;
/// How long who asks is kept waiting: less than players wait for the first byte of a segment (10 s in common ones).
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_millis(100);
/// How long a chunk is not asked for again, at the most: its job has been taken by then, or waits behind others.
const ASKED: Duration = Duration::from_secs(30);
/// Chunks and rungs that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).expect("above 0");

type Remembered<K> = Arc<Mutex<LruCache<K, Instant>>>;

fn memory<K: std::hash::Hash + Eq>() -> Remembered<K> {
    Arc::new(Mutex::new(LruCache::new(REMEMBERED)))
}

/// What is asked for, and when it was.
#[derive(Debug, Clone)]
pub(crate) struct Again {
    storage: Storage,
    chunks: Remembered<(VideoId, RungName, u32)>,
    rungs: Remembered<(VideoId, RungName)>,
    /// How exactly it is known when a rung was asked for last; not at all where none is ever dropped.
    grain: Option<Duration>,
    /// How long a chunk is not asked for again.
    quiet: Duration,
}

impl Again {
    /// `cold_ms` is how long rungs are kept that nobody asks for.
    pub(crate) fn new(storage: Storage, cold_ms: Option<u64>) -> Self {
        let (grain, quiet) = (grain(cold_ms), quiet(cold_ms));
        Self { storage, chunks: memory(), rungs: memory(), grain, quiet }
    }

    /// A rung is asked for. Edges keep what they had: that is known of what they have not.
    pub(crate) async fn asked(&self, video: VideoId, rung: &RungName) -> Result<(), StorageError> {
        let Some(grain) = self.grain else { return Ok(()) };
        if !is_new(&self.rungs, (video, rung.clone()), grain) {
            return Ok(());
        }
        let videos = &self.storage.videos();
        self.storage.database.write(|tx| Box::pin(videos.note_asked(tx, video, rung))).await
    }

    /// Has a segment made whose bytes are not there, and waits for it.
    ///
    /// # Errors
    /// 503 when it takes long; the engines'.
    async fn bring_back(&self, video: VideoId, rung: &RungName, seq: u32) -> Result<(), ApiError> {
        let chunk = seq / CHUNK_SEGMENTS;
        let videos = &self.storage.videos();
        let lost = self.storage.database.write(|tx| Box::pin(videos.lose(tx, video, rung, seq))).await?;
        if is_new(&self.chunks, (video, rung.clone(), chunk), self.quiet) || lost {
            self.enqueue(video, rung, chunk).await?;
        }
        let deadline = Instant::now() + PATIENCE;
        while !videos.gone(video, rung, seq..seq + 1).await?.is_empty() {
            if Instant::now() >= deadline {
                let detail = "these bytes are being made from their source; try again";
                return Err(ApiError::new(503, "being-made", "Being made", detail));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// A job for the chunk, and one for the next, which a player wants soon.
    async fn enqueue(&self, video: VideoId, rung: &RungName, chunk: u32) -> Result<(), StorageError> {
        let next = (chunk + 1) * CHUNK_SEGMENTS..(chunk + 2) * CHUNK_SEGMENTS;
        let more = !self.storage.videos().gone(video, rung, next).await?.is_empty()
            && is_new(&self.chunks, (video, rung.clone(), chunk + 1), self.quiet);
        let jobs = &self.storage.jobs();
        let now = self.storage.database.now_ms();
        let queued = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                for ahead in 0..=u32::from(more) {
                    let job = NewJob {
                        kind: KIND.into(),
                        payload: json!({ "video": video, "rung": rung, "chunk": chunk + ahead }),
                        priority: 0,
                        max_attempts: ATTEMPTS,
                        subject: None,
                        due_ms: Some(now + u64::from(ahead * CHUNK_SEGMENTS * SEGMENT_MS)),
                    };
                    jobs.enqueue(tx, job).await?;
                }
                Ok(())
            })
        });
        queued.await
    }
}

/// How exactly it is known when a rung was asked for last: to a tenth of the time it is kept.
fn grain(cold_ms: Option<u64>) -> Option<Duration> {
    cold_ms.map(|ms| Duration::from_millis(ms / 10))
}

/// How long a chunk is not asked for again: no longer than it is kept, or one that was dropped meanwhile would not be made for
/// who asks.
fn quiet(cold_ms: Option<u64>) -> Duration {
    cold_ms.map_or(ASKED, |ms| ASKED.min(Duration::from_millis(ms - ms / 10)))
}

/// True when something was not noted for this long; it is noted now.
fn is_new<K: std::hash::Hash + Eq>(memory: &Remembered<K>, key: K, for_: Duration) -> bool {
    let now = Instant::now();
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.get(&key).is_some_and(|at| now.duration_since(*at) < for_) {
        return false;
    }
    memory.put(key, now);
    true
}

/// A segment's row once its size and hash are known: one that was never made is made.
///
/// # Errors
/// 503 when that takes long; the engines'.
pub(crate) async fn known(state: &State, row: SegmentRow) -> Result<SegmentRow, ApiError> {
    if row.is_made() {
        return Ok(row);
    }
    state.again.bring_back(row.video, &row.rung, row.seq).await?;
    let made = state.storage.videos().segment(row.video, &row.rung, row.seq).await?;
    made.filter(|made| made.is_made() && made.digest == row.digest)
        .ok_or_else(|| StorageError::NotFound(format!("segment {} of {}", row.seq, row.rung)).into())
}

/// A part of a stored object, made again if it is a segment that is not there.
///
/// # Errors
/// 503 when that takes long; the engines'.
pub(crate) async fn range(state: &State, key: &ObjectKey, range: Range<u64>) -> Result<Object, ApiError> {
    let objects = &state.storage.objects;
    match (objects.get_range(key, range.clone()).await, key) {
        (Err(StorageError::NotFound(_)), ObjectKey::Segment(video, rung, seq, _)) => {
            state.again.bring_back(*video, rung, *seq).await?;
            Ok(objects.get_range(key, range).await?)
        }
        (other, _) => Ok(other?),
    }
}

/// A whole stored object of at most this many bytes, likewise.
///
/// # Errors
/// As [`range`].
pub(crate) async fn bytes(state: &State, key: &ObjectKey, limit: u64) -> Result<Bytes, ApiError> {
    let objects = &state.storage.objects;
    match (objects.bytes(key, limit).await, key) {
        (Err(StorageError::NotFound(_)), ObjectKey::Segment(video, rung, seq, _)) => {
            state.again.bring_back(*video, rung, *seq).await?;
            Ok(objects.bytes(key, limit).await?)
        }
        (other, _) => Ok(other?),
    }
}

/// Refuses what needs these segments of a rung while one of them is not there, and has that made.
///
/// # Errors
/// 503 then; the engines'.
pub(crate) async fn whole(
    state: &State,
    video: VideoId,
    rung: &RungName,
    numbers: Range<u32>,
) -> Result<(), ApiError> {
    let missing = state.storage.videos().gone(video, rung, numbers).await?;
    let chunks: std::collections::BTreeSet<u32> = missing.iter().map(|seq| seq / CHUNK_SEGMENTS).collect();
    if chunks.is_empty() {
        return Ok(());
    }
    for chunk in chunks {
        if is_new(&state.again.chunks, (video, rung.clone(), chunk), state.again.quiet) {
            state.again.enqueue(video, rung, chunk).await?;
        }
    }
    let detail = "a part of this rung is being made from its source; try again later";
    Err(ApiError::new(503, "being-made", "Being made", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_asked_for_again_once_it_may_have_been_dropped() {
        assert_eq!(quiet(None), ASKED, "nothing is dropped");
        assert_eq!(quiet(Some(24 * 3_600_000)), ASKED);
        let cold_ms = 4_000;
        let dropped = Duration::from_millis(cold_ms) - grain(Some(cold_ms)).unwrap();
        assert_eq!(quiet(Some(cold_ms)), dropped, "the soonest that it may be dropped");
    }
}
