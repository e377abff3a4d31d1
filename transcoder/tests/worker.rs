//! Real workers with the real codec on a real store: what is published is whole, whoever dies.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sluice_storage::{JobState, Put, RenditionKind, StorageError, VideoState};
use sluice_wire::{EventKind, JobId, ObjectKey, RungName, Tag, VideoId};
use std::time::Duration;
use support::{House, Worker, alive, clip, decoded_frames, hostile, until};

/// Waits until each rung has so many segments.
async fn under_way(house: &House, video: VideoId, rungs: usize, segments: usize) {
    until("segments are published", async || {
        let rows = house.rows(video).await;
        (rows.len() == rungs && rows.values().all(|r| r.len() >= segments)).then_some(())
    })
    .await;
    assert_eq!(house.video(video).await.state, VideoState::Processing, "the story needs a longer clip");
}

/// Holds the codecs of a video's job that is under way: however fast the machine is, it has not ended before they are let go.
async fn held(house: &House, worker: &Worker, video: VideoId, job: JobId) -> Vec<Pid> {
    until("a codec is held under way", async || {
        let codecs = worker.codecs();
        signal(&codecs, Signal::SIGSTOP);
        let rows = house.rows(video).await;
        let begun = rows.values().any(|segments| !segments.is_empty());
        let leased = house
            .storage
            .jobs()
            .get(job)
            .await
            .is_ok_and(|job| job.is_some_and(|job| job.state == JobState::Leased));
        if begun && leased && !codecs.is_empty() && codecs.iter().all(|codec| alive(*codec)) {
            return Some(codecs);
        }
        let_go(&codecs);
        None
    })
    .await
}

/// Signals those that have not ended.
fn signal(codecs: &[Pid], signal: Signal) {
    for codec in codecs {
        _ = kill(*codec, signal);
    }
}

fn let_go(codecs: &[Pid]) {
    signal(codecs, Signal::SIGCONT);
}

