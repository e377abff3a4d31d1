//! A chunk's other rungs: all above the lowest, of one decoding, by whoever is free. Those that are made when they are first asked
//! for are named with them.

use crate::child::Pace;
use crate::error::JobError;
use crate::job::{OTHERS, Output, Shop, next_of};
use crate::publish::{Plan, Publisher};
use crate::supply::{Need, Supply};
use sluice_storage::Lease;
use sluice_wire::VideoId;
use sluice_wire::codec::{ChunkWork, CodecFailure, EncodeRequest};
use sluice_wire::ladder::Source;
use sluice_wire::limits::CHUNK_SEGMENTS;

/// What the first pass counts as and what this does, in thousandths of all work.
const SHARE: (i32, i32) = (100, 900);

/// Makes them.
pub(crate) async fn run(
    shop: &Shop,
    lease: &Lease,
    video: VideoId,
    publisher: &Publisher,
) -> Result<(), JobError> {
    let row = shop.storage.videos().get(video).await?.ok_or(JobError::Gone)?;
    let plan = row.plan.and_then(|plan| serde_json::from_value::<Plan>(plan).ok());
    let chunk = lease.payload["chunk"].as_u64().and_then(|chunk| u32::try_from(chunk).ok());
    let (Some(plan), Some(chunk)) = (plan, chunk) else {
        return Err(JobError::Again("the job names no chunk of a plan".into()));
    };
    let numbers = chunk * CHUNK_SEGMENTS..(chunk + 1) * CHUNK_SEGMENTS;
    let mut rungs = vec![];
    for rung in plan.ladder.others() {
        let next = next_of(shop, video, rung, numbers.clone()).await?;
        if next < numbers.end {
            rungs.push((rung.clone(), next));
        }
    }
    let mut heads = vec![];
    if !rungs.is_empty() {
        let supply = Supply::open(&shop.storage, &shop.stock, video, Need::Asked, OTHERS).await?;
        let named: Vec<_> = rungs
            .iter()
            .map(|(rung, _)| rung)
            .filter(|rung| plan.ladder.is_deferred(rung))
            .cloned()
            .collect();
        // The first pass's is a small one. Of pictures that are not made there is none.
        let poster = chunk == 0 && named.len() < rungs.len();
        // What is still coming can only be read onward.
        let indexed = plan.source.indexed && supply.is_complete();
        let request = EncodeRequest {
            source: Source { indexed, ..plan.source.clone() },
            ladder: plan.ladder.clone(),
            chunks: vec![ChunkWork { chunk, rungs }],
            named: named.clone(),
            onward: false,
            poster,
        };
        let (duration_ms, sound_counts) = (plan.source.duration_ms, plan.ladder.video.is_empty());
        let mut output = Output {
            shop,
            video,
            publisher,
            heads,
            share: SHARE,
            duration_ms,
            sound_counts,
            named,
            way: None,
            start: None,
        };
        match output.make(supply, &request, Pace::Patient).await {
            // What cannot be shown at all the first pass has refused.
            Ok(_) | Err(JobError::Source { reason: CodecFailure::Undecodable, .. }) => {}
            Err(error) => return Err(error),
        }
        heads = output.heads;
    }
    if publisher.others_done(&heads).await? {
        shop.stock.forget(video);
    }
    Ok(())
}
