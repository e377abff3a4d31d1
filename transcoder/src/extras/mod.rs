//! What is made of a video once its film is: text that came with its source, and a storyboard. Jobs of their own kind, done
//! beside the others, so that nobody waits for them who wants to watch.
//!
//! The storyboard is made of the lowest rung's keyframes as they are stored: a few megabytes, however long the film. Of the
//! source only what the codec asks for is fetched: of a container with an index its text alone.

mod board;
mod file;
mod make;

use crate::child::Codec;
use crate::error::JobError;
use make::Extras;
use serde_json::json;
use sluice_storage::{Lease, NewJob, Retry, Storage, StorageError, topics};
use sluice_wire::VideoId;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The kind of these jobs.
const KIND: &str = "extras";
/// After what people wait for.
const PRIORITY: i32 = -1;
/// Tries of one.
const ATTEMPTS: u32 = 3;

/// The job of a video whose film is made.
pub(crate) fn job(video: VideoId) -> NewJob {
    NewJob {
        kind: KIND.into(),
        payload: json!({ "video": video }),
        priority: PRIORITY,
        max_attempts: ATTEMPTS,
        subject: None,
        due_ms: None,
    }
}

/// Does these jobs, one at a time.
#[derive(Debug)]
pub(crate) struct Hand {
    pub(crate) name: String,
    pub(crate) storage: Storage,
    pub(crate) codec: Codec,
    pub(crate) scratch_dir: PathBuf,
    pub(crate) lease_for: Duration,
    pub(crate) poll: Duration,
    pub(crate) stop: CancellationToken,
}

impl Hand {
    /// Leases and works until told to stop.
    pub(crate) async fn run(self) {
        let mut wake = self.storage.bus.subscribe(topics::JOBS);
        while !self.stop.is_cancelled() {
            match self.storage.jobs().lease(&self.name, &[KIND], self.lease_for).await {
                Ok(Some(lease)) => self.work(&lease).await,
                Ok(None) => {
                    self.bury_exhausted().await;
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = wake.wait(self.poll) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no job could be asked for");
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep(TROUBLE_PAUSE) => {}
                    }
                }
            }
        }
    }

    async fn work(&self, lease: &Lease) {
        let made = tokio::select! {
            made = self.make(lease) => made,
            error = self.keep(lease) => Err(error),
            () = self.stop.cancelled() => {
                let back = self.storage.jobs().give_back(lease).await;
                back.map_err(JobError::from).and(Err(JobError::Lost))
            }
        };
        if let Err(error) = made {
            tracing::warn!(job = %lease.job, outcome = error.as_str(), %error, "nothing was made beside the film");
        }
    }

    async fn make(&self, lease: &Lease) -> Result<(), JobError> {
        let jobs = self.storage.jobs();
        let Some(video) = crate::job::video_of(&lease.payload) else {
            jobs.fail(lease, "the job names no video", Retry::Never).await?;
            return Ok(());
        };
        let made = Extras { hand: self, lease, video }.make().await;
        match &made {
            // Whatever there is to be made is made, or never will be: the film plays without.
            Ok(()) | Err(JobError::Source { .. } | JobError::Gone) => {
                let ended = self.storage.database.write::<_, StorageError, _>(|tx| {
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

    /// Renews the lease until it is lost.
    async fn keep(&self, lease: &Lease) -> JobError {
        let mut beat = interval(self.lease_for / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            match self.storage.jobs().heartbeat(lease, self.lease_for).await {
                Ok(()) => {}
                Err(StorageError::Fenced | StorageError::NotFound(_)) => return JobError::Lost,
                Err(error) => tracing::warn!(%error, job = %lease.job, "a heartbeat failed"),
            }
        }
    }

    /// Jobs whose last attempt ended with its worker: their films play without.
    async fn bury_exhausted(&self) {
        let Ok(exhausted) = self.storage.jobs().exhausted(&[KIND]).await else { return };
        for job in exhausted {
            let jobs = self.storage.jobs();
            let buried = self.storage.database.write::<_, StorageError, _>(|tx| {
                let (jobs, job) = (&jobs, &job);
                Box::pin(async move { jobs.bury(tx, job, "tried too often").await })
            });
            if let Err(error) = buried.await {
                tracing::warn!(%error, job = %job.id, "not buried");
            }
        }
    }
}

/// Pause after the database could not be asked.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
