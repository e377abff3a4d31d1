//! Stock Shaka Player in Chromium, over HLS and DASH.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::client::{self, client};
use sluice_tests::clips;
use sluice_tests::programs::printed;
use sluice_tests::stack::Stack;
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn shaka_plays_both_descriptions_to_their_end() {
    let stack = Stack::start().await;
    let edge = stack.edge();
    let made = client::put(&edge, "clip.mp4", clips::made(9, "640x360", 25)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(&edge, &id).await;
    let text = "WEBVTT\n\n00:00.500 --> 00:08.000\nHello\n";
    let sent =
        client().put(format!("{edge}/v1/videos/{id}/text/subtitles/en?label=English")).body(text).send();
    assert_eq!(sent.await.unwrap().status().as_u16(), 201);

    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let output = Command::new("node")
        .current_dir(browser)
        .args(["shaka.mjs", &edge, &id])
        .output()
        .expect("node is installed by `make setup`");
    let said = printed("shaka.mjs", &output);
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    for manifest in ["master.m3u8", "manifest.mpd"] {
        let played = &report[manifest];
        assert_eq!(played["texts"], json!(["en English"]), "{report}");
        assert_eq!(played["errors"], json!([]), "{report}");
        assert!(played["variants"].as_u64().unwrap() >= 2, "{report}");
        assert!((played["duration"].as_f64().unwrap() - 9.0).abs() < 0.2, "{report}");
    }
}
