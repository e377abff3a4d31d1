//! The job queue: one worker per job, whatever happens to workers.

use std::time::Duration;

use serde_json::json;
use sluice_storage::{
    Failed, JobState, Lease, ManualClock, NewJob, Retry, Storage, StorageError, VideoState, topics,
};
use sluice_wire::{JobId, VideoId};
use tokio::task::JoinSet;

use crate::ground::{Ground, NOON, soon};
use crate::transactions::made;

const LEASE: Duration = Duration::from_secs(10);

pub(crate) async fn a_job_goes_to_one_of_many_workers(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let job = enqueue(&first, 0, 3).await;
    let mut workers = JoinSet::new();
    for n in 0..20 {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        workers.spawn(async move { lease(&storage, &format!("w{n}")).await });
    }
    let won: Vec<Lease> = soon("all workers", workers.join_all()).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].job, won[0].token, won[0].attempt), (job, 1, 1));
    assert_eq!(won[0].payload, json!({ "do": "it" }));
}

pub(crate) async fn urgent_jobs_come_first_then_those_that_waited_longest(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let old = enqueue(&storage, 0, 1).await;
    clock.advance(Duration::from_millis(5));
    let new = enqueue(&storage, 0, 1).await;
    let urgent = enqueue(&storage, 5, 1).await;
    let other = storage.jobs().lease("w", &["another kind"], LEASE).await.unwrap();
    assert_eq!(other, None);
    let mut order = Vec::new();
    while let Some(lease) = lease(&storage, "w").await {
        order.push(lease.job);
    }
    assert_eq!(order, [urgent, old, new]);
}

pub(crate) async fn a_failing_job_backs_off_dies_and_is_revived(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let jobs = storage.jobs();
    let job = enqueue(&storage, 0, 2).await;

    let first = lease(&storage, "w").await.unwrap();
    let fate = jobs.fail(&first, "the disk was full", Retry::Backoff).await.unwrap();
    let Failed::Again { run_at_ms } = fate else { panic!("{fate:?}") };
    assert!((NOON + 1500..=NOON + 2000).contains(&run_at_ms), "{}", run_at_ms - NOON);
    assert_eq!(lease(&storage, "w").await, None, "it waits");
    clock.advance(Duration::from_secs(2));
    let second = lease(&storage, "w").await.unwrap();
    assert_eq!((second.attempt, second.token), (2, 2));

    assert_eq!(jobs.fail(&second, "still full", Retry::Backoff).await.unwrap(), Failed::Dead);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(lease(&storage, "w").await, None, "the dead do not come back by themselves");
    let dead = jobs.dead(10).await.unwrap();
    assert_eq!((dead[0].id, dead[0].reason.as_deref()), (job, Some("still full")));

    jobs.revive(job).await.unwrap();
    assert!(matches!(jobs.revive(job).await, Err(StorageError::Conflict(_))));
    let third = lease(&storage, "w").await.unwrap();
    assert_eq!((third.attempt, third.token), (1, 3));
    assert_eq!(jobs.fail(&third, "not a video", Retry::Never).await.unwrap(), Failed::Dead);
}

pub(crate) async fn a_worker_that_lost_its_lease_cannot_commit(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let (slow, quick) = (ground.open_at(&clock).await, ground.open_at(&clock).await);
    let video = made(&slow).await;
    enqueue(&slow, 0, 3).await;

    let stale = lease(&slow, "slow").await.unwrap();
    clock.advance(LEASE + Duration::from_millis(1));
    let fresh = lease(&quick, "quick").await.unwrap();
    assert_eq!((fresh.job, fresh.token), (stale.job, stale.token + 1));

    assert!(fenced(publish(&slow, &stale, video).await));
    assert!(fenced(slow.jobs().heartbeat(&stale, LEASE).await));
    assert!(fenced(slow.jobs().fail(&stale, "late", Retry::Never).await));
    assert!(fenced(slow.jobs().give_back(&stale).await));
    let untouched = quick.videos().get(video).await.unwrap().unwrap();
    assert_eq!(untouched.state, VideoState::Queued);

    publish(&quick, &fresh, video).await.unwrap();
    assert!(fenced(publish(&quick, &fresh, video).await), "finished is finished");
    assert_eq!(quick.videos().get(video).await.unwrap().unwrap().state, VideoState::Ready);
    assert_eq!(quick.jobs().get(fresh.job).await.unwrap().unwrap().state, JobState::Done);
}

