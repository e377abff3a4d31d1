//! Rungs that are listed with the others and made when somebody asks for them: they take nothing before, and are what they would
//! have been after.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::Value;
use sluice_tests::client::{self, client};
use sluice_tests::clips;
use sluice_tests::ffprobe;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use std::path::PathBuf;

/// The rung that waits in these stories, of clips of 640x360, and a policy by which none does.
const TOP: &str = "v360";
const POLICY: (&str, &str) = ("defer", "360");
const NO_POLICY: &str = "4000";

/// The files of the top rung's segments, without its header.
fn stored(stack: &Stack, id: &str) -> Vec<PathBuf> {
    let dir = stack.dir().join("objects/media").join(id).join(TOP);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("init")).collect()
}

fn top(video: &Value) -> &Value {
    video["rungs"].as_array().unwrap().iter().find(|rung| rung["name"] == TOP).unwrap()
}

async fn start() -> Stack {
    let transcoders = vec![(POLICY.0, POLICY.1.to_owned())];
    Stack::with(Options { transcoders, ..Options::default() }).await
}

async fn ready(stack: &Stack, clip: Vec<u8>) -> String {
    let made = client::put(&stack.edge(), "film.mp4", clip).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(&stack.edge(), &id).await;
    id
}

/// The top rung as it is listed.
async fn listed(at: &str, id: &str) -> client::Rung {
    client::rungs(at, id).await.into_iter().find(|rung| rung.name == TOP).unwrap()
}

