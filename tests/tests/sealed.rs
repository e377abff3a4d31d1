//! Sealed videos, whole and by patterns: what was never made is made and sealed when it is asked for, and stock players play all.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::{Value, json};
use sluice_tests::programs::printed;
use sluice_tests::sealed::{Story, decoded, fragments};
use sluice_tests::{client, sources};
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn a_rung_that_was_never_made_is_made_and_sealed_for_who_asks() {
    let story = Story::with(vec![("defer", "360".into())]).await;
    let (whole, patterns) = tokio::join!(story.video("whole.mp4"), story.video("patterns.mp4"));
    story.protect(&whole, "aes-128").await;
    story.protect(&patterns, "cbcs").await;
    let mut sealed = vec![];
    for id in [&whole, &patterns] {
        let token = story.token(id).await;
        for listed in story.listed(id, "v360").await {
            let url = |name: &str| story.url(id, &format!("v360/{name}"));
            let parts = [client::bytes(&url(&listed.map)).await, client::bytes(&url(&listed.segment)).await];
            sealed.push((parts, story.key(id, &listed, &token).await));
        }
    }
    assert_eq!(story.stack.transcoder.metric("sluice_segments_made_when_asked_total", &[]).await, 6.0);
    // Of one source: what is clear of the one is clear of the other.
    story.protect(&whole, "none").await;
    let rung = client::rungs(&story.stack.edge(), &whole).await;
    let rung = rung.into_iter().find(|rung| rung.name == "v360").unwrap();
    let init = client::bytes(&rung.init).await;
    for (number, url) in rung.segments.iter().enumerate() {
        let clear = client::bytes(url).await;
        let ([_, by_all], key) = &sealed[number];
        assert!(story.opened(by_all, key, number) == clear, "{number}: byte for byte");
        let ([map, by_patterns], key) = &sealed[number + rung.segments.len()];
        for (one, before) in fragments(by_patterns).into_iter().zip(fragments(&clear)) {
            let opened = decoded(&story.kept("sealed.mp4", &[map, one]), Some(key));
            let before = decoded(&story.kept("clear.mp4", &[&init, before]), None);
            assert_eq!(opened, before, "{number}: picture for picture");
        }
    }
    let ranges = story.url(&patterns, "v360/iframes.m3u8");
    sources::eventually("its keyframes are known", async || {
        client::client().get(&ranges).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn stock_players_play_what_is_sealed() {
    let story = Story::start().await;
    let mut plays = vec![];
    for (how, players) in [("aes-128", &["hls"][..]), ("cbcs", &["shaka-dash", "shaka-hls"])] {
        let id = story.video(&format!("{how}.mp4")).await;
        story.protect(&id, how).await;
        let playback = story.playback(&id).await;
        assert_eq!(playback["protection"], how);
        for player in players {
            plays.push(json!({ "how": how, "player": player, "id": id, "token": playback["token"] }));
        }
    }
    let output = Command::new("node")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"))
        .args(["sealed.mjs", &story.stack.edge(), &Value::from(plays.clone()).to_string()])
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("sealed.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (play, seen) in plays.iter().zip(report.as_array().unwrap()) {
        assert!(seen["ended"].as_bool().unwrap(), "{play}: {seen}");
        assert!(seen["frames"].as_u64().unwrap() > 200, "{play}: {seen}");
        assert!(seen["keys"].as_u64().unwrap() >= 1, "{play}: {seen}");
        assert_eq!(seen["refused"], json!(true), "{play}: without a token nothing is decoded: {seen}");
    }
}
