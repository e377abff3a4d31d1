//! What is made of a video once its film is: text that came with its source, and a storyboard. Jobs of their own kind, done
//! beside the others, so that nobody waits for them who wants to watch.
//!
//! The storyboard is made of the lowest rung's keyframes as they are stored: a few megabytes, however long the film. Of the
//! source only what the codec asks for is fetched: of a container with an index its text alone.

mod board;
mod make;

use crate::error::JobError;
use crate::job::{EXTRAS, Shop};
use make::Extras;
use serde_json::json;
use sluice_storage::{Lease, NewJob, Retry, StorageError};
use sluice_wire::VideoId;

/// After what people wait for.
const PRIORITY: i32 = -1;
/// Tries of one.
const ATTEMPTS: u32 = 3;

/// The job of a video whose film is made.
pub(crate) fn job(video: VideoId) -> NewJob {
    NewJob {
        kind: EXTRAS.into(),
        payload: json!({ "video": video }),
        priority: PRIORITY,
        max_attempts: ATTEMPTS,
        subject: None,
        due_ms: None,
    }
}

/// Does such a job. Whatever comes of it, the film plays without.
pub(crate) async fn run(shop: &Shop, lease: &Lease, video: VideoId) -> Result<(), JobError> {
    let made = Extras { shop, lease, video }.make().await;
    settled(shop, lease, made).await
}

/// Ends a job that no film depends on by what came of it.
pub(crate) async fn settled(shop: &Shop, lease: &Lease, made: Result<(), JobError>) -> Result<(), JobError> {
    let jobs = shop.storage.jobs();
    match &made {
        // Whatever there is to be made is made, or never will be.
        Ok(()) | Err(JobError::Source { .. } | JobError::Gone) => {
            let ended = shop.storage.database.write::<_, StorageError, _>(|tx| {
                let jobs = &jobs;
                Box::pin(async move { jobs.complete(tx, lease).await })
            });
            ended.await?;
        }
        Err(JobError::Again(why) | JobError::Missing(why)) => {
            jobs.fail(lease, why, Retry::Backoff).await?;
        }
        Err(_) => {}
    }
    made
}