/// Asks for something until it is there: on a busy machine it may take longer than an answer waits.
async fn had(url: &str) {
    eventually("it is made", async || {
        client().get(url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
}

/// What is played of a video once all of its top rung is there, in the order of names.
async fn played(at: &str, id: &str) -> Vec<(String, String)> {
    for segment in listed(at, id).await.segments {
        had(&segment).await;
    }
    let mut all = client::played(at, id).await;
    all.sort();
    all
}

/// Playlists and the description, without the video's own name.
async fn manifests(at: &str, id: &str) -> Vec<String> {
    let mut all = vec![];
    for name in ["master.m3u8", "manifest.mpd", "v360/index.m3u8", "v360/iframes.m3u8", "v240/index.m3u8"] {
        let text = client::get(&format!("{at}/v/{id}/{name}")).await.text().await.unwrap();
        all.push(text.replace(id, "ID"));
    }
    all
}

/// Bytes of the top rung that the store is said to hold.
async fn accounted(edge: &str) -> u64 {
    let usage: Value = client::get(&format!("{edge}/v1/storage")).await.json().await.unwrap();
    let rungs = usage["rungs"].as_array().unwrap();
    rungs.iter().find(|rung| rung["rung"] == TOP).unwrap()["bytes"].as_u64().unwrap()
}

#[tokio::test]
async fn the_top_rung_is_listed_and_takes_nothing_until_somebody_asks() {
    let mut stack = start().await;
    let (edge, clip) = (stack.edge(), clips::made(20, "640x360", 25));
    let id = ready(&stack, clip.clone()).await;
    stack.transcoder.until("sluice_segments_deferred_total", &[], |named| named == 5.0).await;
    let video = client::video(&edge, &id).await;
    let rung = top(&video);
    assert_eq!((&rung["segments"], &rung["done"], &rung["cold"]), (&5.into(), &true.into(), &true.into()));
    let (most, cap) = (rung["bandwidth"].as_u64().unwrap(), rung["average_bandwidth"].as_u64().unwrap());
    assert_eq!(most, cap * 11 / 8, "the cap, and a second and a half of it more over the four of a segment");
    assert!(stored(&stack, &id).is_empty());
    assert!(accounted(&edge).await < 4_000, "its header alone");

    let master = client::get(&format!("{edge}/v/{id}/master.m3u8")).await.text().await.unwrap();
    let (_, list) = m3u8_rs::parse_master_playlist(master.as_bytes()).unwrap();
    let variant = list.variants.iter().find(|v| v.uri == "v360/index.m3u8").unwrap();
    assert!(variant.bandwidth >= most && variant.average_bandwidth.unwrap() >= cap, "{master}");
    assert_eq!(list.variants[0].uri, "v240/index.m3u8", "players begin with what is there: {master}");
    assert!(!master.contains("v360/iframes.m3u8"), "{master}");
    let keyframes = client().get(format!("{edge}/v/{id}/v360/iframes.m3u8")).send().await.unwrap();
    assert_eq!(keyframes.status(), StatusCode::NOT_FOUND);
    let description = client::get(&format!("{edge}/v/{id}/manifest.mpd")).await.text().await.unwrap();
    assert!(description.contains(&format!("bandwidth=\"{most}\"")), "{description}");
    client::get(&format!("{edge}/v/{id}/preview.mp4")).await;
    assert!(stored(&stack, &id).is_empty(), "a preview is of what is there");

    let listed = listed(&edge, &id).await;
    assert!(listed.ended && listed.segments.len() == 5, "{listed:?}");
    had(&listed.segments[0]).await;
    let first = client::bytes(&listed.segments[0]).await;
    let shown = ffprobe::packets(&[client::bytes(&listed.init).await, first].concat());
    assert_eq!((shown.len(), shown[0].key), (100, true), "four seconds of it play");
    stack.transcoder.until("sluice_segments_made_when_asked_total", &[], |made| made >= 4.0).await;
    let before = played(&edge, &id).await;
    client::wait_until(&edge, &id, "whole", |video| top(video)["cold"] == false).await;
    assert_eq!(stored(&stack, &id).len(), 5);
    assert!(accounted(&edge).await > 40_000);
    assert_eq!(stack.transcoder.metric("sluice_segments_made_again_total", &[]).await, 0.0);

    // Another of the same source, for whom all is made at once.
    stack.transcoder.kill9();
    stack.transcoder.set(POLICY.0, NO_POLICY);
    stack.transcoder.start().await;
    let twin = ready(&stack, clip).await;
    assert_eq!(played(&edge, &twin).await, before, "the same names, and the same bytes");
    assert_eq!(stored(&stack, &twin).len(), 5);
    let origin = stack.origin.url();
    assert_eq!(
        manifests(&origin, &id).await,
        manifests(&origin, &twin).await,
        "what is known of it is the same"
    );
    eventually("edges say so too", async || manifests(&edge, &id).await == manifests(&origin, &id).await)
        .await;
    let (one, other) = (client::video(&edge, &id).await, client::video(&edge, &twin).await);
    assert_eq!(one["rungs"], other["rungs"]);
}

#[tokio::test]
async fn who_dies_making_it_is_followed_by_another() {
    let mut stack = start().await;
    let (edge, id) = (stack.edge(), ready(&stack, clips::made(10, "640x360", 25)).await);
    let listed = listed(&edge, &id).await;
    let asking = client().get(&listed.segments[1]);
    let (answer, ()) = tokio::join!(asking.send(), async {
        // It has the job, or is done with it.
        stack.transcoder.until("sluice_transcode_jobs_active", &[], |active| active > 0.0).await;
        stack.transcoder.kill9();
    });
    drop(answer);
    let mut other = stack.another_worker("worker-b");
    other.start().await;
    for segment in &listed.segments {
        had(segment).await;
    }
    client::wait_until(&edge, &id, "whole", |video| top(video)["cold"] == false).await;
    assert_eq!(stored(&stack, &id).len(), 3);
    assert!(!listed.whole().await.is_empty());
}

#[tokio::test]
async fn a_changed_policy_gives_back_what_a_rung_takes_and_a_file_of_it_makes_it() {
    let mut stack = start().await;
    stack.transcoder.kill9();
    stack.transcoder.set(POLICY.0, NO_POLICY);
    stack.transcoder.start().await;
    let (edge, id) = (stack.edge(), ready(&stack, clips::made(10, "640x360", 25)).await);
    let before = played(&edge, &id).await;
    stack.transcoder.kill9();
    stack.transcoder.set(POLICY.0, POLICY.1);
    stack.transcoder.start().await;
    let anew = async || {
        let asked = client().post(format!("{edge}/v1/videos/{id}/editions")).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::ACCEPTED);
        asked.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    eventually("its source is settled", async || client::video(&edge, &id).await["sha256"].is_string()).await;
    let edition = anew().await;
    client::wait_ready(&edge, &edition).await;
    client::wait_until(&edge, &id, "shown anew", |video| top(video)["cold"] == true).await;
    assert!(stored(&stack, &edition).is_empty());
    let same = anew().await;
    let same = client::wait_until(&edge, &same, "over", |edition| edition["state"] == "failed").await;
    assert!(same["error"].as_str().unwrap().contains("it would be the same"), "{same}");

    let url = format!("{}/v/{id}/download/v360.mp4", stack.origin.url());
    let first = client().get(&url).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client::header(&first, "retry-after"), "1");
    had(&url).await;
    let shown = ffprobe::packets(&client::bytes(&url).await);
    assert_eq!(shown.len(), 250, "all of its pictures");
    assert_eq!(stored(&stack, &edition).len(), 3);
    assert_eq!(played(&edge, &id).await, before, "the same names, and the same bytes");
}

#[tokio::test]
async fn what_was_made_and_is_dropped_comes_back_as_it_was() {
    let origin = vec![("library.cold_ms", "3000".into()), ("library.sweep_ms", "100".into())];
    let transcoders = vec![(POLICY.0, POLICY.1.to_owned())];
    let stack = Stack::with(Options { origin, transcoders, ..Options::default() }).await;
    let (edge, id) = (stack.edge(), ready(&stack, clips::made(6, "640x360", 25)).await);
    // From the origin itself: no edge is to have it.
    let made = played(&stack.origin.url(), &id).await;
    eventually("its bytes are dropped", async || stored(&stack, &id).is_empty()).await;
    let master =
        client::get(&format!("{}/v/{id}/master.m3u8", stack.origin.url())).await.text().await.unwrap();
    assert!(master.contains("v360/iframes.m3u8"), "what is known stays known: {master}");
    assert_eq!(played(&edge, &id).await, made);
    assert_eq!(stack.transcoder.metric("sluice_segments_made_when_asked_total", &[]).await, 2.0);
    stack.transcoder.until("sluice_segments_made_again_total", &[], |made| made >= 2.0).await;
}
