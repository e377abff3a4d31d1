//! The worker: leases jobs, keeps their leases alive, gives them back when told to end.

use crate::child::Codec;
use crate::config::Config;
use crate::error::JobError;
use crate::job::{self, AGAIN, EXTRAS, FIRST, OTHERS, Shop};
use crate::metrics::Metrics;
use crate::sandbox::Options;
use crate::scratch;
use crate::stock::Stock;
use serde_json::json;
use sluice_service::{Context, Drain, Health, HealthFlag, Process, ProcessError};
use sluice_storage::{JobState, Lease, Storage, StorageError, VideoState, Videos, topics};
use sluice_wire::{EventKind, Tag};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// First passes at a time beside a slot's other job: with sources that are still being uploaded they mostly wait.
const LANES: u32 = 3;
/// How long a source is left alone of which nothing more came.
const LATER: Duration = Duration::from_secs(5);
/// Pause after the database could not be asked.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// The transcoder.
#[derive(Debug)]
pub struct Transcoder {
    config: Config,
    shop: Shop,
    drain: Drain,
    ready: HealthFlag,
}

impl Process for Transcoder {
    const NAME: &'static str = "sluice-transcoder";
    type Config = Config;

    async fn load(config: Config, context: Context) -> Result<Self, ProcessError> {
        let (mode, user, slots) = (config.sandbox, config.sandbox_user, config.slots * (LANES + 2) + 1);
        let codec = Codec::find(config.codec.as_deref(), Options { mode, user, slots }).await?;
        // What every FFmpeg has is not asked for.
        if config.codecs.iter().any(|codec| !codec.is_h264()) {
            codec.can_encode(&config.codecs).await?;
        }
        let storage = Storage::open(&config.storage).await?;
        scratch::sweep(&config.scratch_dir).await;
        let health: &Health = &context.health;
        let ready = health.component("queue");
        ready.set_ready(true, "open");
        let metrics = Metrics::new(&context.metrics);
        metrics.walls_stand(codec.sandbox());
        let stock = Arc::new(Stock::new(&storage, &config.scratch_dir));
        let codecs = config.codecs.clone().into();
        let (rungs, defer) = (config.ladder, config.defer);
        let shop = Shop { storage, codec, stock, metrics, codecs, rungs, defer };
        Ok(Self { config, shop, drain: context.drain, ready })
    }

    async fn run(self) -> Result<(), ProcessError> {
        let mut slots = JoinSet::new();
        for slot in 0..self.config.slots {
            let name = format!("{}/{slot}", self.config.worker);
            for lane in 0..LANES {
                slots.spawn(self.hand(format!("{name}.{lane}"), FIRST).run());
            }
            slots.spawn(self.hand(format!("{name}.again"), AGAIN).run());
            slots.spawn(self.hand(name, OTHERS).run());
        }
        slots.spawn(self.hand(format!("{}/extras", self.config.worker), EXTRAS).run());
        while slots.join_next().await.is_some() {}
        Ok(())
    }
}

impl Transcoder {
    fn hand(&self, name: String, kind: &'static str) -> Hand {
        Hand {
            name,
            kind,
            lease_for: Duration::from_millis(self.config.lease_ms),
            poll: Duration::from_millis(self.config.poll_ms),
            shop: self.shop.clone(),
            stop: self.drain.token(),
            ready: self.ready.clone(),
        }
    }
}

/// One of those that do jobs, one at a time.
struct Hand {
    name: String,
    /// The jobs that it takes.
    kind: &'static str,
    lease_for: Duration,
    poll: Duration,
    shop: Shop,
    stop: CancellationToken,
    ready: HealthFlag,
}

