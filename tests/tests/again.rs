//! Segments whose bytes are not there: dropped since nobody asked for their rung, or lost by the store. Whoever asks for
//! one gets it, the same bytes under the same name.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::Value;
use sluice_tests::client::{self, client, header};
use sluice_tests::clips;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use std::path::PathBuf;

/// How long rungs are kept in these stories that nobody asks for.
const COLD_MS: &str = "4000";

/// The files of a rung's segments, without its header.
fn stored(stack: &Stack, id: &str, rung: &str) -> Vec<PathBuf> {
    let dir = stack.dir().join("objects/media").join(id).join(rung);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("init")).collect()
}

fn rung<'v>(video: &'v Value, name: &str) -> &'v Value {
    video["rungs"].as_array().unwrap().iter().find(|rung| rung["name"] == name).unwrap()
}

/// A film of so many seconds, four a segment.
async fn ready(stack: &Stack, seconds: u32) -> String {
    let edge = stack.edge();
    let id = client::put(&edge, "film.mp4", clips::made(seconds, "640x360", 25)).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    client::wait_ready(&edge, &id).await;
    id
}

#[tokio::test]
async fn a_rung_that_nobody_asks_for_is_dropped_and_is_there_for_who_does() {
    let origin = vec![("library.cold_ms", COLD_MS.into()), ("library.sweep_ms", "100".into())];
    let stack = Stack::with(Options { origin, ..Options::default() }).await;
    let (edge, id) = (stack.edge(), ready(&stack, 20).await);
    // From the origin itself: no edge is to have it.
    let before = client::played(&stack.origin.url(), &id).await;
    client::wait_until(&edge, &id, "cold", |video| rung(video, "v360")["cold"] == true).await;
    eventually("its bytes are dropped", async || stored(&stack, &id, "v360").is_empty()).await;
    let usage: Value = client::get(&format!("{edge}/v1/storage")).await.json().await.unwrap();
    let rungs = usage["rungs"].as_array().unwrap();
    let of = |name: &str| rungs.iter().find(|r| r["rung"] == name).unwrap()["bytes"].as_u64().unwrap();
    assert!(of("v360") < 4_000 && of("v240") > 40_000, "its header alone is there: {usage}");
    let video = client::video(&edge, &id).await;
    assert_eq!(rung(&video, "v240")["cold"], false, "the lowest rung stays");
    assert_eq!(stored(&stack, &id, "v240").len(), 5);

    let after = client::played(&edge, &id).await;
    assert_eq!(before, after, "the same names, and the same bytes");
    stack.transcoder.until("sluice_segments_made_again_total", &[], |made| made >= 5.0).await;
    // A file of all of it is begun once all of it is there.
    let url = format!("{}/v/{id}/download/v360.mp4", stack.origin.url());
    client::wait_until(&edge, &id, "cold again", |video| rung(video, "v360")["cold"] == true).await;
    let first = client().get(&url).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&first, "retry-after"), "1");
    // What was made again and dropped again is made once more, as soon as it is asked for.
    stack.transcoder.until("sluice_segments_made_again_total", &[], |made| made >= 10.0).await;
    eventually("the file is there", async || {
        client().get(&url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_the_store_has_lost_is_made_again() {
    let stack = Stack::start().await;
    let (edge, id) = (stack.edge(), ready(&stack, 10).await);
    let before = client::played(&stack.origin.url(), &id).await;
    for name in ["v240", "v360", "a64"] {
        let lost = stored(&stack, &id, name).pop().unwrap();
        std::fs::remove_file(lost).unwrap();
    }
    assert_eq!(client::played(&edge, &id).await, before);
    stack.transcoder.until("sluice_segments_made_again_total", &[], |made| made >= 3.0).await;
    let states = client::video(&edge, &id).await;
    assert_eq!(states["state"], "ready");
}
