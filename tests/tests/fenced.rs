//! Workers that are killed, frozen until another has their job, and thawed: each segment is published once, the video is
//! ready once, and what is played is what an undisturbed worker makes.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use nix::sys::signal::Signal;
use serde_json::Value;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::process::Process;
use sluice_tests::sources::eventually;
use sluice_tests::stack::Stack;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A worker's lease in these stories is 3 s. `FREEZE_MS=30000` is the long freeze.
const FREEZE_MS: u64 = 4_000;
/// Kills of one video's workers: one fewer than a job has attempts.
const KILLS: usize = 4;

fn source() -> Vec<u8> {
    clips::made(24, "640x360", 25)
}

/// Segments of a video that are there, over all rungs.
async fn segments(edge: &str, id: &str) -> u64 {
    let document = client::video(edge, id).await;
    let rungs = document["rungs"].as_array().cloned().unwrap_or_default();
    rungs.iter().filter_map(|rung| rung["segments"].as_u64()).sum()
}

async fn uploaded(stack: &Stack, name: &str, source: &[u8]) -> String {
    client::put(&stack.edge(), name, source.to_vec()).await["id"].as_str().unwrap().to_owned()
}

/// Follows a video's states until there is no more to tell.
fn follow(stack: &Stack, id: &str) -> JoinSet<Vec<Value>> {
    let url = format!("{}/v1/videos/{id}/events", stack.origin.url());
    let mut following = JoinSet::new();
    following.spawn(async move {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(240)).build().unwrap();
        let text = http.get(url).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    });
    following
}

/// What holds at the end: ready once, each segment committed once by somebody, nothing stored that is not listed, and the
/// same bytes as an undisturbed worker's.
async fn published_once(stack: &Stack, id: &str, states: JoinSet<Vec<Value>>, source: &[u8]) {
    client::wait_ready(&stack.edge(), id).await;
    let states = states.join_all().await.concat();
    let ready = states.iter().filter(|state| state["state"] == "ready").count();
    assert_eq!(ready, 1, "{states:?}");
    let progress: Vec<f64> = states.iter().filter_map(|state| state["progress"].as_f64()).collect();
    assert!(progress.windows(2).all(|pair| pair[0] <= pair[1]), "progress only rises: {progress:?}");
    let disturbed = client::played(&stack.edge(), id).await;
    assert_eq!(stored(stack, id), disturbed.iter().map(|(name, _)| name.clone()).collect());
    let twin = uploaded(stack, "undisturbed.mp4", source).await;
    client::wait_ready(&stack.edge(), &twin).await;
    assert_eq!(disturbed, client::played(&stack.edge(), &twin).await);
}

/// Headers and segments in the store.
fn stored(stack: &Stack, id: &str) -> BTreeSet<String> {
    let media = stack.dir().join("objects/media").join(id);
    // What is made of the source beside its rungs has folders of its own.
    let beside = |name: &str| matches!(name, "storyboard" | "text" | "download");
    let rungs = std::fs::read_dir(&media).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let rungs = rungs.filter(|entry| !entry.file_name().to_str().is_some_and(beside));
    let names = rungs.flat_map(|rung| {
        let files = std::fs::read_dir(rung.path()).unwrap().flatten();
        let rung = rung.file_name().into_string().unwrap();
        files
            .map(|file| file.file_name().into_string().unwrap())
            // What a killed writer had not finished has no name of an object; it goes with its folder.
            .filter(|name| !name.contains('#'))
            .map(move |name| format!("{rung}/{name}"))
            .collect::<Vec<_>>()
    });
    names.collect()
}

/// Freezes a worker at a moment at which it does not hold the database: SQLite lets one process write at a time, and who
/// is frozen in the middle of a write keeps all others waiting until it is thawed, which is not this story's.
async fn freeze(stack: &Stack, worker: &Process, id: &str) {
    let http = client::client();
    for _ in 0..50 {
        worker.signal(Signal::SIGSTOP);
        let edit = http.patch(format!("{}/v1/videos/{id}", stack.origin.url()));
        let edit = edit.json(&serde_json::json!({ "title": "Frozen" })).timeout(Duration::from_secs(2));
        if edit.send().await.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        worker.signal(Signal::SIGCONT);
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never frozen between two writes");
}

#[tokio::test]
async fn a_worker_that_was_frozen_until_another_had_its_job_publishes_nothing_more() {
    let freeze_ms = std::env::var("FREEZE_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(FREEZE_MS);
    let stack = Stack::start().await;
    let (edge, source) = (stack.edge(), source());
    let id = uploaded(&stack, "frozen.mp4", &source).await;
    let states = follow(&stack, &id);
    eventually("work is under way", async || segments(&edge, &id).await >= 3).await;
    freeze(&stack, &stack.transcoder, &id).await;
    let begun = Instant::now();
    let mut second = stack.another_worker("worker-b");
    second.start().await;
    second.until("sluice_segments_stored_total", &[], |stored| stored >= 1.0).await;
    sleep(Duration::from_millis(freeze_ms).saturating_sub(begun.elapsed())).await;
    stack.transcoder.signal(Signal::SIGCONT);
    stack.transcoder.until("sluice_transcode_jobs_total", &["outcome=\"lost\""], |lost| lost >= 1.0).await;
    client::wait_ready(&edge, &id).await;
    let total = segments(&edge, &id).await;
    let stored = async |worker: &Process| worker.metric("sluice_segments_stored_total", &[]).await as u64;
    let (first, other) = (stored(&stack.transcoder).await, stored(&second).await);
    assert_eq!(first + other, total, "each segment was committed by one of them");
    published_once(&stack, &id, states, &source).await;
}

#[tokio::test]
async fn workers_killed_one_after_the_other_publish_each_segment_once() {
    let mut stack = Stack::start().await;
    let (edge, source) = (stack.edge(), source());
    let id = uploaded(&stack, "killed.mp4", &source).await;
    let states = follow(&stack, &id);
    for kill in 0..KILLS {
        // At another point each time: while it looks at the source, before its first segment, within its work.
        let there = segments(&edge, &id).await;
        if kill % 2 == 1 {
            eventually("one more segment is there", async || segments(&edge, &id).await > there).await;
        }
        sleep(Duration::from_millis(rand::random_range(0..400))).await;
        stack.transcoder.kill9();
        stack.transcoder.start().await;
    }
    published_once(&stack, &id, states, &source).await;
}
