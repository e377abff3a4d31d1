//! The watch page, in a real Chromium: what is sealed plays there, whoever may see it; each rung is listed once; sound plays
//! alone.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use serde_json::{Value, json};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips, sources};
use sluice_wire::token::mint::SigningKey;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A stack with pages that seals, with a key for every two segments.
async fn started(keys: &Path) -> Stack {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let at = |name: &str| keys.join(name);
    let pem = SigningKey::generate().unwrap();
    let signer = SigningKey::from_pem(pem.as_bytes(), "1").unwrap();
    std::fs::write(at("private.pem"), &pem).unwrap();
    std::fs::write(at("keys.json"), signer.jwks().to_string()).unwrap();
    std::fs::write(at("secrets"), format!("{}\n", "5e".repeat(32))).unwrap();
    let origin = vec![
        ("playback.key_file", at("private.pem").display().to_string()),
        ("protection.secret_file", at("secrets").display().to_string()),
        ("protection.period_segments", "2".into()),
    ];
    let edges = vec![("access.keys_file", at("keys.json").display().to_string())];
    Stack::with(Options { pages: Some(pages), origin, edges, ..Options::default() }).await
}

/// A public video with a protection, of which edges keep nothing from before.
async fn published(edge: &str, how: &str, clip: Vec<u8>) -> String {
    let made = client::put(edge, &format!("{how}.mkv"), clip).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(edge, &id).await;
    let url = format!("{edge}/v1/videos/{id}");
    let change = client::client().patch(url).json(&json!({ "protection": how })).send().await.unwrap();
    assert!(change.status().is_success(), "{:?}", change.text().await);
    sources::eventually(how, async || {
        let text = client::get(&format!("{edge}/v/{id}/v240/index.m3u8")).await.text().await.unwrap();
        text.contains("EXT-X-KEY") == (how != "none")
    })
    .await;
    id
}

#[tokio::test]
async fn sealed_videos_play_for_everybody_with_each_rung_once_and_sound_alone() {
    let keys = tempfile::tempdir().unwrap();
    let stack = started(keys.path()).await;
    let edge = stack.edge();
    let clip = clips::dubbed(12);
    let ids = join_all(["none", "aes-128", "cbcs"].map(|how| published(&edge, how, clip.clone()))).await;
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["page.mjs", &edge, &json!(ids).to_string()])
        .arg(root().join("target/browser"))
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("page.mjs", &output);
    let reports: Vec<Value> = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (how, report) in ["none", "aes-128", "cbcs"].iter().zip(&reports) {
        assert!(report["frames"].as_u64().unwrap() > 30, "{how}: {report}");
        // English in 5.1 and in stereo: two variants of each rung.
        let rungs = report["rungs"].as_array().unwrap();
        let values: Vec<_> = rungs.iter().map(|rung| rung[0].as_str().unwrap()).collect();
        assert_eq!(values, ["-1", "v360", "v240", "sound"], "{how}: {report}");
        assert_eq!(report["alone"], json!([0, true]), "{how}: no picture, and it goes on: {report}");
        assert_eq!(report["back"], json!(["v240", "240p", "v240"]), "{how}: {report}");
        let of = |kind: &str| report[kind].as_array().unwrap().clone();
        assert!(of("media").iter().all(|asked| asked[2] == false), "media is for everybody: {report}");
        assert_eq!(of("keys").is_empty(), *how == "none", "{how}: {report}");
        let opened = |asked: &Value| asked[1] == 200 && asked[2] == true;
        assert!(of("keys").iter().all(opened), "{how}: with the token: {report}");
        assert_eq!(of("errors").len(), 0, "{how}: no error in the console: {report}");
    }
    let licences = |report: &Value| {
        let keys = report["keys"].as_array().unwrap();
        keys.iter().filter(|asked| asked[0].as_str().unwrap().ends_with("/licence")).count()
    };
    assert!(licences(&reports[1]) == 0 && licences(&reports[2]) >= 1, "{reports:?}");
}
