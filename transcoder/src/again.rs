//! Segments whose bytes are not there: dropped since nobody asked for their rung, lost, or never made. They are made from their
//! source, under the names that they have; what was made before is the same bytes or nothing.

use crate::child::{self, Pace};
use crate::error::JobError;
use crate::job::{AGAIN, Shop, keep};
use crate::publish::Plan;
use crate::supply::{Need, Supply};
use crate::{extras, figures};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Lease, SegmentRow, StorageError, Video};
use sluice_wire::codec::{ChunkWork, CodecFailure, CodecMessage, EncodeRequest, Key};
use sluice_wire::ladder::Source;
use sluice_wire::limits::CHUNK_SEGMENTS;
use sluice_wire::{Digest, EventKind, ObjectKey, RungName, Tag, VideoId};

/// Makes what is missing of a rung's chunk. Whatever comes of it, the rest of the film plays.
pub(crate) async fn run(shop: &Shop, lease: &Lease, video: VideoId) -> Result<(), JobError> {
    let made = match Again::read(shop, lease, video) {
        Some(again) => again.make().await,
        None => Err(JobError::Again("the job names no chunk of a rung".into())),
    };
    extras::settled(shop, lease, made).await
}

/// One rung's chunk.
struct Again<'s> {
    shop: &'s Shop,
    lease: &'s Lease,
    video: VideoId,
    rung: RungName,
    chunk: u32,
}

impl<'s> Again<'s> {
    fn read(shop: &'s Shop, lease: &'s Lease, video: VideoId) -> Option<Self> {
        let rung = RungName::new(lease.payload["rung"].as_str()?).ok()?;
        let chunk = u32::try_from(lease.payload["chunk"].as_u64()?).ok()?;
        Some(Self { shop, lease, video, rung, chunk })
    }

    async fn make(&self) -> Result<(), JobError> {
        let storage = &self.shop.storage;
        let row = storage.videos().get(self.video).await?.ok_or(JobError::Gone)?;
        let plan = row.plan.clone().and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
        let plan = plan.ok_or_else(|| JobError::Again("the video has no plan that is understood".into()))?;
        let numbers = self.chunk * CHUNK_SEGMENTS..(self.chunk + 1) * CHUNK_SEGMENTS;
        // Who asked before may have had it made.
        if let Some(next) = storage.videos().gone(self.video, &self.rung, numbers).await?.first() {
            self.encode(plan, *next).await?;
        }
        self.settle(row).await
    }

    async fn encode(&self, plan: Plan, next: u32) -> Result<(), JobError> {
        let mut supply =
            Supply::open(&self.shop.storage, &self.shop.stock, self.video, Need::Asked, AGAIN).await?;
        // What is still coming can only be read onward.
        let indexed = plan.source.indexed && supply.is_complete();
        let request = EncodeRequest {
            source: Source { indexed, ..plan.source },
            ladder: plan.ladder,
            chunks: vec![ChunkWork { chunk: self.chunk, rungs: vec![(self.rung.clone(), next)] }],
            named: vec![],
            onward: false,
            poster: false,
        };
        let (mut run, mut orders) = self.shop.codec.encode(&supply, &request, Pace::Urgent).await?;
        let wanted = run.wanted();
        tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => Err(error),
            done = self.take(&mut run) => done,
        }
    }

    /// The chunk is there: what is said of its rung is what is known now. A worker that ended before this is followed by one
    /// that finds nothing else to do.
    async fn settle(&self, row: Video) -> Result<(), JobError> {
        let (storage, videos) = (&self.shop.storage, &self.shop.storage.videos());
        let shown_by = row.edition_of.unwrap_or(self.video);
        let Some(rendition) = videos.rendition(self.video, &self.rung).await? else { return Ok(()) };
        let planned = figures::planned(row.plan, &self.rung);
        let settled = storage.database.write::<_, StorageError, _>(|tx| {
            let planned = planned.as_ref();
            Box::pin(async move {
                let sizes = videos.sizes_in(tx, self.video, &self.rung).await?;
                let rates = figures::rates(&sizes, rendition.timescale, planned);
                videos.set_rates(tx, self.video, &self.rung, rates).await?;
                videos.warmed(tx, self.video, &self.rung).await?;
                tx.emit(&Tag::video(shown_by), EventKind::Changed, json!({ "video": shown_by })).await
            })
        });
        Ok(settled.await.map(drop)?)
    }

    async fn take(&self, run: &mut child::Run) -> Result<(), JobError> {
        loop {
            let Some((message, payload)) = run.next().await? else { return Err(run.crashed().await) };
            match message {
                CodecMessage::Segment { rung, seq, digest, keys, .. } if rung == self.rung => {
                    self.segment((seq, digest, keys), payload).await?;
                }
                CodecMessage::Done { .. } => return Ok(()),
                CodecMessage::Failed { reason, detail } => return Err(child::failure(reason, detail)),
                _ => {}
            }
        }
    }

    /// Stores a segment, if it is the one that its row describes: names are immutable, and so is what they name.
    async fn segment(
        &self,
        (seq, digest, keys): (u32, Digest, Vec<Key>),
        payload: Bytes,
    ) -> Result<(), JobError> {
        let storage = &self.shop.storage;
        // An end that the first attempt did not see.
        let Some(row) = storage.videos().segment(self.video, &self.rung, seq).await? else { return Ok(()) };
        let sha256 = hex::encode(Sha256::digest(&payload));
        if row.digest != digest || (row.is_made() && row.sha256 != sha256) {
            let (video, rung) = (self.video, &self.rung);
            tracing::error!(%video, %rung, seq, "made now it is another: the codec is not the one that made or named it");
            let detail = "the codec makes other bytes of it now: encode the video anew".into();
            return Err(JobError::Source { reason: CodecFailure::Undecodable, detail });
        }
        let key = ObjectKey::Segment(self.video, self.rung.clone(), seq, digest);
        let stored = keep(&storage.objects, &key, payload).await?;
        let first = !row.is_made();
        let row = if first { described(row, keys, &stored) } else { row };
        let regained = storage.database.write::<_, StorageError, _>(|tx| {
            let row = &row;
            Box::pin(async move {
                storage.jobs().check(tx, self.lease).await?;
                storage.videos().regain(tx, row).await
            })
        });
        regained.await?;
        let made = if first { &self.shop.metrics.asked } else { &self.shop.metrics.again };
        made.inc();
        Ok(())
    }
}

/// The row of a segment that was never made, with what is known of it now. One that an attempt stored and did not commit is as
/// good, and is what the row describes then.
fn described(row: SegmentRow, keys: Vec<Key>, stored: &Bytes) -> SegmentRow {
    SegmentRow { bytes: stored.len() as u64, sha256: hex::encode(Sha256::digest(stored)), keys, ..row }
}
