//! Committing what was made: always in one transaction with the lease's fencing token and the event.

use crate::error::JobError;
use crate::job::OTHERS;
use crate::{extras, figures};
use serde_json::json;
use sluice_storage::{
    Jobs, Lease, NewJob, Rendition, RenditionKind, SegmentRow, SourceFacts, Storage, StorageError, Tx, Video,
    VideoState, Videos,
};
use sluice_wire::ladder::{Ladder, Ratio, Source};
use sluice_wire::limits::{CHUNK_SEGMENTS, SEGMENT_MS};
use sluice_wire::{Digest, EventKind, ObjectKey, RungName, Tag, VideoId};

/// What is kept of the probe and the plan, so that the next attempt goes on by the same ones.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) ladder: Ladder,
    /// What was wrong with the source, once the first pass has seen all of it.
    #[serde(default)]
    pub(crate) damage: Option<String>,
    /// What the ladder was before the title was judged; `None` while it was not.
    #[serde(default)]
    pub(crate) fixed: Option<Ladder>,
}

/// A chunk that the first pass has passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) chunk: u32,
    /// True when no other follows.
    pub(crate) over: bool,
    /// True when it has rungs besides the first.
    pub(crate) others: bool,
}

/// A chunk in milliseconds of media, nominally.
const CHUNK_MS: u64 = (CHUNK_SEGMENTS * SEGMENT_MS) as u64;
/// How much later than the first rungs of a chunk the others are due: viewers begin with the lowest, and try the next
/// after some segments.
const OTHERS_LATER_MS: u64 = 30_000;

/// A rung's header, as the codec announced it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) rung: RungName,
    pub(crate) codecs: String,
    pub(crate) timescale: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_rate: Ratio,
    pub(crate) init: Digest,
    pub(crate) init_bytes: u64,
}

/// The writer of one job's results.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    storage: Storage,
    videos: Videos,
    jobs: Jobs,
    lease: Lease,
    video: VideoId,
}

impl Publisher {
    pub(crate) fn new(storage: &Storage, lease: &Lease, video: VideoId) -> Self {
        let (videos, jobs) = (storage.videos(), storage.jobs());
        Self { storage: storage.clone(), videos, jobs, lease: lease.clone(), video }
    }

