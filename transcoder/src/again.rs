//! Segments whose bytes are not there: dropped since nobody asked for their rung, or lost. They are made again from their
//! source, under the same names, and are the same bytes or nothing.

use crate::child::{self, Pace};
use crate::error::JobError;
use crate::extras;
use crate::job::{AGAIN, Shop, keep};
use crate::publish::Plan;
use crate::supply::{Need, Supply};
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sluice_storage::{Lease, StorageError};
use sluice_wire::codec::{ChunkWork, CodecFailure, CodecMessage, EncodeRequest};
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
        let shown_by = row.edition_of.unwrap_or(self.video);
        let plan = row.plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
        let plan = plan.ok_or_else(|| JobError::Again("the video has no plan that is understood".into()))?;
        let numbers = self.chunk * CHUNK_SEGMENTS..(self.chunk + 1) * CHUNK_SEGMENTS;
        // Who asked before may have had it made.
        let Some(next) = storage.videos().gone(self.video, &self.rung, numbers).await?.first().copied()
        else {
            return Ok(());
        };
        let mut supply = Supply::open(storage, &self.shop.stock, self.video, Need::Asked, AGAIN).await?;
        // What is still coming can only be read onward.
        let indexed = plan.source.indexed && supply.is_complete();
        let request = EncodeRequest {
            source: Source { indexed, ..plan.source },
            ladder: plan.ladder,
            chunks: vec![ChunkWork { chunk: self.chunk, rungs: vec![(self.rung.clone(), next)] }],
            onward: false,
            poster: false,
        };
        let (mut run, mut orders) = self.shop.codec.encode(&supply, &request, Pace::Urgent).await?;
        let wanted = run.wanted();
        tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => return Err(error),
            done = self.take(&mut run) => done?,
        }
        let warmed = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                storage.videos().warmed(tx, self.video, &self.rung).await?;
                tx.emit(&Tag::video(shown_by), EventKind::Changed, json!({ "video": shown_by })).await
            })
        });
        Ok(warmed.await.map(drop)?)
    }

    async fn take(&self, run: &mut child::Run) -> Result<(), JobError> {
        loop {
            let Some((message, payload)) = run.next().await? else { return Err(run.crashed().await) };
            match message {
                CodecMessage::Segment { rung, seq, digest, .. } if rung == self.rung => {
                    self.segment(seq, digest, payload).await?;
                }
                CodecMessage::Done { .. } => return Ok(()),
                CodecMessage::Failed { reason, detail } => return Err(child::failure(reason, detail)),
                _ => {}
            }
        }
    }

    /// Stores a segment, if it is the one that its row describes: names are immutable, and so is what they name.
    async fn segment(&self, seq: u32, digest: Digest, payload: Bytes) -> Result<(), JobError> {
        let storage = &self.shop.storage;
        let row = storage.videos().segment(self.video, &self.rung, seq).await?;
        // An end that the first attempt did not see.
        let Some(row) = row else { return Ok(()) };
        if row.digest != digest || row.sha256 != hex::encode(Sha256::digest(&payload)) {
            let (video, rung) = (self.video, &self.rung);
            tracing::error!(%video, %rung, seq, "made again it is another: the codec is not the one that made it");
            let detail = "the codec makes other bytes of it now: encode the video anew".into();
            return Err(JobError::Source { reason: CodecFailure::Undecodable, detail });
        }
        keep(&storage.objects, &ObjectKey::Segment(self.video, self.rung.clone(), seq, digest), payload)
            .await?;
        let regained = storage.database.write::<_, StorageError, _>(|tx| {
            let row = &row;
            Box::pin(async move {
                storage.jobs().check(tx, self.lease).await?;
                storage.videos().regain(tx, row).await
            })
        });
        regained.await?;
        self.shop.metrics.again.inc();
        Ok(())
    }
}
