//! The operations page in a real Chromium: by role, with traffic, on a desk and on a phone.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A stack on two sites, with operators whose tokens are their names, and two versions of its configuration.
async fn started() -> Stack {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("operations.html").is_file(), "the pages are not built: `make web` builds them");
    let of = |name: &str, role: &str| json!({ "name": name, "role": role, "token_sha256": hex::encode(Sha256::digest(name)) });
    let operators = json!([of("ann", "admin"), of("bob", "operator"), of("eve", "viewer")]).to_string();
    let control = vec![("operators", operators), ("pages_dir", pages.display().to_string())];
    let edges = vec![("site", "fra".to_owned())];
    let mut stack = Stack::with(Options { control, edges, ..Options::default() }).await;
    stack.near[1].signal(Signal::SIGTERM);
    stack.near[1].ended().await;
    stack.near[1].set("site", "nyc");
    stack.near[1].start().await;
    stack.settled().await;
    let sites = json!({
        "fra": { "region": "eu", "latitude": 50.1, "longitude": 8.7 },
        "nyc": { "region": "us", "latitude": 40.7, "longitude": -74.0 },
    });
    for (note, config) in [
        ("two sites", json!({ "sites": sites })),
        (
            "New York has half",
            json!({ "sites": sites, "nodes": { "near-b": { "weight": 0.5, "capacity_mbps": 100 } } }),
        ),
    ] {
        let put = client::client().put(format!("{}/v1/config?note={note}", stack.control.url()));
        let answer = put.bearer_auth("ann").header("if-match", "*").json(&config).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    stack
}

#[tokio::test]
async fn a_viewer_looks_an_operator_drains_and_purges_and_an_administrator_rolls_back() {
    let stack = started().await;
    let made = client::put(&stack.edge(), "film.mp4", clips::made(20, "640x360", 25)).await;
    let id = made["id"].as_str().unwrap();
    client::wait_ready(&stack.edge(), id).await;
    let edges: Vec<String> = stack.near.iter().map(sluice_tests::process::Process::url).collect();
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["operations.mjs", &stack.control.url(), &json!(edges).to_string(), id])
        .arg(root().join("target/browser"))
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("operations.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    assert_eq!(report["wrong"], "No operator has this token.", "{report}");
    let viewer = json!({ "me": "eve, viewer", "drain": true, "purge": true, "rollbacks": 0, "server": 403 });
    assert_eq!(report["viewer"], viewer, "a viewer looks: {report}");
    let operator = json!({ "me": "bob, operator", "hash": "" });
    assert_eq!(report["operator"], operator, "the token is gone from the address: {report}");
    let tiles = report["tiles"].as_array().unwrap();
    let shown = |key: &str| tiles.iter().find(|tile| tile[0] == format!("tile-{key}")).unwrap()[1].clone();
    for key in ["requests", "hits", "egress", "offload", "steered"] {
        assert!(!["–", "0.0"].contains(&shown(key).as_str().unwrap()), "{key}: {report}");
    }
    let mut purged: Vec<&str> =
        report["purged"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
    purged.sort_unstable();
    assert_eq!(purged, ["near-a", "near-b", "shield-a"], "each edge acknowledges: {report}");
    assert_eq!(report["drained"], "2 of 3 nodes ready, 1 draining", "{report}");
    assert_eq!(report["quality"], json!(["fra", "nyc"]), "what players say is shown by place: {report}");
    let why = report["why"].as_str().unwrap();
    assert!(why.contains("fra") && why.contains("Distance"), "an answer says what was weighed: {report}");
    assert!(report["sorted"].as_str().unwrap().starts_with("Sends"), "{report}");
    assert_eq!(
        (&report["config"]["version"], &report["config"]["nodes"]),
        (&json!(3), &json!({})),
        "{report}"
    );
    for (at, found) in report["axe"].as_object().unwrap() {
        assert_eq!(found, &json!([]), "nothing that keeps somebody out: {at}");
    }
    assert_eq!(report["phone"], 0, "nothing sticks out of a phone's width: {report}");
    assert_eq!(report["errors"], json!([]), "no error in the console: {report}");
}
