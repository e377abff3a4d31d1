//! The three ways in, each cut and taken up again where that is promised.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::stack::Stack;
use std::process::Command;

/// The browser folder holds the JavaScript clients and their pinned versions.
fn node(script: &str, stack: &Stack, arguments: &[&str]) -> serde_json::Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");
    assert!(
        std::path::Path::new(folder).join("node_modules").is_dir(),
        "the browser tests' packages are missing: `make test` installs them"
    );
    let output = Command::new("node")
        .current_dir(folder)
        .arg(script)
        .arg(stack.edge())
        .args(arguments)
        .output()
        .expect("node is installed by `make setup`");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{script}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect("the script's last line is JSON")
}

#[tokio::test]
async fn put_form_and_tus_store_the_same_bytes() {
    let stack = Stack::start().await;
    let edge = stack.edge();
    let source = clips::made(6, "320x240", 25);
    let hash = client::sha256(&source);
    let file = stack.dir().join("film.mp4");
    std::fs::write(&file, &source).unwrap();
    let file = file.to_str().unwrap();

    let curl = |arguments: &[&str]| -> serde_json::Value {
        let output = Command::new("curl").args(["-sS", "--fail-with-body"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let put = curl(&["-T", file, &format!("{edge}/v1/videos/film.mp4")]);
    let form = curl(&["-F", &format!("file=@{file}"), &format!("{edge}/v1/videos")]);
    let tus = node("tus.mjs", &stack, &[file]);
    assert!(tus["cuts"].as_u64().unwrap() >= 1, "the upload was cut and resumed: {tus}");
    for id in [&put["id"], &form["id"], &tus["id"]] {
        let document = client::wait_ready(&edge, id.as_str().unwrap()).await;
        assert_eq!(document["sha256"], hash, "{document}");
        assert_eq!(document["name"], "film.mp4");
    }
    // The same source makes the same rungs, byte for byte.
    let first = client::rungs(&edge, put["id"].as_str().unwrap()).await;
    let second = client::rungs(&edge, tus["id"].as_str().unwrap()).await;
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(client::sha256(&a.whole().await), client::sha256(&b.whole().await), "{}", a.name);
    }
}

#[tokio::test]
async fn a_client_follows_the_states_as_they_happen() {
    let stack = Stack::start().await;
    let edge = stack.edge();
    let id = client::put(&edge, "watched.mp4", clips::made(6, "320x240", 25)).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = client::get(&format!("{edge}/v1/videos/{id}/events")).await;
    assert!(client::header(&answer, "content-type").starts_with("text/event-stream"));
    let text = answer.text().await.unwrap();
    let states: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|l| l.strip_prefix("data:"))
        .filter_map(|d| serde_json::from_str(d).ok())
        .collect();
    assert!(states.len() >= 2, "{text}");
    assert_eq!(states.last().unwrap()["state"], "ready", "the stream ends when there is no more to tell");
    let progress: Vec<f64> = states.iter().filter_map(|s| s["progress"].as_f64()).collect();
    assert!(progress.windows(2).all(|w| w[0] <= w[1]), "progress only rises: {progress:?}");
}