impl Hand {
    async fn run(self) {
        let mut wake = self.shop.storage.bus.subscribe(topics::JOBS);
        while !self.stop.is_cancelled() {
            let leased = self.shop.storage.jobs().lease(&self.name, &[self.kind], self.lease_for).await;
            self.ready
                .set_ready(leased.is_ok(), if leased.is_ok() { "open" } else { "the queue cannot be asked" });
            match leased {
                Ok(Some(lease)) => self.work(&lease).await,
                Ok(None) => {
                    self.bury_exhausted().await;
                    self.shop.stock.tidy();
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = wake.wait(self.poll) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no job could be asked for");
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = sleep(TROUBLE_PAUSE) => {}
                    }
                }
            }
        }
    }

    async fn put_off(&self, lease: &Lease, later: Duration) {
        if let Err(error) = self.shop.storage.jobs().put_off(lease, later).await {
            tracing::warn!(%error, job = %lease.job, "not put off");
        }
    }

    /// Does a job while its lease lives.
    async fn work(&self, lease: &Lease) {
        tracing::info!(job = %lease.job, attempt = lease.attempt, "leased");
        let begun = Instant::now();
        self.shop.metrics.active.inc();
        let result = tokio::select! {
            // What was committed is counted, too.
            biased;
            result = job::work(&self.shop, lease) => result,
            error = self.keep(lease) => Err(error),
            () = self.stop.cancelled() => {
                // What is committed stays; another worker goes on from there.
                self.put_off(lease, Duration::ZERO).await;
                Err(JobError::Lost)
            }
        };
        self.shop.metrics.wall_ms.inc_by(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        match result {
            Err(JobError::Idle) => self.put_off(lease, LATER).await,
            Err(JobError::Turn) => self.put_off(lease, Duration::ZERO).await,
            _ => {}
        }
        let outcome = result.as_ref().err().map_or("done", JobError::as_str);
        self.shop.metrics.jobs.with_label_values(&[&lease.kind, outcome]).inc();
        self.shop.metrics.active.dec();
        match result {
            Ok(()) => tracing::info!(job = %lease.job, "done"),
            Err(JobError::Turn) => tracing::debug!(job = %lease.job, "another's turn"),
            Err(error) => tracing::warn!(job = %lease.job, outcome, %error, "ended"),
        }
    }

    /// Renews the lease until it is lost.
    async fn keep(&self, lease: &Lease) -> JobError {
        let mut beat = interval(self.lease_for / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            match self.shop.storage.jobs().heartbeat(lease, self.lease_for).await {
                Ok(()) => {}
                Err(StorageError::Fenced | StorageError::NotFound(_)) => {
                    if !self.settled(lease).await {
                        return JobError::Lost;
                    }
                }
                Err(error) => tracing::warn!(%error, job = %lease.job, "a heartbeat failed"),
            }
        }
    }

    /// True when the job was ended under this lease: who works at it is about to hear of it.
    async fn settled(&self, lease: &Lease) -> bool {
        let job = self.shop.storage.jobs().get(lease.job).await;
        job.is_ok_and(|job| job.is_some_and(|job| job.token == lease.token && job.state != JobState::Leased))
    }

    /// Jobs whose last attempt ended with its worker: their videos have failed, and must say so.
    async fn bury_exhausted(&self) {
        let storage = &self.shop.storage;
        let Ok(exhausted) = storage.jobs().exhausted(&[self.kind]).await else { return };
        for job in exhausted {
            let (jobs, videos): (_, Videos) = (storage.jobs(), storage.videos());
            let video = job::video_of(&job.payload).filter(|_| job::makes_the_film(self.kind));
            let why = "transcoding was tried too often; every worker that tried it ended";
            let buried = storage.database.write::<_, StorageError, _>(|tx| {
                let (jobs, videos, job) = (&jobs, &videos, &job);
                Box::pin(async move {
                    jobs.bury(tx, job, why).await?;
                    // A film plays without the other jobs; a video that was deleted meanwhile has no row to mark: the job is
                    // buried all the same.
                    let Some(video) = video else { return Ok(()) };
                    jobs.drop_others(tx, video, job.id).await?;
                    let Some(row) = videos.get_in(tx, video).await? else { return Ok(()) };
                    if let Some(of) = row.edition_of {
                        tx.emit(&Tag::video(of), EventKind::Changed, json!({ "video": of })).await?;
                    }
                    videos.set_state(tx, video, VideoState::Failed, Some(why)).await?;
                    tx.emit(&Tag::library(), EventKind::Changed, json!({ "video": video })).await?;
                    tx.emit(&Tag::video(video), EventKind::Changed, json!({ "video": video })).await?;
                    Ok(())
                })
            });
            if let Err(error) = buried.await {
                tracing::warn!(%error, job = %job.id, "not buried");
            }
        }
    }
}