#[tokio::test]
async fn an_upload_becomes_rungs_rows_and_objects() {
    let house = House::open().await;
    let (video, job) = house.upload(&clip(house.dir.path(), 10, "640x360"), 3).await;
    let worker = house.worker("one");
    let ready = house.finished(video).await;
    assert_eq!((ready.state, ready.error, ready.progress_permille), (VideoState::Ready, None, 1_000));
    assert!(ready.duration_ms.unwrap().abs_diff(10_000) < 60);
    assert_eq!((ready.width, ready.height), (Some(640), Some(360)));
    let whole = house.whole(video).await;
    let names: Vec<&str> = whole.keys().map(RungName::as_str).collect();
    assert_eq!(names, ["a64", "v240", "v360"]);
    for rendition in house.storage.videos().media(video).await.unwrap().renditions {
        let rows = house.storage.videos().segments(video, &rendition.rung).await.unwrap();
        let sound = rendition.kind == RenditionKind::Audio;
        // Ten seconds of sound are 469 frames; the priming and the source's own padding come to them.
        let frames = if sound { 470..=471 } else { 250..=250 };
        assert!(frames.contains(&decoded_frames(&whole[&rendition.rung])), "{}", rendition.rung);
        assert!(rendition.ended);
        let (bits, ticks) = rows.iter().fold((0, 0), |s, r| (s.0 + 8 * r.bytes, s.1 + r.duration));
        assert_eq!(rendition.average_bandwidth, bits * u64::from(rendition.timescale) / ticks, "measured");
        assert!(rendition.bandwidth >= rendition.average_bandwidth);
    }
    let poster = house.storage.objects.bytes(&ObjectKey::Poster(video), 1 << 20).await.unwrap();
    assert_eq!(poster[..3], [0xff, 0xd8, 0xff]);
    assert_eq!(house.storage.jobs().get(job).await.unwrap().unwrap().state, JobState::Done);
    until("the source is removed", async || (house.scratch_files() == 0).then_some(())).await;
    let metrics = worker.metrics().await;
    assert!(
        metrics.contains("sluice_transcode_jobs_total{kind=\"transcode\",outcome=\"done\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("sluice_segments_stored_total 9"), "{metrics}");
}

/// Uploads so many videos and has one worker make them all; how often a first pass gave way until then.
async fn made_beside_each_other(house: &House, videos: usize, seconds: usize) -> u32 {
    let source = clip(house.dir.path(), seconds as u32, "400x304");
    let mut uploaded = vec![];
    for _ in 0..videos {
        uploaded.push(house.upload(&source, 3).await.0);
    }
    let worker = house.worker("one");
    for video in uploaded {
        assert_eq!(house.finished(video).await.state, VideoState::Ready);
        let frames: Vec<usize> = house.whole(video).await.values().map(|b| decoded_frames(b)).collect();
        assert_eq!(frames[1..], [25 * seconds, 25 * seconds]);
    }
    let chunks = seconds.div_ceil(16);
    // What is done is counted after it is published.
    until("all jobs are counted", async || {
        let metrics = worker.metrics().await;
        let count = |kind: &str, outcome: &str| {
            let name = format!(r#"sluice_transcode_jobs_total{{kind="{kind}",outcome="{outcome}"}} "#);
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|n| n.parse::<u32>().ok()).unwrap_or(0)
        };
        // Each chunk's other rungs are a job.
        let done = (count("transcode", "done"), count("rungs", "done"));
        (done == (videos as u32, (videos * chunks) as u32)).then(|| count("transcode", "turn"))
    })
    .await
}

#[tokio::test]
async fn each_video_begins_before_another_goes_on() {
    // More than one worker begins at a time.
    let turns = made_beside_each_other(&House::open().await, 4, 20).await;
    assert!(turns >= 1, "one gave way");
}

#[tokio::test]
async fn a_video_that_plays_gives_way_before_its_chunk_ends() {
    // Shorter than a chunk: with nothing but ends of chunks to give way at, none would.
    let turns = made_beside_each_other(&House::open().await, 5, 12).await;
    assert!(turns >= 1, "one gave way");
}

#[tokio::test]
async fn chunks_are_made_by_several_workers_and_join() {
    let house = House::open().await;
    let (video, _) = house.upload(&clip(house.dir.path(), 52, "400x304"), 3).await;
    let (one, other) = (house.worker("one"), house.worker("other"));
    assert_eq!(house.finished(video).await.state, VideoState::Ready);
    let whole = house.whole(video).await;
    let frames: Vec<usize> = whole.values().map(|b| decoded_frames(b)).collect();
    assert_eq!(frames[1..], [1_300, 1_300], "no frame is lost or doubled where chunks join");
    let alone = House::open().await;
    let (twin, _) = alone.upload(&clip(alone.dir.path(), 52, "400x304"), 3).await;
    let _worker = alone.worker("alone");
    assert_eq!(alone.finished(twin).await.state, VideoState::Ready);
    assert!(alone.whole(twin).await == whole, "and none of it shows who made it");
    let (one, other) = (one.metrics().await, other.metrics().await);
    for metrics in [one, other] {
        assert!(metrics.contains(r#"kind="rungs",outcome="done""#), "both had a part: {metrics}");
    }
}

#[tokio::test]
async fn a_killed_worker_loses_nothing_and_nothing_is_made_twice() {
    let house = House::open().await;
    let (video, _) = house.upload(&clip(house.dir.path(), 60, "640x360"), 3).await;
    let mut first = house.worker("first");
    under_way(&house, video, 3, 2).await;
    let codecs = first.codecs();
    assert!(!codecs.is_empty());
    first.kill();
    let before = house.rows(video).await;
    until("an orphaned codec ends", async || codecs.iter().all(|c| !alive(*c)).then_some(())).await;
    let second = house.worker("second");
    assert_eq!(house.finished(video).await.state, VideoState::Ready);
    let after = house.rows(video).await;
    for (rung, rows) in &before {
        assert_eq!(after[rung][..rows.len()], rows[..], "{rung}: what was published stays as it was");
    }
    let frames: Vec<usize> = house.whole(video).await.values().map(|b| decoded_frames(b)).collect();
    assert_eq!(frames[1..], [1_500, 1_500]);
    let stored: usize =
        after.values().map(Vec::len).sum::<usize>() - before.values().map(Vec::len).sum::<usize>();
    let metrics = second.metrics().await;
    assert!(metrics.contains(&format!("sluice_segments_stored_total {stored}\n")), "only the rest was made");
    until("what the killed one left is swept", async || (house.scratch_files() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_killed_codec_is_tried_again() {
    let house = House::open().await;
    let (video, _) = house.upload(&clip(house.dir.path(), 60, "640x360"), 3).await;
    let worker = house.worker("one");
    under_way(&house, video, 3, 1).await;
    // Whichever job it is at: the first pass may be over by now.
    let codecs = until("a codec runs", async || Some(worker.codecs()).filter(|c| !c.is_empty())).await;
    for codec in codecs {
        kill(codec, Signal::SIGKILL).unwrap();
    }
    assert_eq!(house.finished(video).await.state, VideoState::Ready);
    let frames: Vec<usize> = house.whole(video).await.values().map(|b| decoded_frames(b)).collect();
    assert_eq!(frames[1..], [1_500, 1_500]);
    let metrics = worker.metrics().await;
    assert!(metrics.contains(r#"outcome="again"} 1"#), "{metrics}");
}

/// Freezes a worker at a job, and at a moment when it holds no transaction: SQLite has one writer at a time, and one that is frozen in
/// the middle of a write keeps all others waiting until it is thawed, which is the engine's doing and not this story's.
async fn freeze_between_writes(house: &House, worker: &Worker) {
    until("the worker is frozen between two writes", async || {
        worker.signal(Signal::SIGSTOP);
        let write = house.storage.database.write::<_, StorageError, _>(|_| Box::pin(async { Ok(()) }));
        let free = tokio::time::timeout(Duration::from_secs(2), write).await.is_ok_and(|done| done.is_ok());
        let frozen = free && !worker.codecs().is_empty();
        if !frozen {
            worker.signal(Signal::SIGCONT);
        }
        frozen.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_worker_comes_back_and_changes_nothing() {
    let house = House::open().await;
    let (video, _) = house.upload(&clip(house.dir.path(), 60, "640x360"), 6).await;
    let frozen = house.worker("frozen");
    under_way(&house, video, 3, 1).await;
    freeze_between_writes(&house, &frozen).await;
    let _second = house.worker("second");
    // A lease has run out by then; segments of chunks that were nobody's come sooner.
    until("the second has a job that was the frozen one's", async || {
        let log = std::fs::read_to_string(house.dir.path().join("second.log")).ok()?;
        log.lines().any(|line| line.contains("leased") && line.contains("attempt=2")).then_some(())
    })
    .await;
    frozen.signal(Signal::SIGCONT);
    assert_eq!(house.finished(video).await.state, VideoState::Ready);
    until("the frozen one has given up", async || {
        frozen.metrics().await.contains(r#"outcome="lost"} "#).then_some(())
    })
    .await;
    // It may have another job by now: what it made of this one ends in time, too.
    until("its codecs are gone", async || frozen.codecs().is_empty().then_some(())).await;
    // Every row is still what its object is.
    let frames: Vec<usize> = house.whole(video).await.values().map(|b| decoded_frames(b)).collect();
    assert_eq!(frames[1..], [1_500, 1_500]);
}

#[tokio::test]
async fn a_segment_stored_but_not_committed_is_taken_as_it_is() {
    let house = House::open().await;
    let source = clip(house.dir.path(), 6, "320x240");
    let (video, _) = house.upload(&source, 3).await;
    // An attempt that ended between storing and committing left this: a whole segment, with a box more.
    let rung = RungName::new("v240").unwrap();
    let other = House::open().await;
    let (twin, _) = other.upload(&source, 3).await;
    let _worker = other.worker("one");
    assert_eq!(other.finished(twin).await.state, VideoState::Ready);
    // The same source gives the same names.
    let name = other.rows(twin).await[&rung][0].digest;
    let mut left = other
        .storage
        .objects
        .bytes(&ObjectKey::Segment(twin, rung.clone(), 0, name), 1 << 20)
        .await
        .unwrap()
        .to_vec();
    left.extend_from_slice(b"\0\0\0\x0cfree\0\0\0\0");
    let key = ObjectKey::Segment(video, rung.clone(), 0, name);
    assert_eq!(house.storage.objects.put_if_absent(&key, left.clone().into()).await.unwrap(), Put::Created);
    let _worker = house.worker("one");
    assert_eq!(house.finished(video).await.state, VideoState::Ready);
    let whole = house.whole(video).await;
    assert_eq!(house.rows(video).await[&rung][0].bytes, left.len() as u64);
    assert_eq!(decoded_frames(&whole[&rung]), 150);
}

#[tokio::test]
async fn what_is_no_video_fails_with_a_reason_at_once() {
    let house = House::open().await;
    let (video, job) = house.upload(b"only words, and a few more of them to make up parts", 5).await;
    let _worker = house.worker("one");
    let failed = house.finished(video).await;
    assert_eq!(failed.state, VideoState::Failed);
    assert!(failed.error.unwrap().contains("not a video or audio file"));
    let job = house.storage.jobs().get(job).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Dead, 1), "not tried again");
}

#[tokio::test]
async fn a_codec_that_always_crashes_is_given_up() {
    let house = House::open().await;
    let (video, job) = house.upload(br#"{"do": "crash", "and": "nothing else"}"#, 2).await;
    let _worker = house.worker_with("one", &hostile());
    let failed = house.finished(video).await;
    assert_eq!(failed.state, VideoState::Failed);
    assert!(failed.error.unwrap().contains("ended in the middle"));
    assert_eq!(house.storage.jobs().get(job).await.unwrap().unwrap().attempt, 2);
    let log = std::fs::read_to_string(house.dir.path().join("one.log")).unwrap();
    assert!(log.contains("bang"), "its last words are in the log: {log}");
}

#[tokio::test]
async fn a_video_deleted_on_the_way_leaves_nothing_behind() {
    let house = House::open().await;
    let (video, job) = house.upload(&clip(house.dir.path(), 60, "640x360"), 3).await;
    let worker = house.worker("one");
    let codecs = held(&house, &worker, video, job).await;
    let videos = house.storage.videos();
    let deleted = house.storage.database.write::<_, StorageError, _>(|tx| {
        let videos = &videos;
        Box::pin(async move {
            videos.delete(tx, video).await?;
            tx.emit(&Tag::video(video), EventKind::Deleted, serde_json::json!({})).await
        })
    });
    deleted.await.unwrap();
    house.storage.objects.delete_prefix(&ObjectKey::media_prefix(video)).await.unwrap();
    let_go(&codecs);
    until("the job is done with", async || {
        let job = house.storage.jobs().get(job).await.unwrap().unwrap();
        (job.state == JobState::Done).then_some(())
    })
    .await;
    until("nobody is at it any more", async || {
        worker.metrics().await.contains("sluice_transcode_jobs_active 0\n").then_some(())
    })
    .await;
    assert_eq!(house.storage.objects.delete_prefix(&ObjectKey::media_prefix(video)).await.unwrap(), 0);
    assert!(house.rows(video).await.is_empty(), "and no row is left of it");
    assert!(
        worker.metrics().await.contains("sluice_transcode_jobs_total{kind=\"transcode\",outcome=\"gone\"} 1")
    );
    until("the codec is gone", async || worker.codecs().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_worker_told_to_end_gives_its_job_back() {
    let house = House::open().await;
    let (video, job) = house.upload(&clip(house.dir.path(), 60, "640x360"), 3).await;
    let mut worker = house.worker("one");
    let codecs = held(&house, &worker, video, job).await;
    worker.signal(Signal::SIGTERM);
    let_go(&codecs);
    assert_eq!(worker.exit_code().await, Some(0));
    let job = house.storage.jobs().get(job).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Queued, 0), "the attempt does not count");
    assert_eq!(house.scratch_files(), 0);
}
