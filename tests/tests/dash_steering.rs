//! Players of DASH are steered as those of HLS are: by stock dash.js in a real Chromium.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

#[tokio::test]
async fn a_player_of_dash_begins_where_it_is_told_and_leaves_an_edge_that_is_drained() {
    // The name of the description leads nowhere: whoever plays has asked where to.
    let origin = vec![("media_url", "http://media.invalid".to_owned())];
    let stack = Stack::with(Options { origin, ..Options::default() }).await;
    let control = stack.control.url();
    let config = json!({ "steering": { "calm_ttl_s": 1 } });
    let put = client::client().put(format!("{control}/v1/config")).header("if-match", "*").json(&config);
    assert_eq!(put.send().await.unwrap().status(), 200);
    let made = client::put(&stack.edge(), "film.mp4", clips::made(60, "320x180", 25)).await;
    let id = made["id"].as_str().unwrap();
    client::wait_ready(&stack.edge(), id).await;

    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let mut player = Command::new("node");
    player.current_dir(browser).args(["dash.mjs", &stack.edge(), &control, id]);
    let output = player.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = printed("dash.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let edges: Vec<String> = stack.near.iter().map(sluice_tests::process::Process::url).collect();
    let one_of = |asked: &Value| {
        let asked = asked.as_array().unwrap();
        assert_eq!(asked.len(), 1, "{report}");
        edges.iter().position(|edge| asked[0] == edge.as_str()).unwrap()
    };
    assert_ne!(one_of(&report["before"]), one_of(&report["after"]), "{report}");
    assert_eq!((&report["errors"], &report["stalls"]), (&json!([]), &json!(0)), "{report}");
}
