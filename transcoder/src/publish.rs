//! Committing what was made: always in one transaction with the lease's fencing token and the event.

use crate::error::JobError;
use serde_json::json;
use sluice_storage::{
    Jobs, Lease, Rendition, RenditionKind, SegmentRow, SourceFacts, Storage, StorageError, Tx, Video,
    VideoState, Videos,
};
use sluice_wire::ladder::{Ladder, Ratio, Source};
use sluice_wire::{Digest, EventKind, ObjectKey, RungName, Tag, VideoId};

/// What is kept of the probe and the plan, so that the next attempt goes on by the same ones.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) ladder: Ladder,
}

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

    /// The plan is made, and work begins.
    pub(crate) async fn planned(&self, plan: &Plan) -> Result<(), JobError> {
        let text = serde_json::to_value(plan).map_err(|e| JobError::Again(e.to_string()))?;
        let facts = SourceFacts {
            duration_ms: (plan.source.duration_ms > 0).then_some(plan.source.duration_ms),
            width: plan.source.video.as_ref().map(|v| v.width),
            height: plan.source.video.as_ref().map(|v| v.height),
        };
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let text = &text;
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                self.videos.set_plan(tx, self.video, text).await?;
                self.videos.set_facts(tx, self.video, facts).await?;
                self.videos.set_state(tx, self.video, VideoState::Processing, None).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// A rung has begun, or its figures have changed.
    pub(crate) async fn rendition(&self, head: &Head, ended: bool) -> Result<(), JobError> {
        let row = self.figures(head, ended).await?;
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let row = &row;
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                self.here(tx).await?;
                self.videos.put_rendition(tx, row).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// A rendition's row with its measured peak and average (RFC 8216 section 4.3.4.2).
    async fn figures(&self, head: &Head, ended: bool) -> Result<Rendition, JobError> {
        let segments = self.videos.segments(self.video, &head.rung).await?;
        let rate = |bytes: u64, ticks: u64| bytes * 8 * u64::from(head.timescale) / ticks.max(1);
        // The last segment may be a few frames; its rate says nothing.
        let whole = segments.iter().map(|s| s.duration).max().unwrap_or(0) / 2;
        let peak = segments.iter().filter(|s| s.duration >= whole).map(|s| rate(s.bytes, s.duration)).max();
        let (bytes, ticks) = segments.iter().fold((0, 0), |sum, s| (sum.0 + s.bytes, sum.1 + s.duration));
        let kind = if head.width > 0 { RenditionKind::Video } else { RenditionKind::Audio };
        Ok(Rendition {
            video: self.video,
            rung: head.rung.clone(),
            kind,
            codecs: head.codecs.clone(),
            width: head.width,
            height: head.height,
            frame_rate_num: head.frame_rate.num,
            frame_rate_den: head.frame_rate.den,
            bandwidth: peak.unwrap_or(0),
            average_bandwidth: if ticks == 0 { 0 } else { rate(bytes, ticks) },
            timescale: head.timescale,
            init_bytes: head.init_bytes,
            init: head.init,
            ended,
        })
    }

    /// A segment is stored: its row, the progress, the event.
    pub(crate) async fn segment(&self, row: &SegmentRow, permille: i32) -> Result<(), JobError> {
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                self.jobs.check(tx, &self.lease).await?;
                let before = self.here(tx).await?.progress_permille;
                self.videos.put_segment(tx, row).await?;
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
                self.videos.set_poster(tx, self.video, bytes).await
            })
        });
        Ok(written.await?)
    }

    /// Everything is made.
    pub(crate) async fn ready(
        &self,
        plan: &Plan,
        heads: &[Head],
        duration_ms: u64,
        damage: Option<&str>,
    ) -> Result<(), JobError> {
        let mut rows = vec![];
        for head in heads {
            rows.push(self.figures(head, true).await?);
        }
        let size = plan.source.video.as_ref();
        let facts = SourceFacts {
            duration_ms: Some(duration_ms),
            width: size.map(|v| v.width),
            height: size.map(|v| v.height),
        };
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            let rows = &rows;
            Box::pin(async move {
                self.jobs.complete(tx, &self.lease).await?;
                for row in rows {
                    self.videos.put_rendition(tx, row).await?;
                }
                self.videos.set_facts(tx, self.video, facts).await?;
                self.videos.set_progress(tx, self.video, 1_000).await?;
                self.videos.set_state(tx, self.video, VideoState::Ready, damage).await?;
                tx.emit(&Tag::library(), EventKind::Changed, json!({ "video": self.video })).await?;
                self.changed(tx).await
            })
        });
        Ok(written.await?)
    }

    /// It cannot be shown. With `again` the job goes back into the queue while it has attempts left.
    pub(crate) async fn failed(&self, why: &str, again: bool) -> Result<(), JobError> {
        use sluice_storage::{Failed, Retry};
        let retry = if again { Retry::Backoff } else { Retry::Never };
        let written = self.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                if self.jobs.fail_in(tx, &self.lease, why, retry).await? == Failed::Dead {
                    self.videos.set_state(tx, self.video, VideoState::Failed, Some(why)).await?;
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