    /// The plan is made, and work begins: one job is left, this one.
    pub(crate) async fn planned(&self, plan: &Plan) -> Result<(), JobError> {
        let text = serde_json::to_value(plan).map_err(|e| JobError::Again(e.to_string()))?;
        let facts = facts(plan, plan.source.duration_ms);
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let text = &text;
            Box::pin(async move {
                self.advance(tx, 0, false).await?;
                self.videos.begin_jobs(tx, self.video).await?;
                self.videos.set_plan(tx, self.video, text).await?;
                self.videos.set_facts(tx, self.video, facts).await?;
                self.videos.set_state(tx, self.video, VideoState::Processing, None).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// The ladder is this title's from now on.
    pub(crate) async fn judged(&self, plan: &Plan) -> Result<(), JobError> {
        let text = serde_json::to_value(plan).map_err(|e| JobError::Again(e.to_string()))?;
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let text = &text;
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                self.here(tx).await?;
                self.videos.set_plan(tx, self.video, text).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// The first pass goes on with this chunk; gives when that is due.
    async fn advance(&self, tx: &Tx<'_>, next: u32, over: bool) -> Result<u64, StorageError> {
        let due_ms = self.lease.created_ms + u64::from(next) * CHUNK_MS;
        self.jobs.advance(tx, &self.lease, &self.payload(next, over), due_ms).await?;
        Ok(due_ms)
    }

    fn payload(&self, next: u32, over: bool) -> serde_json::Value {
        json!({ "video": self.video, "next": next, "over": over })
    }

    /// The first pass goes on within this chunk, which is due at a time of its own.
    pub(crate) async fn put_off(&self, chunk: u32, due_ms: u64) -> Result<(), JobError> {
        let payload = self.payload(chunk, false);
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let payload = &payload;
            Box::pin(async move { self.jobs.advance(tx, &self.lease, payload, due_ms).await })
        });
        Ok(written.await?)
    }

    /// The first pass has passed a chunk, whose other rungs are a job from now on; gives when the next chunk is due.
    pub(crate) async fn passed(&self, passed: Passed) -> Result<u64, JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let due_ms = self.advance(tx, passed.chunk + 1, passed.over).await?;
                if passed.others {
                    let begun = self.lease.created_ms + OTHERS_LATER_MS;
                    let job = NewJob {
                        kind: OTHERS.into(),
                        payload: json!({ "video": self.video, "chunk": passed.chunk }),
                        priority: 0,
                        max_attempts: self.lease.max_attempts,
                        subject: Some(self.video),
                        due_ms: Some(begun + u64::from(passed.chunk) * CHUNK_MS),
                    };
                    self.videos.count_jobs(tx, self.video, 1).await?;
                    self.jobs.enqueue(tx, job).await?;
                }
                Ok(due_ms)
            })
        });
        Ok(written.await?)
    }

    /// A rung has begun, or its figures have changed.
    pub(crate) async fn rendition(&self, head: &Head) -> Result<(), JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                self.here(tx).await?;
                self.measure(tx, self.row_of(head), false).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    fn row_of(&self, head: &Head) -> Rendition {
        Rendition {
            video: self.video,
            rung: head.rung.clone(),
            kind: if head.width > 0 { RenditionKind::Video } else { RenditionKind::Audio },
            codecs: head.codecs.clone(),
            width: head.width,
            height: head.height,
            frame_rate_num: head.frame_rate.num,
            frame_rate_den: head.frame_rate.den,
            bandwidth: 0,
            average_bandwidth: 0,
            timescale: head.timescale,
            init_bytes: head.init_bytes,
            init: head.init,
            ended: false,
        }
    }

    /// Keeps a rendition with its peak and average as they are known now.
    async fn measure(&self, tx: &Tx<'_>, row: Rendition, ended: bool) -> Result<(), StorageError> {
        let sizes = self.videos.sizes_in(tx, self.video, &row.rung).await?;
        let mut planned = None;
        if !figures::are_known(&sizes) {
            planned = figures::planned(self.here(tx).await?.plan, &row.rung);
        }
        let (bandwidth, average_bandwidth) = figures::rates(&sizes, row.timescale, planned.as_ref());
        self.videos.put_rendition(tx, &Rendition { bandwidth, average_bandwidth, ended, ..row }).await
    }

    /// A segment is stored, or named for the day when it is asked for: its row, the progress, the event.
    pub(crate) async fn segment(&self, row: &SegmentRow, permille: i32) -> Result<(), JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                let before = self.here(tx).await?.progress_permille;
                if row.is_made() {
                    self.videos.put_segment(tx, row).await?;
                } else {
                    self.videos.name_segment(tx, row).await?;
                }
                self.videos.set_progress(tx, self.video, before.max(permille)).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// The poster is stored: its size.
    pub(crate) async fn poster(&self, bytes: u64) -> Result<(), JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                self.videos.set_poster(tx, self.video, bytes).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// The first pass is at the source's end. True when that was the last job.
    pub(crate) async fn first_done(&self, plan: &Plan, duration_ms: u64) -> Result<bool, JobError> {
        let text = serde_json::to_value(plan).map_err(|e| JobError::Again(e.to_string()))?;
        let facts = facts(plan, duration_ms);
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let text = &text;
            Box::pin(async move {
                self.jobs.complete(tx, &self.lease).await?;
                self.videos.set_plan(tx, self.video, text).await?;
                self.videos.set_facts(tx, self.video, facts).await?;
                self.one_less(tx, plan.damage.as_deref()).await
            })
        });
        Ok(written.await?)
    }

    /// A chunk's other rungs are made. True when that was the last job.
    pub(crate) async fn others_done(&self, heads: &[Head]) -> Result<bool, JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                self.jobs.complete(tx, &self.lease).await?;
                let plan = self.here(tx).await?.plan;
                let plan = plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
                for head in heads {
                    self.measure(tx, self.row_of(head), false).await?;
                }
                self.one_less(tx, plan.and_then(|plan| plan.damage).as_deref()).await
            })
        });
        Ok(written.await?)
    }

    /// A job is done. With the last of them everything is made.
    async fn one_less(&self, tx: &Tx<'_>, damage: Option<&str>) -> Result<bool, StorageError> {
        let left = self.videos.count_jobs(tx, self.video, -1).await?;
        if left <= 0 {
            for row in self.videos.renditions_in(tx, self.video).await? {
                self.measure(tx, row, true).await?;
            }
            self.videos.set_progress(tx, self.video, 1_000).await?;
            self.videos.set_state(tx, self.video, VideoState::Ready, damage).await?;
            self.ready(tx).await?;
        }
        self.changed(tx).await?;
        Ok(left <= 0)
    }

    /// All of it is made: it is in the library, or shown in the place of the video that it is an edition of.
    async fn ready(&self, tx: &Tx<'_>) -> Result<(), StorageError> {
        let is_edition = self.here(tx).await?.edition_of.is_some();
        let shown = match self.videos.show_edition(tx, self.video).await? {
            None if is_edition => return Ok(()),
            shown => shown.unwrap_or(self.video),
        };
        if shown != self.video {
            tx.emit(&Tag::media(shown), EventKind::Changed, json!({ "video": shown })).await?;
            tx.emit(&Tag::video(shown), EventKind::Changed, json!({ "video": shown })).await?;
        }
        self.jobs.enqueue(tx, extras::job(shown)).await?;
        tx.emit(&Tag::library(), EventKind::Changed, json!({ "video": shown })).await?;
        Ok(())
    }

    /// It cannot be shown. With `again` the job goes back into the queue while it has attempts left. Without, or when they
    /// are used up, the video's other jobs end too.
    pub(crate) async fn failed(&self, why: &str, again: bool) -> Result<(), JobError> {
        use sluice_storage::{Failed, Retry};
        let retry = if again { Retry::Backoff } else { Retry::Never };
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                if self.jobs.fail_in(tx, &self.lease, why, retry).await? == Failed::Dead {
                    self.jobs.drop_others(tx, self.video, self.lease.job).await?;
                    let edition_of = self.here(tx).await?.edition_of;
                    self.videos.set_state(tx, self.video, VideoState::Failed, Some(why)).await?;
                    if let Some(of) = edition_of {
                        tx.emit(&Tag::video(of), EventKind::Changed, json!({ "video": of })).await?;
                    }
                    tx.emit(&Tag::library(), EventKind::Changed, json!({ "video": self.video })).await?;
                    self.changed(tx).await?;
                }
                Ok(())
            })
        });
        Ok(written.await?)
    }

    /// The video's row. Without it nothing may be added under its id.
    async fn here(&self, tx: &Tx<'_>) -> Result<Video, StorageError> {
        let row = self.videos.get_in(tx, self.video).await?;
        row.ok_or_else(|| StorageError::NotFound(format!("video {}", self.video)))
    }

    /// The video was deleted: the job is done with, and what was stored since goes too.
    pub(crate) async fn gone(&self) -> Result<(), JobError> {
        let removed = self.storage.objects.delete_prefix(&ObjectKey::media_prefix(self.video)).await;
        let finished = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move { self.jobs.complete(tx, &self.lease).await })
        });
        finished.await?;
        Ok(removed.map(drop)?)
    }

    async fn changed(&self, tx: &Tx<'_>) -> Result<(), StorageError> {
        tx.emit(&Tag::video(self.video), EventKind::Changed, json!({ "video": self.video })).await?;
        Ok(())
    }
}

fn facts(plan: &Plan, duration_ms: u64) -> SourceFacts {
    let size = plan.source.video.as_ref();
    SourceFacts {
        duration_ms: (duration_ms > 0).then_some(duration_ms),
        width: size.map(|v| v.width),
        height: size.map(|v| v.height),
    }
}