pub(crate) async fn heartbeats_keep_a_job(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    enqueue(&storage, 0, 3).await;
    let held = lease(&storage, "w").await.unwrap();
    for _ in 0..5 {
        clock.advance(LEASE * 3 / 4);
        storage.jobs().heartbeat(&held, LEASE).await.unwrap();
        assert_eq!(lease(&storage, "thief").await, None);
    }
}

pub(crate) async fn a_job_whose_workers_all_vanish_is_buried_once(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let jobs = storage.jobs();
    let job = enqueue(&storage, 0, 2).await;
    for _ in 0..2 {
        assert!(jobs.exhausted(&["encode"]).await.unwrap().is_empty());
        lease(&storage, "doomed").await.unwrap();
        clock.advance(LEASE * 2);
    }
    assert_eq!(lease(&storage, "w").await, None);
    let found = jobs.exhausted(&["encode"]).await.unwrap();
    assert_eq!(found.iter().map(|j| j.id).collect::<Vec<_>>(), [job]);
    bury(&storage, &found[0]).await.unwrap();
    assert!(matches!(bury(&storage, &found[0]).await, Err(StorageError::Conflict(_))));
    assert_eq!(jobs.get(job).await.unwrap().unwrap().state, JobState::Dead);
    assert!(jobs.exhausted(&["encode"]).await.unwrap().is_empty());
}

pub(crate) async fn a_job_given_back_is_due_at_once_and_unharmed(ground: Ground) {
    let storage = ground.open_at(&ManualClock::at(NOON)).await;
    enqueue(&storage, 0, 1).await;
    let first = lease(&storage, "stopping").await.unwrap();
    storage.jobs().give_back(&first).await.unwrap();
    let second = lease(&storage, "w").await.unwrap();
    assert_eq!((second.attempt, second.token), (1, 2));
}

pub(crate) async fn enqueued_jobs_wake_workers_and_vanish_with_a_failed_transaction(ground: Ground) {
    let storage = ground.open().await;
    let mut wake = storage.bus.subscribe(topics::JOBS);
    let jobs = &storage.jobs();
    let failed: Result<(), StorageError> = storage
        .database
        .write(|tx| {
            Box::pin(async move {
                jobs.enqueue(tx, new_job(0, 1)).await?;
                Err(StorageError::Fenced)
            })
        })
        .await;
    assert!(fenced(failed));
    assert_eq!(lease(&storage, "w").await, None);
    enqueue(&storage, 0, 1).await;
    soon("the wake-up", wake.recv()).await.unwrap();
    assert!(lease(&storage, "w").await.is_some());
}

fn fenced<T>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Fenced))
}

fn new_job(priority: i32, max_attempts: u32) -> NewJob {
    NewJob {
        kind: "encode".into(),
        payload: json!({ "do": "it" }),
        priority,
        max_attempts,
        subject: None,
        due_ms: None,
    }
}

async fn enqueue(storage: &Storage, priority: i32, max_attempts: u32) -> JobId {
    let jobs = &storage.jobs();
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move { jobs.enqueue(tx, new_job(priority, max_attempts)).await })
    });
    write.await.unwrap()
}

async fn lease(storage: &Storage, worker: &str) -> Option<Lease> {
    storage.jobs().lease(worker, &["encode"], LEASE).await.unwrap()
}

/// What a worker does at the end: proves its lease, changes the video, finishes the job.
async fn publish(storage: &Storage, lease: &Lease, video: VideoId) -> Result<(), StorageError> {
    let (jobs, videos) = (&storage.jobs(), &storage.videos());
    storage
        .database
        .write(|tx| {
            Box::pin(async move {
                videos.set_state(tx, video, VideoState::Ready, None).await?;
                jobs.check(tx, lease).await?;
                jobs.complete(tx, lease).await
            })
        })
        .await
}

async fn bury(storage: &Storage, job: &sluice_storage::Job) -> Result<(), StorageError> {
    let jobs = &storage.jobs();
    let write = storage.database.write(|tx| Box::pin(jobs.bury(tx, job, "every worker vanished")));
    write.await
}
