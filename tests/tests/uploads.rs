//! The three ways in, each cut and taken up again where that is promised.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::programs::printed;
use sluice_tests::sources::{self, eventually};
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
    let text = printed(script, &output);
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
        serde_json::from_str(&printed("curl", &output)).unwrap()
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
async fn parts_that_a_stock_client_sends_in_parallel_become_one_video() {
    let stack = Stack::start().await;
    let edge = stack.edge();
    let source = clips::made(6, "320x240", 25);
    let file = stack.dir().join("parallel.mp4");
    std::fs::write(&file, &source).unwrap();
    let tus = node("tus_parallel.mjs", &stack, &[file.to_str().unwrap(), "4"]);
    let parts: Vec<&str> =
        tus["concat"].as_str().unwrap().strip_prefix("final;").unwrap().split(' ').collect();
    assert_eq!(parts.len(), 4, "{tus}");
    let id = tus["id"].as_str().unwrap();
    let document = client::wait_ready(&edge, id).await;
    assert_eq!(document["bytes"], source.len() as u64, "{document}");
    assert_eq!(
        (document["name"].as_str(), document["title"].as_str()),
        (Some("parallel.mp4"), Some("In parallel"))
    );
    let hash = client::sha256(&source);
    client::wait_until(&edge, id, "hashed", |document| document["sha256"] == hash.as_str()).await;
    // Partial uploads are no videos.
    let part = parts[0].rsplit('/').next().unwrap();
    assert_eq!(client::client().get(format!("{edge}/v1/videos/{part}")).send().await.unwrap().status(), 404);
    let list: serde_json::Value = client::get(&format!("{edge}/v1/videos")).await.json().await.unwrap();
    assert_eq!(list["videos"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn equal_sources_are_stored_once_and_outlive_each_other() {
    let stack = Stack::start().await;
    let (edge, source) = (stack.edge(), clips::made(4, "320x240", 25));
    let mut ids = vec![];
    for name in ["first.mp4", "second.mp4"] {
        let made = client::put(&edge, name, source.clone()).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        client::wait_ready(&edge, id).await;
    }
    stack.origin.until("sluice_origin_shared_bytes_total", &[], |bytes| bytes == source.len() as f64).await;
    let stored = |id: &str| stack.dir().join("objects/uploads").join(id).exists();
    eventually("one copy is left", async || ids.iter().filter(|id| stored(id)).count() == 1).await;
    let (holder, other) = if stored(&ids[0]) { (&ids[0], &ids[1]) } else { (&ids[1], &ids[0]) };
    let documents = [client::video(&edge, holder).await, client::video(&edge, other).await];
    assert!(!documents[0].to_string().contains(other.as_str()), "{}", documents[0]);
    assert!(!documents[1].to_string().contains(holder.as_str()), "{}", documents[1]);

    // The one that holds the bytes is deleted: the other's are whole, and go with it.
    let http = client::client();
    assert_eq!(
        http.delete(format!("{edge}/v1/videos/{holder}?now=true")).send().await.unwrap().status(),
        204
    );
    let storage = sources::storage(stack.engines()).await;
    assert!(sources::bytes(&storage, other).await == source);
    assert_eq!(http.delete(format!("{edge}/v1/videos/{other}?now=true")).send().await.unwrap().status(), 204);
    eventually("nothing is left", async || !stored(holder) && !stored(other)).await;
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
